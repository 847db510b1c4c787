// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package release

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
)

// slow is the lie of a server that never answers.
const slow = "slow"

// face is what a lie looks like to whoever believes it.
type face string

const (
	good face = "0.01" // a share of failures within the limit
	bad  face = "0.9"
)

// body answers with a status and a text.
func body(status int, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if status != http.StatusOK {
			w.WriteHeader(status)
		}
		_, _ = w.Write([]byte(text))
	}
}

// refuse closes the connection.
func refuse(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// hang does not answer before whoever asked has given up.
func hang(_ http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body) // a server notices that a client has gone only when it has read all
	<-r.Context().Done()
}

// blanks is a part of an answer that JSON allows to be there.
var blanks = []byte(strings.Repeat(" ", 64<<10))

// padded makes an answer of 10 MB, for whoever reads that much.
func padded(answer http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		answer(w, r)
		for range 10 << 20 / len(blanks) {
			if _, err := w.Write(blanks); err != nil {
				return
			}
		}
	}
}

// failing gives an answer along with status 500.
func failing(answer http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusInternalServerError)
		answer(w, r)
	}
}

// lie is something that is no measurement, but could be taken for one.
type lie struct {
	name    string
	tell    func(f face) http.HandlerFunc
	verdict otav1alpha1.Verdict
	cause   string // that status has to name
}

const (
	noData = otav1alpha1.VerdictNoData
	wrong  = otav1alpha1.VerdictProviderError
)

// common are the lies of servers that speak HTTP; truth is what an honest one would say.
func common(truth func(f face) http.HandlerFunc) []lie {
	always := func(h http.HandlerFunc) func(face) http.HandlerFunc { return func(face) http.HandlerFunc { return h } }
	return []lie{
		{"refused", always(refuse), wrong, "closed the connection before it had answered"},
		{"500", func(f face) http.HandlerFunc { return failing(truth(f)) }, wrong, "status 500"},
		{slow, always(hang), wrong, "did not answer in time"},
		{"redirect", always(http.RedirectHandler("/elsewhere", http.StatusFound).ServeHTTP), wrong, "redirects"},
		{"html", always(body(200, "<!DOCTYPE html><html>Please log in</html>")), wrong, "web page"},
		{"10mb", func(f face) http.HandlerFunc { return padded(truth(f)) }, wrong, "is larger than"},
		{"empty-body", always(body(200, "")), wrong, "no JSON"},
		{"cut-off", always(body(200, `{"status":"success","data":{"resultType":"vector","result":[{"value":[1`)), wrong, "no JSON"},
	}
}

// promql answers as Prometheus does; AT in the result becomes the time that was asked for.
func promql(kind, result string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		at := r.PostFormValue("time")
		_, _ = fmt.Fprintf(w, `{"status":"success","data":{"resultType":%q,"result":%s}}`, kind, strings.ReplaceAll(result, "AT", at))
	}
}

func vector(value string) http.HandlerFunc {
	return promql("vector", fmt.Sprintf(`[{"metric":{},"value":[AT,%q]}]`, value))
}

func prometheusTruth(f face) http.HandlerFunc { return vector(string(f)) }

func prometheusLies() []lie {
	each := func(answer func(f face) string) func(face) http.HandlerFunc {
		return func(f face) http.HandlerFunc { return promql("vector", answer(f)) }
	}
	always := func(h http.HandlerFunc) func(face) http.HandlerFunc { return func(face) http.HandlerFunc { return h } }
	return append(common(prometheusTruth), []lie{
		{"nan", always(vector("NaN")), noData, "NaN"},
		{"plus-inf", always(vector("+Inf")), wrong, "infinite"},
		{"minus-inf", always(vector("-Inf")), wrong, "infinite"},
		{"empty", always(promql("vector", `[]`)), noData, "no series"},
		{"scalar", always(promql("scalar", `[AT,"NaN"]`)), noData, "NaN"},
		{"bare-scalar", func(f face) http.HandlerFunc { return promql("scalar", string(f)) }, wrong, "malformed number"},
		{"string", func(f face) http.HandlerFunc { return promql("string", `[AT,"`+string(f)+`"]`) }, wrong, "a string, want one number"},
		{"matrix", func(f face) http.HandlerFunc {
			return promql("matrix", `[{"metric":{},"values":[[AT,"`+string(f)+`"]]}]`)
		}, wrong, "a matrix"},
		{"two-series", each(func(f face) string {
			return fmt.Sprintf(`[{"metric":{"a":"1"},"value":[AT,%q]},{"metric":{"a":"2"},"value":[AT,%q]}]`, f, f)
		}), wrong, "more than one series"},
		{"stale", each(func(f face) string { return fmt.Sprintf(`[{"metric":{},"value":[1700000000,%q]}]`, f) }), wrong, "another time"},
		{"negative", always(vector("-0.01")), wrong, "negative"},
		{"reset", always(vector("-118")), wrong, "negative"}, // x - x offset 5m, over a counter that began anew
		{"words", always(vector("fine")), wrong, "malformed number"},
		{"partial", func(f face) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				_, _ = fmt.Fprintf(w, `{"status":"success","warnings":["store is down"],"data":{"resultType":"scalar","result":[%s,%q]}}`, r.PostFormValue("time"), f)
			}
		}, wrong, "warnings"},
	}...)
}

func prometheusMetric(url string) otav1alpha1.Metric {
	return otav1alpha1.Metric{Prometheus: &otav1alpha1.PrometheusMetric{Address: otav1alpha1.URL(url), Query: `rate(x{v={{ quote .version }}}[{{ .window }}])`}}
}

// pair answers with two numbers of which the metric is a ratio.
func pair(failed, total string) http.HandlerFunc {
	return body(200, fmt.Sprintf(`{"failed":%s,"total":%s,"rates":[{"of":"shop","rate":%s}]}`, failed, total, failed))
}

func webTruth(f face) http.HandlerFunc { return pair(string(f), "1") }

// webLies are those of answers that are no number. Both ways to find the number are told them.
func webLies() []lie {
	always := func(h http.HandlerFunc) func(face) http.HandlerFunc { return func(face) http.HandlerFunc { return h } }
	quoted := func(f face) http.HandlerFunc {
		return body(200, `{"failed":"`+string(f)+`","total":1,"rates":[{"of":"shop","rate":"`+string(f)+`"}]}`)
	}
	return []lie{
		{"nan", always(pair("NaN", "1")), wrong, "no JSON"},
		{"plus-inf", always(pair("1e999", "1")), wrong, "no JSON"},
		{"scalar", func(f face) http.HandlerFunc { return body(200, string(f)) }, wrong, ""},
		{"string", quoted, wrong, ""},
		{"two", func(f face) http.HandlerFunc {
			return body(200, fmt.Sprintf(`{"failed":[%s,%s],"total":1,"rates":[{"of":"shop","rate":%s},{"of":"shop","rate":%s}]}`, f, f, f, f))
		}, wrong, ""},
		{"negative", always(pair("-0.01", "1")), wrong, "negative"},
		{"reset", always(pair("-118", "1")), wrong, "negative"},
		{"other-fields", always(body(200, `{"error":"no backend"}`)), wrong, "the answer has no field"},
		{"list", always(body(200, `{"failed":[],"total":1,"rates":[{"of":"shop","rate":[]}]}`)), wrong, ""},
		{"bool", always(body(200, `{"failed":false,"total":1,"rates":[{"of":"shop","rate":false}]}`)), wrong, ""},
	}
}

// celLies are those of the web, and of ratios.
func celLies() []lie {
	always := func(h http.HandlerFunc) func(face) http.HandlerFunc { return func(face) http.HandlerFunc { return h } }
	return append(append(common(webTruth), webLies()...), []lie{
		{"null", always(body(200, "null")), wrong, "no field"},
		{"zero-of-zero", always(pair("0", "0")), noData, "NaN"},
		{"infinite", always(pair("1", "0")), wrong, "infinite"},
		{"minus-infinite", always(pair("-1", "0")), wrong, "infinite"},
	}...)
}

// pathLies are those of single fields.
func pathLies() []lie {
	always := func(h http.HandlerFunc) func(face) http.HandlerFunc { return func(face) http.HandlerFunc { return h } }
	return append(webLies(), []lie{
		{"null", always(body(200, "null")), noData, "null"},
		{"null-field", always(pair("null", "1")), noData, "null"},
		{"nobody", always(body(200, `{"rates":[{"of":"cart","rate":0.01}]}`)), noData, "finds nothing"},
		{"empty", always(body(200, `{"rates":[]}`)), noData, "finds nothing"},
	}...)
}

func celMetric(url string) otav1alpha1.Metric {
	return otav1alpha1.Metric{Web: &otav1alpha1.WebMetric{URL: url + "/{{ .app }}?v={{ .version }}", CEL: "result.failed / result.total"}}
}

func pathMetric(url string) otav1alpha1.Metric {
	return otav1alpha1.Metric{Web: &otav1alpha1.WebMetric{URL: url + "/{{ .app }}?v={{ .version }}", JSONPath: `{.rates[?(@.of=="shop")].rate}`}}
}

// count is a row of a gateway's answer.
type count struct {
	Arm       string `json:"arm"`
	Candidate string `json:"candidate"`
	Trial     string `json:"trial"`
	Stage     int32  `json:"stage"`
	Devices   int64  `json:"devices"`
	Confirmed int64  `json:"confirmed"`
	Failed    int64  `json:"failed"`
	Returned  int64  `json:"returned"`
}

// ledger answers as a gateway of the channel does: in each stage so far 400 devices of each arm. change makes it a lie.
func (c *clockwork) ledger(f face, change func(answer map[string]any, rows []count)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		doc, ok := c.publisher.Committed("shop", r.URL.Query().Get("channel"))
		rows := []count{}
		if ok && doc.Document.Candidate != nil {
			x := doc.Document.Candidate
			for stage := int32(1); stage <= x.Stage; stage++ {
				for _, arm := range []string{"candidate", "control"} {
					n := count{arm, x.Bundle.Digest, x.Salt, stage, 400, 398, 2, 390}
					if f == bad && arm == "candidate" {
						n.Confirmed, n.Failed = 100, 300
					}
					rows = append(rows, n)
				}
			}
		}
		answer := map[string]any{"ledger": "one", "since": time.Unix(1_700_000_000, 0).UTC()}
		if change != nil {
			change(answer, rows)
		}
		answer["counts"] = rows
		_ = json.NewEncoder(w).Encode(answer)
	}
}

func (c *clockwork) telemetryTruth(f face) http.HandlerFunc { return c.ledger(f, nil) }

func (c *clockwork) telemetryLies() []lie {
	each := func(change func(n *count)) func(face) http.HandlerFunc {
		return func(f face) http.HandlerFunc {
			return c.ledger(f, func(_ map[string]any, rows []count) {
				for i := range rows {
					change(&rows[i])
				}
			})
		}
	}
	said := func(key string, value any) func(face) http.HandlerFunc {
		return func(f face) http.HandlerFunc {
			return c.ledger(f, func(answer map[string]any, _ []count) { answer[key] = value })
		}
	}
	var out []lie
	for _, l := range common(c.telemetryTruth) {
		if l.name != slow { // its client waits for 5 s, which is for the tests of the client
			l.cause = map[string]string{"refused": "gateway", "html": "no JSON of counts", "redirect": "redirects"}[l.name]
			out = append(out, l)
		}
	}
	return append(out, []lie{
		{"negative-devices", each(func(n *count) { n.Devices = -n.Devices }), wrong, ""},
		{"negative-failures", each(func(n *count) { n.Failed = -n.Failed }), wrong, ""},
		{"more-failed-than-seen", each(func(n *count) { n.Devices, n.Confirmed, n.Failed = 10, 0, 300 }), wrong, ""},
		{"fall", each(func(n *count) {
			n.Devices, n.Confirmed, n.Failed, n.Returned = n.Devices/10, n.Confirmed/10, n.Failed/10, n.Returned/10
		}), wrong, "fell"},
		{"nobody", each(func(n *count) { n.Trial = "another" }), wrong, "fell"},
		{"another-ledger", said("since", time.Now().Add(1000*time.Hour)), wrong, "its ledger was begun at"},
		{"no-ledger", said("ledger", ""), wrong, "does not say which ledger"},
		{"words", said("since", "yesterday"), wrong, "no JSON of counts"},
	}...)
}

func telemetryMetric(string) otav1alpha1.Metric {
	return otav1alpha1.Metric{
		Telemetry: &otav1alpha1.TelemetryMetric{Outcome: otav1alpha1.OutcomeFailed}, MaxRate: "0.05", MaxIncrease: "2", MinSamples: new(int32(10)),
	}
}
