// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package verify

// Format is how a signature was given; values as in the API.
type Format string

// Formats.
const (
	Detached       Format = "Detached"
	Minisign       Format = "Minisign"
	SigstoreBundle Format = "SigstoreBundle"
)

// Format of the signature.
func (s Signature) Format() Format { return Detached }

// Evidence is the file that the signature was read from, for formats that are more than a signature; else nil.
func (s Signature) Evidence() []byte { return nil }
