// Package searchview shows what was found all over the house.
package searchview

import "webadmin/web/templates/layout"

// Page is what a search found.
type Page struct {
	layout.Page
	Q       string
	Gone    string  // the text is the CID of an invocation that is not there; where it may be recorded
	Groups  []Group // those that have hits, or more to look at
	Trouble string  // why some kinds could not be searched, and which; "" = all were
}

// Group is what was found of one kind: the first of them.
type Group struct {
	Name string
	Hits []Hit
	More string // the list with all of them; "" = these are all
}

// Hit is one find.
type Hit struct {
	Text string // how it is called, as a value
	Page bool   // it is a page: its name is words
	Note string
	URL  string
}
