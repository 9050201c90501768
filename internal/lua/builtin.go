package lua

import (
	"crypto/sha1"
	"embed"
	"encoding/hex"
	"slices"
	"strings"
	"time"
)

//go:embed builtin/*.lua
var builtinFiles embed.FS

// builtins are the programs that are part of this one; builtinNames are their names in order.
var builtins, builtinNames = loadBuiltins()

func loadBuiltins() (map[string]Source, []string) {
	entries, err := builtinFiles.ReadDir("builtin")
	if err != nil {
		panic(err) // the directory is part of the binary
	}
	sources := map[string]Source{}
	var names []string
	for _, e := range entries {
		text, err := builtinFiles.ReadFile("builtin/" + e.Name())
		if err != nil {
			panic(err)
		}
		name := strings.TrimSuffix(e.Name(), ".lua")
		sources[name] = Source{Program: Program{Name: name, SHA1: sha1Of(string(text)), Origin: Builtin, Size: int64(len(text))}, Text: string(text)}
		names = append(names, name)
	}
	slices.Sort(names)
	return sources, names
}

// sha1Of is the name by which Redis knows a text.
func sha1Of(text string) string {
	sum := sha1.Sum([]byte(text))
	return hex.EncodeToString(sum[:])
}

// fromMillis is a time as it stands in Redis.
func fromMillis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
