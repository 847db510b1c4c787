// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/hack/fleet/device"
)

// lookEvery is how often the demo looks at the world: a weight stays for three seconds.
const lookEvery = 200 * time.Millisecond

// view is the world at one moment.
type view struct {
	channel otav1alpha1.Channel
	rollout otav1alpha1.Rollout
	bundle  otav1alpha1.Bundle
	devices device.Status
}

// look reads what is there. Objects that do not exist yet are empty.
func (s *stack) look(ctx context.Context, version string) (*view, error) {
	var v view
	for name, obj := range map[string]client.Object{channel: &v.channel, rollout: &v.rollout, "shop-" + version: &v.bundle} {
		err := s.client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, obj)
		if err != nil && !apierrors.IsNotFound(err) {
			return nil, fmt.Errorf("look at %s: %w", name, err)
		}
	}
	var err error
	v.devices, err = s.fleet(ctx)
	return &v, err
}

// verdict is what the analysis says of the candidate, or how the release ended.
func (v *view) verdict() string {
	ready := apimeta.FindStatusCondition(v.rollout.Status.Conditions, otav1alpha1.ReadyCondition)
	analysis := apimeta.FindStatusCondition(v.rollout.Status.Conditions, otav1alpha1.AnalysisPassingCondition)
	switch {
	case ready == nil:
		return "-"
	case slices.Contains([]string{otav1alpha1.CompletedReason, otav1alpha1.RolledBackReason, otav1alpha1.AbortedReason}, ready.Reason):
		return ready.Reason
	case v.channel.Status.Candidate == nil || analysis == nil:
		return "-"
	}
	return analysis.Reason
}

// evidence against the candidate, of the metric that has most of it, and what takes it back: 3.1/40.
func (v *view) evidence() string {
	if v.channel.Status.Candidate == nil {
		return "-"
	}
	out, most := "-", 0.0
	for _, m := range v.rollout.Status.Analysis {
		if e, err := strconv.ParseFloat(m.Evidence, 64); err == nil && e >= most {
			out, most = m.Evidence+"/"+m.EvidenceLimit, e
		}
	}
	return out
}

// state is the state of the release of a version; empty while the Rollout has not noticed it.
func (v *view) state(version string) otav1alpha1.ReleaseState {
	if r := v.rollout.Status.Release; r != nil && r.Bundle == "shop-"+version {
		return r.State
	}
	return ""
}

func (v *view) stable() string {
	if b := v.channel.Status.Stable; b != nil {
		return string(b.Version)
	}
	return "-"
}

func (v *view) candidate() (version, weight string) {
	if b := v.channel.Status.Candidate; b != nil {
		return string(b.Version), string(b.Weight)
	}
	return "-", "-"
}

// act is one release as it was seen.
type act struct {
	version string
	digest  string
	started time.Time
	ended   time.Time
	weights []string  // that were committed, in order
	breach  time.Time // of the first measurement that failed
	why     string    // of that measurement
	commit  time.Time // of the state without the candidate, after a breach
	last    *view
}

// note keeps what is gone later.
func (a *act) note(v *view) {
	a.last = v
	version, weight := v.candidate()
	if version == a.version && !slices.Contains(a.weights, weight) {
		a.weights = append(a.weights, weight)
	}
	if v.state(a.version) == "" {
		return
	}
	for _, m := range v.rollout.Status.Analysis {
		if m.Verdict == otav1alpha1.VerdictFailing && a.breach.IsZero() && m.MeasuredAt != nil {
			a.breach, a.why = m.MeasuredAt.Time, m.Name+": "+m.Message
		}
	}
	refused := slices.ContainsFunc(v.channel.Status.Refused, func(r otav1alpha1.RefusedBundle) bool { return string(r.Digest) == a.digest })
	if p := v.channel.Status.Published; refused && version == "-" && a.commit.IsZero() && p != nil && p.At != nil {
		a.commit = p.At.Time
	}
}

// problem explains why a release cannot go on by itself, as soon as that is sure.
func (a *act) problem(v *view) error {
	for kind, conds := range map[string][]metav1.Condition{"Bundle": v.bundle.Status.Conditions, "Channel": v.channel.Status.Conditions} {
		if c := apimeta.FindStatusCondition(conds, otav1alpha1.StalledCondition); c != nil {
			return fmt.Errorf("the %s is stalled (%s): %s", kind, c.Reason, c.Message)
		}
	}
	if st := v.state(a.version); st == otav1alpha1.ReleasePaused {
		return fmt.Errorf("the Rollout is paused: %s", v.rollout.Status.Message)
	}
	return nil
}

// follow looks until a release has ended and the devices have followed, and fails when that cannot happen any more.
func (s *stack) follow(ctx context.Context, a *act, done func(*view) bool) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	var lookErr error
	for {
		v, err := s.look(ctx, a.version)
		lookErr = err
		if err == nil {
			a.note(v)
			s.screen.update(v)
			if done(v) {
				a.ended = time.Now()
				return nil
			}
			if err := a.problem(v); err != nil {
				return err
			}
		}
		if err := s.ended(); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return a.unfinished(ctx, lookErr)
		}
	}
}

// unfinished says what was seen last when time is up.
func (a *act) unfinished(ctx context.Context, lookErr error) error {
	why := context.Cause(ctx)
	if errors.Is(why, errInterrupted) {
		return why
	}
	seen := "nothing"
	if v := a.last; v != nil {
		candidate, weight := v.candidate()
		seen = fmt.Sprintf("stable %s, candidate %s at %s %%, Rollout: %s; Bundle: %s", v.stable(), candidate, weight,
			v.rollout.Status.Message, summary(v.bundle.Status.Conditions))
	}
	return errors.Join(fmt.Errorf("release of %s: %w; seen last: %s", a.version, why, seen), lookErr)
}

func summary(conds []metav1.Condition) string {
	var out []string
	for _, c := range conds {
		out = append(out, fmt.Sprintf("%s=%s %s %s", c.Type, c.Status, c.Reason, c.Message))
	}
	return strings.Join(out, ", ")
}
