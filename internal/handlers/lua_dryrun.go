package handlers

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"webadmin/internal/kvdb"
	"webadmin/internal/lua"
	"webadmin/web/templates/luaview"
)

// dryRun serves POST /lua/-/dryrun. It takes the text that stands in the editor.
func (p *luaPages) dryRun(c echo.Context) error {
	f, err := readRun(c)
	if err != nil {
		return err
	}
	call, unsaved, err := p.callOf(c.Request().Context(), f)
	if err != nil {
		return p.refuseRun(c, f, err)
	}
	var tried lua.DryRun
	err = p.auditedCall(c, verbLuaDryRun, call, func() (_ *lua.Failure, err error) {
		tried, err = p.Lua.DryRun(c.Request().Context(), caller(c), call)
		return tried.Failure, err
	})
	if err != nil {
		return p.refuseRun(c, f, err)
	}
	v, err := p.triedView(c, f, call, tried)
	if err != nil {
		return err
	}
	v.Unsaved = unsaved
	status := http.StatusOK
	if tried.Failure != nil {
		status = http.StatusUnprocessableEntity
	}
	return p.showRun(c, f, status, luaview.Tried(v))
}

func (p *luaPages) triedView(c echo.Context, f runForm, call lua.Call, tried lua.DryRun) (luaview.DryRun, error) {
	v := luaview.DryRun{Says: triedSays(tried), Rung: rungText(tried, len(call.Keys)), Notes: tried.Notes}
	for _, t := range tried.Calls {
		v.Calls = append(v.Calls, luaview.Call{Line: t.Line, Name: t.Name, Args: t.Args, Reply: t.Reply, Failed: t.Failed, Writes: t.Writes})
	}
	if tried.MoreCalls > 0 {
		v.More = "and " + decimal(int64(tried.MoreCalls)) + " more"
	}
	for _, change := range tried.Changes {
		v.Changes = append(v.Changes, changeView(change))
	}
	p.linkTo(c, &v.Result, f)
	switch {
	case tried.Failure != nil:
		v.Result.Fault = failureFault(tried.Failure, true)
		v.Result.Fault.Title = "The program would raise an error"
		if len(tried.Changes) > 0 {
			v.Result.Fault.More = "What it writes before that would stay written: a run is not rolled back."
		}
	case tried.Rung != lua.RungStatic:
		showReply(&v.Result, tried.Reply, tried.Truncated)
		v.Badge = v.Result.Badge
		v.Result.Save = p.exampleForm(f, tried.Reply)
	}
	if tried.Failure == nil && !call.ReadOnly && (len(tried.Changes) > 0 || tried.Published > 0) {
		apply, err := p.applyForm(call, f, tried)
		if err != nil {
			return v, err
		}
		v.Apply = apply
	}
	return v, nil
}

func (p *luaPages) applyForm(call lua.Call, f runForm, tried lua.DryRun) (*luaview.Apply, error) {
	expect, err := tried.Expect.MarshalText()
	if err != nil {
		return nil, err
	}
	fields := argumentFields(f.name, f.keys, f.values, f.readOnly)
	if call.Name == "" {
		fields = append(fields, textFields(call.Text)...)
	}
	a := &luaview.Apply{Action: p.url("lua.apply"), Fields: append(fields, luaview.Hidden{Name: "expect", Value: string(expect)})}
	switch n := len(tried.Expect.Keys); n {
	case 0:
	case 1:
		a.Says = "refused if the key has changed since"
	default:
		a.Says = fmt.Sprintf("refused if one of the %s keys has changed since", decimal(int64(n)))
	}
	return a, nil
}

// triedSays says a dry run in a line.
func triedSays(tried lua.DryRun) string {
	if tried.Rung == lua.RungStatic {
		return "nothing ran"
	}
	said := plural(int64(len(tried.Calls)+tried.MoreCalls), "call")
	if tried.Published > 0 {
		said += ", " + plural(int64(tried.Published), "message") + " it would publish"
	}
	return said + ", nothing was written"
}

// rungText says where a dry run ran, where that is not a fork of the server.
func rungText(tried lua.DryRun, keys int) string {
	var said string
	switch tried.Rung {
	case lua.RungScratch:
		switch keys {
		case 0:
			said = "It ran on an empty server beside this one"
		case 1:
			said = "It ran on a copy of the key"
		default:
			said = "It ran on a copy of the " + decimal(int64(keys)) + " keys"
		}
	case lua.RungReadOnly:
		said = "It ran read-only, so only up to its first write"
	case lua.RungStatic:
		said = "It could not be tried here; this is what its text says"
	default:
		return ""
	}
	if tried.Why != "" {
		said += ". Why: " + strings.TrimSuffix(tried.Why, ".")
	}
	return said + "."
}

func changeView(change lua.KeyChange) luaview.Change {
	v := luaview.Change{Key: change.Key, Words: changeWords(change.Before, change.After), Before: change.Before.Lines, After: change.After.Lines}
	if change.Before.Cut || change.After.Cut {
		v.Note = "only the beginning is compared"
	}
	return v
}

// changeWords says what becomes of a key's type and time to live.
func changeWords(before, after lua.KeyState) string {
	switch was, is := stateWords(before), stateWords(after); {
	case before.Type == "" && after.Type == "":
		return "not there before, nor after"
	case before.Type == "":
		return "new, " + is
	case after.Type == "":
		return was + " → gone"
	case was != is:
		return was + " → " + is
	default:
		return is
	}
}

func stateWords(s lua.KeyState) string {
	if s.TTL < 0 {
		return s.Type + ", no expiry"
	}
	return s.Type + ", expires in " + spanText(max(s.TTL, time.Second))
}

// apply serves POST /lua/-/apply: it runs for real what a dry run has shown, if nothing of it has changed.
func (p *luaPages) apply(c echo.Context) error {
	f, err := readRun(c)
	if err != nil {
		return err
	}
	var expect lua.Expect
	if err := expect.UnmarshalText([]byte(f.word("expect"))); err != nil {
		return p.refuseRun(c, f, err)
	}
	call := lua.Call{Name: f.name, Keys: f.keys, Values: f.values, ReadOnly: f.readOnly}
	if f.given {
		call.Name, call.Text = "", f.source
	}
	var outcome lua.Outcome
	err = p.auditedCall(c, verbLuaApply, call, func() (_ *lua.Failure, err error) {
		outcome, err = p.Lua.Apply(c.Request().Context(), caller(c), call, expect)
		return outcome.Failure, err
	})
	if err != nil {
		return p.refuseRun(c, f, err)
	}
	return p.showOutcome(c, f, "Applied", call, outcome)
}

// changedFault says that what was tried is not what would run now.
func (p *luaPages) changedFault(f runForm, changed *lua.ChangedError) luaview.Fault {
	fault := luaview.Fault{Kind: "warning", Title: "Not applied: something has changed since the dry run", Text: "Nothing ran.", Names: changed.Keys}
	if changed.Program {
		fault.Text = "The program is not the one that was tried. Nothing ran."
	} else if len(changed.Keys) > 0 {
		fault.Text = "Nothing ran. These keys are not as they were:"
	}
	fault.Do = []luaview.Send{{Kind: "primary", Text: "Dry run again", Icon: "flask-conical", Action: p.url("lua.dryrun"), Fields: f.fields(false)}}
	return fault
}

// exampleForm offers to save a call with its reply; nil where that can't be: of a text that is not saved, or of a long reply.
func (p *luaPages) exampleForm(f runForm, reply kvdb.Reply) *luaview.ExampleForm {
	if f.name == "" || replySize(reply) > keptExpect {
		return nil
	}
	return p.newExample(f, reply)
}
