// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package testkit

import "os"

// Sized gives the size of a test: a few by default, and all of it with WINDLASS_CORPUS=full, as make test-corpus sets it.
func Sized(few, all int) int {
	if os.Getenv("WINDLASS_CORPUS") == "full" {
		return all
	}
	return few
}
