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
func (s Signature) Format() Format { return s.format }

// Evidence is the Sigstore bundle in JSON that the signature was read from: it has the certificate, the log entry and the
// statement, which the signature alone has not. Nil for other formats.
func (s Signature) Evidence() []byte {
	if s.bundle == nil {
		return nil
	}
	return s.file
}
