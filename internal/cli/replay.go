// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/analysis/fetch"
	"github.com/windlass-dev/windlass/internal/analysis/prometheus"
	"github.com/windlass-dev/windlass/internal/analysis/query"
	"github.com/windlass-dev/windlass/internal/egress"
	"github.com/windlass-dev/windlass/internal/policy"
	"github.com/windlass-dev/windlass/internal/replay"
)

const (
	// replayTimeout is how long Prometheus may take for one answer.
	replayTimeout = 30 * time.Second
	// maxLooks bounds the measurements of one metric in a replay: a month, twice a minute.
	maxLooks = 100_000
)

type replayOptions struct {
	file, channel                    string
	maxFirstWeight, maxWeightPerHour string

	prometheus   string
	from, to     string
	step         time.Duration
	person       time.Duration
	vars         query.Vars
	leaveOut     bool
	measurements bool
}

func (a *app) replayCommand() *cobra.Command {
	var o replayOptions
	cmd := verb("replay", "Run a policy over what Prometheus recorded", `
Runs the Rollout of a manifest over the past, as if its release had started at --from: its prometheus metrics say at each time what
Prometheus recorded then, and the very code of the operator decides when it would have advanced, held, or taken the release back. Run
it over a good week before you trust a policy, and over the last incident.

Prometheus is asked at --prometheus, in place of the addresses in the Rollout; nothing else is. Queries about .version, .digest or .app
take them from the Bundle and the Channel, when their manifests are given, or from flags.

Metrics by telemetry or web cannot be replayed: what devices reported is counted for one release, and a web server tells of now. A
Rollout that has them is refused, unless --leave-out leaves them out, along with minSamples of pauses; kubectl windlass simulate tries
them on made-up devices. Nobody is offered anything: what is in the metrics is what was released then.`, `
# the last day, as if the release had started then
kubectl windlass replay -f rollout.yaml --prometheus http://localhost:9090 --from 24h

# the last incident, without what cannot be replayed
kubectl windlass replay -f rollout.yaml --prometheus https://prometheus.example.com --from 2026-11-01T08:00:00Z --to 2026-11-01T20:00:00Z --leave-out

# a query about {{ .version }}: that of the release that was out then
kubectl windlass replay -f rollout.yaml --prometheus http://localhost:9090 --from 24h --version 2.4.0 --output json`,
		func(ctx context.Context, _ []string) error { return a.replay(ctx, o) })
	flags := cmd.Flags()
	flags.StringVarP(&o.file, "filename", "f", "", "manifest of the Rollout, perhaps with its Channel and Bundle; - is stdin")
	flags.StringVar(&o.channel, "channel", "", "manifest of the Channel")
	flags.StringVar(&o.maxFirstWeight, "max-first-weight", "", "highest first weight in percent, in place of the Channel's (default: 1)")
	flags.StringVar(&o.maxWeightPerHour, "max-weight-per-hour", "", "percentage points by which the weight may rise in an hour, in place of the Channel's")
	flags.StringVar(&o.prometheus, "prometheus", "", "URL of the server")
	flags.StringVar(&o.from, "from", "", "when the release starts: a time such as 2026-11-01T08:00:00Z, or how long ago: 24h")
	flags.StringVar(&o.to, "to", "", "when the recorded time is over (default: now)")
	flags.DurationVar(&o.step, "step", 0, "time between two measurements, when it is to be longer than the metrics' interval")
	flags.DurationVar(&o.person, "promote-after", time.Hour, "time after which a person promotes from a pause without an end")
	flags.StringVar(&o.vars.App, "app", "", "app of the Channel, for queries about .app")
	flags.StringVar(&o.vars.Version, "version", "", "version of the Bundle, for queries about .version")
	flags.StringVar(&o.vars.Digest, "digest", "", "digest of the Bundle, for queries about .digest")
	flags.BoolVar(&o.leaveOut, "leave-out", false, "leave out metrics that cannot be replayed, and minSamples of pauses")
	flags.BoolVar(&o.measurements, "measurements", false, "list each measurement")
	return cmd
}

func (a *app) replay(ctx context.Context, o replayOptions) error {
	from, to, err := o.times(a.Now())
	if err != nil {
		return err
	}
	if u, err := url.Parse(o.prometheus); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return usage("--prometheus: expected the URL of a server, such as http://localhost:9090, got %q", o.prometheus)
	}
	m, err := a.readManifests(ctx, o.file, o.channel)
	if err != nil {
		return err
	}
	left, err := m.replayable(o.leaveOut)
	if err != nil {
		return err
	}
	p, err := m.policy()
	if err != nil {
		return err
	}
	c := replay.Config{Policy: p, From: from, To: to, Person: o.person}
	if c.MaxFirstWeight, c.MaxWeightPerHour, err = m.limits(o.maxFirstWeight, o.maxWeightPerHour); err != nil {
		return err
	}
	if err := o.slower(&c); err != nil {
		return err
	}
	vars, err := o.variables(m, p)
	if err != nil {
		return err
	}
	allowed, err := egress.Parse([]string{"0.0.0.0/0", "::/0"}) // who runs the command chose the address
	if err != nil {
		return err
	}
	server := &told{Client: prometheus.New(fetch.New(allowed, replayTimeout)), work: a.counter("replaying", 0)}
	c.Measurer = &replay.Recorded{Server: server, Address: o.prometheus, Vars: vars}
	trace, err := replay.Run(ctx, c)
	server.work.end()
	if err != nil {
		return fmt.Errorf("%s: %w", o.prometheus, err)
	}
	result := replayed(m, c, trace, left)
	if !o.measurements {
		result.Measurements = nil
	}
	return a.print(result, func(w io.Writer) { a.printReplay(w, result) })
}

// told says on stderr which part of the past is asked for.
type told struct {
	*prometheus.Client

	work *counter
}

// Range asks.
func (t *told) Range(ctx context.Context, address, text string, at prometheus.Times) ([]prometheus.Point, error) {
	t.work.next("from " + at.From.UTC().Format(time.RFC3339))
	return t.Client.Range(ctx, address, text, at)
}

// times are from and to, in whole seconds.
func (o *replayOptions) times(now time.Time) (from, to time.Time, err error) {
	if from, err = past("--from", o.from, now); err != nil {
		return from, to, err
	}
	to = now.Truncate(time.Second)
	if o.to != "" {
		if to, err = past("--to", o.to, now); err != nil {
			return from, to, err
		}
	}
	switch {
	case !from.Before(to):
		return from, to, usage("--from: expected a time before --to, got %s and %s", from.Format(time.RFC3339), to.Format(time.RFC3339))
	case to.After(now):
		return from, to, usage("--to: expected a time that is over, got %s", to.Format(time.RFC3339))
	case o.step < 0 || o.person <= 0:
		return from, to, usage("--step and --promote-after: expected times above 0, got %s and %s", o.step, o.person)
	}
	return from, to, nil
}

// past reads a time, or how long ago it was.
func past(flag, text string, now time.Time) (time.Time, error) {
	if ago, err := time.ParseDuration(text); err == nil && ago > 0 {
		return now.Add(-ago).UTC().Truncate(time.Second), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return at, usage("%s: expected a time such as 2026-11-01T08:00:00Z, or how long ago, such as 24h, got %q", flag, text)
	}
	return at.UTC().Truncate(time.Second), nil
}

// slower lets metrics be measured more rarely, and refuses what would take for ever.
func (o *replayOptions) slower(c *replay.Config) error {
	for i := range c.Policy.Metrics {
		m := &c.Policy.Metrics[i]
		m.Interval = max(m.Interval, o.step)
		if looks := c.To.Sub(c.From) / m.Interval; looks > maxLooks {
			return usage("--step: expected at most %d measurements of a metric, got %d of %s; give a longer --step, or less time", maxLooks, looks, m.Name)
		}
	}
	return nil
}

// replayable refuses a Rollout with metrics of which nothing is recorded, or takes them out and says what it took.
func (m *manifests) replayable(leaveOut bool) (left []string, err error) {
	spec := &m.rollout.Spec
	if spec.Analysis == nil {
		return nil, fmt.Errorf("the Rollout %s: expected spec.analysis with a prometheus metric, got none; there is nothing to replay", m.rollout.Name)
	}
	for _, metric := range spec.Analysis.Metrics {
		switch {
		case metric.Telemetry != nil:
			left = append(left, "metric "+metric.Name+" (telemetry)")
		case metric.Web != nil:
			left = append(left, "metric "+metric.Name+" (web)")
		}
	}
	for i, s := range spec.Steps {
		if s.Pause != nil && s.Pause.MinSamples != nil {
			left = append(left, fmt.Sprintf("steps[%d].pause.minSamples", i))
		}
	}
	if spec.Analysis.OnSlice == otav1alpha1.SliceExclude {
		left = append(left, "analysis.onSlice")
	}
	switch {
	case len(left) == 0:
		return nil, nil
	case !leaveOut:
		return nil, usage("the Rollout %s: expected prometheus metrics alone, got %s, which cannot be replayed; --leave-out leaves out what cannot, "+
			"and kubectl windlass simulate tries it", m.rollout.Name, strings.Join(left, ", "))
	}
	m.leaveOut()
	if len(spec.Analysis.Metrics) == 0 {
		return nil, fmt.Errorf("the Rollout %s: expected a prometheus metric, got none; there is nothing to replay", m.rollout.Name)
	}
	return left, nil
}

// leaveOut takes out what cannot be replayed. A pause for samples alone is left out: without samples it would wait for a person.
func (m *manifests) leaveOut() {
	spec := &m.rollout.Spec
	spec.Analysis.Metrics = slices.DeleteFunc(spec.Analysis.Metrics, func(m otav1alpha1.Metric) bool { return m.Prometheus == nil })
	spec.Analysis.OnSlice = ""
	spec.Steps = slices.DeleteFunc(spec.Steps, func(s otav1alpha1.Step) bool {
		return s.Pause != nil && s.Pause.MinSamples != nil && s.Pause.Duration == ""
	})
	for i := range spec.Steps {
		if p := spec.Steps[i].Pause; p != nil {
			p.MinSamples = nil
		}
	}
}

// variables are what queries are about, from manifests and flags. Those that a query needs have to be known.
func (o *replayOptions) variables(m manifests, p policy.Policy) (query.Vars, error) {
	v := o.vars
	v.Channel, v.Bundle = m.rollout.Spec.ChannelRef.Name, m.rollout.Spec.BundleRef.Name
	if m.channel != nil {
		v.App = orElse(v.App, string(m.channel.Spec.App))
	}
	if m.bundle != nil {
		v.App = orElse(v.App, string(m.bundle.Spec.App))
		v.Version = orElse(v.Version, string(m.bundle.Spec.Version))
		v.Digest = orElse(v.Digest, string(m.bundle.Spec.Digest))
	}
	for _, metric := range p.Metrics {
		for _, at := range []struct {
			name, value string
			set         func(*query.Vars)
		}{
			{"app", v.App, func(v *query.Vars) { v.App = "x" }}, {"version", v.Version, func(v *query.Vars) { v.Version = "x" }},
			{"digest", v.Digest, func(v *query.Vars) { v.Digest = "x" }},
		} {
			if at.value == "" && needs(metric.Source.Prometheus.Query, v, at.set) {
				return v, usage("--%s: expected what the query of metric %s is about, got nothing; give the flag, or the manifest that has it", at.name, metric.Name)
			}
		}
	}
	return v, nil
}

// needs tells whether a query is another one when a variable is set.
func needs(text string, v query.Vars, set func(*query.Vars)) bool {
	without, err := query.Render(text, v)
	set(&v)
	with, errWith := query.Render(text, v)
	return err == nil && errWith == nil && with != without
}
