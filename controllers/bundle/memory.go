// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/verify"
)

// note is what the manager remembers of a Bundle between reconciles. All of it can be lost: a restart looks into the bucket
// again, and tries once more what failed.
type note struct {
	key   transferKey
	basis string // resourceVersion that our last status write was made from

	submitted  string    // state of the Repository that the last transfer was started with,
	tried      string    // that all signatures were tried against,
	checkedFor string    // and that the bucket was last asked under
	checkedAt  time.Time // for the artifact

	voters []verify.Authority // that the last transfer was started with,
	vain   []string           // and the fingerprints of those that no signature matched in the last one that went well

	refused    error    // why the artifact was refused,
	refusedFor string   // and under which trust
	blames     []string // why what vouched for it no longer does

	failures  int       // transfers that failed in a row
	notBefore time.Time // of the next one
}

// notebook keeps notes by object. Reconciles of one object do not overlap, so that a note needs no lock of its own.
type notebook struct {
	mu    sync.Mutex
	notes map[types.NamespacedName]*note
}

// of gives the note of a Bundle. A re-created namesake starts afresh.
func (n *notebook) of(b *otav1alpha1.Bundle) *note {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.notes == nil {
		n.notes = map[types.NamespacedName]*note{}
	}
	key := client.ObjectKeyFromObject(b)
	if n.notes[key] == nil || n.notes[key].key.uid != b.UID {
		n.notes[key] = &note{key: keyOf(b)}
	}
	return n.notes[key]
}

// forget drops a note, and gives the key of the transfer that it was about.
func (n *notebook) forget(key types.NamespacedName) transferKey {
	n.mu.Lock()
	defer n.mu.Unlock()
	old := n.notes[key]
	delete(n.notes, key)
	if old == nil {
		return transferKey{}
	}
	return old.key
}

// failed takes note of a transfer that may work later.
func (n *note) failed(now time.Time, delay time.Duration) {
	n.failures++
	n.refused, n.refusedFor = nil, ""
	n.notBefore = now.Add(delay)
}

// succeeded forgets what went wrong.
func (n *note) succeeded(trust string) {
	n.failures, n.notBefore = 0, time.Time{}
	n.refused, n.refusedFor = nil, ""
	n.tried, n.blames = trust, nil
}

// maxBlames bounds what a message names.
const maxBlames = 4

// blame remembers why trust was lost until the artifact was verified again: the status no longer has what is lost.
func (n *note) blame(why []string) {
	for _, w := range why {
		if len(n.blames) < maxBlames && !slices.Contains(n.blames, w) {
			n.blames = append(n.blames, w)
		}
	}
}
