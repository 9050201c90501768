// Package authview shows the sign-in.
package authview

import "webadmin/web/templates/layout"

// LoginView is the sign-in form.
type LoginView struct {
	layout.Page
	Action string
	Name   string // as it was typed
	Next   string // where to go afterwards
	Error  string // why it did not work; "" = nothing was tried
}
