// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package testkit

import "github.com/windlass-dev/windlass/internal/egress"

// Loopback lets what is tested connect to the servers of tests.
func Loopback() egress.Policy {
	p, err := egress.Parse([]string{"127.0.0.0/8"})
	if err != nil {
		panic(err) // the entry is a constant
	}
	return p
}
