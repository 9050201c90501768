// Package broker brings messages from one server to another: a message on a channel to all who subscribe to it (1:N), and an invocation of a
// service to exactly one worker (1:1), at least once. All of it is in Redis, so that any process can do any part and none is needed; it
// knows kvdb only. internal/broker/webhook is its client of HTTP.
//
// Services. An invocation is in one state at a time, and its CID in the one sorted set of that state. Each change is one script on
// the slot of its service (scripts.go, scripts/*.lua); what is due, be it a delay, a retry or a lease that ran out, is what has a score below the
// time of Redis, and whoever comes next settles it. A worker has a lease; what it says under a lease that is over is refused.
//
//	broker.go    types and errors           store.go     the Store, start and end
//	cid.go       CIDs and names             registry.go  which services there are
//	invoke.go    into the queue             offer.go     what this process publishes and runs at once
//	receive.go   out of the queue           finish.go    ack, nack, extend, cancel
//	read.go      one invocation             list.go      many of them
//	services.go  where services stand       policy.go    how they are treated
//	dead.go      dead letters               upkeep.go    what is due, forgotten or lost
//	handlers.go  what runs in this process  workers.go   the workers that do
//	wake.go      who waits hears of work    ready.go     services that may have some
//	outbox.go    callbacks                  webhooks.go  services that are run over HTTP
//	json.go      what is taken as JSON
//
// Channels. A channel is a stream whose messages are numbered without gaps, so that what a subscriber has still to get, and what it
// missed, is a subtraction. One reader for each process and channel serves all its subscribers.
//
//	publish.go   onto a channel             messages.go  what was published
//	subscribe.go off it                     feed.go      the one reader
//	attend.go    who listens, and how far   channels.go  where channels stand
//	channels_here.go, channel_*.go          what this process holds of them; settings and presets
package broker
