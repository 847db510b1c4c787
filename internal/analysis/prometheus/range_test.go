// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package prometheus

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/windlass-dev/windlass/internal/analysis/fetch"
	"github.com/windlass-dev/windlass/internal/analysis/query"
	"github.com/windlass-dev/windlass/internal/devcluster"
)

// told is what Range gave at each time, in a form that tables can show.
func told(points []Point, err error) string {
	var problem *query.ProviderError
	switch {
	case errors.As(err, &problem):
		return problem.Reason
	case err != nil:
		return err.Error()
	}
	var out []string
	for _, p := range points {
		text := fmt.Sprint(p.Value)
		if p.Err != nil {
			text = p.Err.Error()
		}
		out = append(out, text)
	}
	return strings.Join(out, "; ")
}

func matrix(values ...string) string {
	series := make([]string, 0, len(values))
	for _, v := range values {
		series = append(series, `{"metric":{},"values":[`+v+`]}`)
	}
	return result("matrix", "["+strings.Join(series, ",")+"]")
}

func TestRange_answers(t *testing.T) {
	const none, two = "the query gives no series", "the query gives more than one series, want one: aggregate them, for example with sum()"
	for name, tc := range map[string]struct{ body, want string }{
		"all":            {matrix(`[1700000000,"1"],[1700000010,"2"],[1700000020,"3"]`), "1; 2; 3"},
		"a gap":          {matrix(`[1700000000,"1"],[1700000020,"3"]`), "1; " + none + "; 3"},
		"nothing":        {matrix(), none + "; " + none + "; " + none},
		"one by one":     {matrix(`[1700000000,"1"]`, `[1700000010,"2"]`), "1; 2; " + none},
		"two at a time":  {matrix(`[1700000000,"1"],[1700000010,"2"]`, `[1700000010,"2"]`), "1; " + two + "; " + none},
		"NaN and Inf":    {matrix(`[1700000000,"NaN"],[1700000010,"+Inf"]`), "the query gives NaN, as a ratio of nothing to nothing does; the query gives an infinite value, as a division by zero does; " + none},
		"another time":   {matrix(`[1700000005,"1"]`), "the answer is about other times than those that were asked for: is a cache in between?"},
		"later":          {matrix(`[1700000030,"1"]`), "the answer is about other times than those that were asked for: is a cache in between?"},
		"very late":      {matrix(`[1e300,"1"]`), "the answer is about other times than those that were asked for: is a cache in between?"},
		"no number":      {matrix(`[1700000000,"x"]`), "the answer has a malformed number"},
		"a vector":       {vector("1"), "the answer has another type of result, want a matrix"},
		"no matrix":      {result("matrix", `{}`), "the answer has a malformed matrix"},
		"a histogram":    {result("matrix", `[{"histograms":[[1700000000,{}]]}]`), "the query gives a histogram, want one number"},
		"warnings":       {strings.Replace(matrix(), `"data"`, `"warnings":["x"],"data"`, 1), "the answer comes with warnings, so that it may be incomplete: run the query by hand to see them"},
		"HTML":           {"<html>", "the answer is a web page, want JSON: is the address that of a Prometheus API?"},
		"larger than it": {strings.Repeat(" ", maxRangeAnswer+1), "the answer is larger than 8192 KiB, want one number"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if got := r.URL.Path + " " + r.PostFormValue("start") + " " + r.PostFormValue("end") + " " + r.PostFormValue("step"); got != "/x/api/v1/query_range 1700000000.000 1700000020.000 10.000" {
					t.Errorf("asked %s", got)
				}
				_, _ = w.Write([]byte(tc.body))
			}))
			defer server.Close()
			got := told(newClient(fetch.Timeout).Range(t.Context(), server.URL+"/x", "up", Times{time.Unix(now, 0), 10 * time.Second, 3}))
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("Range (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRange_refused(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"status":"error","errorType":"bad_data","error":"exceeded maximum resolution"}`))
	}))
	defer server.Close()
	c := newClient(fetch.Timeout)
	for want, points := range map[string]struct {
		address string
		step    time.Duration
		n       int
	}{
		"the server does not understand the query: exceeded maximum resolution": {server.URL, time.Second, 2},
		"the address is no URL":          {"metrics:9090", time.Second, 2},
		"the range is to have 0 points":  {server.URL, time.Second, 0},
		"the range is to have 5001":      {server.URL, time.Second, 5001},
		"at least 1ms apart":             {server.URL, time.Microsecond, 2},
		"127.0.0.1:1 refuses connection": {"http://127.0.0.1:1", time.Second, 2},
	} {
		if got := told(c.Range(t.Context(), points.address, "up", Times{time.Unix(now, 0), points.step, points.n})); !strings.Contains(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if _, err := c.Range(ctx, server.URL, "up", Times{time.Unix(now, 0), time.Second, 2}); !errors.Is(err, context.Canceled) {
		t.Errorf("with a canceled context Range gave %v", err)
	}
}

// A real Prometheus tells of the past what it told then: a metric that was there for a while.
func TestRange_prometheus(t *testing.T) {
	start := time.Now().Add(-30 * time.Minute).Truncate(time.Minute)
	exporter := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for i := range 10 { // one value a minute
			fmt.Fprintf(w, "errors %d %d\n", i, start.Add(time.Duration(i)*time.Minute).UnixMilli())
		}
	}))
	defer exporter.Close()
	server, err := devcluster.StartPrometheus(t.Context(), t.TempDir(), 200*time.Millisecond,
		devcluster.Scrape{Job: "past", Targets: []string{strings.TrimPrefix(exporter.URL, "http://")}})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Stop()
	c := newClient(fetch.Timeout)
	ask := func(text string, step time.Duration, n int) string {
		return told(c.Range(t.Context(), server.URL, text, Times{start.Add(-time.Minute), step, n}))
	}
	waitFor(t, func() bool { return strings.Contains(ask("errors", time.Minute, 11), "9") })
	for text, want := range map[string]string{
		"errors": "the query gives no series; 0; 1; 2; 3", "1": "1; 1; 1; 1; 1",
		"errors / errors": "the query gives no series; the query gives NaN, as a ratio of nothing to nothing does; 1; 1; 1",
	} {
		if got := ask(text, time.Minute, 5); got != want {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
	if got := ask("errors", 10*time.Minute, 2); got != "the query gives no series; 9" {
		t.Errorf("got %q", got)
	}
	if got := ask("sum(", time.Minute, 2); !strings.Contains(got, "parse error") {
		t.Errorf("got %q", got)
	}
}
