package main

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
)

// version and date are set by -ldflags "-X main.version=… -X main.date=…": the commit and when it was made, so that a build can be
// repeated byte for byte. Without them the build's own record is used.
var version, date string

// buildVersion is what this binary calls itself.
func buildVersion() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return "dev-" + s.Value[:min(12, len(s.Value))]
		}
	}
	return "dev"
}

// buildDate is when the commit was made that this binary was built from, RFC 3339; "" = not known.
func buildDate() string {
	if info, ok := debug.ReadBuildInfo(); ok && date == "" {
		for _, s := range info.Settings {
			if s.Key == "vcs.time" {
				return s.Value
			}
		}
	}
	return date
}

func printVersion(_ context.Context, c *call) error {
	fmt.Fprintf(c.stdout, "webadmin %s %s %s/%s\n", strings.TrimSpace(buildVersion()+" "+buildDate()), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return nil
}
