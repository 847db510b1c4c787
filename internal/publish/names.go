// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package publish

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/windlass-dev/windlass/internal/release"
)

const (
	metadataFolder = "metadata/"
	targetsFolder  = "targets/"
	evidenceFolder = "evidence/sha256/" // see release.EvidenceObject
	timestampName  = metadataFolder + metadata.TIMESTAMP + ".json"
	jsonType       = "application/json"
)

var (
	namePattern   = regexp.MustCompile("^[A-Za-z0-9][A-Za-z0-9._-]{0,252}$")
	digestPattern = regexp.MustCompile("^sha256:[a-f0-9]{64}$")
)

// isName tells whether a text can be part of object names and role names.
func isName(s string) bool { return namePattern.MatchString(s) }

// checkBundle refuses what would not be found again under its TUF target path.
func checkBundle(app string, b *release.Bundle) error {
	file, ok := strings.CutPrefix(b.Path, "bundles/"+app+"/")
	switch {
	case !ok || !isName(file):
		return fmt.Errorf("path %q is not bundles/%s/<version>.<ext>", b.Path, app)
	case !digestPattern.MatchString(b.Digest):
		return fmt.Errorf("digest %q is not sha256: and 64 hexadecimal digits", b.Digest)
	case b.Size <= 0:
		return errors.New("its size is not known")
	}
	return nil
}

// object is the name of a version of a role.
func object(role string, version int64) string {
	return metadataFolder + strconv.FormatInt(version, 10) + "." + role + ".json"
}

// parseObject is the inverse of object.
func parseObject(key string) (role string, version int64, ok bool) {
	name, ok := strings.CutPrefix(key, metadataFolder)
	if !ok {
		return "", 0, false
	}
	number, rest, ok := strings.Cut(name, ".")
	if !ok {
		return "", 0, false
	}
	role, ok = strings.CutSuffix(rest, ".json")
	version, err := strconv.ParseInt(number, 10, 64)
	return role, version, ok && err == nil && version > 0 && role != ""
}

// keyOf is the inverse of release.Role: channel names have no dots.
func keyOf(role string) ChannelKey {
	i := max(strings.LastIndexByte(role, '.'), 0)
	return ChannelKey{App: role[:i], Channel: strings.TrimPrefix(role[i:], ".")}
}

// isDocument tells whether a TUF target path is that of a release document.
func isDocument(target string) bool { return strings.HasPrefix(target, "channels/") }
