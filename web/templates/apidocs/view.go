// Package apidocs shows the description of the JSON API as a page that people read.
package apidocs

import "webadmin/web/templates/layout"

// Page is the whole description.
type Page struct {
	layout.Page
	Intro    []Span
	Document string // URL of the OpenAPI document
	Groups   []Group
	Failures []Answer // what any call may answer
	Schemas  []Schema
}

// Span is a piece of text; Code is set as it is typed.
type Span struct {
	Text string
	Code bool
}

// Group is a part of the API.
type Group struct {
	ID, Name, Text string
	Calls          []Call
}

// Call is one thing to ask the server for.
type Call struct {
	ID, Method, Path string
	Summary, Text    string
	Role             string // that it needs
	Params           []Field
	Fields           []Field // of a JSON body
	BodyText         string  // what a body that is no JSON is
	Answers          []Answer
	Curl             string
}

// Type is the name of a type, with the place where it is described.
type Type struct {
	Text   string
	Schema string // ID of the Schema; "" = there is nothing more to say
}

// Field is a parameter, or a field of an object.
type Field struct {
	Name     string
	In       string // path, query or header; "" = the body
	Type     []Type // one of these
	Limits   string // in words: "1 to 1000, 100 if not given"
	Text     string
	Required bool
}

// Answer is what a call may answer with.
type Answer struct {
	Status string
	Text   string
	Type   []Type // one of these; none = there is no body
	Failed bool
}

// Schema is an object and its fields.
type Schema struct {
	ID, Name string
	Fields   []Field
}
