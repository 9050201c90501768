package api

import (
	"cmp"
	"encoding/json"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/labstack/echo/v4"

	"webadmin/internal/handlers/mw"
	"webadmin/internal/handlers/problem"
)

var documentRow = mw.Route{Name: "api.openapi", Method: http.MethodGet, Path: Base + "/openapi.json", Need: mw.Public}

const jsonType = echo.MIMEApplicationJSON

const intro = `Every call takes a token, in the header ` + "`Authorization: Bearer …`" + `, or the session of a signed-in browser. ` +
	`Text is UTF-8, times are RFC 3339 in UTC. What is read can be sent back as it was: read-only fields are ignored, unknown ones are refused. ` +
	`An answer of 503 says that nothing was done; 504 says that nobody knows whether it was, and where to look. ` +
	"A worker that calls on behalf of an invocation gives its CID in the header `" + mw.HeaderCID + "`: misses, runs, audit records and slow calls " +
	`lead back to the invocation then. Up to 200 characters of printable ASCII without blanks; what is none is left out, and no call fails of it.`

// groups are the parts of the document, in their order.
var groups = []*huma.Tag{
	{Name: "Translate", Description: "What one system calls a value of another."},
	{Name: "Entries", Description: "The values that systems use."},
	{Name: "Translations", Description: "Which value maps to which."},
	{Name: "Systems", Description: "What there is, by system and key."},
	{Name: "Import and export", Description: "Everything as a file."},
	{Name: "Misses", Description: "What was asked for and not found."},
	{Name: "Changes", Description: "Who changed what, and the way back."},
	{Name: "Lua programs", Description: "Texts that run atomically where the data is."},
	{Name: "Redis", Description: "The server itself, and its commands."},
	{Name: "Channels", Description: "A message for everybody who listens."},
	{Name: "Invocations", Description: "Work for exactly one worker of a service."},
	{Name: "Services and workers", Description: "Where the invocations of a service stand, and how to handle them."},
	{Name: "Dead letters", Description: "Invocations whose attempts are used up."},
	{Name: "Statistics", Description: "How often services are called, how long they take, and how often they fail."},
	{Name: "Audit", Description: "Who did what on this server."},
}

// failures are the answers that tell what went wrong. An operation may say more about one of them.
var failures = map[int]string{
	http.StatusBadRequest: "The request is malformed: no JSON, text that is not UTF-8, nested deeper than 1,000 levels, or a query that " +
		"can't be read.",
	http.StatusUnauthorized:          "There is no token, or it is not valid.",
	http.StatusForbidden:             "The role of the token may not do this.",
	http.StatusNotFound:              "There is no such thing.",
	http.StatusConflict:              "It exists already, or it was changed meanwhile, or the Idempotency-Key named another change before.",
	http.StatusRequestEntityTooLarge: "The body is too large.",
	http.StatusUnprocessableEntity:   "The request was understood, but fields of it are wrong: errors names them.",
	http.StatusServiceUnavailable:    "Nothing was done: Redis is away, loading, busy or full. Retry-After says when to try again.",
	http.StatusGatewayTimeout:        "It was sent, but nobody knows whether it was done: outcome is unknown, check says where to look.",
}

// statuses returns the failures that a call may answer with, in order.
func (o operation) statuses() []int {
	out := []int{http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusUnprocessableEntity, http.StatusServiceUnavailable}
	if slices.ContainsFunc(o.input.params, func(p param) bool { return p.in == "path" }) {
		out = append(out, http.StatusNotFound)
	}
	if o.input.body != nil || o.accepts != "" {
		out = append(out, http.StatusRequestEntityTooLarge)
	}
	if o.changes() {
		out = append(out, http.StatusConflict, http.StatusGatewayTimeout)
	}
	for status := range o.answers {
		if status >= http.StatusBadRequest && !slices.Contains(out, status) {
			out = append(out, status)
		}
	}
	slices.Sort(out)
	return out
}

// document describes the operations. All schemas come from the types that serve them.
func document(ops []operation, version string) *huma.OpenAPI {
	registry := huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer)
	doc := &huma.OpenAPI{
		OpenAPI: "3.1.0",
		Info:    &huma.Info{Title: "webadmin", Version: version, Description: intro},
		Tags:    groups,
		Components: &huma.Components{
			Schemas:   registry,
			Responses: map[string]*huma.Response{},
			SecuritySchemes: map[string]*huma.SecurityScheme{
				"token": {Type: "http", Scheme: "bearer", Description: "A token that an administrator made. It has a role."},
			},
		},
		Security: []map[string][]string{{"token": {}}},
	}
	plain := registry.Schema(reflect.TypeFor[problem.Problem](), true, "")
	for status, text := range failures {
		doc.Components.Responses[failureName(status)] = problemResponse(status, text, plain)
	}
	for _, o := range ops {
		doc.AddOperation(describe(o, registry))
	}
	for _, s := range registry.Map() {
		neverNull(s)
	}
	return doc
}

// neverNull takes back what huma says of every list: ours are empty, never null.
func neverNull(s *huma.Schema) {
	for _, p := range s.Properties {
		if p.Type == huma.TypeArray {
			p.Nullable = false
		}
	}
}

func failureName(status int) string { return strings.ReplaceAll(http.StatusText(status), " ", "") }

func describe(o operation, registry huma.Registry) *huma.Operation {
	d := &huma.Operation{
		OperationID: operationID(o),
		Method:      o.Method,
		Path:        o.template(),
		Tags:        []string{o.group},
		Summary:     o.summary,
		Description: strings.TrimSpace(o.text + " Needs the role " + string(o.Need) + "."),
		Responses:   map[string]*huma.Response{strconv.Itoa(o.statusOK()): success(o, o.statusOK(), registry)},
	}
	if o.mayCreate {
		d.Responses[strconv.Itoa(http.StatusCreated)] = success(o, http.StatusCreated, registry)
	}
	for i := range o.input.params {
		d.Parameters = append(d.Parameters, describeParam(&o.input.params[i], registry))
	}
	switch {
	case o.input.body != nil:
		d.RequestBody = &huma.RequestBody{Required: true, Content: media(jsonType, registry.Schema(o.input.bodyType, true, ""))}
	case o.accepts != "":
		d.RequestBody = &huma.RequestBody{Required: true, Content: media(o.accepts, &huma.Schema{})}
	}
	for _, status := range o.statuses() {
		d.Responses[strconv.Itoa(status)] = &huma.Response{Ref: "#/components/responses/" + failureName(status)}
	}
	for status, a := range o.answers {
		d.Responses[strconv.Itoa(status)] = special(status, a, registry)
	}
	return d
}

// template is the path in the notation of OpenAPI.
func (o operation) template() string {
	parts := strings.Split(o.Path, "/")
	for i, part := range parts {
		if name, ok := strings.CutPrefix(part, ":"); ok {
			parts[i] = "{" + name + "}"
		}
	}
	return strings.Join(parts, "/")
}

func operationID(o operation) string {
	return strings.ReplaceAll(strings.TrimPrefix(o.Name, "api."), ".", "_")
}

func media(contentType string, s *huma.Schema) map[string]*huma.MediaType {
	return map[string]*huma.MediaType{contentType: {Schema: s}}
}

func success(o operation, status int, registry huma.Registry) *huma.Response {
	r := &huma.Response{Description: http.StatusText(status)}
	switch {
	case status == http.StatusNoContent:
		return r
	case o.produces != nil:
		r.Content = map[string]*huma.MediaType{}
		for _, contentType := range o.produces {
			r.Content[contentType] = &huma.MediaType{Schema: &huma.Schema{}}
		}
	default:
		r.Content = media(jsonType, registry.Schema(o.answer, true, ""))
	}
	if status == http.StatusCreated {
		r.Headers = map[string]*huma.Header{echo.HeaderLocation: {Description: "Its address.", Schema: &huma.Schema{Type: huma.TypeString}}}
	}
	return r
}

func special(status int, a answerDoc, registry huma.Registry) *huma.Response {
	var kinds []*huma.Schema
	for _, v := range a.of {
		kinds = append(kinds, registry.Schema(reflect.TypeOf(v), true, ""))
	}
	switch len(kinds) {
	case 0:
		return &huma.Response{Description: a.text}
	case 1:
		return problemResponse(status, a.text, kinds[0])
	}
	return problemResponse(status, a.text, &huma.Schema{AnyOf: kinds})
}

func problemResponse(status int, text string, s *huma.Schema) *huma.Response {
	r := &huma.Response{Description: text, Content: media(problem.ContentType, s)}
	if status == http.StatusServiceUnavailable {
		r.Headers = map[string]*huma.Header{echo.HeaderRetryAfter: {Description: "In how many seconds to try again.",
			Schema: &huma.Schema{Type: huma.TypeInteger}}}
	}
	return r
}

func describeParam(p *param, registry huma.Registry) *huma.Param {
	s := huma.SchemaFromField(registry, p.field, "")
	text := s.Description
	s.Description = ""
	return &huma.Param{Name: p.name, In: p.in, Description: text, Required: p.required, Schema: s}
}

// serveDocument serves the document, written once.
func serveDocument(doc *huma.OpenAPI) echo.HandlerFunc {
	text, err := json.MarshalIndent(doc, "", "  ")
	if err != nil {
		panic(err) // it is made of our own types
	}
	return func(c echo.Context) error {
		c.Response().Header().Set(echo.HeaderCacheControl, "no-cache")
		return c.Blob(http.StatusOK, jsonType, text)
	}
}

// fieldsOf returns the JSON fields of a struct type in the order in which it declares them.
func fieldsOf(t reflect.Type) []string {
	var names []string
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if !f.Anonymous && name != "" && name != "-" {
			names = append(names, name)
		}
	}
	return names
}

// schemaNames returns the names of all schemas in the order of the alphabet.
func schemaNames(doc *huma.OpenAPI) []string { return sortedKeys(doc.Components.Schemas.Map()) }

// failureStatuses returns the statuses that any call may answer with.
func failureStatuses() []int { return sortedKeys(failures) }

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
