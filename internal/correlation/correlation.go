// Package correlation carries through a context the CID of the invocation on whose behalf something happens. Whoever writes down what
// happened (a miss, a run, an audit record, a line of the log) writes it with that CID, so that people find from the one to the other.
//
// A CID only observes: it says nothing about who may do what, and what can't be one is left out without a word.
package correlation

import "context"

// MaxLen is how long a CID may be, in bytes. Those of our own broker are shorter; others may give theirs.
const MaxLen = 200

type key struct{}

// With returns a context in which things happen on behalf of the invocation cid. What can't be a CID changes nothing.
func With(ctx context.Context, cid string) context.Context {
	if !Valid(cid) {
		return ctx
	}
	return context.WithValue(ctx, key{}, cid)
}

// ID returns the CID of the invocation on whose behalf ctx is; "" = of none.
func ID(ctx context.Context) string {
	cid, _ := ctx.Value(key{}).(string)
	return cid
}

// Valid says whether a text can be a CID: 1 to MaxLen characters of printable ASCII, no blank among them.
func Valid(cid string) bool {
	if cid == "" || len(cid) > MaxLen {
		return false
	}
	for i := range len(cid) {
		if cid[i] <= ' ' || cid[i] > '~' {
			return false
		}
	}
	return true
}
