// Package console is redis-cli for people in a browser: it reads what they type as redis-cli does, runs it on connections of
// their own, and prints the replies as redis-cli does. It knows nothing of pages.
//
// A Console has the sessions of all people. Each has one connection, so that what a command leaves behind is there for the next;
// it runs one command at a time, and can be stopped. Who may run what, package kvdb says, anew for each command, those of a
// transaction included.
//
// console.go has the sessions, session.go one of them, stream.go what comes by itself; batch.go a list of commands, batch_check.go
// what it would do, batch_run.go and batch_replies.go doing it. split.go and format.go read and print as redis-cli does;
// complete.go, help.go and history.go help to type.
package console
