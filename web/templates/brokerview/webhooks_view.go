package brokerview

import (
	"time"

	"webadmin/web/templates/layout"
	"webadmin/web/templates/ui"
)

// WebhooksPage lists the webhooks.
type WebhooksPage struct {
	layout.Page
	Rows   []WebhookRow
	New    *WebhookForm
	Secret *WebhookSecret // of the one that was just made
}

// WebhookRow is a webhook.
type WebhookRow struct {
	Service Link
	URL     string
	Private bool // private addresses are allowed
	Timeout string
	At      time.Time
	By      string
	Broken  string // why it can't be used; "" = it can
	Edit    string
	Try     string
}

// WebhookSecret is shown this once.
type WebhookSecret struct {
	Service, Text string
}

// WebhookPage is one webhook.
type WebhookPage struct {
	layout.Page
	Service string
	Row     WebhookRow
	Form    WebhookForm
	Secret  *WebhookSecret
	Delete  string
	Confirm ui.FieldProps // the service, typed before it is deleted
}

// WebhookForm makes or changes a webhook.
type WebhookForm struct {
	Action  string
	Version string
	Problem *Problem
	Theirs  []string // what somebody else has made of it meanwhile
	Fresh   bool     // there is none yet
	Service ui.FieldProps
	URL     ui.FieldProps
	Timeout ui.FieldProps
	Secret  ui.FieldProps
	Renew   bool // have a new secret made
	Private bool
}
