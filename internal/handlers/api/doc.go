// Package api serves the JSON API under /api/v1 and its description. It turns requests into calls of the domains
// and their answers into JSON; it holds no rules of its own but those of the wire: names, limits, status codes.
//
// Every call is one operation: a row for the route table, an input struct, an answer type and a function between
// them. The OpenAPI document is made from these types, and the requests are decoded by them, so that the
// two can't differ.
//
// huma makes the schemas and the document, and no more than that. It would serve the calls, too, but it decodes each
// body twice (the benchmarks tell), keeps a whole file in memory, takes a field's name in any case, replaces text
// that is not UTF-8, and answers past the one error handler in words that only its globals can change.
//
// operation.go has what a call is, input.go and decode*.go how its input is read, encode.go how its answer is written, problems.go
// how it fails, idempotency.go how it is sent twice; openapi.go and docs.go describe all of them. The other files are the calls, one
// for each thing that they are about.
package api
