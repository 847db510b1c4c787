// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package query

// NoDataError means that the provider answered properly and there was nothing to measure.
type NoDataError struct {
	Reason string // a stable sentence
}

func (e *NoDataError) Error() string { return e.Reason }

// ProviderError means that the provider could not be asked, or answered with anything but one number.
type ProviderError struct {
	Reason string // a stable sentence without addresses of peers, secrets, queries or content of the answer
	Err    error  // the cause, for logs; may be nil
}

func (e *ProviderError) Error() string { return e.Reason }
func (e *ProviderError) Unwrap() error { return e.Err }
