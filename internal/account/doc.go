// Package account keeps who may do what: users with their passwords and roles, API tokens, and the sessions of
// signed-in people. It knows Redis and nothing of HTTP.
//
// Users, tokens and sessions are fields of three hashes. A record is JSON behind an HMAC that is made with a key
// derived from the session key and that covers the hash's key and the field's name: a record that was forged,
// altered, or moved to another name is treated as not existing, and logged. (What this cannot see is an older record
// of the same name put back by somebody who may write to the state store.)
//
// A change reads the record, verifies it here, and replaces it by one script that runs only while the stored bytes
// are still those that were read; whoever comes second starts again from reading. That an enabled administrator
// remains is part of the same script: it names another one whose record must still be what was verified.
//
// Secrets never reach Redis. Passwords are kept as argon2id hashes, session cookies and tokens as SHA-256 of
// secrets too long to be guessed.
//
// Every error wraps one of the kinds of package kvdb. When Redis cannot be asked, nobody is let in.
package account
