// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package prometheus

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/windlass-dev/windlass/internal/analysis/query"
)

// answer is what the query endpoint returns (prometheus.io/docs/prometheus/latest/querying/api).
type answer struct {
	Status    string   `json:"status"`
	ErrorType string   `json:"errorType"`
	Error     string   `json:"error"`
	Warnings  []string `json:"warnings"`
	Data      struct {
		ResultType string          `json:"resultType"`
		Result     json.RawMessage `json:"result"`
	} `json:"data"`
}

// series is one element of a vector.
type series struct {
	Value     json.RawMessage `json:"value"`
	Histogram json.RawMessage `json:"histogram"`
}

// maxAge is how far the time of a sample may be from the time that was asked for: some servers step back a little for late
// data, but an answer about another time comes from a cache.
const maxAge = 5 * time.Minute

// decode reads one number from the answer to a query for a time.
func decode(raw []byte, at time.Time) (float64, error) {
	a, err := complete(raw)
	if err != nil {
		return 0, err
	}
	point, err := a.point()
	if err != nil {
		return 0, err
	}
	return parsePoint(point, at)
}

// complete reads an answer that lacks nothing.
func complete(raw []byte) (answer, error) {
	var a answer
	if err := json.Unmarshal(raw, &a); err != nil {
		if bytes.HasPrefix(bytes.TrimSpace(raw), []byte("<")) {
			return a, &query.ProviderError{Reason: "the answer is a web page, want JSON: is the address that of a Prometheus API?"}
		}
		return a, &query.ProviderError{Reason: "the answer is no JSON of a Prometheus API", Err: err}
	}
	if a.Status == "error" {
		return a, apiError(raw)
	}
	if a.Status != "success" {
		return a, &query.ProviderError{Reason: "the answer has no status, want JSON of a Prometheus API"}
	}
	if len(a.Warnings) > 0 {
		return a, &query.ProviderError{Reason: "the answer comes with warnings, so that it may be incomplete: run the query by hand to see them"}
	}
	return a, nil
}

// point gives the only [time, "value"] pair of an answer.
func (a *answer) point() (json.RawMessage, error) {
	switch a.Data.ResultType {
	case "scalar":
		return a.Data.Result, nil
	case "vector":
		return a.onlySeries()
	case "string", "matrix":
		return nil, &query.ProviderError{Reason: "the query gives a " + a.Data.ResultType + ", want one number"}
	}
	return nil, &query.ProviderError{Reason: "the answer has an unknown type of result, want vector or scalar"}
}

func (a *answer) onlySeries() (json.RawMessage, error) {
	var v []series
	if err := json.Unmarshal(a.Data.Result, &v); err != nil {
		return nil, &query.ProviderError{Reason: "the answer has a malformed vector", Err: err}
	}
	switch {
	case len(v) == 0:
		return nil, &query.NoDataError{Reason: "the query gives no series"}
	case len(v) > 1:
		return nil, &query.ProviderError{Reason: "the query gives more than one series, want one: aggregate them, for example with sum()"}
	case len(v[0].Histogram) > 0:
		return nil, &query.ProviderError{Reason: "the query gives a histogram, want one number"}
	}
	return v[0].Value, nil
}

// parsePoint reads a [Unix time, "value"] pair about a time.
func parsePoint(raw json.RawMessage, at time.Time) (float64, error) {
	when, value, err := pair(raw)
	if err != nil {
		return 0, err
	}
	if math.Abs(when-float64(at.Unix())) > maxAge.Seconds() {
		return 0, &query.ProviderError{Reason: "the answer is about another time than now: is a cache in between, or a clock wrong?"}
	}
	return value, usable(value)
}

// pair reads a [Unix time, "value"] pair.
func pair(raw json.RawMessage) (when, value float64, err error) {
	var (
		two  []json.RawMessage
		text string
	)
	err = json.Unmarshal(raw, &two)
	if err == nil && len(two) != 2 {
		err = strconv.ErrSyntax
	}
	if err == nil {
		err = json.Unmarshal(two[0], &when)
	}
	if err == nil {
		err = json.Unmarshal(two[1], &text)
	}
	if err == nil {
		value, err = strconv.ParseFloat(text, 64)
	}
	if err != nil {
		return 0, 0, &query.ProviderError{Reason: "the answer has a malformed number", Err: err}
	}
	return when, value, nil
}

// usable says why a value is no measurement.
func usable(value float64) error {
	switch {
	case math.IsNaN(value):
		return &query.NoDataError{Reason: "the query gives NaN, as a ratio of nothing to nothing does"}
	case math.IsInf(value, 0):
		return &query.ProviderError{Reason: "the query gives an infinite value, as a division by zero does"}
	}
	return nil
}

// maxQuote is how many bytes of the server's own words are passed on.
const maxQuote = 200

// apiError is the error that an answer carries in the API's own format, nil when it carries none. Faults of the query are
// quoted, because the author of the query has to mend them; other words of the server are not, because they may change each time.
func apiError(raw []byte) error {
	var a answer
	_ = json.Unmarshal(raw, &a) // what is no such JSON leaves the status empty
	if a.Status != "error" {
		return nil
	}
	switch a.ErrorType {
	case "bad_data":
		return &query.ProviderError{Reason: "the server does not understand the query: " + quote(a.Error)}
	case "execution":
		// What follows names series, which come and go.
		cause, _, _ := strings.Cut(a.Error, "{")
		cause, _, _ = strings.Cut(cause, ";")
		return &query.ProviderError{Reason: "the server cannot execute the query: " + quote(cause)}
	case "timeout":
		return &query.ProviderError{Reason: "the query took too long and the server gave up"}
	case "canceled", "internal", "unavailable", "not_found", "not_acceptable":
		return &query.ProviderError{Reason: "the server reports an error of type " + a.ErrorType}
	}
	return &query.ProviderError{Reason: "the server reports an error"}
}

// quote makes foreign text safe for a condition: one line, printable, short.
func quote(s string) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > maxQuote {
		s = strings.ToValidUTF8(s[:maxQuote], "") + "..."
	}
	return s
}
