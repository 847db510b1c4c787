// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package publish

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/kit"
	"github.com/windlass-dev/windlass/internal/release"
	"github.com/windlass-dev/windlass/internal/tuf"
)

// link is a verified root of the chain, and which object it was read from.
type link struct {
	rootFile
	etag string
}

// loadRoots follows the roots in the bucket from the first one, each signed by the one before, as clients do; it makes the first
// one when there is none. So who can write to the bucket, and has no root key, can add no root and take none back.
func (p *Publisher) loadRoots(ctx context.Context, w *world, found *survey) error {
	if len(found.roots) == 0 {
		if p.seenRoot() > 0 || len(found.versions[metadata.SNAPSHOT]) > 0 {
			return firstRootLost(nil)
		}
		return p.firstRoot(ctx, w)
	}
	if err := p.followRoots(ctx, w, found.roots); err != nil {
		return err
	}
	if err := p.goneBack(w); err != nil {
		return err
	}
	return p.canSign(w)
}

// followRoots verifies the chain of roots, by the version and the ETag of what the bucket has, and remembers the steps. What does
// not follow is foreign to the chain: it is told, and has no effect.
func (p *Publisher) followRoots(ctx context.Context, w *world, roots map[int64]string) error {
	for i, l := range p.chain {
		if etag, ok := roots[l.version()]; !ok || etag == "" || etag != l.etag {
			p.chain = p.chain[:i]
			break
		}
	}
	var bad *damage
	for bad == nil {
		version := int64(len(p.chain)) + 1
		etag, ok := roots[version]
		if !ok {
			break
		}
		f, err := p.readRoot(ctx, version)
		if bad, ok = errors.AsType[*damage](err); ok {
			break
		}
		if err != nil {
			return err
		}
		p.chain = append(p.chain, link{rootFile: *f, etag: etag})
	}
	if len(p.chain) == 0 {
		return firstRootLost(bad)
	}
	w.rootFile, w.firstRoot = p.chain[len(p.chain)-1].rootFile, digestOfRoot(p.chain[0].raw)
	w.foreign = foreign(w.rootFile.version(), bad, roots)
	return nil
}

// readRoot reads the root that comes next in the chain. What is wrong with it is a *damage. Whether it has expired does not matter.
func (p *Publisher) readRoot(ctx context.Context, version int64) (*rootFile, error) {
	name := object(metadata.ROOT, version)
	raw, _, err := p.cfg.Bucket.Get(ctx, name, tuf.MaxRoot)
	if err != nil {
		return nil, damageOf(name, err)
	}
	f, err := parseRoot(raw)
	switch {
	case err != nil:
	case version > 1:
		err = tuf.CheckSuccessor(p.chain[version-2].root, f.root, time.Time{})
	default:
		if err = f.root.VerifyDelegate(metadata.ROOT, f.root); err == nil {
			err = sameVersion(f.version(), 1)
		}
	}
	if err != nil {
		return nil, &damage{object: name, err: err}
	}
	return f, nil
}

// foreign is an error when the bucket has roots after the last one of the chain. bad is what is wrong with the next one, if it
// is there.
func foreign(last int64, bad *damage, roots map[int64]string) error {
	for _, version := range slices.Sorted(maps.Keys(roots)) {
		if version <= last {
			continue
		}
		err := fmt.Errorf("there is no %s", object(metadata.ROOT, last+1))
		if bad != nil {
			err = bad
		}
		return kit.Retry(otav1alpha1.RootInvalidReason,
			"%s in the bucket does not follow version %d of the root of trust: %w: delete it, because gateways and devices stop at it; find out who can write to the bucket",
			object(metadata.ROOT, version), last, err)
	}
	return nil
}

// goneBack is an error when the chain of roots is not the one that was seen before, or ends before it: the first root is what
// gateways and devices pin, versions are never used again, and floors never fall.
func (p *Publisher) goneBack(w *world) error {
	first, floors := p.seenTrust()
	version, seen := w.rootFile.version(), p.seenRoot()
	switch {
	case first != "" && w.firstRoot != first:
		return firstRootLost(&damage{object: object(metadata.ROOT, 1),
			err: fmt.Errorf("its digest is %s, expected %s, which gateways and devices pin", w.firstRoot, first)})
	case first == "" && !p.anchored():
		return firstRootLost(&damage{object: object(metadata.ROOT, 1), err: errors.New("it is not the 1.root.json of the ConfigMap, which its holders have signed")})
	case version < seen:
		return kit.Retry(otav1alpha1.RootInvalidReason,
			"version %d of the root of trust was published, and the bucket has no valid one after version %d: restore %s, and those after it, from a backup",
			seen, version, object(metadata.ROOT, version+1))
	}
	for _, app := range slices.Sorted(maps.Keys(floors)) {
		if have, ok := w.floors[app]; !ok || tuf.Below(have, floors[app]) {
			return kit.Retry(otav1alpha1.RootInvalidReason,
				"%s in the bucket lacks the floor %s of app %s, which was published: restore the root that has it from a backup",
				w.name(), floors[app], app)
		}
	}
	return nil
}

// anchored tells whether the first root is the one that was given, where one was: as long as nobody remembers which one devices pin,
// such as after an upgrade, that is all there is to hold the bucket's against.
func (p *Publisher) anchored() bool {
	raw, given := p.cfg.Roots[1]
	return !given || same(raw, &p.chain[0].rootFile) == nil
}

// firstRootLost says that the first root has to be restored.
func firstRootLost(bad *damage) error {
	if bad == nil {
		bad = &damage{object: object(metadata.ROOT, 1)}
	}
	return kit.Retry(otav1alpha1.RootInvalidReason, "%w: restore it from a backup", bad)
}

// seenRoot is the version of the root under which something was committed last, as far as is known.
func (p *Publisher) seenRoot() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.world == nil {
		return p.cfg.SeenRoot
	}
	return max(p.cfg.SeenRoot, p.world.rootFile.version())
}

// seenTrust is the digest of the first root, and the floors, that are known to have been published.
func (p *Publisher) seenTrust() (first string, floors tuf.Floors) {
	p.mu.Lock()
	defer p.mu.Unlock()
	first, floors = p.cfg.SeenFirstRoot, maps.Clone(p.cfg.SeenFloors)
	if p.world == nil {
		return first, floors
	}
	if first == "" {
		first = p.world.firstRoot
	}
	return first, floors.Over(p.world.floors)
}

func digestOfRoot(raw []byte) string { return release.DigestPrefix + sum(raw) }
