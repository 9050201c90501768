// Package webhook hands invocations to HTTP endpoints that an administrator registered. It is the only place where this program connects
// to an address that somebody typed, so each connection is checked when it is made: see refusal.
//
// An invocation is one POST. Its body is the payload, byte for byte; its headers are
//
//	Content-Type: application/json
//	Webadmin-Service, Webadmin-Cid, Webadmin-Attempt, Webadmin-In-Reply-To (of callbacks)
//	X-Correlation-Id: the CID once more, as an endpoint gives it to the API of this program when it calls that on behalf of the invocation
//	Webadmin-Signature: t=<Unix seconds>,v1=<hex of HMAC-SHA256 of "t.body" with the webhook's secret>
//
// Any status 2xx says that it is done, and the body is the result. Any other status is a failed attempt; Retry-After is kept to. As
// everywhere in the broker an invocation comes at least once: who must not do it twice remembers the CID.
package webhook
