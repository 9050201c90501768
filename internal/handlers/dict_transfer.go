package handlers

import (
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
	"unicode"

	"github.com/labstack/echo/v4"

	"webadmin/internal/dict"
	"webadmin/internal/kvdb"
	"webadmin/web/templates/dictview"
	"webadmin/web/templates/layout"
	"webadmin/web/templates/ui"
)

// transfer serves GET /dictionaries/transfer.
func (p *dictPages) transfer(c echo.Context) error {
	return p.renderTransfer(c, http.StatusOK, dictview.ImportForm{})
}

func (p *dictPages) renderTransfer(c echo.Context, status int, form dictview.ImportForm) error {
	ctx := c.Request().Context()
	entries, err := p.Dict.Entries(ctx, dict.Filter{}, dict.ListOptions{Limit: 1})
	if err != nil {
		return err
	}
	translations, err := p.Dict.Translations(ctx, dict.Filter{}, dict.ListOptions{Limit: 1})
	if err != nil {
		return err
	}
	page := dictview.TransferPage{
		Page:    p.page(c, "Import/export", p.crumbs("dict.transfer")...),
		Holds:   plural(translations.All, "translation") + " and " + plural(entries.All, "entry") + ".",
		History: p.url("dict.changes"),
		Exports: []dictview.Download{
			{Name: "CSV", Text: "the translations, six columns, for spreadsheets", URL: p.url("dict.export", values("format", "csv"))},
			{Name: "JSON", Text: "translations and entries", URL: p.url("dict.export", values("format", "json"))},
			{Name: "Zato .json", Text: "for the system that this one replaces", URL: p.url("dict.export", values("format", "zato"))},
			{Name: "Zato .json.bz2", Text: "the same, packed", URL: p.url("dict.export", values("format", "zato", "bz2", "1"))},
		},
	}
	if mayEdit(c) {
		form.Action, form.Op, form.Largest = p.url("dict.import"), newOp(), byteSize(largestImport)
		page.Import = &form
	}
	return render(c, status, dictview.Transfer(page))
}

// export serves GET /dictionaries/export with the query format=csv|json|zato and bz2. It is streamed: an error on the way cuts
// the connection, so that nobody takes a part for the whole.
func (p *dictPages) export(c echo.Context) error {
	format := dict.Format(query(c, "format"))
	packed := query(c, "bz2") != ""
	kind, ending := map[dict.Format]string{dict.CSV: "text/csv; charset=utf-8", dict.JSON: echo.MIMEApplicationJSON, dict.Zato: echo.MIMEApplicationJSON}[format], string(format)
	if kind == "" {
		return kvdb.Invalid("format", "is %q; csv, json and zato are known", string(format))
	}
	name := "dictionaries-" + p.Now().UTC().Format("2006-01-02") + "."
	if format == dict.Zato {
		name, ending = "zato-data-dict-export.", "json"
	}
	if packed {
		kind, ending = "application/x-bzip2", ending+".bz2"
	}
	attach(c, kind, name+ending)
	return p.Dict.Export(c.Request().Context(), lazyWriter{c}, format, dict.ExportOptions{Host: c.Request().Host, User: actor(c), Bzip2: packed})
}

// attach makes the answer a file to keep.
func attach(c echo.Context, kind, name string) {
	h := c.Response().Header()
	h.Set(echo.HeaderContentType, kind)
	h.Set(echo.HeaderContentDisposition, "attachment; filename*=UTF-8''"+url.PathEscape(name))
	h.Set(echo.HeaderCacheControl, "no-store")
}

// lazyWriter begins the answer with its first byte, so that an error before it is answered as one.
type lazyWriter struct{ c echo.Context }

func (w lazyWriter) Write(b []byte) (int, error) { return w.c.Response().Write(b) }

// fileName is the name of a file as it may be shown: what is not seen, or turns the direction of the text, has a sign in its place.
func fileName(name string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, name)
}

// upload serves POST /dictionaries/transfer: a form of several parts with the fields op, mode and format, and then file. It is read
// as it comes in, and kept for its check.
func (p *dictPages) upload(c echo.Context) error {
	fields, file, err := readUpload(c.Request())
	if err != nil {
		return err
	}
	form := dictview.ImportForm{Format: fields["format"], Replace: fields["mode"] == string(dict.Replace)}
	if file == nil || file.FileName() == "" {
		form.Error = "Pick a file first"
		return p.renderTransfer(c, http.StatusUnprocessableEntity, form)
	}
	mode := dict.Mode(fields["mode"])
	if mode == "" {
		mode = dict.Merge
	}
	var u dict.Upload
	name := fileName(file.FileName())
	err = p.audited(c, verbUpload, "import "+name, func() (string, string, error) {
		u, err = p.Dict.StartUpload(c.Request().Context(), dict.By{Who: actor(c), Op: fields["op"]}, name, dict.Format(form.Format), mode, file)
		return "", string(u.Format) + ", " + string(mode) + ", " + byteSize(u.Size), err
	})
	if errors.Is(err, kvdb.ErrInvalid) {
		form.Error = p.problemOf(err, c).Detail
		return p.renderTransfer(c, http.StatusUnprocessableEntity, form)
	}
	if err != nil {
		return err
	}
	return redirect(c, p.url("dict.upload", u.ID))
}

// readUpload reads the fields up to the file. A form without a file gives none.
func readUpload(r *http.Request) (fields map[string]string, file *multipart.Part, err error) {
	const longestField = 1 << 10
	parts, err := r.MultipartReader()
	if err != nil {
		return nil, nil, echo.NewHTTPError(http.StatusBadRequest, "The form could not be read.").SetInternal(err)
	}
	fields = map[string]string{}
	for {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			return fields, nil, nil
		}
		if err != nil {
			return nil, nil, echo.NewHTTPError(http.StatusBadRequest, "The form could not be read.").SetInternal(err)
		}
		if part.FormName() == "file" {
			return fields, part, nil
		}
		value, err := io.ReadAll(io.LimitReader(part, longestField))
		if err != nil {
			return nil, nil, echo.NewHTTPError(http.StatusBadRequest, "The form could not be read.").SetInternal(err)
		}
		fields[part.FormName()] = string(value)
	}
}

// showUpload serves GET /dictionaries/transfer/:id.
func (p *dictPages) showUpload(c echo.Context) error {
	u, err := p.Dict.Upload(c.Request().Context(), param(c, "id"))
	if err != nil {
		return err
	}
	return p.renderUpload(c, http.StatusOK, u, p.view(c).uploadView(u, newOp()))
}

func (p *dictPages) renderUpload(c echo.Context, status int, u dict.Upload, view dictview.UploadView) error {
	if wantsFragment(c.Request()) {
		return render(c, status, dictview.UploadState(view))
	}
	page := p.page(c, "Import of "+u.Name, append(p.crumbs("dict.transfer"), layout.Crumb{Text: u.Name})...)
	return render(c, status, dictview.Upload(dictview.UploadPage{Page: page, Upload: view}))
}

// applyUpload serves POST /dictionaries/transfer/:id/apply with the fields op, skip and, for an import that deletes, confirm.
func (p *dictPages) applyUpload(c echo.Context) error {
	ctx, id := c.Request().Context(), param(c, "id")
	f, err := readPosted(c)
	if err != nil {
		return err
	}
	u, err := p.Dict.Upload(ctx, id)
	if err != nil {
		return err
	}
	view := p.view(c).uploadView(u, newOp())
	if view.Apply != nil && view.Apply.Replace != "" && f.word("confirm") != "REPLACE" {
		view.Apply.Error = "Type REPLACE in capitals"
		return p.renderUpload(c, http.StatusUnprocessableEntity, u, view)
	}
	err = p.audited(c, verbImport, "import "+u.Name, func() (string, string, error) {
		u, err = p.Dict.ApplyUpload(ctx, f.by(c, id), id, f.has("skip"))
		return "", importText(u), err
	})
	if err != nil {
		return err
	}
	if wantsFragment(c.Request()) {
		return render(c, http.StatusOK, dictview.UploadState(p.view(c).uploadView(u, newOp())))
	}
	return redirect(c, p.url("dict.upload", id))
}

// importText says for the audit log what was to be imported; what came of it is in the history of the dictionaries.
func importText(u dict.Upload) string {
	r := u.Result
	return string(u.Mode) + " " + string(u.Format) + ": " + decimal(r.Created) + " to create, " + decimal(r.Updated) + " to change, " +
		decimal(r.Deleted) + " to delete, " + decimal(r.RejectedTotal) + " rejected"
}

// checkUpload serves POST /dictionaries/transfer/:id/check: it finds out what became of an import of which that is not known.
func (p *dictPages) checkUpload(c echo.Context) error {
	ctx, id := c.Request().Context(), param(c, "id")
	u, err := p.Dict.Upload(ctx, id)
	if err != nil {
		return err
	}
	if u.State != dict.UploadUnknown {
		return redirect(c, p.url("dict.upload", id))
	}
	change, done := "", false
	err = p.audited(c, verbImport, "import "+u.Name, func() (string, string, error) {
		change, done, err = p.Dict.Outcome(ctx, id)
		if err == nil && !done {
			return "", "checked: it was not imported", nil
		}
		return "", "checked: change " + change, err
	})
	if err != nil {
		return err
	}
	if done {
		return p.done(c, p.url("dict.change", change), p.toast("The file is imported.", dict.Change{ID: change}))
	}
	view := p.view(c).uploadView(u, newOp())
	view.Kind, view.Notice, view.Check = "info", "The file was not imported, and the earlier attempt can't do it any more. Send it again.", nil
	return p.renderUpload(c, http.StatusOK, u, view)
}

// discardUpload serves POST /dictionaries/transfer/:id/discard.
func (p *dictPages) discardUpload(c echo.Context) error {
	ctx, id := c.Request().Context(), param(c, "id")
	u, err := p.Dict.Upload(ctx, id)
	if err == nil {
		err = p.audited(c, verbDiscard, "import "+u.Name, func() (string, string, error) { return u.Name, "", p.Dict.DiscardUpload(ctx, id) })
	}
	if err != nil && !errors.Is(err, kvdb.ErrNotFound) { // gone is what was wanted
		return err
	}
	return p.done(c, p.url("dict.transfer"), ui.ToastProps{Kind: "success", Text: "The file is discarded. Nothing was imported."})
}

// rejects serves GET /dictionaries/transfer/:id/rejects: the rows that can't be imported, as CSV.
func (p *dictPages) rejects(c echo.Context) error {
	u, err := p.Dict.Upload(c.Request().Context(), param(c, "id"))
	if err != nil {
		return err
	}
	attach(c, "text/csv; charset=utf-8", "rejected-"+strings.TrimSuffix(u.Name, ".csv")+".csv")
	return p.Dict.WriteRejects(c.Request().Context(), u.ID, lazyWriter{c})
}
