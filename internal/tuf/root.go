// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package tuf

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/secure-systems-lab/go-securesystemslib/cjson"
	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// Root is a root of trust.
type Root = metadata.Metadata[metadata.RootType]

// ParseRoot reads a root strictly: a file that another reader could take for another root is refused. Names of fields that
// differ in case are one to Go and two to others, and so are numbers with a fraction of zero.
func ParseRoot(raw []byte) (*Root, error) {
	if len(raw) > MaxRoot {
		return nil, fmt.Errorf("root has %d bytes, expected at most %d", len(raw), MaxRoot)
	}
	root, err := metadata.Root().FromBytes(raw)
	if err != nil {
		return nil, fmt.Errorf("not a TUF root: %w", err)
	}
	var file struct {
		Signed any `json:"signed"`
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(&file); err != nil {
		return nil, fmt.Errorf("not a TUF root: %w", err)
	}
	if d.More() {
		return nil, errors.New("not a TUF root: more than one JSON value")
	}
	if err := namesOnce(json.NewDecoder(bytes.NewReader(raw))); err != nil {
		return nil, fmt.Errorf("not a TUF root: %w", err)
	}
	if err := integer(file.Signed); err != nil {
		return nil, err
	}
	written, err := cjson.EncodeCanonical(file.Signed)
	if err != nil {
		return nil, err
	}
	if understood, err := cjson.EncodeCanonical(root.Signed); err != nil || !bytes.Equal(written, understood) {
		return nil, errors.New("root has fields that readers could understand differently")
	}
	return root, nil
}

// namesOnce reads a JSON value, and refuses an object with the same name twice: readers differ in which one counts.
func namesOnce(d *json.Decoder) error {
	open, err := d.Token()
	if err != nil {
		return err
	}
	delim, ok := open.(json.Delim)
	if !ok {
		return nil
	}
	seen := map[json.Token]bool{}
	for d.More() {
		if delim == '{' {
			name, err := d.Token()
			if err != nil {
				return err
			}
			if seen[name] {
				return fmt.Errorf("the name %.64q comes twice", name)
			}
			seen[name] = true
		}
		if err := namesOnce(d); err != nil {
			return err
		}
	}
	_, err = d.Token()
	return err
}

// CheckRoot checks a root by itself, apart from its signatures. A zero time leaves out whether it has expired.
func CheckRoot(r *metadata.RootType, now time.Time) error {
	if err := (head{r.Type, r.SpecVersion, r.Version, r.Expires}).check(metadata.ROOT, now); err != nil {
		return err
	}
	if !r.ConsistentSnapshot {
		return errors.New("consistent_snapshot is false, expected true")
	}
	if err := checkRoles(r); err != nil {
		return err
	}
	if err := integers(r.UnrecognizedFields); err != nil {
		return err
	}
	_, err := FloorsOf(r)
	return err
}

// checkRoles checks that a root has its four roles and their keys.
func checkRoles(r *metadata.RootType) error {
	used := map[string]bool{}
	for _, name := range metadata.TOP_LEVEL_ROLE_NAMES {
		role := r.Roles[name]
		if role == nil {
			return fmt.Errorf("role %s is missing", name)
		}
		if err := checkQuorum(role.KeyIDs, role.Threshold, r.Keys); err != nil {
			return fmt.Errorf("role %s: %w", name, err)
		}
		if err := integers(role.UnrecognizedFields); err != nil {
			return fmt.Errorf("role %s: %w", name, err)
		}
		for _, id := range role.KeyIDs {
			used[id] = true
		}
	}
	if len(r.Roles) != len(metadata.TOP_LEVEL_ROLE_NAMES) {
		return fmt.Errorf("%d roles, expected root, timestamp, snapshot and targets", len(r.Roles))
	}
	return checkKeys(r.Keys, used)
}

// checkApart refuses a root key with another role: a thief of an online key must not hold a part of the root. What the root
// before has so may stay, lest a repository from before this rule cannot renew its root; there is none before the first.
func checkApart(before, after *metadata.RootType) error {
	has := func(r *metadata.RootType, name, id string) bool {
		return r.Roles[name] != nil && slices.Contains(r.Roles[name].KeyIDs, id)
	}
	both := func(r *metadata.RootType, name, id string) bool {
		return r != nil && has(r, metadata.ROOT, id) && has(r, name, id)
	}
	for _, name := range metadata.TOP_LEVEL_ROLE_NAMES {
		for _, id := range after.Roles[name].KeyIDs {
			if name != metadata.ROOT && both(after, name, id) && !both(before, name, id) {
				return fmt.Errorf("role %s: key %s is a root key, which signs nothing else", name, id)
			}
		}
	}
	return nil
}

// Quorum tells how many keys of a root's root role have signed a root.
type Quorum struct {
	Version   int64 // of the root whose keys these are
	Threshold int
	Keys      []string // key ids, sorted
	Signed    []string // those of Keys that have signed, sorted
}

// Missing is how many more signatures it takes.
func (q Quorum) Missing() int { return max(q.Threshold-len(q.Signed), 0) }

// QuorumOf counts the signatures on next by the root keys that by names.
func QuorumOf(by, next *Root) (Quorum, error) {
	role := by.Signed.Roles[metadata.ROOT]
	if role == nil {
		return Quorum{}, errors.New("role root is missing")
	}
	keys := map[string]*metadata.Key{}
	for _, id := range role.KeyIDs {
		keys[id] = by.Signed.Keys[id]
	}
	have, err := signed(next, keys)
	if err != nil {
		return Quorum{}, err
	}
	q := Quorum{Version: by.Signed.Version, Threshold: role.Threshold, Keys: slices.Sorted(slices.Values(role.KeyIDs))}
	for _, id := range q.Keys {
		if have[id] {
			q.Signed = append(q.Signed, id)
		}
	}
	return q, nil
}

// UnsignedError says which signatures a root lacks.
type UnsignedError struct {
	Version int64
	Quorums []Quorum // those that are not complete
}

func (e *UnsignedError) Error() string {
	var parts []string
	for _, q := range e.Quorums {
		var open []string
		for _, id := range q.Keys {
			if !slices.Contains(q.Signed, id) {
				open = append(open, id[:min(len(id), shownID)])
			}
		}
		parts = append(parts, fmt.Sprintf("%d of the root keys %s of version %d", q.Missing(), strings.Join(open, ", "), q.Version))
	}
	return fmt.Sprintf("%d.root.json lacks signatures: %s", e.Version, strings.Join(parts, ", and "))
}

// shownID is how many characters of a key id messages show.
const shownID = 8

// CheckFirst checks a first root before it is published: version 1, signed by its own keys, and root keys have no other role.
func CheckFirst(root *Root, now time.Time) error {
	if err := CheckRoot(&root.Signed, now); err != nil {
		return err
	}
	if root.Signed.Version != 1 {
		return fmt.Errorf("version %d, expected 1", root.Signed.Version)
	}
	if err := checkApart(nil, &root.Signed); err != nil {
		return err
	}
	return checkSigned(root, root)
}

// CheckSuccessor checks that a root may follow another: the next version, no floor lower, no root key with a role that it had not
// before, signed by the keys of both. The error is an *UnsignedError when only signatures are missing.
func CheckSuccessor(before, after *Root, now time.Time) error {
	if err := CheckSuccession(&before.Signed, &after.Signed, now); err != nil {
		return err
	}
	return checkSigned(after, before, after)
}

// CheckSuccession is CheckSuccessor without the signatures.
func CheckSuccession(before, after *metadata.RootType, now time.Time) error {
	if err := CheckRoot(after, now); err != nil {
		return err
	}
	if after.Version != before.Version+1 {
		return fmt.Errorf("version %d, expected %d", after.Version, before.Version+1)
	}
	if err := checkApart(before, after); err != nil {
		return err
	}
	return CheckFloors(before, after)
}

// checkSigned asks for the quorum of each root.
func checkSigned(root *Root, by ...*Root) error {
	missing := &UnsignedError{Version: root.Signed.Version}
	for _, b := range by {
		q, err := QuorumOf(b, root)
		if err != nil {
			return err
		}
		if q.Missing() > 0 {
			missing.Quorums = append(missing.Quorums, q)
		}
	}
	if len(missing.Quorums) > 0 {
		return missing
	}
	return nil
}
