// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package prometheus

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/windlass-dev/windlass/internal/analysis/fetch"
	"github.com/windlass-dev/windlass/internal/analysis/query"
	"github.com/windlass-dev/windlass/internal/devcluster"
	"github.com/windlass-dev/windlass/internal/egress"
	"github.com/windlass-dev/windlass/internal/testkit"
)

// outcome is what Query gave, in a form that tables can show.
type outcome struct {
	Value    float64
	NoData   string
	Provider string
}

func ask(t *testing.T, c *Client, address, q string) outcome {
	t.Helper()
	v, err := c.Query(t.Context(), address, q)
	var (
		noData   *query.NoDataError
		provider *query.ProviderError
	)
	switch {
	case err == nil:
		return outcome{Value: v}
	case errors.As(err, &noData):
		return outcome{NoData: noData.Reason}
	case errors.As(err, &provider):
		return outcome{Provider: provider.Reason}
	}
	t.Fatalf("Query gave an error of type %T, want *query.NoDataError or *query.ProviderError: %v", err, err)
	return outcome{}
}

// newClient makes a Client that asks on this machine, too.
func newClient(timeout time.Duration) *Client { return New(fetch.New(testkit.Loopback(), timeout)) }

const now = 1_700_000_000

func result(kind, value string) string {
	return fmt.Sprintf(`{"status":"success","data":{"resultType":%q,"result":%s}}`, kind, value)
}

func vector(value string) string {
	return result("vector", fmt.Sprintf(`[{"metric":{"app":"shop"},"value":[%d,%q]}]`, now, value))
}

func TestQuery_answers(t *testing.T) {
	tests := map[string]struct {
		code int
		body string
		want outcome
	}{
		"number":        {200, vector("0.25"), outcome{Value: 0.25}},
		"exponent":      {200, vector("1e-05"), outcome{Value: 1e-05}},
		"negative":      {200, vector("-1"), outcome{Value: -1}},
		"scalar":        {200, result("scalar", fmt.Sprintf(`[%d.781,"3"]`, now)), outcome{Value: 3}},
		"infos":         {200, strings.Replace(vector("1"), `"data"`, `"infos":["x"],"data"`, 1), outcome{Value: 1}},
		"empty vector":  {200, result("vector", "[]"), outcome{NoData: "the query gives no series"}},
		"NaN":           {200, vector("NaN"), outcome{NoData: "the query gives NaN, as a ratio of nothing to nothing does"}},
		"scalar NaN":    {200, result("scalar", fmt.Sprintf(`[%d,"NaN"]`, now)), outcome{NoData: "the query gives NaN, as a ratio of nothing to nothing does"}},
		"+Inf":          {200, vector("+Inf"), outcome{Provider: "the query gives an infinite value, as a division by zero does"}},
		"-Inf":          {200, vector("-Inf"), outcome{Provider: "the query gives an infinite value, as a division by zero does"}},
		"two series":    {200, result("vector", `[{"value":[1,"1"]},{"value":[1,"1"]}]`), outcome{Provider: "the query gives more than one series, want one: aggregate them, for example with sum()"}},
		"histogram":     {200, result("vector", `[{"histogram":[1,{"count":"1"}]}]`), outcome{Provider: "the query gives a histogram, want one number"}},
		"string":        {200, result("string", `[1,"0.1"]`), outcome{Provider: "the query gives a string, want one number"}},
		"matrix":        {200, result("matrix", `[]`), outcome{Provider: "the query gives a matrix, want one number"}},
		"other type":    {200, result("tensor", `[]`), outcome{Provider: "the answer has an unknown type of result, want vector or scalar"}},
		"no number":     {200, vector("lots"), outcome{Provider: "the answer has a malformed number"}},
		"bare number":   {200, result("scalar", `[1700000000,3]`), outcome{Provider: "the answer has a malformed number"}},
		"no pair":       {200, result("scalar", `["3"]`), outcome{Provider: "the answer has a malformed number"}},
		"no value":      {200, result("vector", `[{}]`), outcome{Provider: "the answer has a malformed number"}},
		"bad vector":    {200, result("vector", `{}`), outcome{Provider: "the answer has a malformed vector"}},
		"old":           {200, result("scalar", fmt.Sprintf(`[%d,"3"]`, now-301)), outcome{Provider: "the answer is about another time than now: is a cache in between, or a clock wrong?"}},
		"partial":       {200, strings.Replace(vector("0"), `"data"`, `"warnings":["store is down"],"data"`, 1), outcome{Provider: "the answer comes with warnings, so that it may be incomplete: run the query by hand to see them"}},
		"HTML":          {200, "\n<!DOCTYPE html><html>Sign in</html>", outcome{Provider: "the answer is a web page, want JSON: is the address that of a Prometheus API?"}},
		"empty":         {200, "", outcome{Provider: "the answer is no JSON of a Prometheus API"}},
		"cut off":       {200, vector("1")[:40], outcome{Provider: "the answer is no JSON of a Prometheus API"}},
		"two answers":   {200, vector("1") + vector("1"), outcome{Provider: "the answer is no JSON of a Prometheus API"}},
		"other JSON":    {200, `{"data":{"resultType":"scalar","result":[1,"0"]}}`, outcome{Provider: "the answer has no status, want JSON of a Prometheus API"}},
		"error and 200": {200, `{"status":"error","errorType":"internal","error":"x"}`, outcome{Provider: "the server reports an error of type internal"}},
		"bad query": {400, `{"status":"error","errorType":"bad_data","error":"1:5:\n parse error"}`,
			outcome{Provider: "the server does not understand the query: 1:5: parse error"}},
		"execution": {422, `{"status":"error","errorType":"execution","error":"found duplicate series for the match group {pod=\"x-1\"} on the right"}`,
			outcome{Provider: "the server cannot execute the query: found duplicate series for the match group"}},
		"slow query":   {503, `{"status":"error","errorType":"timeout","error":"after 2.0013 s"}`, outcome{Provider: "the query took too long and the server gave up"}},
		"strange type": {500, `{"status":"error","errorType":"e-17","error":"x"}`, outcome{Provider: "the server reports an error"}},
		"404":          {404, "404 page not found", outcome{Provider: "the server answered with status 404, want 200"}},
		"500":          {500, "oops at 12:01", outcome{Provider: "the server answered with status 500, want 200"}},
		"502 HTML":     {502, "<html>", outcome{Provider: "the server answered with status 502, want 200"}},
		"204":          {204, "", outcome{Provider: "the server answered with status 204, want 200"}},
		"401":          {401, "", outcome{Provider: "the server refuses access (status 401)"}},
		"redirect":     {302, "", outcome{Provider: "the server redirects (status 302): name the address that it redirects to"}},
		"oversize":     {200, vector("1") + strings.Repeat(" ", maxAnswer), outcome{Provider: "the answer is larger than 1024 KiB, want one number"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(tc.code)
				_, _ = w.Write([]byte(tc.body))
			}))
			defer server.Close()
			c := newClient(fetch.Timeout)
			c.now = func() time.Time { return time.Unix(now, 0) }
			if diff := cmp.Diff(tc.want, ask(t, c, server.URL, "up")); diff != "" {
				t.Errorf("Query (-want +got):\n%s", diff)
			}
		})
	}
}

// TestQuery_request sees what is asked: a POST, so that the query is in no access log, below the path of the address.
func TestQuery_request(t *testing.T) {
	var got []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = append(got, r.Method, r.URL.String(), r.PostFormValue("query"), r.PostFormValue("time"))
		_, _ = w.Write([]byte(vector("1")))
	}))
	defer server.Close()
	c := newClient(fetch.Timeout)
	c.now = func() time.Time { return time.UnixMilli(now*1000 + 250) }
	ask(t, c, server.URL+"/prometheus/", `sum(x{a="1"})`)
	want := []string{"POST", "/prometheus/api/v1/query", `sum(x{a="1"})`, "1700000000.250"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
}

func TestQuery_connection(t *testing.T) {
	hang := make(chan struct{})
	handlers := map[string]struct {
		serve    func(net.Conn)
		want     string
		requests int64
	}{
		"reset":       {func(c net.Conn) { _ = c.(*net.TCPConn).SetLinger(0) }, "closed the connection before it had answered", 2},
		"closed":      {func(net.Conn) {}, "closed the connection before it had answered", 2},
		"cut off":     {func(c net.Conn) { write(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{") }, "closed the connection before it had answered", 1},
		"no HTTP":     {func(c net.Conn) { write(c, "SSH-2.0-OpenSSH_9.2\r\n") }, "does not speak HTTP", 1},
		"silent":      {func(net.Conn) { <-hang }, "did not answer in time", 1},
		"endless":     {func(c net.Conn) { write(c, "HTTP/1.1 200 OK\r\n\r\n{"); <-hang }, "did not answer in time", 1},
		"headers":     {func(c net.Conn) { write(c, "HTTP/1.1 200 OK\r\nX: 1\r\n"); <-hang }, "did not answer in time", 1},
		"TLS missing": {func(c net.Conn) { write(c, "HTTP/1.1 400 Bad Request\r\n\r\n") }, "has no certificate that is trusted here, or speaks no TLS", 1},
	}
	for name, tc := range handlers {
		t.Run(name, func(t *testing.T) {
			var requests atomic.Int64
			address := listen(t, func(c net.Conn) {
				requests.Add(1)
				_, _ = c.Read(make([]byte, 4096))
				tc.serve(c)
			})
			scheme := "http://"
			if name == "TLS missing" {
				scheme = "https://"
			}
			c := newClient(500 * time.Millisecond)
			if diff := cmp.Diff(outcome{Provider: address + " " + tc.want}, ask(t, c, scheme+address, "up")); diff != "" {
				t.Errorf("Query (-want +got):\n%s", diff)
			}
			if requests.Load() != tc.requests {
				t.Errorf("%d requests, want %d", requests.Load(), tc.requests)
			}
		})
	}
	close(hang)
}

func write(c net.Conn, text string) { _, _ = c.Write([]byte(text)) }

// listen serves raw connections until the test ends.
func listen(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				serve(c)
			}()
		}
	}()
	return l.Addr().String()
}

func TestQuery_unreachable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	tests := map[string]struct{ address, want string }{
		"refused": {"http://" + address, address + " refuses connections"},
		"no URL":  {"metrics:9090", "the address is no URL"},
		"broken":  {"http://[::1", "the address is no URL"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(outcome{Provider: tc.want}, ask(t, newClient(fetch.Timeout), tc.address, "up")); diff != "" {
				t.Errorf("Query (-want +got):\n%s", diff)
			}
		})
	}
	tls := httptest.NewTLSServer(http.NotFoundHandler())
	defer tls.Close()
	if got := ask(t, newClient(fetch.Timeout), tls.URL, "up"); !strings.Contains(got.Provider, "no certificate that is trusted") {
		t.Errorf("with an unknown certificate Query gave %+v", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := newClient(fetch.Timeout).Query(ctx, "http://"+address, "up"); !errors.Is(err, context.Canceled) {
		t.Errorf("with a canceled context Query gave %v, want context.Canceled", err)
	}
}

// TestQuery_retry sees that one lost connection is no outage.
func TestQuery_retry(t *testing.T) {
	var requests atomic.Int64
	address := listen(t, func(c net.Conn) {
		n := requests.Add(1)
		_, _ = c.Read(make([]byte, 4096))
		if n > 1 {
			body := vector("7")
			write(c, fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
		}
	})
	c := newClient(fetch.Timeout)
	c.now = func() time.Time { return time.Unix(now, 0) }
	if diff := cmp.Diff(outcome{Value: 7}, ask(t, c, "http://"+address, "up")); diff != "" {
		t.Errorf("Query (-want +got):\n%s", diff)
	}
}

// TestQuery_prometheus asks a real Prometheus that scrapes a real exporter.
func TestQuery_prometheus(t *testing.T) {
	exporter := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("devices{outcome=\"failed\"} 3\ndevices{outcome=\"confirmed\"} 97\nempty 0\n"))
	}))
	defer exporter.Close()
	server, err := devcluster.StartPrometheus(t.Context(), t.TempDir(), 200*time.Millisecond,
		devcluster.Scrape{Job: "gateway", Targets: []string{strings.TrimPrefix(exporter.URL, "http://")}})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Stop()
	c := newClient(fetch.Timeout)
	ratio := `sum(devices{outcome="failed"}) / sum(devices)`
	waitFor(t, func() bool { return ask(t, c, server.URL, ratio).Value > 0 })

	tests := map[string]struct {
		query string
		want  outcome
	}{
		"ratio":        {ratio, outcome{Value: 0.03}},
		"scalar":       {"scalar(empty)", outcome{}},
		"no series":    {"sum(unheard_of)", outcome{NoData: "the query gives no series"}},
		"0/0":          {"empty / empty", outcome{NoData: "the query gives NaN, as a ratio of nothing to nothing does"}},
		"1/0":          {"1 / empty", outcome{Provider: "the query gives an infinite value, as a division by zero does"}},
		"several":      {"devices", outcome{Provider: "the query gives more than one series, want one: aggregate them, for example with sum()"}},
		"string":       {`"0.1"`, outcome{Provider: "the query gives a string, want one number"}},
		"matrix":       {"empty[1m]", outcome{Provider: "the query gives a matrix, want one number"}},
		"no execution": {"empty * on() devices", outcome{Provider: "the server cannot execute the query: found duplicate series for the match group"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, ask(t, c, server.URL, tc.query)); diff != "" {
				t.Errorf("Query (-want +got):\n%s", diff)
			}
		})
	}
	if got := ask(t, c, server.URL, "sum("); !strings.Contains(got.Provider, "does not understand the query: invalid parameter \"query\": 1:5: parse error") {
		t.Errorf("a malformed query gave %+v", got)
	}
}

func waitFor(t *testing.T, holds func() bool) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("prometheus has no samples after 30 s")
		}
	}
}

// An address that resources may not name is not asked, and the sentence says what the operator can do.
func TestQuery_egress(t *testing.T) {
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	t.Cleanup(server.Close)
	for address, want := range map[string]string{
		server.URL: "--allow-address=127.0.0.1", strings.Replace(server.URL, "127.0.0.1", "localhost", 1): "--allow-address=localhost",
	} {
		if got := ask(t, New(fetch.New(egress.Policy{}, fetch.Timeout)), address, "up"); !strings.Contains(got.Provider, want) {
			t.Errorf("got %+v, want a sentence with %q", got, want)
		}
	}
	if asked.Load() != 0 {
		t.Error("the server was asked")
	}
}
