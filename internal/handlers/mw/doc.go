// Package mw holds the middleware of the web server, one concern per file. It knows who calls and what the
// route table allows; it knows no domain and no page.
//
// handlers.New says in which order they stand. begin.go, route.go: what a request is, and its row in the table; requestlog.go,
// metrics.go, correlation.go: what is written down of it; answer.go, recover.go: errors; secure.go, csrf.go, bodylimit.go,
// timeout.go, compress.go: what each request has to keep to; auth.go, session.go, remember.go: who it is from. events.go is for
// answers that are streams.
package mw
