// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package release

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
)

const (
	lieEvery = 10 * time.Second
	lieTimes = 10 // more than the pauses of a minute need
	// gateway is the path below which gateways are asked.
	gateway = "internal"
)

// liar is an actor whose providers lie: each of its metrics is told a lie of its own.
type liar struct {
	*actor

	truth func(f face) http.HandlerFunc
	lies  map[string]lie           // by metric
	told  map[string]time.Duration // outages that status showed last
}

// provider is something that metrics come from.
type provider struct {
	name   string
	metric func(url string) otav1alpha1.Metric
	truth  func(f face) http.HandlerFunc
	lies   []lie
}

// path below which the server of a metric is asked.
func (p provider) path(metric string) string {
	if p.name == "telemetry" {
		return gateway
	}
	return metric
}

// addLiar makes an actor with a metric of each lie, which tolerates any number of errors, and no failure.
func (c *clockwork) addLiar(name string, p provider, lies ...lie) *liar {
	c.Helper()
	l := &liar{truth: p.truth, lies: map[string]lie{}, told: map[string]time.Duration{}}
	server := newTeller(c.T)
	var metrics []otav1alpha1.Metric
	for _, x := range lies {
		m := p.metric(server.url + "/" + x.name)
		m.Name, m.Interval, m.ConsecutiveErrorLimit = x.name, "10s", new(int32(1000))
		m.NoData = &otav1alpha1.NoDataPolicy{Hold: "24h"}
		if m.Telemetry == nil {
			m.ThresholdRange = &otav1alpha1.ThresholdRange{Max: "0.05"}
		}
		l.lies[p.path(x.name)] = x
		metrics = append(metrics, m)
	}
	l.actor = c.add(name, server, metrics, 1, 10, 50)
	return l
}

// addLiars makes an actor of each lie that is told alone, and actors of several lies of the others: there a lie that was taken for the
// truth shows in the verdict of its metric, and one that was taken for a failure in a rollback.
func (c *clockwork) addLiars(p provider, alone ...string) (out []*liar) {
	c.Helper()
	var rest []lie
	for _, x := range p.lies {
		if slices.Contains(alone, x.name) || p.name == "telemetry" { // whose answers are those of all metrics
			out = append(out, c.addLiar(p.name+"-"+x.name, p, x))
		} else {
			rest = append(rest, x)
		}
	}
	for group := range slices.Chunk(rest, 7) {
		out = append(out, c.addLiar(fmt.Sprintf("%s-%d", p.name, len(out)), p, group...))
	}
	return out
}

// Metrics that lie: at each of three steps a provider answers ten times with something that is no measurement, whether it looks good or
// bad. Nothing rises on it, nothing is taken back for it, and the status says what is wrong and for how long.
func TestMetrics_liesHold(t *testing.T) {
	c := newClockwork(t)
	liars := c.addLiars(provider{"prometheus", prometheusMetric, prometheusTruth, prometheusLies()}, slow, "500", "nan", "plus-inf", "stale")
	liars = append(liars, c.addLiars(provider{"cel", celMetric, webTruth, celLies()}, slow, "500", "zero-of-zero")...)
	liars = append(liars, c.addLiars(provider{"path", pathMetric, webTruth, pathLies()}, "null-field")...)
	liars = append(liars, c.addLiars(provider{"telemetry", telemetryMetric, c.telemetryTruth, c.telemetryLies()})...)
	c.known()
	c.tell(liars, -1)
	c.pass(0) // the releases begin
	for _, weight := range []string{"1", "10", "50"} {
		c.tell(liars, -1)
		c.pass(lieEvery)
		for _, l := range liars {
			c.mustPass(l, weight)
		}
		for i := range lieTimes {
			c.tell(liars, i)
			c.pass(lieEvery)
			for _, l := range liars {
				c.mustHold(l, weight, i+1)
			}
		}
		c.tell(liars, -1)
		c.pass(lieEvery)
	}
	lies := 0
	for _, l := range liars {
		lies += len(l.lies)
		o := c.read(l.actor)
		if o.Status.Release.State != otav1alpha1.ReleaseCompleted {
			t.Errorf("%s: after all lies it is %s: %s", l.name, o.Status.Release.State, o.Status.Message)
		}
		if diff := cmp.Diff([]int32{100, 1000, 5000}, c.offered(l.actor)); diff != "" {
			t.Errorf("%s: committed weights: %s", l.name, diff)
		}
	}
	t.Logf("%d lies were told at each of 3 steps, %d times each, to %d Rollouts", lies, lieTimes, len(liars))
}

// tell lets all servers tell their lies, in turns good ones and bad ones; the truth at -1.
func (c *clockwork) tell(liars []*liar, turn int) {
	for _, l := range liars {
		for path, x := range l.lies {
			if turn < 0 {
				l.say(path, l.truth(good))
				l.told[path] = -1
				l.hasty.Store(false)
				continue
			}
			l.say(path, x.tell([]face{good, bad}[turn%2]))
			l.hasty.Store(x.name == slow)
		}
	}
}

// mustPass wants a release that is measured and fine, at a weight.
func (c *clockwork) mustPass(l *liar, weight string) {
	c.Helper()
	st := c.read(l.actor).Status
	if string(st.Weight) != weight || len(st.Analysis) != len(l.lies) {
		c.Fatalf("%s: before the lie the weight is %s, want %s; %s: %+v", l.name, st.Weight, weight, st.Message, st.Analysis)
	}
	for _, m := range st.Analysis {
		if m.Verdict != otav1alpha1.VerdictPassing {
			c.Fatalf("%s: before the lie %s is %s: %s", l.name, m.Name, m.Verdict, m.Message)
		}
	}
}

// mustHold wants a release that stays where it is and says why, after lies were told so many times.
func (c *clockwork) mustHold(l *liar, weight string, times int) {
	c.Helper()
	st := c.read(l.actor).Status
	if string(st.Weight) != weight || st.Release.State != otav1alpha1.ReleaseProgressing || len(st.Analysis) != len(l.lies) {
		c.Fatalf("%s: lie %d at %s %% led to %s at %s %%: %s", l.name, times, weight, st.Release.State, st.Weight, st.Message)
	}
	var told, holds []string
	for path, x := range l.lies {
		i := slices.IndexFunc(st.Analysis, func(m otav1alpha1.MetricStatus) bool { return m.Name == x.name })
		m := st.Analysis[i]
		c.mustTell(l, path, times, &m)
		told = append(told, m.Name+": "+m.Message)
		holds = append(holds, fmt.Sprintf("%s says %s: %s", m.Name, m.Verdict, m.Message))
	}
	condition := func(kind string, reasons []string, texts []string) {
		for _, x := range st.Conditions {
			names := func(text string) bool { return strings.Contains(x.Message, text) }
			if x.Type == kind && x.Status == "Unknown" && slices.Contains(reasons, x.Reason) && slices.ContainsFunc(texts, names) {
				return
			}
		}
		c.Errorf("%s: lie %d at %s %%: no condition %s with reason %q and %q: %+v", l.name, times, weight, kind, reasons, texts, st.Conditions)
	}
	condition(otav1alpha1.AnalysisPassingCondition, []string{string(noData), string(wrong)}, told)
	if times == lieTimes { // the step's time is over long since
		condition(otav1alpha1.ReadyCondition, []string{otav1alpha1.HoldingReason}, holds)
	}
}

// mustTell wants the status of a metric to say what is wrong, and for how long.
func (c *clockwork) mustTell(l *liar, path string, times int, m *otav1alpha1.MetricStatus) {
	c.Helper()
	x := l.lies[path]
	if m.Verdict != x.verdict || !strings.Contains(m.Message, x.cause) || !m.MeasuredAt.Time.Equal(c.now()) {
		c.Errorf("%s: lie %d: %s is %s: %q at %s, want %s with %q at %s", l.name, times, x.name, m.Verdict, m.Message, m.MeasuredAt, x.verdict, x.cause, c.now())
	}
	if x.verdict != wrong {
		return
	}
	outage, _ := time.ParseDuration(string(m.Outage))
	longer := outage > l.told[path] || outage >= time.Minute // from then on it is told in minutes
	if int(m.Errors) != times || !longer || outage < l.told[path] {
		c.Errorf("%s: lie %d: %s has %d errors, outage %q after %s", l.name, times, x.name, m.Errors, m.Outage, l.told[path])
	}
	l.told[path] = outage
}
