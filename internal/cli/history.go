// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
)

// channelHistory is what devices of a channel were served, and by which releases; the newest first.
type channelHistory struct {
	Channel  string          `json:"channel"`
	Served   []servedEntry   `json:"served"`
	Releases []releasedEntry `json:"releases"`
}

// servedEntry is a bundle that devices were served. Without to, they are.
type servedEntry struct {
	Bundle  string                 `json:"bundle"`
	Version otav1alpha1.Version    `json:"version,omitempty"`
	Digest  otav1alpha1.Digest     `json:"digest,omitempty"`
	As      otav1alpha1.BundleRole `json:"as"`
	From    *metav1.Time           `json:"from,omitempty"`
	To      *metav1.Time           `json:"to,omitempty"`
	Ended   string                 `json:"ended,omitempty"`
}

// releasedEntry is a release of a Rollout on the channel. Without an end, it is under way.
type releasedEntry struct {
	Rollout   string             `json:"rollout"`
	Revision  int64              `json:"revision"`
	Bundle    string             `json:"bundle"`
	Digest    otav1alpha1.Digest `json:"digest,omitempty"`
	StartedAt *metav1.MicroTime  `json:"startedAt,omitempty"`
	EndedAt   *metav1.MicroTime  `json:"endedAt,omitempty"`
	Ended     string             `json:"ended"` // or how it goes
	Reason    string             `json:"reason,omitempty"`
}

func (a *app) historyCommand() *cobra.Command {
	cmd := a.clusterVerb("history CHANNEL", "Show what a Channel served, and how each release ended", `
Shows which bundles the devices of a Channel were served, from when to when and why that ended, and the releases of its Rollouts with
how each of them ended. It reaches back as far as the status of the objects does; the audit log has all of it (see audit and report).`, `
kubectl windlass history production
kubectl windlass history production -o json | jq -r '.releases[] | select(.ended == "RolledBack") | .reason'`,
		func(ctx context.Context, c *cluster, args []string) error {
			ch, rollouts, err := c.channel(ctx, args[0])
			if err != nil {
				return err
			}
			h := historyOf(ch, rollouts)
			return a.print(h, func(w io.Writer) { a.view(false).printHistory(w, h) })
		})
	a.completing(cmd, &otav1alpha1.Channel{})
	return cmd
}

// channel reads a Channel and the Rollouts that release on it.
func (c *cluster) channel(ctx context.Context, name string) (*otav1alpha1.Channel, []otav1alpha1.Rollout, error) {
	var ch otav1alpha1.Channel
	if err := c.get(ctx, name, &ch); err != nil {
		return nil, nil, err
	}
	var all otav1alpha1.RolloutList
	if err := c.list(ctx, &all, false); err != nil {
		return nil, nil, err
	}
	mine := slices.DeleteFunc(all.Items, func(r otav1alpha1.Rollout) bool { return r.Spec.ChannelRef.Name != name })
	return &ch, mine, nil
}

func historyOf(ch *otav1alpha1.Channel, rollouts []otav1alpha1.Rollout) channelHistory {
	h := channelHistory{Channel: ch.Name, Served: []servedEntry{}, Releases: []releasedEntry{}}
	if c := ch.Status.Candidate; c != nil {
		h.Served = append(h.Served, servedEntry{Bundle: c.Bundle, Version: c.Version, Digest: c.Digest, As: otav1alpha1.RoleCandidate})
	}
	if s := ch.Status.Stable; s != nil {
		h.Served = append(h.Served, servedEntry{Bundle: s.Bundle, Version: s.Version, Digest: s.Digest, As: otav1alpha1.RoleStable, From: s.Since})
	}
	for i := range ch.Status.History {
		e := &ch.Status.History[i]
		h.Served = append(h.Served, servedEntry{Bundle: e.Bundle, Version: e.Version, Digest: e.Digest, As: e.As, From: e.From, To: e.To, Ended: e.Ended})
	}
	for i := range rollouts {
		h.Releases = append(h.Releases, releasesOf(&rollouts[i])...)
	}
	slices.SortStableFunc(h.Releases, func(x, y releasedEntry) int { return started(y).Compare(started(x)) })
	return h
}

func started(e releasedEntry) time.Time {
	if e.StartedAt == nil {
		return time.Time{}
	}
	return e.StartedAt.Time
}

// releasesOf are the releases of a Rollout: the one that it is at, and those that the history keeps.
func releasesOf(r *otav1alpha1.Rollout) []releasedEntry {
	var out []releasedEntry
	kept := func(revision int64) bool {
		return slices.ContainsFunc(r.Status.History, func(e otav1alpha1.RolloutHistoryEntry) bool { return e.Revision == revision })
	}
	if rel := r.Status.Release; rel != nil && !kept(rel.Revision) {
		reason := rel.Reason
		if rel.EndedAt == nil && r.Status.Message != "" {
			reason = r.Status.Message
		}
		out = append(out, releasedEntry{
			Rollout: r.Name, Revision: rel.Revision, Bundle: rel.Bundle, Digest: rel.Digest,
			StartedAt: rel.StartedAt, EndedAt: rel.EndedAt, Ended: string(rel.State), Reason: reason,
		})
	}
	for i := range r.Status.History {
		e := &r.Status.History[i]
		out = append(out, releasedEntry{
			Rollout: r.Name, Revision: e.Revision, Bundle: e.Bundle, Digest: e.Digest,
			StartedAt: e.StartedAt, EndedAt: e.EndedAt, Ended: e.Ended, Reason: e.Reason,
		})
	}
	return out
}

// printHistory shows two tables.
func (v view) printHistory(w io.Writer, h channelHistory) {
	served := [][]string{{"SERVED", "VERSION", "AS", "FROM", "TO", "FOR", "ENDED"}}
	for _, e := range h.Served {
		served = append(served, []string{e.Bundle, string(e.Version), string(e.As), moment(e.From), moment(e.To), v.lasted(e.From, e.To), dash(e.Ended)})
	}
	table(w, served...)
	none(w, len(h.Served), "bundle that was served", "on this Channel yet")
	fmt.Fprintln(w)
	releases := [][]string{{"RELEASE", "BUNDLE", "STARTED", "TOOK", "ENDED", "REASON"}}
	for _, e := range h.Releases {
		from, to := plainTime(e.StartedAt), plainTime(e.EndedAt)
		releases = append(releases, []string{
			fmt.Sprintf("%s %d", e.Rollout, e.Revision), e.Bundle, moment(from), v.lasted(from, to), v.status(e.Ended), printable(e.Reason),
		})
	}
	table(w, releases...)
	none(w, len(h.Releases), "release", "on this Channel yet")
}

func plainTime(t *metav1.MicroTime) *metav1.Time {
	if t == nil {
		return nil
	}
	return &metav1.Time{Time: t.Time}
}

// moment is a time for people, in UTC.
func moment(t *metav1.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02 15:04:05Z")
}

// lasted is how long something took, or takes until now.
func (v view) lasted(from, to *metav1.Time) string {
	if from.IsZero() {
		return "-"
	}
	if to.IsZero() {
		return v.age(from.Time)
	}
	return view{now: to.Time}.age(from.Time)
}
