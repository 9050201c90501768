package handlers

import (
	"strings"

	"github.com/labstack/echo/v4"

	"webadmin/internal/dict"
	"webadmin/internal/handlers/mw"
	"webadmin/web/templates/ui"
)

// largestImport is the largest file that can be imported, in bytes; the form round it takes a little more.
const (
	largestImport = 256 << 20
	formAround    = 1 << 20
)

// dictRoutes are the pages of the dictionaries.
var dictRoutes = []Route{
	{Name: "dict", Method: get, Path: "/dictionaries", Need: Viewer},

	{Name: "dict.entries", Method: get, Path: "/dictionaries/entries", Need: Viewer},
	{Name: "dict.entries.new", Method: get, Path: "/dictionaries/entries/new", Need: Operator},
	{Name: "dict.entries.create", Method: post, Path: "/dictionaries/entries", Need: Operator},
	{Name: "dict.entry", Method: get, Path: "/dictionaries/entries/:id", Need: Viewer},
	{Name: "dict.entry.edit", Method: get, Path: "/dictionaries/entries/:id/edit", Need: Operator},
	{Name: "dict.entry.save", Method: post, Path: "/dictionaries/entries/:id", Need: Operator},
	{Name: "dict.entry.ask", Method: get, Path: "/dictionaries/entries/:id/delete", Need: Operator},
	{Name: "dict.entry.delete", Method: post, Path: "/dictionaries/entries/:id/delete", Need: Operator},

	{Name: "dict.translations", Method: get, Path: "/dictionaries/translations", Need: Viewer},
	{Name: "dict.translations.new", Method: get, Path: "/dictionaries/translations/new", Need: Operator},
	{Name: "dict.translations.create", Method: post, Path: "/dictionaries/translations", Need: Operator},
	{Name: "dict.translation", Method: get, Path: "/dictionaries/translations/:id", Need: Viewer},
	{Name: "dict.translation.edit", Method: get, Path: "/dictionaries/translations/:id/edit", Need: Operator},
	{Name: "dict.translation.save", Method: post, Path: "/dictionaries/translations/:id", Need: Operator},
	{Name: "dict.translation.ask", Method: get, Path: "/dictionaries/translations/:id/delete", Need: Operator},
	{Name: "dict.translation.delete", Method: post, Path: "/dictionaries/translations/:id/delete", Need: Operator},

	{Name: "dict.choices", Method: get, Path: "/dictionaries/choices", Need: Viewer},
	{Name: "dict.translate", Method: get, Path: "/dictionaries/translate", Need: Viewer},

	{Name: "dict.transfer", Method: get, Path: "/dictionaries/transfer", Need: Viewer},
	{Name: "dict.export", Method: get, Path: "/dictionaries/export", Need: Viewer, Long: true},
	{Name: "dict.import", Method: post, Path: "/dictionaries/transfer", Need: Operator, Body: largestImport + formAround, Long: true},
	{Name: "dict.upload", Method: get, Path: "/dictionaries/transfer/:id", Need: Viewer},
	{Name: "dict.upload.apply", Method: post, Path: "/dictionaries/transfer/:id/apply", Need: Operator},
	{Name: "dict.upload.check", Method: post, Path: "/dictionaries/transfer/:id/check", Need: Operator},
	{Name: "dict.upload.discard", Method: post, Path: "/dictionaries/transfer/:id/discard", Need: Operator},
	{Name: "dict.upload.rejects", Method: get, Path: "/dictionaries/transfer/:id/rejects", Need: Viewer, Long: true},

	{Name: "dict.misses", Method: get, Path: "/dictionaries/misses", Need: Viewer},
	{Name: "dict.miss", Method: get, Path: "/dictionaries/misses/one", Need: Viewer},
	{Name: "dict.miss.add", Method: post, Path: "/dictionaries/misses/one", Need: Operator},
	{Name: "dict.miss.retry", Method: post, Path: "/dictionaries/misses/one/retry", Need: Operator},
	{Name: "dict.misses.dismiss", Method: post, Path: "/dictionaries/misses/dismiss", Need: Operator},

	{Name: "dict.usage", Method: get, Path: "/dictionaries/usage", Need: Viewer},

	{Name: "dict.changes", Method: get, Path: "/dictionaries/changes", Need: Viewer},
	{Name: "dict.change", Method: get, Path: "/dictionaries/changes/:id", Need: Viewer},
	{Name: "dict.change.undo", Method: post, Path: "/dictionaries/changes/:id/undo", Need: Operator},
}

// Verbs and objects of the audit log.
const (
	verbEntryCreate       = "entry.create"
	verbEntryChange       = "entry.change"
	verbEntryDelete       = "entry.delete"
	verbTranslationCreate = "translation.create"
	verbTranslationChange = "translation.change"
	verbTranslationDelete = "translation.delete"
	verbUpload            = "import.upload"
	verbImport            = "import.apply"
	verbDiscard           = "import.discard"
	verbMissDismiss       = "miss.dismiss"
	verbUndo              = "change.undo"
)

// pageRows is how many rows a page of a list shows.
const pageRows = 50

// dictPages are the pages of the dictionaries.
type dictPages struct {
	*site
	heads  changeHeads
	missed missGroups
	unused unusedCounts
}

func newDictPages(s *site) *dictPages { return &dictPages{site: s} }

func (p *dictPages) handlers() map[string]echo.HandlerFunc {
	return map[string]echo.HandlerFunc{
		"dict":                     p.home,
		"dict.entries":             p.entries,
		"dict.entries.new":         p.newEntry,
		"dict.entries.create":      p.createEntry,
		"dict.entry":               p.entry,
		"dict.entry.edit":          p.editEntry,
		"dict.entry.save":          p.saveEntry,
		"dict.entry.ask":           p.askEntry,
		"dict.entry.delete":        p.deleteEntry,
		"dict.translations":        p.translations,
		"dict.translations.new":    p.newTranslation,
		"dict.translations.create": p.createTranslation,
		"dict.translation":         p.translation,
		"dict.translation.edit":    p.editTranslation,
		"dict.translation.save":    p.saveTranslation,
		"dict.translation.ask":     p.askTranslation,
		"dict.translation.delete":  p.deleteTranslation,
		"dict.choices":             p.choices,
		"dict.translate":           p.translate,
		"dict.transfer":            p.transfer,
		"dict.export":              p.export,
		"dict.import":              p.upload,
		"dict.upload":              p.showUpload,
		"dict.upload.apply":        p.applyUpload,
		"dict.upload.check":        p.checkUpload,
		"dict.upload.discard":      p.discardUpload,
		"dict.upload.rejects":      p.rejects,
		"dict.misses":              p.misses,
		"dict.misses.dismiss":      p.dismiss,
		"dict.miss":                p.miss,
		"dict.miss.add":            p.addMissed,
		"dict.miss.retry":          p.retryMissed,
		"dict.usage":               p.usage,
		"dict.changes":             p.changes,
		"dict.change":              p.change,
		"dict.change.undo":         p.undo,
	}
}

// home serves GET /dictionaries.
func (p *dictPages) home(c echo.Context) error { return redirect(c, p.url("dict.translations")) }

// mayEdit says whether the reader sees what changes the dictionaries. The route table refuses the others all the same.
func mayEdit(c echo.Context) bool {
	return mw.From(c.Request().Context()).Principal.Role.Allows(Operator)
}

// view makes the page models of a request: URLs come from route names, and those that change something are there only for
// who may use them.
func (p *dictPages) view(c echo.Context) dictLinks { return dictLinks{url: p.url, edit: mayEdit(c)} }

// text is a parameter of the address as it was typed; browsers send line ends as CR LF.
func text(c echo.Context, name string) string {
	return strings.ReplaceAll(c.QueryParam(name), "\r\n", "\n")
}

// toast says that something is done, with the way to see or undo it.
func (p *dictPages) toast(said string, change dict.Change) ui.ToastProps {
	t := ui.ToastProps{Kind: "success", Text: said}
	if change.ID == "" {
		t.Kind, t.Text = "info", "Nothing was different, so nothing was changed."
	} else {
		t.LinkText, t.LinkURL = "See or undo it", p.url("dict.change", change.ID)
	}
	return t
}
