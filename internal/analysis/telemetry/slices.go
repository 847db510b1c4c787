// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"cmp"
	"context"
	"net/url"
	"slices"

	"github.com/windlass-dev/windlass/internal/analysis/blame"
	"github.com/windlass-dev/windlass/internal/analysis/eprocess"
)

// Slices gives the devices of a trial in groups that are alike, by stage, the oldest stage and in it the largest group first. What
// is an error in Counts is one here. A gateway tells of the largest groups only: a stage's other devices are in its group without any
// text, with those that told nothing.
func (c *Client) Slices(ctx context.Context, t Trial) ([]blame.Group, error) {
	q := question{path: slicesPath, name: "groups of devices", query: url.Values{"trial": {t.Salt}}, timeout: slicesTimeout}
	answers, err := askAll[groups](ctx, c, t, q)
	if err != nil {
		return nil, err
	}
	return merge(answers), nil
}

// groups is the answer of slicesPath, as far as it is read.
type groups struct {
	Groups []group `json:"groups"`
}

type group struct {
	kind

	Candidate arm `json:"candidate"`
	Control   arm `json:"control"`
}

// kind is what the devices of a group have in common.
type kind struct {
	Stage         int32  `json:"stage"`
	Platform      string `json:"platform"`
	NativeVersion string `json:"nativeVersion"`
	OSVersion     string `json:"osVersion"`
	Region        string `json:"region"`
}

type arm struct {
	Exposed    int64 `json:"exposed"`
	Voted      int64 `json:"voted"`
	Failed     int64 `json:"failed"`
	FailedOnce int64 `json:"failedOnce"`
	Returned   int64 `json:"returned"`
}

func (a arm) counts() eprocess.Arm {
	return eprocess.Arm{Exposed: a.Exposed, Voted: a.Voted, Failed: everFailed(a.Failed, a.FailedOnce), Returned: a.Returned}
}

func (g groups) total() (sum eprocess.Arm) {
	for _, one := range g.Groups {
		add(&sum, one.Candidate.counts())
		add(&sum, one.Control.counts())
	}
	return sum
}

// merge adds up the groups of different ledgers.
func merge(answers []answer[groups]) []blame.Group {
	var out []blame.Group
	at := map[kind]int{}
	for _, a := range answers {
		for _, g := range a.reply.Groups {
			i, ok := at[g.kind]
			if !ok {
				i, at[g.kind] = len(out), len(out)
				out = append(out, blame.Group{Stage: g.Stage, Platform: g.Platform, NativeVersion: g.NativeVersion, OSVersion: g.OSVersion, Region: g.Region})
			}
			add(&out[i].Candidate, g.Candidate.counts())
			add(&out[i].Control, g.Control.counts())
		}
	}
	slices.SortFunc(out, compare)
	return out
}

// compare orders groups, so that the same answers give the same list.
func compare(a, b blame.Group) int {
	return cmp.Or(
		cmp.Compare(a.Stage, b.Stage), cmp.Compare(b.Candidate.Exposed+b.Control.Exposed, a.Candidate.Exposed+a.Control.Exposed),
		cmp.Compare(a.Platform, b.Platform), cmp.Compare(a.NativeVersion, b.NativeVersion),
		cmp.Compare(a.OSVersion, b.OSVersion), cmp.Compare(a.Region, b.Region),
	)
}
