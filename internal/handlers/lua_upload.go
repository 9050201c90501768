package handlers

import (
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"webadmin/internal/kvdb"
	"webadmin/internal/lua"
	"webadmin/web/templates/luaview"
)

// luaFile is a file that was sent. A text that is longer than a program may be is cut behind that.
type luaFile struct{ name, text string }

// upload serves POST /lua/-/upload: a form of several parts with op and any number of files. Each is saved by itself, and the page
// says what became of each.
func (p *luaPages) upload(c echo.Context) error {
	op, files, err := readFiles(c.Request())
	if err != nil {
		return err
	}
	sent := &luaview.UploadForm{}
	status := http.StatusOK
	if len(files) == 0 {
		status, sent.Error = http.StatusUnprocessableEntity, "No file was picked. Pick one or more .lua files, or drop them on this page."
	}
	refused := 0
	for _, f := range files {
		r := p.uploadOne(c, op, f)
		if r.Kind == "error" {
			refused++
		}
		sent.Results = append(sent.Results, r)
	}
	if refused == len(files) {
		status = http.StatusUnprocessableEntity
	}
	list, filters, err := p.listOf(c)
	if err != nil {
		list, filters = luaview.List{Nothing: &luaview.Nothing{Icon: "circle-alert", Title: "The list can't be shown",
			Text: p.problemOf(err, c).Detail}}, luaview.Filters{URL: p.url("lua")}
	}
	return p.renderList(c, status, list, filters, sent)
}

// uploadOne saves a file and says what became of it.
func (p *luaPages) uploadOne(c echo.Context, op string, f luaFile) luaview.UploadResult {
	ctx := c.Request().Context()
	r := luaview.UploadResult{File: f.name, Kind: "error"}
	name, ok := strings.CutSuffix(f.name, ".lua")
	if !ok {
		r.Text = "Refused: it is no .lua file."
		return r
	}
	if err := errors.Join(lua.CheckName(name), lua.CheckText(f.text)); err != nil {
		r.Text = "Refused: " + p.refusal(c, err)
		return r
	}
	var was lua.Source
	var made lua.Program
	err := p.audited(c, verbLuaUpload, programObject(name), func() (before, after string, err error) {
		if was, err = p.Lua.Program(ctx, name); err != nil && !errors.Is(err, kvdb.ErrNotFound) {
			return "", "", err
		}
		made, _, err = p.Lua.Put(ctx, p.by(c, op, name, f.text), name, f.text, -1)
		return stateOf(was.Program), stateOf(made), err
	})
	if err != nil {
		r.Text = "Not saved: " + p.refusal(c, err)
		if errors.Is(err, kvdb.ErrUnknown) {
			r.Text = "It is not known whether it was saved. Look at the program, or send the file again: what is saved already is not saved twice."
			r.URL = p.url("lua.program", name)
		}
		return r
	}
	r.URL = p.url("lua.program", name)
	if was.Origin == lua.Upload && was.Version == made.Version {
		r.Kind, r.Text = "info", "Unchanged: it is version "+decimal(made.Version)+" already."
		return r
	}
	r.Kind, r.Text = "success", "Saved as version "+decimal(made.Version)
	if made.Overrides != "" {
		r.Text += ", which overrides the " + originNames[made.Overrides]
	}
	if n := int64(len(p.problems(c, f.text).Items)); n > 0 {
		r.Text += "; " + plural(n, "warning")
	}
	r.Text += "."
	return r
}

// refusal says why a file was not taken.
func (p *luaPages) refusal(c echo.Context, err error) string {
	var syntax *lua.SyntaxError
	if errors.As(err, &syntax) {
		return syntaxSaid(syntax) + "."
	}
	var invalid *kvdb.InvalidError
	if errors.As(err, &invalid) && len(invalid.Fields) > 0 {
		what := map[string]string{"name": "the name ", "source": "the text "}[invalid.Fields[0].Field]
		return what + invalid.Fields[0].Message + "."
	}
	return p.problemOf(err, c).Detail
}

// readFiles reads a form with files as fields called file. A browser sends an empty one when none was picked.
func readFiles(r *http.Request) (op string, files []luaFile, err error) {
	unread := func(err error) error {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return err
		}
		return echo.NewHTTPError(http.StatusBadRequest, "The form could not be read.").SetInternal(err)
	}
	parts, err := r.MultipartReader()
	if err != nil {
		return "", nil, unread(err)
	}
	for {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			return op, files, nil
		}
		if err != nil {
			return "", nil, unread(err)
		}
		text, err := readPart(part)
		if err != nil {
			return "", nil, unread(err)
		}
		switch {
		case part.FormName() == "op":
			op = text
		case part.FormName() == "file" && part.FileName() != "":
			files = append(files, luaFile{part.FileName(), text})
		}
	}
}

func readPart(part *multipart.Part) (string, error) {
	text, err := io.ReadAll(io.LimitReader(part, lua.MaxText+1))
	return string(text), err
}
