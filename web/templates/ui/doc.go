// Package ui holds the components of which every page is made. They take small values and know nothing of the domains.
// Each looks right when empty, with an error and with text that is far too long: see package storybook.
//
// Everything passed as text is shown as text. Class names are explained in web/static/src/app.css.
package ui

import (
	"maps"
	"strconv"

	"github.com/a-h/templ"
)

// merge joins sets of attributes; the last of a name wins. A class is left to classes, as HTML takes the first of two.
func merge(sets ...templ.Attributes) templ.Attributes {
	out := templ.Attributes{}
	for _, set := range sets {
		maps.Copy(out, set)
	}
	delete(out, "class")
	return out
}

// classes joins a component's own class with those among the caller's attributes.
func classes(own string, sets ...templ.Attributes) string {
	for _, set := range sets {
		if more, ok := set["class"].(string); ok {
			own += " " + more
		}
	}
	return own
}

// digits is a number for an attribute.
func digits[T int | int64](n T) string { return strconv.FormatInt(int64(n), 10) }
