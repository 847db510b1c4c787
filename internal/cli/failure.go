// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import "fmt"

// failure is an error that has an exit code of its own. Without err, the result that was printed says it all.
type failure struct {
	code int
	err  error
}

func (f *failure) Error() string {
	if f.err == nil {
		return fmt.Sprintf("exit code %d", f.code)
	}
	return f.err.Error()
}

func (f *failure) Unwrap() error { return f.err }

// usage says that the command was given wrongly.
func usage(format string, args ...any) error {
	return &failure{ExitUsage, fmt.Errorf(format, args...)}
}

// refused says that a policy denies what was read, or that it does not verify.
func refused(format string, args ...any) error {
	return &failure{ExitRefused, fmt.Errorf(format, args...)}
}
