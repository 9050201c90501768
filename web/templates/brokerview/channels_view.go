package brokerview

import (
	"time"

	"webadmin/web/templates/layout"
	"webadmin/web/templates/ui"
)

// ChannelsPage is the page of all channels.
type ChannelsPage struct {
	Page    layout.Page
	Notices []Notice
	Filters ServiceFilters
	Publish string // "" = the reader may not
	List    ChannelList
}

// ChannelList is a page of channels.
type ChannelList struct {
	Rows    []ChannelRow
	Refresh string
	Nothing *Nothing
	Pager   ui.PagerProps
}

// ChannelRow is a channel.
type ChannelRow struct {
	Name      Link
	Published int64
	Kept      int64
	Rate      string
	Connected int64
	LastAt    time.Time
	Publish   string // "" = the reader may not
}

// PublishPage is a page with nothing but the form.
type PublishPage struct {
	Page layout.Page
	Form PublishForm
}

// PublishForm publishes a message.
type PublishForm struct {
	Action  string
	Op      string
	Alone   bool   // on a page of its own, else on that of its channel
	Channel string // that it is for; "" = the field says
	Name    ui.FieldProps
	Names   []string // to choose from
	Message Editor
	Times   ui.FieldProps
	Problem *Problem
	Said    string // what became of what was sent before; it stands here, as a toast would cover the form
	SaidOf  Link
	Presets []PresetRow
	Preset  ui.FieldProps // the name to save it under
	Cancel  string
}

// PresetRow is a message that is kept for sending it again.
type PresetRow struct {
	Name, By string
	At       time.Time
	URL      string // of the form with it
	Delete   string
}

// ChannelPage is one channel with its messages.
type ChannelPage struct {
	Page        layout.Page
	Name        string
	Notices     []Notice
	Facts       ChannelFacts
	Filters     MessageFilters
	List        MessageList
	Publish     *PublishForm // nil = the reader may not
	Subscribers SubscriberList
	Settings    *ChannelSettings // nil = the reader may not
	Keeps       string           // the settings in words
}

// ChannelFacts are what is known of a channel. They keep themselves up to date.
type ChannelFacts struct {
	Refresh         string
	Published, Kept int64
	Rate            string
	Connected       int64
	FirstAt, LastAt time.Time
}

// MessageFilters are the fields above the messages.
type MessageFilters struct {
	URL    string
	Search ui.SearchProps
	After  string // only messages after this one: its ID
	AfterN int64
	All    string // without that
}

// MessageList is a page of messages, the newest first.
type MessageList struct {
	Rows    []MessageRow
	Stream  string // where new ones come from; "" = it is not the first page
	After   string // ID of the newest that was looked at
	Nothing *Nothing
	Pager   ui.PagerProps
}

// MessageRow is a message, or what is said in place of some.
type MessageRow struct {
	ID    string
	N     int64
	URL   string
	At    time.Time
	By    string
	Text  string // the beginning
	Cut   bool
	Size  int64
	Again string // publishes it again; "" = the reader may not
	Since string // the list from here on
	Note  string // instead of a message
}

// MessagePage is one message.
type MessagePage struct {
	Page    layout.Page
	Title   string
	Channel Link
	At      time.Time
	By      string
	ID      string
	Data    Data
	Again   string
	Since   string
	Listen  string // the call of the API that goes on after it
}

// SubscriberList is who listens to a channel.
type SubscriberList struct {
	Rows    []SubscriberRow
	Unnamed int64 // connections without a name
}

// SubscriberRow is a subscriber with a name.
type SubscriberRow struct {
	Name      string
	Position  Link // the message that it handled last
	Lag       Count
	Missed    bool
	Connected int
	SeenAt    time.Time
	Forget    string // "" = the reader may not
}

// ChannelSettings is the form of how much is kept.
type ChannelSettings struct {
	Action  string
	Version string
	KeepN   ui.FieldProps
	Keep    ui.FieldProps
	Problem *Problem
	Open    bool
}
