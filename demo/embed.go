// Package demo holds real code lists (ISO 3166 countries, ISO 4217 currencies, ISO 639 languages, as translations between
// example systems) and an export of an older system, to try the product with.
package demo

import "embed"

// Files are in the formats of the dictionary import: CSV, and for .json that of the older system.
//
//go:embed *.csv *.json
var Files embed.FS
