// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/audit"
)

// incidentReport is a story and how far the log that tells it can be relied on.
type incidentReport struct {
	audit.Story
	Log *logVerdict `json:"log"`
}

func (a *app) reportCommand() *cobra.Command {
	var s logSource
	var since, until string
	cmd := verb("report APP", "Tell who released what to how many devices, when, and why it ended", `
Tells the facts that an incident report needs of an app: each release with who asked for it and approved it, who signed the bundle, how
large a share of the devices could get it and when, how many reported failures, how it ended and on which evidence, and what people
commanded. All of it comes from the audit log, which is verified first; exit code 3 means that the log is not intact.`, `
kubectl windlass report com.example.shop --since 7d
kubectl windlass report com.example.shop --since 2026-11-01 --until 2026-11-08 -o json
kubectl windlass report com.example.shop --since 24h --file audit.jsonl`,
		func(ctx context.Context, args []string) error {
			from, to, err := a.period(since, until)
			if err != nil {
				return err
			}
			v, records, err := a.verifyLog(ctx, &s)
			if err != nil {
				return err
			}
			t := incidentReport{Story: audit.Tell(records, args[0], from, to), Log: v}
			if err := a.print(t, func(w io.Writer) { a.printStory(w, &t) }); err != nil {
				return err
			}
			return v.verdict()
		})
	a.logFlags(cmd, &s)
	cmd.Flags().StringVar(&since, "since", "7d", "from when on: a time such as 36h or 7d ago, a date, or a date and time in RFC 3339")
	cmd.Flags().StringVar(&until, "until", "", "until when: the same; without it, until now")
	cmd.Flags().StringArrayVar(&s.anchors, "anchor", nil, "sequence and hash of a record that was kept elsewhere, as 12:sha256:…; may be repeated")
	return cmd
}

// period reads the flags of a time.
func (a *app) period(since, until string) (from, to time.Time, err error) {
	now := a.Now().UTC()
	if from, err = timeBefore(now, "--since", since); err != nil {
		return from, to, err
	}
	if to = now; until != "" {
		if to, err = timeBefore(now, "--until", until); err != nil {
			return from, to, err
		}
	}
	if !from.Before(to) {
		return from, to, usage("--since %s is not before --until %s", from.Format(time.RFC3339), to.Format(time.RFC3339))
	}
	return from, to, nil
}

// timeBefore reads a time that has passed.
func timeBefore(now time.Time, flag, text string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC(), nil
		}
	}
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil && n >= 0 {
			return now.AddDate(0, 0, -n), nil
		}
	}
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	return time.Time{}, usage("%s: expected a time such as 36h, 7d, 2026-11-22 or 2026-11-22T09:00:00Z, got %q", flag, text)
}

func (a *app) printStory(w io.Writer, t *incidentReport) {
	fmt.Fprintf(w, "%s from %s to %s\n", printable(t.App), stamp(t.Since), stamp(t.Until))
	switch {
	case t.Log.Intact && len(t.Log.Anchors) > 0:
		fmt.Fprintf(w, "by %d records of %s, which is intact\n", t.Log.Records, t.Log.Log)
	case t.Log.Intact:
		fmt.Fprintf(w, "by %d records of %s: %s\n", t.Log.Records, t.Log.Log, unanchored)
	default:
		fmt.Fprintf(w, "%s\n", a.colour(red, fmt.Sprintf("by %d records of %s, which is NOT INTACT: %s", t.Log.Records, t.Log.Log, t.Log.Faults[0])))
	}
	for i := range t.Releases {
		a.printReleaseStory(w, &t.Releases[i])
	}
	if len(t.Releases) == 0 {
		fmt.Fprintln(w, "\nNo release.")
	}
	if len(t.Orders) == 0 {
		return
	}
	fmt.Fprintln(w, "\nCommands and stops")
	for _, o := range t.Orders {
		fmt.Fprintf(w, "  %s  %s, %s: %s (record %d)\n", stamp(o.At), printable(o.Object), who(o.By, o.Actor), printable(o.Message), o.Record)
		for _, sentence := range o.Told {
			fmt.Fprintf(w, "    %s\n", printable(sentence))
		}
	}
}

func (a *app) printReleaseStory(w io.Writer, r *audit.Release) {
	fmt.Fprintf(w, "\n%s on %s: %s\n", printable(strings.TrimSpace(r.Bundle+" "+r.Version)), printable(r.Channel), a.colour(outcomeColour(r.Outcome), r.Outcome))
	line := func(name, format string, args ...any) {
		fmt.Fprintf(w, "  %-10s %s\n", name, printable(fmt.Sprintf(format, args...)))
	}
	if len(r.Folded) > 0 {
		line("in part", "told only in part, see record %s below: what it stands for has no weights and no counts", sequences(r.Folded))
	}
	line("asked for", "%s by %s (Rollout %s)", stamp(r.Started), who(r.By, r.Actor), r.Rollout)
	for _, o := range r.Approved {
		line("approved", "%s by %s", stamp(o.At), who(o.By, o.Actor))
	}
	if r.Digest != "" {
		line("artifact", "%s", r.Digest)
	}
	if r.Signed != "" {
		line("signed", "%s", r.Signed)
	}
	line("reached", "at most %s %% of the devices; %d reported, %d of them failures", r.MaxWeight, r.Devices, r.Failures)
	for _, e := range r.Exposure {
		line("offered", "%s to %s as %s%s", stamp(e.From), stampOr(e.To, "now"), e.As, lasting(e))
	}
	line("ended", "%s", strings.TrimSuffix(stampOr(r.Ended, "not yet")+": "+r.Why, ": "))
	for _, sentence := range r.Rests {
		line("evidence", "%s", sentence)
	}
}

func sequences(of []int64) string {
	var words []string
	for _, n := range of {
		words = append(words, strconv.FormatInt(n, 10))
	}
	return strings.Join(words, ", ")
}

func outcomeColour(outcome string) string {
	switch outcome {
	case "Completed":
		return green
	case "RolledBack", "RollingBack", "Aborted", "BundleRefused", "BundleNotAdmitted":
		return red
	}
	return yellow
}

func who(by string, actor otav1alpha1.Actor) string {
	switch {
	case by == "":
		return "the manager"
	case actor == otav1alpha1.ActorVerified:
		return printable(by)
	}
	return printable(by) + " (not verified)"
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05Z") }

func stampOr(t time.Time, zero string) string {
	if t.IsZero() {
		return zero
	}
	return stamp(t)
}

func lasting(e audit.Exposure) string {
	if e.To.IsZero() {
		return ""
	}
	return ", for " + e.To.Sub(e.From).Round(time.Second).String()
}
