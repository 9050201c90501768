package kvdb

import "strconv"

// DictKeys are the keys of the dictionaries. They share the hash tag {dict}, so that a change of any size
// is one atomic step on one slot.
type DictKeys struct{ base string }

// Dict returns the keys of the dictionaries.
func (k Keys) Dict() DictKeys { return DictKeys{string(k) + "{dict}:"} }

// Version numbers the last change, and says who made it. STRING, an integer and a token
func (k DictKeys) Version() string { return k.base + "version" }

// Map holds the translations from one system and key to another, value1 → value2. HASH
func (k DictKeys) Map(system1, key1, system2, key2 string) string {
	return k.base + "map:" + system1 + "/" + key1 + "/" + system2 + "/" + key2
}

// StagedMap is a Map as it will be when the change that prepares it is committed. HASH, expires
func (k DictKeys) StagedMap(token, pair string) string {
	return k.base + "staged:" + token + ":" + pair
}

// MapOfPair is the Map of a pair in the form system1/key1/system2/key2. HASH
func (k DictKeys) MapOfPair(pair string) string { return k.base + "map:" + pair }

// Pairs counts the translations of each Map, system1/key1/system2/key2 → count. HASH
func (k DictKeys) Pairs() string { return k.base + "pairs" }

// Names counts the entries of each system and key, system/key → count. HASH
func (k DictKeys) Names() string { return k.base + "names" }

// Fences lists the blocks of a sorted run, block ID → count and first key. HASH
func (k DictKeys) Fences(run string) string { return k.base + "fences:" + run }

// Block is a block of a sorted run: immutable, compressed. STRING, expires once it is replaced
func (k DictKeys) Block(id string) string { return k.base + "block:" + id }

// Lease is held by who prepares a large change; others don't commit meanwhile. STRING, expires
func (k DictKeys) Lease() string { return k.base + "lease" }

// Op remembers that an operation was applied, and by which change. STRING, expires
func (k DictKeys) Op(op string) string { return k.base + "op:" + op }

// Changes is the history, one entry a change; its ID is the number of the change. STREAM
func (k DictKeys) Changes() string { return k.base + "changes" }

// Undone says which change undid which, number → number. HASH
func (k DictKeys) Undone() string { return k.base + "undone" }

// Misses counts the failed lookups of each query. ZSET, score = count
func (k DictKeys) Misses() string { return k.base + "misses" }

// MissesLast says when each was last seen. ZSET, score = Unix time in ms
func (k DictKeys) MissesLast() string { return k.base + "misses:last" }

// MissesFirst says when each was first seen, query → Unix time in ms. HASH
func (k DictKeys) MissesFirst() string { return k.base + "misses:first" }

// Upload is a file that waits for its import: what is known of it. HASH, expires
func (k DictKeys) Upload(id string) string { return k.base + "upload:" + id }

// UploadPart is a piece of such a file. STRING, expires
func (k DictKeys) UploadPart(id string, n int) string {
	return k.base + "upload:" + id + ":" + strconv.Itoa(n)
}
