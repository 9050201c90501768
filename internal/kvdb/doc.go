// Package kvdb is the way to Redis: it opens a server, Sentinel group or cluster, runs scripts that change it
// in one step, sorts its errors into the few kinds that the rest of the program knows, and builds all keys.
// It also runs the embedded server. It knows nothing of the domains but their keys.
//
// From the outside in:
//
//   - kvdb.go: opening; url.go: what a URL says; conn.go: whether what failed had been sent; errors.go: the kinds.
//   - keys.go and keys_*.go: all keys of the domains; script.go, script_each.go: their changes; together.go: what
//     several want at the same moment, in one go; behind.go: what is gathered and written later, once; schema.go: the version
//     of what is stored.
//   - embedded*.go: the embedded server; program_user.go: the user as whom people's commands and programs run.
//
// For people who work on the server, over connections of their own (wire.go, exchange.go; reply.go: what comes back):
//
//   - command*.go, policy.go, mask.go: one command, what the server says of it, who may run it, what is shown of it;
//     pipeline.go: many; session*.go: those that leave something behind on their connection.
//   - eval*.go: Lua programs; busy.go: one that doesn't end; wire_open.go: connections for the debugger.
//   - browse.go, prefixes.go, bigkeys.go, bigjob.go, bulk.go: many keys, on walk.go, slots.go and cursor.go; value*.go and
//     stream_groups.go: what one holds; edit_key.go, edit_script.go: changing it.
//   - health.go, info*.go, samples.go, nodes.go, clients.go, slowlog.go: how the server is.
//
// # URLs
//
//	redis://[user[:password]@]host[:port][/db]                         one server
//	unix://[user[:password]@]/path/to/socket[?db=N]                    one server, through its socket
//	redis-sentinel://[user[:password]@]host[:port],…[/db]?master=NAME  the master that Sentinel names
//	redis-cluster://[user[:password]@]host[:port],…                    a cluster, known from some of its nodes
//
// rediss://, rediss-sentinel:// and rediss-cluster:// are the same with TLS. Query parameters, where they
// apply: db; user and password, in place of those before the @; sentinel_user and sentinel_password, where
// the Sentinels ask for some; tls_ca, tls_cert and tls_key, paths of PEM files (the fields of Config win);
// tls_server_name, the name to expect in the certificate, where it isn't that of the host. What has a
// meaning in URLs (/ ? # @ : %) is percent-encoded in names and passwords. There is no way to switch the
// verification of certificates off.
//
// # What is promised of a write
//
// Nothing is sent twice. The client's own retries are off, on clusters too, where redirections alone are
// followed: they prove that nothing ran. So each write ends in one of three ways: done, not done (ErrAway)
// or unknown (ErrUnknown), and WriteErr tells which. Give it the error of one command or script; for a
// pipeline, ErrUnknown says that some of it may have been done.
package kvdb
