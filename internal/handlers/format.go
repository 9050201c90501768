package handlers

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"webadmin/web/templates/ui"
)

// decimal writes a number in groups of three digits.
func decimal(n int64) string { return ui.Number(n) }

// memory says how much is used, and of how much when there is a limit.
func memory(used, limit int64) string {
	if limit <= 0 {
		return byteSize(used)
	}
	return fmt.Sprintf("%.0f %% of %s", float64(used)/float64(limit)*100, byteSize(limit))
}

// byteSize writes a size in the largest unit of 1024 that keeps it above 1.
func byteSize(n int64) string {
	size, unit := float64(n), 0
	for size >= 1024 && unit < 4 {
		size /= 1024
		unit++
	}
	if unit == 0 || size >= 10 {
		return fmt.Sprintf("%.0f %s", size, [...]string{"B", "KB", "MB", "GB", "TB"}[unit])
	}
	return fmt.Sprintf("%.1f %s", size, [...]string{"B", "KB", "MB", "GB", "TB"}[unit])
}

// short cuts a value for a sentence, and shows an empty one.
func short(value string) string {
	const most = 40
	if value == "" {
		return "(empty)"
	}
	value = strings.Join(strings.Fields(value), " ")
	if utf8.RuneCountInString(value) <= most {
		return value
	}
	return string([]rune(value)[:most-1]) + "…"
}

// plural says a number with its noun.
func plural(n int64, noun string) string {
	switch {
	case n == 1:
		return "1 " + noun
	case strings.HasSuffix(noun, "entry"):
		return decimal(n) + " " + strings.TrimSuffix(noun, "y") + "ies"
	}
	return decimal(n) + " " + noun + "s"
}

func isAre(n int64) string {
	if n == 1 {
		return " is"
	}
	return " are"
}
