// Package demo holds what to try the product with: real code lists (ISO 3166 countries, ISO 4217 currencies, ISO 639 languages, as
// translations between example systems), an export of an older system, and Lua programs.
package demo

import "embed"

// Dictionaries are in the formats of the dictionary import: CSV, and for .json that of the older system.
//
//go:embed *.csv *.json
var Dictionaries embed.FS

// Programs are Lua programs: the name of each is that of its file in lua/ without .lua.
//
//go:embed lua/*.lua
var Programs embed.FS
