package handlers

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"webadmin/internal/audit"
	"webadmin/internal/broker"
	"webadmin/internal/kvdb"
	"webadmin/web/templates/auditview"
	"webadmin/web/templates/ui"
)

const (
	auditPage   = 100  // records on a page
	exportChunk = 1000 // records of one read of an export
)

// auditPages show who did what.
type auditPages struct{ *site }

func (p *auditPages) handlers() map[string]echo.HandlerFunc {
	return map[string]echo.HandlerFunc{
		"audit":        p.list,
		"audit.export": p.export,
	}
}

// list serves GET /audit?actor=&verb=&object=&cid=&outcome=&from=&to=&cursor=
func (p *auditPages) list(c echo.Context) error {
	view := auditview.AuditPage{Filter: p.filterView(c)}
	filter, err := auditFilter(c)
	if err != nil && wantsFragment(c.Request()) {
		return err
	}
	if wrong, ok := faultsOf(err); ok {
		view.Filter.FromError, view.Filter.ToError = wrong["from"], wrong["to"]
		view.Page = p.page(c, "Audit", p.crumbs("audit")...)
		return render(c, http.StatusUnprocessableEntity, auditview.Audit(view))
	}
	cursor := query(c, "cursor")
	records, next, err := p.Audit.List(c.Request().Context(), filter, cursor, auditPage)
	if err != nil {
		return err
	}
	view.List = p.toRecords(c, records, cursor, next)
	if wantsFragment(c.Request()) {
		pushURL(c, p.url("audit", auditQuery(c, "cursor", cursor))) // without the fields that are empty
		return render(c, http.StatusOK, auditview.ListOf(view.List))
	}
	view.Page = p.page(c, "Audit", p.crumbs("audit")...)
	return render(c, http.StatusOK, auditview.Audit(view))
}

// auditFilter reads the filter from the address. Days are of UTC, as are the stamps of the records; to is the last day.
func auditFilter(c echo.Context) (audit.Filter, error) {
	f := audit.Filter{Actor: query(c, "actor"), Verb: query(c, "verb"), Object: query(c, "object"), CID: query(c, "cid"), Outcome: query(c, "outcome")}
	var wrong []kvdb.FieldError
	var err error
	if f.From, err = moment(query(c, "from"), 0); err != nil {
		wrong = append(wrong, kvdb.FieldError{Field: "from", Message: "is not a day"})
	}
	if f.To, err = moment(query(c, "to"), 1); err != nil {
		wrong = append(wrong, kvdb.FieldError{Field: "to", Message: "is not a day"})
	}
	if wrong != nil {
		return f, &kvdb.InvalidError{Fields: wrong}
	}
	return f, nil
}

// moment parses a day, to which it adds days, or an exact time. "" = zero.
func moment(text string, days int) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if day, err := time.Parse(time.DateOnly, text); err == nil {
		return day.AddDate(0, 0, days), nil
	}
	return time.Parse(time.RFC3339, text)
}

// auditQuery is the filter as the address has it.
func auditQuery(c echo.Context, more ...string) url.Values {
	v := values(more...)
	for _, name := range []string{"actor", "verb", "object", "cid", "outcome", "from", "to"} {
		v.Set(name, query(c, name))
	}
	return v
}

func (p *auditPages) filterView(c echo.Context) auditview.Filter {
	f := auditview.Filter{
		URL: p.url("audit"), Actor: query(c, "actor"), Verb: query(c, "verb"), Object: query(c, "object"), CID: query(c, "cid"), Outcome: query(c, "outcome"),
		From: query(c, "from"), To: query(c, "to"),
	}
	if p.url("audit", auditQuery(c)) != f.URL {
		f.Clear = f.URL
	}
	return f
}

func (p *auditPages) toRecords(c echo.Context, records []audit.Record, cursor, next string) auditview.List {
	list := auditview.List{
		CSV: p.url("audit.export", auditQuery(c, "format", "csv")), JSON: p.url("audit.export", auditQuery(c, "format", "json")),
		Filtered: p.url("audit", auditQuery(c)) != p.url("audit"), Pager: ui.PagerProps{Target: "list"},
	}
	if cursor != "" {
		list.Pager.First = p.url("audit", auditQuery(c))
	}
	if next != "" {
		list.Pager.Next = p.url("audit", auditQuery(c, "cursor", next))
	}
	list.Pager.Summary = recordsText(len(records), cursor != "", next != "")
	for _, r := range records {
		row := auditview.Row{
			At: r.At, Actor: r.Actor, ActorURL: p.url("audit", values("actor", r.Actor)), Address: r.Address,
			Verb: r.Verb, Object: r.Object, ObjectURL: p.objectURL(r.Object), CID: r.CID, CIDURL: p.invocationURL(r.CID),
			Before: r.Before, After: r.After, Outcome: r.Outcome, Detail: r.Detail,
		}
		if row.Invocations = p.invocationsIn(r.Before); row.Invocations != nil {
			row.Before = ""
		}
		list.Rows = append(list.Rows, row)
	}
	return list
}

// invocationsIn reads a list of nothing but CIDs, as a change of many dead letters has it; nil = it is something else.
func (p *auditPages) invocationsIn(text string) (list []auditview.Invocation) {
	for cid := range strings.FieldsSeq(text) {
		if !broker.IsCID(cid) {
			return nil
		}
		list = append(list, auditview.Invocation{CID: cid, URL: p.invocationURL(cid)})
	}
	return list
}

// objectURL leads to an object that is an invocation, else to all records of the object.
func (p *auditPages) objectURL(object string) string {
	if cid, ok := strings.CutPrefix(object, invocationWord); ok && broker.IsCID(cid) {
		return p.invocationURL(cid)
	}
	return p.url("audit", values("object", object))
}

// recordsText counts what is shown. How many there are in all is not known without reading them.
func recordsText(n int, before, after bool) string {
	switch {
	case n == 0 && after:
		return "None so far; older records follow"
	case n == 0:
		return ""
	case before || after:
		return fmt.Sprintf("%d records on this page", n)
	case n == 1:
		return "1 record"
	}
	return fmt.Sprintf("%d records", n)
}

// export serves GET /audit/export?format=csv|json with the filter of the list, all pages.
func (p *auditPages) export(c echo.Context) error {
	filter, err := auditFilter(c)
	if err != nil {
		return err
	}
	format := query(c, "format")
	if format != "csv" && format != "json" {
		return kvdb.Invalid("format", "must be csv or json")
	}
	// The first chunk is read before anything is sent: so that Redis being away is an answer, not half a file.
	records, next, err := p.Audit.List(c.Request().Context(), filter, "", exportChunk)
	if err != nil {
		return err
	}
	attachment(c, "audit-"+p.Now().UTC().Format("20060102-150405")+"."+format, contentTypes[format])
	out := recordWriters[format](c.Response())
	for {
		if err := out.write(records); err != nil || next == "" {
			return firstOf(err, out.close)
		}
		if records, next, err = p.Audit.List(c.Request().Context(), filter, next, exportChunk); err != nil {
			return err
		}
	}
}

func firstOf(err error, then func() error) error {
	if err != nil {
		return err
	}
	return then()
}

var contentTypes = map[string]string{"csv": "text/csv; charset=utf-8", "json": "application/json"}

// attachment starts an answer that is a file to keep.
func attachment(c echo.Context, name, contentType string) {
	h := c.Response().Header()
	h.Set(echo.HeaderContentType, contentType)
	h.Set(echo.HeaderContentDisposition, mime.FormatMediaType("attachment", map[string]string{"filename": name}))
	h.Set(echo.HeaderCacheControl, "no-store")
	c.Response().WriteHeader(http.StatusOK)
}

// recordWriter writes records in a format, chunk by chunk.
type recordWriter interface {
	write([]audit.Record) error
	close() error
}

var recordWriters = map[string]func(io.Writer) recordWriter{
	"csv":  func(w io.Writer) recordWriter { return &csvRecords{w: csv.NewWriter(w)} },
	"json": func(w io.Writer) recordWriter { return &jsonRecords{w: w} },
}

type csvRecords struct {
	w       *csv.Writer
	started bool
}

func (x *csvRecords) write(records []audit.Record) error {
	if !x.started {
		x.started = true
		_ = x.w.Write([]string{"at", "actor", "address", "verb", "object", "before", "after", "outcome", "detail", "cid"}) // Error tells, below
	}
	for _, r := range records {
		cells := []string{r.At.UTC().Format(time.RFC3339Nano), r.Actor, r.Address, r.Verb, r.Object, r.Before, r.After, r.Outcome, r.Detail, r.CID}
		for i := range cells {
			cells[i] = harmless(cells[i])
		}
		_ = x.w.Write(cells)
	}
	x.w.Flush()
	return x.w.Error()
}

func (x *csvRecords) close() error { return nil }

// harmless keeps a spreadsheet from taking a text for a formula. JSON has the texts as they are.
func harmless(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
		return "'" + cell
	}
	return cell
}

type jsonRecords struct {
	w       io.Writer
	started bool
}

func (x *jsonRecords) write(records []audit.Record) error {
	for _, r := range records {
		text, err := json.Marshal(r)
		if err != nil {
			return err
		}
		if _, err := io.WriteString(x.w, x.before()+string(text)); err != nil {
			return err
		}
	}
	return nil
}

func (x *jsonRecords) before() string {
	if x.started {
		return ",\n"
	}
	x.started = true
	return "[\n"
}

func (x *jsonRecords) close() error {
	end := "\n]\n"
	if !x.started {
		end = "[]\n"
	}
	_, err := io.WriteString(x.w, end)
	return err
}
