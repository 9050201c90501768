//go:build !linux

package lua

import "syscall"

// dieWithParent is for Linux only: elsewhere a process that is killed leaves its scratch server behind.
func dieWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
