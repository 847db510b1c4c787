// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package blame

import (
	"maps"
	"slices"

	"github.com/Masterminds/semver/v3"

	"github.com/windlass-dev/windlass/internal/analysis/eprocess"
	"github.com/windlass-dev/windlass/internal/compat"
)

// table is the groups in order: a row for each kind of device, a column for each stage.
type table struct {
	kinds  []kind
	stages []int32
}

// tabulate adds up groups that are alike. The order of groups does not matter.
func tabulate(groups []Group) table {
	var t table
	for i := range groups {
		if at, ok := slices.BinarySearch(t.stages, groups[i].Stage); !ok {
			t.stages = slices.Insert(t.stages, at, groups[i].Stage)
		}
	}
	kinds := map[string]*kind{}
	for i := range groups {
		g := &groups[i]
		k := kindOf(g)
		key := k.key()
		if kinds[key] == nil {
			k.stages = make([]eprocess.Stage, len(t.stages))
			for s, id := range t.stages {
				k.stages[s].ID = id
			}
			kinds[key] = &k
		}
		at, _ := slices.BinarySearch(t.stages, g.Stage)
		kinds[key].add(at, g)
	}
	for _, key := range slices.Sorted(maps.Keys(kinds)) {
		if kinds[key].devices > 0 {
			t.kinds = append(t.kinds, *kinds[key])
		}
	}
	return t
}

func kindOf(g *Group) kind {
	k := kind{platform: g.Platform, region: g.Region, native: version(g.NativeVersion, compat.ParseVersion), os: version(g.OSVersion, compat.ParseOSVersion)}
	if len(k.region) > maxRegion {
		k.region = ""
	}
	return k
}

// version reads a version as gateways do; nil is one that no range has.
func version(text string, parse func(string) (*semver.Version, error)) *semver.Version {
	v, err := parse(text)
	if err != nil || len(v.String()) > maxVersion {
		return nil
	}
	return v
}

// key tells kinds apart.
func (k *kind) key() string {
	text := func(v *semver.Version) string {
		if v == nil {
			return ""
		}
		return v.String()
	}
	return k.platform + "\x00" + text(k.native) + "\x00" + text(k.os) + "\x00" + k.region
}

func (k *kind) add(stage int, g *Group) {
	s := &k.stages[stage]
	s.Candidate, s.Control = sum(s.Candidate, sane(g.Candidate)), sum(s.Control, sane(g.Control))
	k.candidates += max(g.Candidate.Exposed, 0)
	k.devices += max(g.Candidate.Exposed, 0) + max(g.Control.Exposed, 0)
}

// sane bounds counts by each other: a device that failed was exposed.
func sane(a eprocess.Arm) eprocess.Arm {
	a.Exposed = max(a.Exposed, 0)
	within := func(n int64) int64 { return min(max(n, 0), a.Exposed) }
	return eprocess.Arm{Exposed: a.Exposed, Voted: within(max(a.Voted, a.Failed)), Failed: within(a.Failed), Returned: within(a.Returned)}
}

func sum(a, b eprocess.Arm) eprocess.Arm {
	return eprocess.Arm{
		Exposed: a.Exposed + b.Exposed, Voted: a.Voted + b.Voted, Failed: a.Failed + b.Failed, Returned: a.Returned + b.Returned,
	}
}

// part is the stages of some kinds together.
type part []eprocess.Stage

// split gives the stages of the devices in a slice, and of all others.
func (t *table) split(in []bool) (inside, outside part) {
	inside, outside = make(part, len(t.stages)), make(part, len(t.stages))
	for s, id := range t.stages {
		inside[s].ID, outside[s].ID = id, id
	}
	for i := range t.kinds {
		to := outside
		if in[i] {
			to = inside
		}
		for s, from := range t.kinds[i].stages {
			to[s].Candidate, to[s].Control = sum(to[s].Candidate, from.Candidate), sum(to[s].Control, from.Control)
		}
	}
	return inside, outside
}

// totals are both arms over all stages.
func (p part) totals() (candidate, control eprocess.Arm) {
	for _, s := range p {
		candidate, control = sum(candidate, s.Candidate), sum(control, s.Control)
	}
	return candidate, control
}
