package handlers

import (
	"fmt"

	"webadmin/internal/dict"
	"webadmin/web/templates/dictview"
)

// uploadView shows a file on its way in. op is a token for what can be done with it.
func (l dictLinks) uploadView(u dict.Upload, op string) dictview.UploadView {
	v := dictview.UploadView{
		URL: l.url("dict.upload", u.ID), Name: u.Name, Again: l.url("dict.transfer"),
		Facts: []string{formatName(u.Format), byteSize(u.Size), modeName(u.Mode), "by " + u.By},
	}
	switch u.State {
	case dict.UploadChecking, dict.UploadImporting:
		v.Running, v.Done, v.Total, v.Doing = true, u.Progress.Done, u.Progress.Total, doing(u.State, u.Progress.Stage)
		if v.Done == 0 && v.Total > 0 { // it is known how much there is to do, but not yet how quickly it goes
			v.Done, v.Total, v.Doing = v.Total, 0, "rows in all"
		}
	case dict.UploadChecked:
		l.checked(&v, u, op)
	case dict.UploadDone:
		v.Kind, v.Notice, v.Figures = "success", "The file is imported.", resultFigures(u.Result)
		if u.Result.Change == "" {
			v.Notice = "The file holds nothing new, so nothing was changed."
		} else {
			v.Change = l.url("dict.change", u.Result.Change)
		}
	case dict.UploadFailed:
		v.Kind, v.Notice = "error", u.Error
		if u.Line > 0 {
			v.Notice = "Line " + decimal(u.Line) + ": " + u.Error
		}
		if l.edit {
			v.Discard = l.url("dict.upload.discard", u.ID)
		}
	case dict.UploadUnknown:
		v.Kind, v.Notice = "warning", "It is not known whether the file was imported: the server did not answer in time. Check before you go on; nothing is done twice."
		if l.edit {
			v.Check = &dictview.Check{Action: l.url("dict.upload.check", u.ID)}
		}
	}
	return v
}

// checked shows the result of a dry run and what can be done with it.
func (l dictLinks) checked(v *dictview.UploadView, u dict.Upload, op string) {
	const shownRejects = 200
	r := u.Result
	v.Dry, v.Figures = true, resultFigures(r)
	v.Sample = changeItems(r.Sample)
	if changes := changesOf(r); int64(len(r.Sample)) < changes && len(r.Sample) > 0 {
		v.More = fmt.Sprintf("the first %s of %s", decimal(int64(len(r.Sample))), decimal(changes))
	}
	if r.RejectedTotal > 0 {
		v.Rejects = plural(r.RejectedTotal, "row") + " can't be imported"
		v.RejectsURL = l.url("dict.upload.rejects", u.ID)
		for _, x := range r.Rejected[:min(len(r.Rejected), shownRejects)] {
			v.Rejected = append(v.Rejected, dictview.RejectedRow{Line: decimal(x.Line), Reason: x.Reason})
		}
		if more := r.RejectedTotal - int64(len(v.Rejected)); more > 0 {
			v.RejectsMore = "and " + plural(more, "row") + " more; the file for download has all of them"
		}
	}
	if !l.edit {
		return
	}
	v.Discard = l.url("dict.upload.discard", u.ID)
	if changesOf(r) == 0 {
		v.Kind, v.Notice = "info", "The file would change nothing."
		if r.RejectedTotal > 0 {
			v.Kind, v.Notice = "error", "No row of the file can be imported."
		}
		if r.Unchanged > 0 && r.RejectedTotal > 0 {
			v.Kind, v.Notice = "info", "The rows that can be imported would change nothing."
		}
		return
	}
	v.Apply = applyForm(u, l.url("dict.upload.apply", u.ID), op)
}

func applyForm(u dict.Upload, action, op string) *dictview.ApplyForm {
	r := u.Result
	a := &dictview.ApplyForm{Action: action, Op: op, Text: "Apply these changes", Skip: r.RejectedTotal > 0}
	a.Says = "All of it is done, or nothing. It can be undone."
	if a.Skip {
		a.Text = "Import the other " + plural(r.Created+r.Updated+r.Unchanged, "row")
		a.Says = plural(r.RejectedTotal, "row") + " will be left out. All of the rest is done, or nothing. It can be undone."
	}
	if u.Mode == dict.Replace && r.Deleted+r.EntriesDeleted > 0 {
		a.Replace = fmt.Sprintf("This deletes what the file does not hold: %s and %s.", plural(r.Deleted, "translation"), plural(r.EntriesDeleted, "entry"))
	}
	return a
}

// changesOf counts what an import would change.
func changesOf(r dict.ImportResult) int64 {
	return r.Created + r.Updated + r.Deleted + r.EntriesCreated + r.EntriesDeleted
}

func resultFigures(r dict.ImportResult) []dictview.Figure {
	out := []dictview.Figure{
		{N: r.Created, Text: "created", Mark: "up"}, {N: r.Updated, Text: "changed"}, {N: r.Unchanged, Text: "unchanged"},
		{N: r.Deleted, Text: "deleted", Mark: "down"}, {N: r.RejectedTotal, Text: "rejected", Mark: "down"},
		{N: r.EntriesCreated, Text: nounOf(r.EntriesCreated) + " created", Mark: "up"},
	}
	if r.EntriesDeleted > 0 {
		out = append(out, dictview.Figure{N: r.EntriesDeleted, Text: nounOf(r.EntriesDeleted) + " deleted", Mark: "down"})
	}
	for i := range out {
		if out[i].N == 0 {
			out[i].Mark = ""
		}
	}
	return out
}

// doing says what the figures of a progress are; they stand before it.
func doing(state, stage string) string {
	switch stage {
	case "comparing":
		return "rows compared with what is there"
	case "writing":
		return "rows written"
	case "committing":
		return "Putting it in place …"
	}
	if state == dict.UploadImporting {
		return "rows read, to be imported"
	}
	return "rows read"
}

func formatName(f dict.Format) string {
	switch f {
	case dict.CSV:
		return "CSV"
	case dict.JSON:
		return "JSON"
	case dict.Zato:
		return "Zato export"
	}
	return string(f)
}

func modeName(m dict.Mode) string {
	if m == dict.Replace {
		return "replace: what it does not hold is deleted"
	}
	return "merge: what it does not hold stays"
}
