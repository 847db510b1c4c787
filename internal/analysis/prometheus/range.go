// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package prometheus

import (
	"context"
	"encoding/json"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/windlass-dev/windlass/internal/analysis/fetch"
	"github.com/windlass-dev/windlass/internal/analysis/query"
)

const (
	// MaxPoints is how many times a range may have. Prometheus itself takes 11 000.
	MaxPoints = 5_000
	// maxRangeAnswer is how many bytes of an answer are read: 5 000 times of one series take some 150 KiB.
	maxRangeAnswer = 8 << 20
)

// Times are moments in the past: from one on, in steps of at least a millisecond.
type Times struct {
	From time.Time
	Step time.Duration
	N    int // from 1 to MaxPoints
}

func (t Times) at(i int) time.Time { return t.From.Add(time.Duration(i) * t.Step) }

// Point is what a query gave at one time.
type Point struct {
	At    time.Time
	Value float64
	Err   error // a *query.NoDataError or *query.ProviderError; nil: there is a value
}

// Range evaluates a query at many times. There is one Point for each. Its errors are *query.ProviderError, or that of a canceled ctx.
func (c *Client) Range(ctx context.Context, address, text string, at Times) ([]Point, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return nil, &query.ProviderError{Reason: "the address is no URL", Err: err}
	}
	if at.N < 1 || at.N > MaxPoints || at.Step < time.Millisecond {
		return nil, &query.ProviderError{Reason: "the range is to have " + strconv.Itoa(at.N) + " points " + at.Step.String() + " apart, want 1 to " +
			strconv.Itoa(MaxPoints) + ", at least 1ms apart"}
	}
	at.From, at.Step = at.From.Truncate(time.Millisecond), at.Step.Truncate(time.Millisecond)
	form := url.Values{
		"query": {text}, "start": {formatTime(at.From)}, "end": {formatTime(at.at(at.N - 1))},
		"step": {strconv.FormatFloat(at.Step.Seconds(), 'f', 3, 64)}, "timeout": {c.http.Timeout().String()},
	}
	answer, err := c.http.Do(ctx, fetch.Request{
		Method: http.MethodPost, URL: u.JoinPath("api", "v1", "query_range").String(), Body: form.Encode(), MaxAnswer: maxRangeAnswer,
		Header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}},
	})
	if err != nil {
		return nil, err
	}
	if err := problem(answer); err != nil {
		return nil, err
	}
	return decodeRange(answer.Body, at)
}

// decodeRange reads a matrix. At each time one series may have a value.
func decodeRange(raw []byte, at Times) ([]Point, error) {
	a, err := complete(raw)
	if err != nil {
		return nil, err
	}
	var matrix []struct {
		Values     []json.RawMessage `json:"values"`
		Histograms []json.RawMessage `json:"histograms"`
	}
	if a.Data.ResultType != "matrix" {
		return nil, &query.ProviderError{Reason: "the answer has another type of result, want a matrix"}
	}
	if err := json.Unmarshal(a.Data.Result, &matrix); err != nil {
		return nil, &query.ProviderError{Reason: "the answer has a malformed matrix", Err: err}
	}
	out := make([]Point, at.N)
	for i := range out {
		out[i] = Point{At: at.at(i), Err: &query.NoDataError{Reason: "the query gives no series"}}
	}
	seen := make([]bool, at.N)
	for _, s := range matrix {
		if len(s.Histograms) > 0 {
			return nil, &query.ProviderError{Reason: "the query gives a histogram, want one number"}
		}
		for _, v := range s.Values {
			if err := place(out, seen, v, at.Step); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// place puts a value where it belongs.
func place(out []Point, seen []bool, raw json.RawMessage, step time.Duration) error {
	when, value, err := pair(raw)
	if err != nil {
		return err
	}
	at := (when - float64(out[0].At.UnixMilli())/1000) / step.Seconds()
	i := int(math.Round(at))
	switch {
	case i < 0 || i >= len(out) || math.Abs(at-float64(i))*step.Seconds() > 0.01:
		return &query.ProviderError{Reason: "the answer is about other times than those that were asked for: is a cache in between?"}
	case seen[i]:
		out[i].Err = &query.ProviderError{Reason: "the query gives more than one series, want one: aggregate them, for example with sum()"}
	default:
		seen[i], out[i].Value, out[i].Err = true, value, usable(value)
	}
	return nil
}
