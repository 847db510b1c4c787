// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build unix && !linux

package devcluster

import "syscall"

// procAttr has no parent-death signal here: only Linux knows one.
func procAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
