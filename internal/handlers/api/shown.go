package api

import "webadmin/internal/kvdb"

// ReplyJSON is a reply as the API answers it, without what tells one run from another: {"type":…,"result":…}.
func ReplyJSON(r kvdb.Reply) []byte {
	return append(appendTyped(nil, "result", r), '}')
}
