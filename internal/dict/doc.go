// Package dict keeps dictionaries: entries, which are the values that systems use, and translations between
// them.
//
// From the outside in:
//
//   - dict.go: the types, and what names and values may be; store.go: reading and editing one thing.
//   - translate.go, lookup.go: lookups, one HGET each, sent together; misses.go counts those that fail,
//     misses_met.go remembers on whose behalf, misses_list.go lists them.
//   - use.go, use_bits.go, use_flush.go count those that find something; use_read.go says what is used, and what is not.
//   - list.go: lists and filters; page.go: cursors and pages; search.go: texts to search for; systems.go: the systems, their keys
//     and values.
//   - import.go, read.go, csv.go, json.go, zato.go: files in; export.go: files out; upload.go: files that
//     people send and look at before they apply them.
//   - history.go: the changes, written; changes.go: read. undo.go: undoing one. at.go: lookups as of a moment.
//
// How a change is made, whatever its size: plan.go compares what shall be with what is, plan_entries.go the entries
// that come and go with it; apply.go and maps.go write what that changes beside what is there; commit.go puts it in
// place in one script; tx.go is one try of it. Below lie snapshot.go (what is there, at one version), block.go,
// record.go and rows.go (how it is written down). ADR 10 and 11 say why.
//
// The package knows Redis through kvdb, and nothing of HTTP, roles or audit.
package dict
