// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package release

import (
	"path"
	"strings"
)

// DigestPrefix starts every digest that the API knows.
const DigestPrefix = "sha256:"

// Hex gives the hexadecimal part of a digest.
func Hex(digest string) string { return strings.TrimPrefix(digest, DigestPrefix) }

// ChannelTarget is the TUF target path of a channel's release document.
func ChannelTarget(app, channel string) string { return "channels/" + app + "/" + channel + ".json" }

// BundleTarget is the TUF target path of an artifact; ext has no dot.
func BundleTarget(app, version, ext string) string {
	return "bundles/" + app + "/" + version + "." + ext
}

// Role is the name of the TUF role that a channel's release document is delegated to. Channel names have no dots, so that
// two channels never share a role.
func Role(app, channel string) string { return app + "." + channel }

// TargetObject is the object name, below the repository's prefix, of a TUF target with a digest: consistent snapshots put
// the hash before the file name (TUF specification 6.2).
func TargetObject(target, digest string) string {
	dir, file := path.Split(target)
	return "targets/" + dir + Hex(digest) + "." + file
}

// EvidenceObject is the object name, below the repository's prefix, of what proves a signature: a Sigstore bundle or a signed
// statement. Documents refer to it by digest only; it is no TUF target.
func EvidenceObject(digest string) string { return "evidence/sha256/" + Hex(digest) + ".json" }
