package handlers

import (
	"fmt"
	"net/http"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"

	"webadmin/internal/handlers/api"
	"webadmin/internal/kvdb"
	"webadmin/internal/lua"
	"webadmin/web/templates/luaview"
	"webadmin/web/templates/ui"
)

// testedExample is what came of testing an example.
type testedExample struct {
	passed bool
	got    string // the reply, where another one was expected
	why    string // in words
}

func (p *luaPages) examplesView(c echo.Context, name string, tested map[string]testedExample) luaview.ExamplesView {
	list, err := p.Lua.Examples(c.Request().Context(), name)
	if err != nil {
		return luaview.ExamplesView{Trouble: kvdb.Sentence(err)}
	}
	v := luaview.ExamplesView{}
	edit := mayEdit(c)
	if edit {
		v.Test = p.url("lua.examples.test", name)
	}
	for _, e := range list {
		row := luaview.ExampleRow{
			ID: e.ID, Title: e.Title, Keys: e.Keys, Values: e.Values, ReadOnly: e.ReadOnly, Expect: headOf(expectedText(e.Expect), 500),
			Fill: p.fillURL(name, "", e.Keys, e.Values, e.ReadOnly),
		}
		if edit {
			row.Delete = p.url("lua.examples.delete", name, e.ID)
		}
		if t, ok := tested[e.ID]; ok {
			row.State, row.Got, row.Why = "failed", headOf(expectedText(t.got), 500), t.why
			if t.passed {
				row.State = "passed"
			}
		}
		v.Rows = append(v.Rows, row)
	}
	return v
}

// newExample is the form that saves a call with its reply.
func (p *luaPages) newExample(f runForm, reply kvdb.Reply) *luaview.ExampleForm {
	return &luaview.ExampleForm{
		Action: p.url("lua.examples.save", f.name), Expect: string(api.ReplyJSON(reply)),
		Fields: argumentFields(f.name, f.keys, f.values, f.readOnly),
	}
}

// saveExample serves POST /lua/:name/examples.
func (p *luaPages) saveExample(c echo.Context) error {
	f, err := readRun(c)
	if err != nil {
		return err
	}
	name := param(c, "name")
	example := lua.Example{Title: f.word("title"), Keys: f.keys, Values: f.values, ReadOnly: f.readOnly, Expect: f.form.values.Get("expect")}
	err = p.audited(c, verbLuaExampleSave, programObject(name), func() (string, string, error) {
		_, err := p.Lua.SaveExample(c.Request().Context(), lua.By{Who: actor(c)}, name, example)
		return "", example.Title, err
	})
	if err != nil {
		return err
	}
	return p.showExamples(c, name, "Saved as an example.")
}

// deleteExample serves POST /lua/:name/examples/:id/delete.
func (p *luaPages) deleteExample(c echo.Context) error {
	name, id := param(c, "name"), param(c, "id")
	err := p.audited(c, verbLuaExampleDelete, programObject(name), func() (string, string, error) {
		return id, "", p.Lua.DeleteExample(c.Request().Context(), lua.By{Who: actor(c)}, name, id)
	})
	if err != nil {
		return err
	}
	return p.showExamples(c, name, "The example is deleted.")
}

// showExamples answers with the list of examples, and a toast that says what was done.
func (p *luaPages) showExamples(c echo.Context, name, said string) error {
	toast := ui.ToastProps{Kind: "success", Text: said}
	if !wantsFragment(c.Request()) {
		return p.done(c, p.url("lua.program", name), toast)
	}
	return render(c, http.StatusOK, templ.Join(luaview.Examples(p.examplesView(c, name, nil)), ui.ToastOOB(toast)))
}

// testExamples serves POST /lua/:name/examples/test: each example, or the one with the id, is tried in a dry run, so that nothing changes.
func (p *luaPages) testExamples(c echo.Context) error {
	f, err := readForm(c)
	if err != nil {
		return err
	}
	ctx, name, only := c.Request().Context(), param(c, "name"), f.word("id")
	examples, err := p.Lua.Examples(ctx, name)
	if err != nil {
		return err
	}
	tested, passed := map[string]testedExample{}, 0
	err = p.audited(c, verbLuaDryRun, name, func() (string, string, error) {
		for _, e := range examples {
			if only != "" && e.ID != only {
				continue
			}
			call := lua.Call{Name: name, Keys: e.Keys, Values: e.Values, ReadOnly: e.ReadOnly}
			tried, err := p.Lua.DryRun(ctx, caller(c), call)
			if ctx.Err() != nil {
				return "", "", ctx.Err()
			}
			t := p.testOf(c, e, tried, err)
			tested[e.ID] = t
			if t.passed {
				passed++
			}
		}
		return "", fmt.Sprintf("%d of %s passed", passed, plural(int64(len(tested)), "example")), nil
	})
	if err != nil {
		return err
	}
	said := fmt.Sprintf("%d of %s passed. They ran as dry runs: nothing was changed.", passed, plural(int64(len(tested)), "example"))
	kind := "success"
	if passed < len(tested) {
		kind = "error"
	}
	if !wantsFragment(c.Request()) {
		return p.done(c, p.url("lua.program", name), ui.ToastProps{Kind: kind, Text: said})
	}
	v := p.examplesView(c, name, tested)
	v.Kind, v.Tested = kind, said
	return render(c, http.StatusOK, luaview.Examples(v))
}

// testOf compares what a dry run gave with what an example expects.
func (p *luaPages) testOf(c echo.Context, e lua.Example, tried lua.DryRun, err error) testedExample {
	switch {
	case err != nil:
		return testedExample{why: p.problemOf(err, c).Detail}
	case tried.Failure != nil:
		return testedExample{why: upperFirst(tried.Failure.Error())}
	case tried.Rung == lua.RungStatic:
		return testedExample{why: "It could not be tried: " + tried.Why}
	case tried.Truncated && e.Expect != "":
		return testedExample{why: "The reply is too long to be compared."}
	}
	if got := string(api.ReplyJSON(tried.Reply)); e.Expect != "" && got != e.Expect {
		return testedExample{got: got, why: "It replied something else:"}
	}
	return testedExample{passed: true}
}
