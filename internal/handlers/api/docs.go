package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/a-h/templ"
	"github.com/danielgtaylor/huma/v2"
	"github.com/labstack/echo/v4"

	"webadmin/internal/handlers/mw"
	"webadmin/web/templates/apidocs"
)

var docsRow = mw.Route{Name: "api.docs", Method: http.MethodGet, Path: "/api/docs", Need: mw.Public}

// serveDocs shows the document to people. What it says was worked out once; only the frame is the reader's.
func (s *server) serveDocs(view apidocs.Page) echo.HandlerFunc {
	return func(c echo.Context) error {
		page := view
		page.Page = s.Page(c, "JSON API")
		buf := templ.GetBuffer()
		defer templ.ReleaseBuffer(buf)
		if err := apidocs.Docs(page).Render(c.Request().Context(), buf); err != nil {
			return err
		}
		h := c.Response().Header()
		h.Set(echo.HeaderCacheControl, "no-store")
		h.Add(echo.HeaderVary, "Cookie")
		return c.HTMLBlob(http.StatusOK, buf.Bytes())
	}
}

// docsView turns the document into what the page shows. It reads the document, not the operations, for all that the
// document says, so that page and document say the same.
func docsView(ops []operation, doc *huma.OpenAPI) apidocs.Page {
	d := docs{doc}
	view := apidocs.Page{Intro: spans(doc.Info.Description), Document: documentRow.Path}
	for _, tag := range doc.Tags {
		g := apidocs.Group{ID: "part-" + slug(tag.Name), Name: tag.Name, Text: tag.Description}
		for _, o := range ops {
			if o.group == tag.Name {
				g.Calls = append(g.Calls, d.call(o))
			}
		}
		view.Groups = append(view.Groups, g)
	}
	for _, status := range failureStatuses() {
		r := doc.Components.Responses[failureName(status)]
		view.Failures = append(view.Failures, d.answer(strconv.Itoa(status), r))
	}
	for _, name := range schemaNames(doc) {
		ref := &huma.Schema{Ref: "#/components/schemas/" + name}
		view.Schemas = append(view.Schemas, apidocs.Schema{ID: schemaID(name), Name: name, Fields: d.fields(ref)})
	}
	return view
}

type docs struct{ *huma.OpenAPI }

func (d docs) call(o operation) apidocs.Call {
	said := d.operation(o)
	c := apidocs.Call{
		ID: said.OperationID, Method: o.Method, Path: said.Path,
		Summary: said.Summary, Text: o.text, Role: string(o.Need), Curl: curl(o, said.Path),
	}
	for _, p := range said.Parameters {
		c.Params = append(c.Params, apidocs.Field{
			Name: p.Name, In: p.In, Type: d.typeOf(p.Schema), Limits: limits(p.Schema), Text: p.Description, Required: p.Required,
		})
	}
	if said.RequestBody != nil {
		if body := said.RequestBody.Content[jsonType]; body != nil {
			c.Fields = d.fields(body.Schema)
		} else {
			c.BodyText = "The body is the file itself."
		}
	}
	for _, status := range sortedKeys(said.Responses) {
		r := said.Responses[status]
		if r.Ref == "" { // what any call may answer is told once for all
			c.Answers = append(c.Answers, d.answer(status, r))
		}
	}
	return c
}

// operation returns what the document says about o.
func (d docs) operation(o operation) *huma.Operation {
	item := d.Paths[o.template()]
	return map[string]*huma.Operation{
		http.MethodGet: item.Get, http.MethodPost: item.Post, http.MethodPut: item.Put, http.MethodDelete: item.Delete,
	}[o.Method]
}

func (d docs) answer(status string, r *huma.Response) apidocs.Answer {
	a := apidocs.Answer{Status: status, Text: r.Description, Failed: status >= "400"}
	for _, kind := range sortedKeys(r.Content) {
		if strings.HasSuffix(kind, "json") && len(r.Content) == 1 {
			a.Type = d.typeOf(r.Content[kind].Schema)
			continue
		}
		a.Type = append(a.Type, apidocs.Type{Text: kind})
	}
	return a
}

// fields lists the fields of the object that a schema refers to.
func (d docs) fields(ref *huma.Schema) []apidocs.Field {
	registry := d.Components.Schemas
	s := registry.SchemaFromRef(ref.Ref)
	var out []apidocs.Field
	for _, name := range fieldsOf(registry.TypeFromRef(ref.Ref)) {
		p := s.Properties[name]
		text := p.Description
		if p.ReadOnly {
			text = "Ignored: it may be sent back as it was read."
		}
		out = append(out, apidocs.Field{
			Name: name, Type: d.typeOf(p), Limits: limits(p), Text: text, Required: slices.Contains(s.Required, name) && !p.ReadOnly,
		})
	}
	return out
}

// typeOf names the types that a schema allows.
func (d docs) typeOf(s *huma.Schema) []apidocs.Type {
	switch {
	case s.Ref != "":
		name := s.Ref[strings.LastIndexByte(s.Ref, '/')+1:]
		return []apidocs.Type{{Text: name, Schema: schemaID(name)}}
	case s.Type == huma.TypeArray:
		types := d.typeOf(s.Items)
		types[0].Text = "list of " + types[0].Text
		return types
	case s.OneOf != nil || s.AnyOf != nil:
		var types []apidocs.Type
		for _, one := range slices.Concat(s.OneOf, s.AnyOf) {
			types = append(types, d.typeOf(one)...)
		}
		return types
	case s.Type == huma.TypeString && s.Format == "date-time":
		return []apidocs.Type{{Text: "time"}}
	case s.Type == huma.TypeString:
		return []apidocs.Type{{Text: "text"}}
	case s.Type == "":
		return []apidocs.Type{{Text: "any"}}
	}
	return []apidocs.Type{{Text: s.Type}}
}

// limits says in words what a schema allows.
func limits(s *huma.Schema) string {
	var parts []string
	if s.Enum != nil {
		words := make([]string, len(s.Enum))
		for i, w := range s.Enum {
			words[i] = fmt.Sprint(w)
		}
		parts = append(parts, "One of "+strings.Join(words, ", ")+".")
	}
	if s.Minimum != nil && s.Maximum != nil {
		parts = append(parts, fmt.Sprintf("%g to %g.", *s.Minimum, *s.Maximum))
	}
	if s.MaxLength != nil {
		parts = append(parts, fmt.Sprintf("At most %d characters.", *s.MaxLength))
	}
	if s.MaxItems != nil {
		parts = append(parts, fmt.Sprintf("At most %d.", *s.MaxItems))
	}
	if s.Default != nil {
		parts = append(parts, fmt.Sprintf("%v if not given.", s.Default))
	}
	return strings.Join(parts, " ")
}

// curl is the call as one types it in a shell, where $TOKEN is the token and $SERVER the address of this server.
func curl(o operation, path string) string {
	var b strings.Builder
	b.WriteString("curl")
	if o.Method != http.MethodGet {
		b.WriteString(" -X " + o.Method)
	}
	b.WriteString(` -H "Authorization: Bearer $TOKEN" "$SERVER` + path + exampleQuery(o) + `"`)
	if o.input.body != nil {
		b.WriteString(" \\\n  --data-binary @- <<'END'\n" + exampleBody(o.input.bodyType) + "\nEND")
	}
	if o.example != "" {
		b.WriteString(" " + o.example)
	}
	return b.String()
}

func exampleQuery(o operation) string {
	var parts []string
	for _, p := range o.input.params {
		if p.in == "query" && p.required {
			value := p.field.Tag.Get("example")
			if p.enum != nil {
				value = p.enum[0]
			}
			parts = append(parts, p.name+"="+value)
		}
	}
	if parts == nil {
		return ""
	}
	return "?" + strings.Join(parts, "&")
}

// exampleBody writes a body of type t from the examples of its fields, in their order.
func exampleBody(t reflect.Type) string {
	var parts []string
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		text, ok := f.Tag.Lookup("example")
		if f.Anonymous || !ok {
			continue
		}
		if f.Type.Kind() == reflect.String {
			quoted, err := json.Marshal(text)
			if err != nil {
				panic(err) // a text always has a form
			}
			text = string(quoted)
		}
		parts = append(parts, fmt.Sprintf("  %q: %s", name, text))
	}
	return "{\n" + strings.Join(parts, ",\n") + "\n}"
}

// spans splits a text at the backquotes round what is code.
func spans(text string) []apidocs.Span {
	var out []apidocs.Span
	for i, part := range strings.Split(text, "`") {
		out = append(out, apidocs.Span{Text: part, Code: i%2 == 1})
	}
	return out
}

func schemaID(name string) string { return "object-" + slug(name) }

func slug(name string) string { return strings.ToLower(strings.ReplaceAll(name, " ", "-")) }
