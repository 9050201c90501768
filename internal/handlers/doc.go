// Package handlers serves the pages and mounts the JSON API. It turns requests into calls of the domains and their answers into
// pages; it holds no rules of its own but who may call what: see the table in routes.go.
//
// A request goes through the middleware of package mw to the handler that routes.go names for it: a method of its area's pages, which reads
// the form or query, makes a call of a domain, turns what came into a view of web/templates, and renders it.
//
// What all areas share:
//
//   - handlers.go: putting it together; routes.go: the table, to which <area>_routes.go add; page.go: the frame and navigation;
//     server.go: the state of the server in the corner.
//   - forms.go: reading what was sent; render.go: answering, whole or in part, and the audit record of a change; errors.go: answering
//     with an error; format.go: numbers and words as people read them; verbs.go: what was done, for the audit log.
//   - background.go, jobs.go: work on many things that goes on after the answer; still_in.go: streams that outlast a sign-in.
//
// The areas, a file for each page or thing, with the start of its name in common:
//
//   - overview*.go, search.go, audit.go; auth.go, account.go, users.go, tokens.go, sessions.go: everybody's and the accounts' pages.
//   - dict*.go, lua*.go, stats*.go: these domains. broker*.go: services; broker_channels*.go: channels.
//   - redis_info*.go, redis_slowlog.go, redis_clients.go, redis_memory.go: the server; redis_keys*.go: many keys; redis_key*.go: one;
//     redis_console*.go, redis_batch.go: commands.
//   - health.go, measure.go: what machines ask, and what is measured. storybook*.go: all components, in builds with the tag dev.
package handlers
