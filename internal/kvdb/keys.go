package kvdb

// Keys builds every key of the store; its value is the prefix that all of them begin with. Each domain has
// a file keys_<domain>.go.
type Keys string

// Schema holds the version of the schema that the store was written with. STRING, an integer
func (k Keys) Schema() string { return string(k) + "{schema}" }
