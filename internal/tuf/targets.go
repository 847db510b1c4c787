// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package tuf

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/windlass-dev/windlass/internal/release"
)

// Bounds of what roles delegate and list.
const (
	maxRoles    = 100_000
	maxRoleName = 400
	maxFiles    = 64
	// maxArtifact is far above what any object store takes in one object, and below where JSON readers lose digits.
	maxArtifact = 64 << 40
)

var (
	// rolePattern is <app>.<channel>: channel names have no dots.
	rolePattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*\.[A-Za-z0-9][A-Za-z0-9_-]*$`)
	filePattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,252}$`)
)

// splitRole gives the app and the channel of a role.
func splitRole(name string) (app, channel string, err error) {
	if len(name) > maxRoleName || !rolePattern.MatchString(name) || strings.Contains(name, "..") {
		return "", "", fmt.Errorf("role %q, expected <app>.<channel>", name)
	}
	i := strings.LastIndexByte(name, '.')
	return name[:i], name[i+1:], nil
}

// Paths are the patterns of target paths that the role of a channel signs: its document, and the bundles of its app.
func Paths(app, channel string) []string {
	return []string{release.ChannelTarget(app, channel), "bundles/" + app + "/*"}
}

// CheckTargets checks the top-level targets: delegations to channels, and no targets.
func CheckTargets(t *metadata.TargetsType, now time.Time) error {
	if err := (head{t.Type, t.SpecVersion, t.Version, t.Expires}).check(metadata.TARGETS, now); err != nil {
		return err
	}
	if len(t.Targets) > 0 {
		return fmt.Errorf("%d targets, expected none: channels have their own roles", len(t.Targets))
	}
	if err := integers(t.UnrecognizedFields); err != nil {
		return err
	}
	d := t.Delegations
	switch {
	case d == nil:
		return nil
	case d.SuccinctRoles != nil:
		return errors.New("succinct_roles are not used here")
	case len(d.Roles) > maxRoles:
		return fmt.Errorf("%d roles, expected at most %d", len(d.Roles), maxRoles)
	}
	used, names := map[string]bool{}, make(map[string]bool, len(d.Roles))
	for i := range d.Roles {
		role := &d.Roles[i]
		if names[role.Name] {
			return fmt.Errorf("role %s comes twice", role.Name)
		}
		names[role.Name] = true
		if err := checkDelegation(role, d.Keys); err != nil {
			return fmt.Errorf("role %s: %w", role.Name, err)
		}
		for _, id := range role.KeyIDs {
			used[id] = true
		}
	}
	if len(d.Roles) == 0 {
		used = nil // the key of the channels to come
	}
	return checkKeys(d.Keys, used)
}

// checkDelegation checks one delegation. Its patterns are those of its channel, each written out: a wildcard stands for one
// file of one folder and nothing else.
func checkDelegation(role *metadata.DelegatedRole, keys map[string]*metadata.Key) error {
	app, channel, err := splitRole(role.Name)
	if err != nil {
		return err
	}
	if err := checkQuorum(role.KeyIDs, role.Threshold, keys); err != nil {
		return err
	}
	switch {
	case role.Terminating:
		return errors.New("it is terminating: another channel of the app may list a bundle")
	case len(role.PathHashPrefixes) > 0:
		return errors.New("path_hash_prefixes are not used here")
	}
	if err := integers(role.UnrecognizedFields); err != nil {
		return err
	}
	want := Paths(app, channel)
	if !slices.Equal(slices.Sorted(slices.Values(role.Paths)), slices.Sorted(slices.Values(want))) {
		return fmt.Errorf("paths %q, expected %q", abridged(role.Paths), want)
	}
	return nil
}

// abridged keeps messages short.
func abridged(texts []string) []string {
	const most, longest = 4, 120
	out := slices.Clone(texts[:min(len(texts), most)])
	for i, text := range out {
		out[i] = text[:min(len(text), longest)]
	}
	return out
}

// CheckRole checks the metadata of a channel's role: its document, and bundles of its app.
func CheckRole(name string, t *metadata.TargetsType, now time.Time) error {
	if err := (head{t.Type, t.SpecVersion, t.Version, t.Expires}).check(metadata.TARGETS, now); err != nil {
		return err
	}
	if t.Delegations != nil {
		return errors.New("it delegates, expected targets only")
	}
	if err := integers(t.UnrecognizedFields); err != nil {
		return err
	}
	return CheckFiles(name, t.Targets)
}

// CheckFiles checks the targets of a channel's role.
func CheckFiles(role string, files map[string]*metadata.TargetFiles) error {
	app, channel, err := splitRole(role)
	if err != nil {
		return err
	}
	if len(files) > maxFiles {
		return fmt.Errorf("%d targets, expected at most %d", len(files), maxFiles)
	}
	for _, path := range slices.Sorted(maps.Keys(files)) {
		if err := checkFile(app, channel, path, files[path]); err != nil {
			return fmt.Errorf("target %.120q: %w", path, err)
		}
	}
	return nil
}

func checkFile(app, channel, path string, file *metadata.TargetFiles) error {
	most := int64(maxArtifact)
	if path == release.ChannelTarget(app, channel) {
		most = release.MaxDocumentSize
	} else if name, ok := strings.CutPrefix(path, "bundles/"+app+"/"); !ok || !filePattern.MatchString(name) {
		return fmt.Errorf("expected one of %q", Paths(app, channel))
	}
	switch {
	case file == nil:
		return errors.New("expected length and hashes, found null")
	case file.Length < 0 || file.Length > most:
		return fmt.Errorf("length %d, expected 0 to %d", file.Length, most)
	case len(file.Hashes) != 1 || len(file.Hashes["sha256"]) != sha256.Size:
		return fmt.Errorf("expected one hash, sha256 of %d bytes", sha256.Size)
	case file.Custom != nil:
		return errors.New("custom fields are not used here")
	}
	return integers(file.UnrecognizedFields)
}
