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

// MissBatch holds the number of the last batch of misses that a process wrote. STRING, an integer, for an hour
func (k DictKeys) MissBatch(process string) string { return k.base + "misses:batch:" + process }

// MissMet holds the CIDs of the invocations that met a miss, of whose query this is the SHA-1; score = when last, Unix ms. ZSET, capped
func (k DictKeys) MissMet(id string) string { return k.base + "met:" + id }

// MetLast says when each miss that has a MissMet was last met, by its SHA-1. ZSET, score = Unix time in ms
func (k DictKeys) MetLast() string { return k.base + "misses:met" }

// MetEnds says of misses that were answered when their MissMet goes. ZSET, score = Unix time in ms
func (k DictKeys) MetEnds() string { return k.base + "misses:met:ends" }

// MetTotal counts the CIDs in all of MissMet. STRING, an integer
func (k DictKeys) MetTotal() string { return k.base + "misses:met:total" }

// Use counts how often the translations of a pair were looked up: days since 1970 → count, total, last (Unix time in ms). HASH, expires
func (k DictKeys) Use(pair string) string { return k.base + "use:hits:" + pair }

// UseBits says which of the values of a pair were looked up in a month: bits at places that follow from a value. STRING, expires
func (k DictKeys) UseBits(month, pair string) string {
	return k.base + "use:bits:" + month + ":" + pair
}

// UseSince says since when lookups are counted, Unix time in ms. STRING
func (k DictKeys) UseSince() string { return k.base + "use:since" }

// UseBatch is the number of the last counts that a process wrote. STRING, expires
func (k DictKeys) UseBatch(process string) string { return k.base + "use:batch:" + process }

// Upload is a file that waits for its import: what is known of it. HASH, expires
func (k DictKeys) Upload(id string) string { return k.base + "upload:" + id }

// UploadPart is a piece of such a file. STRING, expires
func (k DictKeys) UploadPart(id string, n int) string {
	return k.base + "upload:" + id + ":" + strconv.Itoa(n)
}
