package api

import (
	"context"
	"errors"
	"fmt"
	"mime"
	"net/http"

	"github.com/labstack/echo/v4"

	"webadmin/internal/account"
	"webadmin/internal/dict"
	"webadmin/internal/handlers/mw"
	"webadmin/internal/handlers/problem"
	"webadmin/internal/kvdb"
)

// MaxImport is the largest file of an import, in bytes.
const MaxImport = 256 << 20

// ImportResult counts the translations of an import.
type ImportResult struct {
	Created        int64    `json:"created"`
	Updated        int64    `json:"updated"`
	Unchanged      int64    `json:"unchanged"`
	Deleted        int64    `json:"deleted"`
	Rejected       []Reject `json:"rejected" doc:"The first 10,000 rows that can't be imported."`
	EntriesCreated int64    `json:"entries_created"`
	Change         string   `json:"change" example:"12" doc:"The change that it made; empty when nothing was written."`
}

// Reject is a row that can't be imported.
type Reject struct {
	Line   int64  `json:"line" doc:"In the file, from 1."`
	Reason string `json:"reason"`
}

func importResultOf(r dict.ImportResult) ImportResult {
	out := ImportResult{
		Created: r.Created, Updated: r.Updated, Unchanged: r.Unchanged, Deleted: r.Deleted,
		Rejected: make([]Reject, len(r.Rejected)), EntriesCreated: r.EntriesCreated, Change: r.Change,
	}
	for i, x := range r.Rejected {
		out.Rejected[i] = Reject{Line: x.Line, Reason: x.Reason}
	}
	return out
}

type importInput struct {
	idempotent
	Format       string `query:"format" required:"true" enum:"csv,json,zato" doc:"What the file is. csv has the columns system1, key1, value1, system2, key2, value2 under a header of these names; json and zato are what the export gives. bzip2 is known by its bytes."`
	Mode         string `query:"mode" default:"merge" enum:"merge,replace" doc:"Whether what the file doesn't hold is kept or deleted."`
	DryRun       bool   `query:"dry_run" doc:"Only say what would happen."`
	SkipRejected bool   `query:"skip_rejected" doc:"Import the other rows when some can't be imported."`
}

type exportInput struct {
	Format   string `query:"format" required:"true" enum:"csv,json,zato" doc:"csv holds the translations; json and zato hold the entries too."`
	Compress string `query:"compress" enum:"bz2" doc:"With format zato: the file as the system that this one replaces reads it."`
}

func (s *server) transferCalls() []operation {
	return []operation{
		raw[importInput, ImportResult](mw.Route{Name: "api.import", Method: http.MethodPost, Path: Base + "/dictionary/import", Need: account.Operator, Body: MaxImport, Long: true},
			about{group: "Import and export", summary: "Import a file", text: "All of it or nothing, in one step. The body is the file, up to 256 MiB; its Content-Type is ignored.",
				accepts: "application/octet-stream", example: `--data-binary @countries.csv`,
				answers: map[int]answerDoc{http.StatusUnprocessableEntity: {"The parameters or rows of the file are wrong. Nothing was written.", []any{RejectedImport{}, problem.Problem{}}}}},
			s.importFile),
		raw[exportInput, string](mw.Route{Name: "api.export", Method: http.MethodGet, Path: Base + "/dictionary/export", Need: account.Viewer, Long: true},
			about{group: "Import and export", summary: "Export everything", text: "Sorted, and streamed: an answer that breaks off is not whole. Imported into an empty store it gives the same back.",
				produces: []string{"text/csv", "application/json", "application/x-bzip2"}},
			s.exportFile),
	}
}

func (s *server) importFile(c echo.Context, in *importInput) error {
	ctx := c.Request().Context()
	body := &bodyReader{r: c.Request().Body}
	options := dict.ImportOptions{Format: dict.Format(in.Format), Mode: dict.Mode(in.Mode), DryRun: in.DryRun, SkipRejected: in.SkipRejected}
	var result dict.ImportResult
	run := func() (before, after string, err error) {
		result, err = s.Dict.Import(ctx, in.by(ctx), body, options)
		if err != nil {
			return "", "", importError(err, body.err)
		}
		return "", countsOf(result), s.verifyImport(ctx, in.idempotent, result)
	}
	var err error
	if in.DryRun {
		_, _, err = run()
	} else {
		err = s.audited(ctx, "import.apply", "import "+in.Format+", "+in.Mode, run)
	}
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, importResultOf(result))
}

// importError tells what is wrong with the request from what is wrong with the file in it.
func importError(err, reading error) error {
	switch {
	case reading != nil:
		return bodyError(reading)
	case errors.Is(err, dict.ErrTooLarge):
		return echo.NewHTTPError(http.StatusRequestEntityTooLarge, err.Error()).SetInternal(err)
	}
	return err
}

// verifyImport is verify for an import. It can't tell one file from another.
func (s *server) verifyImport(ctx context.Context, i idempotent, r dict.ImportResult) error {
	if i.IdempotencyKey == "" || r.Change == "" {
		return nil
	}
	c, err := s.Dict.Change(ctx, r.Change)
	if err == nil && c.Kind != dict.KindImport {
		return keyReusedError{}
	}
	return err
}

func countsOf(r dict.ImportResult) string {
	return fmt.Sprintf("%d created, %d updated, %d deleted, %d unchanged, %d rejected; %d entries created",
		r.Created, r.Updated, r.Deleted, r.Unchanged, r.RejectedTotal, r.EntriesCreated)
}

// files are the downloads of an export, by format and compression.
var files = map[[2]string]struct{ contentType, name string }{
	{"csv", ""}:     {"text/csv; charset=utf-8", "translations.csv"},
	{"json", ""}:    {"application/json", "dictionaries.json"},
	{"zato", ""}:    {"application/json", "zato-data-dict-export.json"},
	{"zato", "bz2"}: {"application/x-bzip2", "zato-data-dict-export.json.bz2"},
}

// exportFile returns an error of the store as it is. Once a part of the file is out, it makes the connection be cut,
// so that nobody takes the part for the whole.
func (s *server) exportFile(c echo.Context, in *exportInput) error {
	file, ok := files[[2]string{in.Format, in.Compress}]
	if !ok {
		return kvdb.Invalid("compress", "is for the format zato only")
	}
	ctx := c.Request().Context()
	options := dict.ExportOptions{Host: c.Request().Host, User: mw.From(ctx).Principal.Name, Bzip2: in.Compress != ""}
	return s.Dict.Export(ctx, &download{c.Response(), file.contentType, file.name}, dict.Format(in.Format), options)
}

// download is the answer to an export. It says what it is with the first byte, so that until then the answer
// can still be an error.
type download struct {
	response          *echo.Response
	contentType, name string
}

func (d *download) Write(p []byte) (int, error) {
	if !d.response.Committed {
		h := d.response.Header()
		h.Set(echo.HeaderContentType, d.contentType)
		h.Set(echo.HeaderContentDisposition, mime.FormatMediaType("attachment", map[string]string{"filename": d.name}))
		h.Set(echo.HeaderCacheControl, "no-store")
	}
	return d.response.Write(p)
}
