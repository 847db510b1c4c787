// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package publish

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/secure-systems-lab/go-securesystemslib/cjson"
	"github.com/theupdateframework/go-tuf/v2/metadata"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/ceremony"
	"github.com/windlass-dev/windlass/internal/kit"
	"github.com/windlass-dev/windlass/internal/store"
	"github.com/windlass-dev/windlass/internal/tuf"
)

// inBucket says where a root is that is published.
const inBucket = "in the bucket"

// rootFile is a version of the root of trust.
type rootFile struct {
	raw    []byte
	root   *tuf.Root
	floors tuf.Floors
}

func (f *rootFile) version() int64 { return f.root.Signed.Version }

func (f *rootFile) name() string { return object(metadata.ROOT, f.version()) }

// parseRoot reads a root and checks it by itself. Whether it has expired does not matter.
func parseRoot(raw []byte) (*rootFile, error) {
	root, err := tuf.ParseRoot(raw)
	if err != nil {
		return nil, err
	}
	if err := tuf.CheckRoot(&root.Signed, time.Time{}); err != nil {
		return nil, err
	}
	floors, err := tuf.FloorsOf(&root.Signed)
	return &rootFile{raw: raw, root: root, floors: floors}, err
}

// nextRoots gives the roots that are to be published now, in order: those that were signed offline, up to the first under which
// the keys can sign, else one that is signed here. The problem tells why others are not; it holds nothing else up.
func (p *Publisher) nextRoots(w *world) (roots []*rootFile, problem error) {
	if w.foreign != nil {
		return nil, w.foreign // clients would stop there, and its name is taken
	}
	given, problem := p.givenRoots(&w.rootFile)
	var unfit error
	for i, f := range given {
		err := p.usable(f)
		if err == nil {
			return given[:i+1], problem
		}
		unfit = cmp.Or(unfit, err)
	}
	problem = cmp.Or(unfit, problem)
	own, err := p.ownRoot(w)
	if err != nil {
		err = kit.Retry(otav1alpha1.RootInvalidReason, "sign version %d of the root of trust: %w", w.rootFile.version()+1, err)
	}
	if own != nil {
		roots = []*rootFile{own}
	}
	return roots, cmp.Or(problem, err)
}

// usable is an error unless metadata can be signed under a root.
func (p *Publisher) usable(f *rootFile) error {
	if err := p.cfg.Keys.matches(&f.root.Signed, fmt.Sprintf("that comes next, %d.root.json", f.version())); err != nil {
		return err
	}
	return invalid(f.version(), tuf.CheckRoot(&f.root.Signed, p.cfg.Clock.Now()))
}

// givenRoots gives those of Config.Roots that may follow the present root.
func (p *Publisher) givenRoots(present *rootFile) ([]*rootFile, error) {
	if raw, ok := p.cfg.Roots[present.version()]; ok {
		if err := same(raw, present); err != nil {
			return nil, invalid(present.version(), err)
		}
	}
	var out []*rootFile
	for before := present; ; {
		version := before.version() + 1
		raw, ok := p.cfg.Roots[version]
		if !ok {
			return out, p.gap(version)
		}
		next, err := parseRoot(raw)
		if err == nil {
			err = tuf.CheckSuccessor(before.root, next.root, time.Time{})
		}
		if err != nil {
			return out, invalid(version, err)
		}
		out = append(out, next)
		before = next
	}
}

// gap is an error when there are roots after a version that is not there.
func (p *Publisher) gap(missing int64) error {
	for _, version := range slices.Sorted(maps.Keys(p.cfg.Roots)) {
		if version > missing {
			return kit.Retry(otav1alpha1.RootInvalidReason, "%d.root.json is there and %d.root.json is not: no version may be left out", version, missing)
		}
	}
	return nil
}

// same is an error unless a file says what a published root says. It may have more signatures.
func same(raw []byte, published *rootFile) error {
	f, err := parseRoot(raw)
	if err != nil {
		return err
	}
	one, errOne := cjson.EncodeCanonical(f.root.Signed)
	two, errTwo := cjson.EncodeCanonical(published.root.Signed)
	if err := errors.Join(errOne, errTwo); err != nil {
		return err
	}
	if string(one) != string(two) {
		return errors.New("another root of this version was published: make the next one from that")
	}
	return nil
}

// invalid gives an error of a root in the ConfigMap its reason.
func invalid(version int64, err error) error {
	if err == nil {
		return nil
	}
	if missing, ok := errors.AsType[*tuf.UnsignedError](err); ok {
		return kit.Retry(otav1alpha1.RootSignatureNeededReason, "%w: sign it with kubectl windlass repository sign", missing)
	}
	return kit.Retry(otav1alpha1.RootInvalidReason, "%d.root.json: %w", version, err)
}

// ownRoot signs the successor of the present root when the root keys are here and it is to change: to hold for longer, to name
// a key that comes next, or to raise a floor. Nil: nothing is to change. The error is that of the first change that cannot be
// made; it holds the others not up.
func (p *Publisher) ownRoot(w *world) (own *rootFile, problem error) {
	keys, now := p.cfg.Keys, p.cfg.Clock.Now()
	if !keys.signRoots(&w.root.Signed) {
		return nil, nil
	}
	changes := p.rootChanges(w)
	due := !p.otherDue(w.root.Signed.Expires).After(now)
	if len(changes) == 0 && !due {
		return nil, nil
	}
	fit, problem := fitting(w.root, now, append([]ceremony.Change{ceremony.Renew(p.expires(p.cfg.RootExpiry))}, changes...))
	if len(fit) == 0 || len(fit) == 1 && problem != nil && !due {
		return nil, problem
	}
	root, err := ceremony.Successor(w.root, now, fit...)
	if err != nil {
		return nil, err
	}
	raw, err := tuf.Sign(root, signers(keys, metadata.ROOT, &w.root.Signed, &root.Signed)...)
	if err != nil {
		return nil, err
	}
	next, err := parseRoot(raw)
	if err != nil {
		return nil, err
	}
	if err := tuf.CheckSuccessor(w.root, next.root, now); err != nil {
		return nil, err
	}
	return next, problem
}

// fitting gives those of some changes to a root that can be made together, the first ones first, and what is wrong with the
// first that cannot.
func fitting(root *tuf.Root, now time.Time, changes []ceremony.Change) (fit []ceremony.Change, problem error) {
	for _, change := range changes {
		with := append(slices.Clone(fit), change)
		if _, err := ceremony.Successor(root, now, with...); err != nil {
			problem = cmp.Or(problem, err)
			continue
		}
		fit = with
	}
	return fit, problem
}

// rootChanges are what the root does not say yet and should. A floor that is there and higher stays.
func (p *Publisher) rootChanges(w *world) []ceremony.Change {
	var changes []ceremony.Change
	for _, role := range metadata.TOP_LEVEL_ROLE_NAMES {
		if next, ok := p.cfg.Keys.next[role]; ok && !slices.Contains(w.root.Signed.Roles[role].KeyIDs, next.ID) {
			changes = append(changes, ceremony.ReplaceKeys(role, next.Public))
		}
	}
	for _, app := range slices.Sorted(maps.Keys(p.cfg.Floors)) {
		if least := p.cfg.Floors[app]; w.floors.Raises(app, least) {
			changes = append(changes, ceremony.RaiseFloor(app, least))
		}
	}
	return changes
}

// signers gives the keys that sign for a role so that it verifies under each of some roots.
func signers(keys *Keys, role string, roots ...*metadata.RootType) []tuf.Key {
	var out []tuf.Key
	for _, root := range roots {
		for _, k := range keys.named(role, root) {
			if !slices.ContainsFunc(out, func(o tuf.Key) bool { return o.ID == k.ID }) {
				out = append(out, k)
			}
		}
	}
	return out
}

// firstRoot publishes version 1: the one that was signed offline, or one that is signed here.
func (p *Publisher) firstRoot(ctx context.Context, w *world) error {
	f, err := p.makeFirst()
	if err != nil {
		return err
	}
	err = p.cfg.Bucket.PutImmutable(ctx, f.name(), f.raw, jsonType)
	if errors.Is(err, store.ErrDifferent) { // another writer was first
		if err := p.followRoots(ctx, w, map[int64]string{1: ""}); err != nil {
			return err
		}
		return p.canSign(w)
	}
	w.rootFile, w.firstRoot = *f, digestOfRoot(f.raw)
	return err
}

func (p *Publisher) makeFirst() (*rootFile, error) {
	if p.cfg.Roots != nil {
		return p.givenFirst()
	}
	keys := p.cfg.Keys
	if !keys.HasRoot() {
		return nil, kit.Retry(otav1alpha1.SecretNotFoundReason,
			"the bucket has no root of trust yet and the signing Secret no root.key: name a ConfigMap with 1.root.json in spec.signing.rootConfigMapRef, or put root.key into the Secret")
	}
	root := metadata.Root(p.expires(p.cfg.RootExpiry))
	for _, role := range metadata.TOP_LEVEL_ROLE_NAMES {
		if err := root.Signed.AddKey(keys.wanted(role).Public, role); err != nil {
			return nil, err
		}
	}
	for _, app := range slices.Sorted(maps.Keys(p.cfg.Floors)) {
		_ = ceremony.RaiseFloor(app, p.cfg.Floors[app])(&root.Signed) // one that is none is told by the first commit
	}
	raw, err := tuf.Sign(root, keys.wanted(metadata.ROOT))
	if err != nil {
		return nil, err
	}
	f, err := parseRoot(raw)
	if err != nil {
		return nil, invalid(1, err)
	}
	return f, invalid(1, tuf.CheckFirst(f.root, p.cfg.Clock.Now()))
}

func (p *Publisher) givenFirst() (*rootFile, error) {
	raw, ok := p.cfg.Roots[1]
	if !ok {
		return nil, kit.Retry(otav1alpha1.RootInvalidReason, "the bucket has no root of trust yet, and the ConfigMap of spec.signing.rootConfigMapRef no 1.root.json")
	}
	f, err := parseRoot(raw)
	if err == nil {
		err = tuf.CheckFirst(f.root, p.cfg.Clock.Now())
	}
	if err != nil {
		return nil, invalid(1, err)
	}
	return f, p.cfg.Keys.matches(&f.root.Signed, "in the ConfigMap, 1.root.json")
}

// putRoots publishes roots, one after another.
func (p *Publisher) putRoots(ctx context.Context, roots []*rootFile) error {
	for _, f := range roots {
		if err := p.cfg.Bucket.PutImmutable(ctx, f.name(), f.raw, jsonType); err != nil {
			return err
		}
	}
	return nil
}

// adopt makes a root that was published the present one.
func (p *Publisher) adopt(f *rootFile) {
	p.mu.Lock()
	defer p.mu.Unlock()
	next := p.world.clone()
	next.rootFile = *f
	p.world = next
}

// noteRoot remembers the problem of a root, and tells whether it is another than before.
func (p *Publisher) noteRoot(problem error) (changed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	changed = errorText(p.rootErr) != errorText(problem)
	p.rootErr, p.rootRetry = problem, time.Time{}
	if problem != nil {
		p.rootRetry = p.cfg.Clock.Now().Add(lookPatience)
	}
	return changed
}

// signedUnder finds the root whose keys have signed timestamp.json: the present one, or one before it, when a commit was
// interrupted that followed a root with other keys. What was retired longer ago counts for nothing: a root that status knows had
// its commit.
func (p *Publisher) signedUnder(w *world, timestamp *metadata.Metadata[metadata.TimestampType]) (*tuf.Root, error) {
	problem := w.root.VerifyDelegate(metadata.TIMESTAMP, timestamp)
	if problem == nil {
		return w.root, nil
	}
	seen := p.seenRoot()
	for _, l := range slices.Backward(p.chain) {
		if seen == 0 || l.version() < seen {
			break
		}
		if l.root.VerifyDelegate(metadata.TIMESTAMP, timestamp) == nil {
			return l.root, nil
		}
	}
	return nil, damaged(timestampName, problem)
}
