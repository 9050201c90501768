package main

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
)

// version is set by -ldflags "-X main.version=…"; without it the build's own record is used.
var version string

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

func printVersion(_ context.Context, c *call) error {
	fmt.Fprintf(c.stdout, "webadmin %s %s %s/%s\n", buildVersion(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return nil
}
