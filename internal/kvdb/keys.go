package kvdb

import "strings"

// Keys builds every key of the store; its value is the prefix that all of them begin with. Each domain has
// a file keys_<domain>.go.
type Keys string

// Schema holds the version of the schema that the store was written with. STRING, an integer
func (k Keys) Schema() string { return string(k) + "{schema}" }

// tag encodes a name for use inside a hash tag or between separators, so that no two names give the same
// key and the braces of a name don't end the tag.
func tag(name string) string {
	return tagEscapes.Replace(name)
}

var tagEscapes = strings.NewReplacer("%", "%25", "{", "%7B", "}", "%7D", ":", "%3A")
