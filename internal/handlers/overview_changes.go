package handlers

import (
	"context"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"webadmin/internal/audit"
	"webadmin/internal/dict"
	overviewview "webadmin/web/templates/overview"
)

const (
	shownChanges = 10   // the newest
	searchedLog  = 2000 // records of the audit log that are looked at for them: among what programs do all the time, they may be rare
	searchedStep = 500
)

// deed is a verb of the audit log that tells of a change, as people say it: "program stock.reserve saved". Without a kind the object says
// what it is.
type deed struct{ kind, done string }

// deeds are the changes that people ask about in the morning. Those of the dictionaries have a history of their own.
var deeds = map[string]deed{
	verbLuaSave: {"program", "saved"}, verbLuaUpload: {"program", "uploaded"}, verbLuaRestore: {"program", "restored"},
	verbLuaDelete:      {"program", "deleted"},
	verbLuaExampleSave: {"program", "got an example"}, verbLuaExampleDelete: {"program", "lost an example"}, verbLuaKill: {"", "stopped"},
	verbServicePause: {"service", "paused"}, verbServiceResume: {"service", "resumed"}, verbServicePolicy: {"service", "got another policy"},
	verbDeadRetry: {"", "retried"}, verbDeadDelete: {"", "deleted"}, verbInvocationCancel: {"invocation", "cancelled"},
	verbChannelSettings: {"channel", "got other settings"}, verbChannelForget: {"channel", "forgot a subscriber"},
	verbWebhookSave: {"webhook", "saved"}, verbWebhookDelete: {"webhook", "deleted"},
	verbStatsSettings: {"", "got other settings"}, verbStatsThreshold: {"", "got another threshold"}, verbStatsDelete: {"", "deleted"},
	verbUserCreate: {"user", "created"}, verbUserRole: {"user", "got another role"}, verbUserPassword: {"user", "got another password"},
	verbUserDisable: {"user", "disabled"}, verbUserEnable: {"user", "enabled"}, verbUserDelete: {"user", "deleted"},
	verbTokenCreate: {"token", "created"}, verbTokenRevoke: {"token", "revoked"},
	verbKeyCreate: {"key", "created"}, verbKeyChange: {"key", "changed"}, verbKeyAdd: {"key", "got an element"},
	verbKeyRemove: {"key", "lost an element"},
	verbKeyExpire: {"key", "got another expiry"}, verbKeyRename: {"key", "renamed"}, verbKeyCopy: {"key", "copied"}, verbKeyDelete: {"key", "deleted"},
	verbKeysDelete: {"", "deleted"}, verbKeysExpire: {"", "got another expiry"},
	verbSlowReset: {"", "emptied"}, verbClientKill: {"", "disconnected"},
}

// changes are the last ones of the whole house.
func (p *overviewPages) changes(c echo.Context) (v overviewview.Changes, err error) {
	ctx := c.Request().Context()
	v.Audit, v.History = p.url("audit"), p.url("dict.changes")
	list, err := p.Dict.Changes(ctx, "", shownChanges)
	if err != nil {
		return v, err
	}
	for _, x := range list.Items {
		v.Rows = append(v.Rows, p.dictChange(c, x))
	}
	records, more, err := p.lastDeeds(ctx)
	if err != nil {
		return v, err
	}
	for _, r := range records {
		v.Rows = append(v.Rows, p.deedOf(c, r))
	}
	slices.SortStableFunc(v.Rows, func(a, b overviewview.Change) int { return b.At.Compare(a.At) })
	if v.Rows = v.Rows[:min(len(v.Rows), shownChanges)]; more && len(records) < shownChanges {
		v.Note = "Besides those of the dictionaries, only changes among the last " + decimal(searchedLog) + " records of the audit log are here."
	}
	return v, nil
}

func (p *overviewPages) dictChange(c echo.Context, x dict.Change) overviewview.Change {
	row := overviewview.Change{At: x.At, By: x.By, Done: x.Summary, URL: p.url("dict.change", x.ID)}
	switch {
	case x.UndoneBy != "":
		row.Mark = overviewview.Mark{Kind: "plain", Text: "undone"}
	case mayEdit(c):
		row.Undo = row.URL
	}
	return row
}

// lastDeeds are the newest records of changes, and whether there are older records that were not looked at.
func (p *overviewPages) lastDeeds(ctx context.Context) (found []audit.Record, more bool, err error) {
	cursor := ""
	for seen := 0; seen < searchedLog; seen += searchedStep {
		var records []audit.Record
		if records, cursor, err = p.Audit.List(ctx, audit.Filter{}, cursor, searchedStep); err != nil {
			return nil, false, err
		}
		for _, r := range records {
			if _, ok := deeds[r.Verb]; ok {
				found = append(found, r)
			}
		}
		if len(found) >= shownChanges || cursor == "" {
			break
		}
	}
	return found, cursor != "", nil
}

// deedOf is a record as a change, with the way to what was changed, or else to its records.
func (p *overviewPages) deedOf(c echo.Context, r audit.Record) overviewview.Change {
	d := deeds[r.Verb]
	row := overviewview.Change{At: r.At, By: r.Actor, Kind: d.kind, Name: strings.TrimPrefix(r.Object, d.kind+" "), Done: d.done}
	if row.URL = p.changed(c, r.Verb, d.kind, row.Name); row.URL == "" {
		row.URL = p.url("audit", values("object", r.Object, "verb", r.Verb))
	}
	switch r.Outcome {
	case audit.Failed:
		row.Mark = overviewview.Mark{Kind: "error", Text: "failed"}
	case audit.Unknown:
		row.Mark = overviewview.Mark{Kind: "warning", Text: "not known whether done"}
	}
	return row
}

// changed is the page of what was changed; "" = it has none, or not for this reader.
func (p *overviewPages) changed(c echo.Context, verb, kind, name string) string {
	admin := roleOf(c) == string(Admin)
	switch {
	case verb == verbLuaDelete:
		return p.url("lua.versions", name)
	case kind == "program":
		return p.url("lua.program", name)
	case kind == "service":
		return p.url("broker.service", name)
	case kind == "channel":
		return p.url("broker.channel", name)
	case kind == "invocation":
		return p.url("broker.invocation", name)
	case kind == "webhook" && admin && verb != verbWebhookDelete:
		return p.url("settings.webhook", name)
	case kind == "user" && admin && verb != verbUserDelete:
		return p.url("settings.user", name)
	case kind == "token" && admin:
		return p.url("settings.tokens")
	}
	return ""
}
