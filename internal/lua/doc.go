// Package lua keeps the Lua programs that people run on the KVDB, runs them, and shows what they would do.
//
// A program is one Lua text with a name. It comes from an upload, which is kept in Redis with its versions; else
// from a file of the directory; else it is built in: of one name, the first of these is the one that runs.
//
// From the outside in:
//
//   - lua.go: the types, and what names and texts may be; store.go: the store, its start and its end.
//   - uploads.go: changes of uploads, their versions; files.go: the directory, polled; builtin.go and builtin:
//     what is built in. list.go puts the three together, archive.go writes them as a zip, near.go finds names
//     that look like one that isn't there.
//   - cache.go: what a name stands for when it is run, without a round trip.
//   - run.go: running, and the server's verdict on a text; running.go: runs under way, and ending one;
//     render.go: replies in a line.
//   - runlog.go: the last runs of each program and the counts, written behind; examples.go: saved calls.
//   - checks.go and check: what looks wrong in a text, without running it.
//   - dryrun.go, dryrun_trace.go and dryrun.lua: what a program would do; apply.go: then doing it.
//   - debug.go: stepping through a program; debug_start.go up to its first line, debug_commands.go from there.
//   - bench.go: where both are tried: fork.go, a fork of the server, spoken to in the protocol of ldb; scratch.go, a
//     server of our own.
//
// How uploads stand in Redis: the stream of versions of a name is the truth, its last entry the current state; the
// names and what is known of each are kept beside it for lists. Each change is one script, which also raises the
// version of them all. Each process remembers programs for its runs, and looks at that version once a second: a
// change is used at once where it was made, and within about a second elsewhere.
//
// The package knows Redis through kvdb, and nothing of HTTP, roles or audit.
package lua
