// Package brokerview shows the broker: services with their invocations, dead letters and webhooks, and channels with their messages.
//
// view.go has what all of them share, data.templ how a payload, a result or a message is shown and typed; besides, a file of view models
// (*_view.go) goes with the templates of its name. States, durations and sizes come as words: see internal/handlers/broker_words.go.
package brokerview
