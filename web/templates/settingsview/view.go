// Package settingsview shows accounts: one's own, and to administrators users, tokens and sessions.
package settingsview

import (
	"time"

	"webadmin/web/templates/layout"
	"webadmin/web/templates/ui"
)

// UserRow is a user.
type UserRow struct {
	Name, URL, Role                            string
	Disabled                                   bool
	You                                        bool // it is the reader
	CreatedAt, LastSignInAt, PasswordChangedAt time.Time
}

// SessionRow is a session.
type SessionRow struct {
	ID, User, UserURL, Role string
	Address                 string
	Agent, AgentFull        string // in two words, and as the browser says it
	CreatedAt, SeenAt       time.Time
	Current                 bool   // it is the reader's own, here
	End                     string // where to post to end it
}

// AccountPage is the reader's own account.
type AccountPage struct {
	layout.Page
	User      UserRow
	Password  PasswordForm
	Sessions  []SessionRow
	EndOthers string
}

// PasswordForm changes one's own password. Passwords are never sent back.
type PasswordForm struct {
	Action, Name                        string
	CurrentError, NewError, RepeatError string
}

// UsersPage is the list of users.
type UsersPage struct {
	layout.Page
	Rows   []UserRow
	Create UserForm
}

// UserForm creates a user.
type UserForm struct {
	Action                              string
	Name, Role                          string
	NameError, RoleError, PasswordError string
}

// UserPage is one user.
type UserPage struct {
	layout.Page
	User                                      UserRow
	Version                                   string
	Sessions                                  []SessionRow
	SetRole, SetPassword, SetDisabled, Delete string // where to post to
	AuditURL                                  string
	Error                                     string // why a change was refused
	PasswordError, DeleteError                string
}

// TokensPage is the list of tokens.
type TokensPage struct {
	layout.Page
	Rows               []TokenRow
	Create             TokenForm
	Secret, SecretName string // of the token that was just created
}

// TokenRow is a token.
type TokenRow struct {
	ID, Name, Role, CreatedBy        string
	CreatedAt, ExpiresAt, LastUsedAt time.Time
	Expired                          bool
	Revoke                           string // where to post to revoke it
}

// TokenForm creates a token.
type TokenForm struct {
	Action                          string
	Name, Role, Days                string
	NameError, RoleError, DaysError string
}

// SessionsPage is the list of sessions.
type SessionsPage struct {
	layout.Page
	User string // whose sessions; "" = everybody's
	All  string // URL of everybody's
	Rows []SessionRow
}

func roles() []ui.Option {
	return []ui.Option{
		{Value: "viewer", Text: "viewer: reads everything except secrets"},
		{Value: "operator", Text: "operator: also changes data and runs programs"},
		{Value: "admin", Text: "admin: also manages users, tokens and the server"},
	}
}

func lifetimes() []ui.Option {
	return []ui.Option{{Value: "30", Text: "30 days"}, {Value: "90", Text: "90 days"}, {Value: "365", Text: "1 year"}, {Value: "", Text: "never"}}
}
