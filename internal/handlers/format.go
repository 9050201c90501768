package handlers

import (
	"fmt"

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
