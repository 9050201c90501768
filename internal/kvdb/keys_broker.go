package kvdb

// BrokerKeys are the keys of what the broker knows of all services and channels. They share the hash tag {broker}.
type BrokerKeys struct{ base string }

// Broker returns the keys of the broker's registry.
func (k Keys) Broker() BrokerKeys { return BrokerKeys{string(k) + "{broker}:"} }

// Services holds the names of the services by the tag that the CIDs of their invocations end with. HASH
func (k BrokerKeys) Services() string { return k.base + "services" }

// Channels holds the names of the channels, all with score 0, for lists in the order of names. ZSET
func (k BrokerKeys) Channels() string { return k.base + "channels" }

// Webhooks holds the webhooks, service → JSON with the secret sealed. HASH
func (k BrokerKeys) Webhooks() string { return k.base + "webhooks" }

// Presets holds the saved messages and payloads of the pages. HASH
func (k BrokerKeys) Presets() string { return k.base + "presets" }

// Epoch is a random text, made once: another one, or none, tells that the store was emptied or replaced. STRING
func (k BrokerKeys) Epoch() string { return k.base + "epoch" }

// Wake is the channel of PUBLISH where the name of a service is said when its empty queue gets something. Not a key.
func (k BrokerKeys) Wake() string { return k.base + "wake" }

// Ring is the channel of PUBLISH where the name of a channel is said when it gets messages. Not a key.
func (k BrokerKeys) Ring() string { return k.base + "ring" }

// ServiceKeys are the keys of one service. They share a hash tag of its own, so that each change of an invocation is one atomic step.
// The name may have no braces.
type ServiceKeys struct{ base string }

// Service returns the keys of a service.
func (k Keys) Service(name string) ServiceKeys { return ServiceKeys{string(k) + "{svc:" + name + "}:"} }

// Base begins all keys of the service; scripts build them from it, with the names of the methods below, and one that they alone have:
// k:<hash of an idempotency key> holds the CID of its first invocation and the hash of that one's payload. STRING, for 24 hours
func (k ServiceKeys) Base() string { return k.base }

// Queue holds the CIDs of those that wait for a worker; score = since when, Unix µs. ZSET
func (k ServiceKeys) Queue() string { return k.base + "queued" }

// State holds the CIDs of the invocations of a state; score = when it is due (delayed, retrying) or its lease ends (running), Unix ms; since
// when it waits (queued) or when it ended (done, dead, expired, cancelled), Unix µs, so that their order is kept. ZSET
func (k ServiceKeys) State(state string) string { return k.base + state }

// Expiring holds the CIDs of those that end by themselves unless a worker gets them before; score = when, Unix ms. ZSET
func (k ServiceKeys) Expiring() string { return k.base + "expiring" }

// Invocation holds all that is small of an invocation, as JSON; see internal/broker/scripts/common.lua for its fields. STRING
func (k ServiceKeys) Invocation(cid string) string { return k.base + "i:" + cid }

// Payload holds the payload of an invocation as it was published, unless it is null. STRING
func (k ServiceKeys) Payload(cid string) string { return k.base + "p:" + cid }

// Result holds the result of an invocation, if it has one. STRING
func (k ServiceKeys) Result(cid string) string { return k.base + "r:" + cid }

// Attempts holds the failed attempts of an invocation as JSON, the oldest first. LIST, capped
func (k ServiceKeys) Attempts(cid string) string { return k.base + "a:" + cid }

// Policy holds the policy of the service, and whether it is paused. HASH
func (k ServiceKeys) Policy() string { return k.base + "policy" }

// Errors holds an example of each kind of error of the dead letters, by its fingerprint. HASH
func (k ServiceKeys) Errors() string { return k.base + "errors" }

// DeadGroup holds the dead letters whose error has a fingerprint; score = when it died, Unix µs. ZSET
func (k ServiceKeys) DeadGroup(fingerprint string) string { return k.base + "dead:" + fingerprint }

// Outbox holds the CIDs of done ones whose callback is still to be published; score = when it was done, Unix ms. ZSET
func (k ServiceKeys) Outbox() string { return k.base + "outbox" }

// Workers holds when each worker asked for work last, Unix ms. ZSET
func (k ServiceKeys) Workers() string { return k.base + "workers" }

// ChannelKeys are the keys of one channel. They share a hash tag of its own. The name may have no braces.
type ChannelKeys struct{ base string }

// Channel returns the keys of a channel.
func (k Keys) Channel(name string) ChannelKeys { return ChannelKeys{string(k) + "{ch:" + name + "}:"} }

// Log holds the messages; their IDs are 1-0, 2-0, 3-0 … without gaps. STREAM, capped
func (k ChannelKeys) Log() string { return k.base + "log" }

// State says where the channel stands: epoch, a random text made with it (another one tells that its numbers began anew); n, the number of
// the last message; t, when it came, Unix ms; and how many came in the minute m and in the one before. HASH
func (k ChannelKeys) State() string { return k.base + "state" }

// Positions holds the number of the last message that each named subscriber got. HASH
func (k ChannelKeys) Positions() string { return k.base + "positions" }

// Seen holds when each connection of a subscriber was last there, Unix ms. ZSET
func (k ChannelKeys) Seen() string { return k.base + "seen" }

// Settings holds how much of the channel is kept. HASH
func (k ChannelKeys) Settings() string { return k.base + "settings" }

// Presets holds messages that are kept for sending again, name → JSON. HASH
func (k ChannelKeys) Presets() string { return k.base + "presets" }

// Op remembers what an operation published, of which this is the hash. STRING, for 24 hours
func (k ChannelKeys) Op(hash string) string { return k.base + "op:" + hash }
