package main

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"
)

// sessionKey is the configured key, else the one in the data directory, made on first use. made says that this call
// made it: a store that was signed with another key is then no reason to keep it.
func sessionKey(cfg Config) (key []byte, made bool, err error) {
	if cfg.SessionKey != "" {
		return []byte(cfg.SessionKey), false, nil
	}
	path := sessionKeyFile(cfg)
	key, err = readSessionKey(path)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return key, false, err
	}
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return nil, false, fmt.Errorf("data directory: %w", err)
	}
	made, err = createSessionKey(path)
	if err != nil {
		return nil, false, fmt.Errorf("session key: %w", err)
	}
	key, err = readSessionKey(path)
	return key, made, err
}

func sessionKeyFile(cfg Config) string { return filepath.Join(cfg.DataDir, "session.key") }

func readSessionKey(path string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("session key: %w", err)
	}
	key := strings.TrimSpace(string(text))
	if utf8.RuneCountInString(key) < minSessionKey {
		return nil, fmt.Errorf("session key: %s holds fewer than %d characters; put the right key back", path, minSessionKey)
	}
	return []byte(key), nil
}

// createSessionKey writes a random key, whole or not at all, unless another process was first (then false).
func createSessionKey(path string) (bool, error) {
	random := make([]byte, 32)
	rand.Read(random)                                               // never fails
	tmp, err := os.CreateTemp(filepath.Dir(path), ".session.key-*") // 0600
	if err != nil {
		return false, err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.WriteString(hex.EncodeToString(random) + "\n")
	if err := errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return false, err
	}
	// A link, not a rename: it does not replace the key that another process has just made.
	if err := os.Link(tmp.Name(), path); errors.Is(err, fs.ErrExist) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	return true, nil
}
