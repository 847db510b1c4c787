// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package devcluster

import "syscall"

func procAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
