// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package release

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/controller-runtime/pkg/client"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
)

const (
	outageFleet = 200
	outageTick  = 15 * time.Second
	// tolerated is how many consecutive errors a metric tolerates that does not say so.
	tolerated = 4
)

// outage of a Prometheus that some Rollouts share, and what it does while it lasts.
type outage struct {
	lasts time.Duration
	does  http.HandlerFunc

	server *teller
	actors []*actor
}

// Outages of the provider in the middle of 200 Rollouts: nothing is promoted and nothing taken back while they last. They spend their own
// budget: when more than the tolerated number of measurements in a row failed, the Rollout pauses, and a person lets it go on. In the
// end all of them complete.
func TestOutage_endsNoRollout(t *testing.T) {
	c := newClockwork(t)
	outages := []*outage{
		{lasts: 30 * time.Second, does: refuse},
		{lasts: 2 * time.Minute, does: body(http.StatusServiceUnavailable, "try again later")},
		{lasts: 10 * time.Minute, does: body(http.StatusOK, "<html>maintenance</html>")},
	}
	for _, o := range outages {
		o.server = newTeller(t)
		o.server.say("api", vector("0.01"))
	}
	for i := range outageFleet {
		o := outages[i%len(outages)]
		m := prometheusMetric(o.server.url)
		m.Name, m.ThresholdRange = "errors", &otav1alpha1.ThresholdRange{Max: "0.05"}
		o.actors = append(o.actors, c.add(fmt.Sprintf("shop-%d", i), o.server, []otav1alpha1.Metric{m}, 1))
	}
	c.known()
	c.pass(0)
	for range 3 { // the first measurement is good, the step's minute is not over
		c.pass(outageTick)
	}
	for _, o := range outages {
		o.server.say("api", o.does)
	}
	for passed := outageTick; passed <= 10*time.Minute+30*time.Second; passed += outageTick {
		c.pass(outageTick)
		for _, o := range outages {
			switch {
			case passed < o.lasts:
				c.mustSurvive(o)
			case passed == o.lasts:
				c.mustSurvive(o)
				o.server.say("api", vector("0.01"))
			case passed == o.lasts+30*time.Second: // measured again: before that a Rollout that is resumed pauses anew
				c.resume(o)
			}
		}
	}
	for range 4 {
		c.pass(outageTick)
	}
	for _, o := range outages {
		for _, a := range o.actors {
			st := c.read(a).Status
			if st.Release.State != otav1alpha1.ReleaseCompleted || len(st.History) != 0 {
				t.Errorf("%s, with an outage of %s, is %s: %s", a.name, o.lasts, st.Release.State, st.Message)
			}
			if diff := cmp.Diff([]int32{100}, c.offered(a)); diff != "" {
				t.Errorf("%s: committed weights: %s", a.name, diff)
			}
		}
	}
}

// mustSurvive wants all Rollouts of an outage where they were, with the outage shown, and paused exactly when it spent its budget.
func (c *clockwork) mustSurvive(o *outage) {
	c.Helper()
	for _, a := range o.actors {
		st := c.read(a).Status
		m := st.Analysis[0]
		want := otav1alpha1.ReleaseProgressing
		if m.Errors > tolerated {
			want = otav1alpha1.ReleasePaused
		}
		if st.Weight != "1" || st.Release.State != want {
			c.Fatalf("%s: %d errors of an outage of %s led to %s at %s %%, want %s at 1 %%: %s",
				a.name, m.Errors, o.lasts, st.Release.State, st.Weight, want, st.Message)
		}
		if want == otav1alpha1.ReleasePaused && !strings.Contains(st.Message, "errors: "+m.Message) {
			c.Errorf("%s: paused with %q, want %q in it", a.name, st.Message, "errors: "+m.Message)
		}
		if m.Errors > 1 && (m.Verdict != otav1alpha1.VerdictProviderError || m.Outage == "") {
			c.Errorf("%s: after %d errors it is %s with an outage of %q", a.name, m.Errors, m.Verdict, m.Outage)
		}
	}
}

// resume lets people resume the Rollouts that the outage has paused: all of them or none, since they share the server.
func (c *clockwork) resume(o *outage) {
	c.Helper()
	paused := 0
	for _, a := range o.actors {
		if r := c.read(a); r.Status.Release.State == otav1alpha1.ReleasePaused {
			paused++
			patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:"resume",%q:"r1"}}}`, otav1alpha1.CommandAnnotation, otav1alpha1.CommandIDAnnotation)
			must(c.T, c.cached.Patch(c.Context(), r, client.RawPatch("application/merge-patch+json", patch)))
			a.due = c.now()
		}
	}
	want := 0
	if o.lasts > tolerated*30*time.Second {
		want = len(o.actors)
	}
	if paused != want {
		c.Errorf("an outage of %s paused %d of %d Rollouts, want %d", o.lasts, paused, len(o.actors), want)
	}
}
