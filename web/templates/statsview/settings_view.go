package statsview

import (
	"webadmin/web/templates/layout"
	"webadmin/web/templates/ui"
)

// SettingsPage is the page of what is recorded and for how long.
type SettingsPage struct {
	Page       layout.Page
	Facts      []string
	Notices    []Notice
	Form       SettingsForm
	Memory     []MemoryRow
	MemoryNote string
	Delete     *DeleteForm // nil = the reader may not
	Thresholds []ThresholdRow
	Counters   []Tile
}

// SettingsForm is the form. Without an action its fields can only be read.
type SettingsForm struct {
	Action, Version string
	Recording       ui.CheckProps
	Keep            []ui.FieldProps
	Marks           []ui.FieldProps
}

// MemoryRow is what a resolution costs.
type MemoryRow struct{ Name, Kept, PerService, All string }

// ThresholdRow is a service with a threshold of its own.
type ThresholdRow struct{ Service, URL, Took string }

// DeleteForm asks what to delete.
type DeleteForm struct {
	URL     string
	From    ui.FieldProps
	To      ui.FieldProps
	Service ui.FieldProps
}

// DeletePage says what would be deleted, and asks for a word.
type DeletePage struct {
	Page    layout.Page
	Text    string
	Nothing bool
	Hidden  [][2]string
	Action  string
	Confirm ui.FieldProps
	Cancel  string
}
