// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
)

// difference is what Git asks of a channel, what devices are served, and why that is not the same.
type difference struct {
	Channel string          `json:"channel"`
	App     string          `json:"app"`
	Same    bool            `json:"same"` // devices are served what Git asks for
	Asks    []asked         `json:"asks"`
	Serving servingState    `json:"serving"`
	Why     []cause         `json:"why"`
	Refused []refusedDigest `json:"refused"`
}

// asked is what a Rollout asks for in Git.
type asked struct {
	Rollout string              `json:"rollout"`
	Bundle  string              `json:"bundle"`
	Version otav1alpha1.Version `json:"version,omitempty"` // absent: there is no such Bundle
	Digest  otav1alpha1.Digest  `json:"digest,omitempty"`
	State   string              `json:"state"` // the reason of the Rollout's condition Ready
}

// servingState is what devices are served.
type servingState struct {
	State     string  `json:"state"`            // Active or Halted
	Stable    *served `json:"stable,omitempty"` // absent: what the app was installed with
	Candidate *served `json:"candidate,omitempty"`
}

type served struct {
	Bundle  string              `json:"bundle"`
	Version otav1alpha1.Version `json:"version"`
	Digest  otav1alpha1.Digest  `json:"digest"`
	Weight  otav1alpha1.Percent `json:"weight,omitempty"`
}

// cause is one reason why devices are not served what Git asks for.
type cause struct {
	Reason  string       `json:"reason"`
	Message string       `json:"message"`
	By      string       `json:"by,omitempty"`
	Since   *metav1.Time `json:"since,omitempty"`
}

// refusedDigest is one that the channel does not offer until somebody allows it.
type refusedDigest struct {
	Digest  otav1alpha1.Digest  `json:"digest"`
	Version otav1alpha1.Version `json:"version,omitempty"`
	Reason  string              `json:"reason,omitempty"`
	By      string              `json:"by,omitempty"`
	At      *metav1.Time        `json:"at,omitempty"`
}

// side is all that a difference is made of.
type side struct {
	channel    *otav1alpha1.Channel
	rollouts   []otav1alpha1.Rollout
	bundles    map[string]*otav1alpha1.Bundle
	repository *otav1alpha1.Repository // nil: it may not be read
}

func (a *app) diffCommand() *cobra.Command {
	cmd := a.clusterVerb("diff CHANNEL", "Show what Git asks for, what devices are served, and why", `
Compares what the Rollouts of a Channel ask for, as Git has them, with what its devices are served, and says why that differs: a release
that is under way or waits (for approvals, a window, its turn, a person), one that was taken back, a bundle that is refused, an
emergency stop, a rollback by command. It changes nothing, and ends with 0 in either case; pipelines read .same of -o json.`, `
kubectl windlass diff production
kubectl windlass diff production -o json | jq -e .same`,
		func(ctx context.Context, c *cluster, args []string) error {
			s, err := c.side(ctx, args[0])
			if err != nil {
				return err
			}
			v := a.view(false)
			d := v.difference(s)
			return a.print(d, func(w io.Writer) { v.printDifference(w, d) })
		})
	a.completing(cmd, &otav1alpha1.Channel{})
	return cmd
}

// side reads what belongs to a Channel.
func (c *cluster) side(ctx context.Context, name string) (side, error) {
	ch, rollouts, err := c.channel(ctx, name)
	if err != nil {
		return side{}, err
	}
	s := side{channel: ch, rollouts: rollouts, bundles: map[string]*otav1alpha1.Bundle{}}
	for i := range rollouts {
		var b otav1alpha1.Bundle
		if found, err := c.perhaps(ctx, rollouts[i].Spec.BundleRef.Name, &b); err != nil {
			return side{}, err
		} else if found {
			s.bundles[b.Name] = &b
		}
	}
	repository := otav1alpha1.DefaultRepository
	if ref := ch.Spec.RepositoryRef; ref != nil {
		repository = ref.Name
	}
	var repo otav1alpha1.Repository
	if found, err := c.perhaps(ctx, repository, &repo); err != nil {
		return side{}, err
	} else if found {
		s.repository = &repo
	}
	return s, nil
}

func (v view) difference(s side) difference {
	st := &s.channel.Status
	d := difference{
		Channel: s.channel.Name, App: string(s.channel.Spec.App), Serving: servingState{State: serving(s.channel)},
		Asks: []asked{}, Why: append(halts(s), standing(st)...), Refused: []refusedDigest{},
	}
	if x := st.Stable; x != nil {
		d.Serving.Stable = &served{Bundle: x.Bundle, Version: x.Version, Digest: x.Digest}
	}
	if x := st.Candidate; x != nil {
		d.Serving.Candidate = &served{Bundle: x.Bundle, Version: x.Version, Digest: x.Digest, Weight: x.Weight}
	}
	reached := len(s.rollouts) == 0 && st.Stable == nil
	for i := range s.rollouts {
		a := v.asks(s, &s.rollouts[i])
		d.Asks = append(d.Asks, a)
		if st.Stable != nil && st.Stable.Bundle == a.Bundle {
			reached = true
		} else {
			d.Why = append(d.Why, v.waits(&s.rollouts[i]))
		}
	}
	for i := range st.Refused {
		x := &st.Refused[i]
		d.Refused = append(d.Refused, refusedDigest{Digest: x.Digest, Version: x.Version, Reason: x.Reason, By: x.By, At: x.At})
	}
	d.Same = len(d.Why) == 0 && reached
	return d
}

// asks is what a Rollout asks for.
func (v view) asks(s side, r *otav1alpha1.Rollout) asked {
	reason, _ := v.state(r)
	a := asked{Rollout: r.Name, Bundle: r.Spec.BundleRef.Name, State: reason}
	if b := s.bundles[a.Bundle]; b != nil {
		a.Version, a.Digest = b.Spec.Version, b.Spec.Digest
	}
	return a
}

// standing is what the Channel itself says of why devices are not served what Git asks for.
func standing(st *otav1alpha1.ChannelStatus) []cause {
	out := []cause{}
	if x := st.Rollback; x != nil {
		out = append(out, cause{"RolledBack", "brought back to " + back(x) + " by command: " + x.Reason, person(x.By, x.Actor), x.At})
	}
	if x := st.Deviation; x != nil {
		out = append(out, cause{Reason: x.Reason, Message: x.Message, Since: x.Since})
	}
	if x := st.Approvals; x != nil && x.Wanted != nil && x.Required != nil {
		out = append(out, cause{
			"ApprovalsNotLowered", fmt.Sprintf("Git asks for %d approvals a release; %d are in force until as many people approve the lower number, and %d have",
				*x.Wanted, *x.Required, len(x.ApprovedBy)), x.Author, nil,
		})
	}
	return out
}

// halts are the emergency stops of a Channel.
func halts(s side) []cause {
	var out []cause
	if s.channel.Spec.Serving == otav1alpha1.ServingHalted {
		out = append(out, cause{Reason: otav1alpha1.HaltedReason, Message: "spec.serving is Halted in Git: no device is offered anything"})
	}
	if h := s.channel.Status.Halt; h != nil {
		out = append(out, cause{otav1alpha1.HaltedReason, "stopped by command: " + h.Reason, person(h.By, h.Actor), h.At})
	}
	if s.repository != nil && s.repository.Status.Halt != nil {
		h := s.repository.Status.Halt
		out = append(out, cause{otav1alpha1.HaltedReason, "Repository " + s.repository.Name + " is stopped by command: " + h.Reason, person(h.By, h.Actor), h.At})
	}
	return out
}

// back is what a rollback by command brings devices to.
func back(r *otav1alpha1.ChannelRollback) string {
	if r.To == otav1alpha1.RollbackToBundle {
		return "Bundle " + r.Bundle
	}
	return string(r.To)
}

// waits says why the bundle that a Rollout asks for is not stable.
func (v view) waits(r *otav1alpha1.Rollout) cause {
	reason, message := v.says(r)
	for _, more := range []struct{ name, text string }{
		{"approvals", approvalLine(r.Status.Approval)}, {"window", v.windowLine(r.Status.Windows)}, {"queue", queueLine(r.Status.Queue)},
	} {
		if more.text != "" && !strings.Contains(message, more.text) {
			message += "; " + more.name + ": " + more.text
		}
	}
	w := cause{Reason: reason, Message: "Rollout " + r.Name + ": " + message}
	if rel := r.Status.Release; rel != nil {
		w.Since = plainTime(cmp.Or(rel.EndedAt, rel.StartedAt))
	}
	return w
}

// printDifference shows what is asked for beside what is served, and then why.
func (v view) printDifference(w io.Writer, d difference) {
	fmt.Fprintf(w, "Channel %s of %s\n\n", d.Channel, d.App)
	rows := [][]string{{"", "GIT ASKS FOR", "DEVICES ARE SERVED"}}
	asks := make([]string, 0, len(d.Asks))
	for _, a := range d.Asks {
		asks = append(asks, fmt.Sprintf("%s %s (Rollout %s)", a.Bundle, dash(a.Version), a.Rollout))
	}
	stable := "what the app was installed with"
	if x := d.Serving.Stable; x != nil {
		stable = x.Bundle + " " + string(x.Version)
	}
	rows = append(rows, []string{"stable", dash(strings.Join(asks, "; ")), stable})
	if x := d.Serving.Candidate; x != nil {
		rows = append(rows, []string{"candidate", "", fmt.Sprintf("%s %s, to %s of the devices", x.Bundle, x.Version, percent(x.Weight))})
	}
	rows = append(rows, []string{"serving", "", d.Serving.State})
	table(w, rows...)
	if d.Same {
		fmt.Fprintf(w, "\n%s\n", v.paint(green, "Devices are served what Git asks for."))
	} else {
		fmt.Fprint(w, "\nWhy:\n")
	}
	for _, x := range d.Why {
		fmt.Fprintf(w, "  %s: %s%s\n", v.paint(yellow, x.Reason), printable(x.Message), printable(v.signed(x.By, x.Since)))
	}
	if len(d.Refused) > 0 {
		fmt.Fprint(w, "\nRefused until somebody allows them:\n")
	}
	for _, x := range d.Refused {
		fmt.Fprintf(w, "  %s %s: %s%s\n", x.Digest, dash(x.Version), printable(dash(x.Reason)), printable(v.signed(x.By, x.At)))
	}
}

// signed says who did something and how long ago, as far as it is known.
func (v view) signed(by string, at *metav1.Time) string {
	var parts []string
	if by != "" {
		parts = append(parts, "by "+by)
	}
	if !at.IsZero() {
		parts = append(parts, v.age(at.Time)+" ago")
	}
	if len(parts) == 0 {
		return ""
	}
	return " (" + strings.Join(parts, ", ") + ")"
}
