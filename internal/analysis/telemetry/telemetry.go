// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package telemetry asks gateways what devices reported. The shape of the answer is that of gateway.Counts;
// a test asks a real gateway.
package telemetry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	countsPath = "/internal/v1/counts"
	// timeout bounds the question to one gateway.
	timeout = 5 * time.Second
	// maxAnswer bounds an answer in bytes: a few hundred per bundle and arm.
	maxAnswer = 4 << 20
)

// Counts are devices of one arm, each once per gateway.
type Counts struct {
	Voted   int64 // reported success or failure
	Failed  int64 // among them
	Exposed int64 // checked in and should run the bundle
}

func (c *Counts) add(r row) {
	c.Voted += r.Confirmed + r.Failed
	c.Failed += r.Failed
	c.Exposed += r.Devices
}

// Client asks all gateways. It is safe for concurrent use.
type Client struct {
	bases []string
	token string
	http  *http.Client
}

// New makes a client of gateways at internal addresses such as http://10.0.0.7:8081.
func New(bases []string, token string) *Client {
	transport := &http.Transport{
		DialContext: (&net.Dialer{Timeout: timeout}).DialContext, ResponseHeaderTimeout: timeout,
		MaxIdleConnsPerHost: 4, IdleConnTimeout: time.Minute, DisableCompression: true,
	}
	return &Client{bases: bases, token: token, http: &http.Client{
		Transport: transport, Timeout: timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return errors.New("it redirects") }, // the token stays here
	}}
}

// Trial is one release of a candidate on a channel.
type Trial struct {
	App, Channel string
	Digest       string
	Release      int64 // of the candidate's Rollout: another try of the same digest is counted apart
}

// Counts gives what all gateways counted for the candidate of a trial, and for its control: devices that stayed on what was
// stable. A gateway that cannot be asked is an error, never a gateway without failures.
func (c *Client) Counts(ctx context.Context, t Trial) (candidate, control Counts, err error) {
	if len(c.bases) == 0 {
		return Counts{}, Counts{}, errors.New("no gateway is known: give the manager their internal addresses")
	}
	answers := make([]answer, len(c.bases))
	group, ctx := errgroup.WithContext(ctx)
	for i, base := range c.bases {
		group.Go(func() (err error) {
			answers[i], err = c.ask(ctx, base, t)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return Counts{}, Counts{}, err
	}
	candidate, control = sum(answers, t)
	return candidate, control, nil
}

// sum adds up the arms of a trial.
func sum(answers []answer, t Trial) (candidate, control Counts) {
	for _, a := range answers {
		for _, r := range a.Counts {
			switch {
			case r.Candidate != t.Digest || r.Release != t.Release:
			case r.Arm == "candidate":
				candidate.add(r)
			case r.Arm == "control":
				control.add(r)
			}
		}
	}
	return candidate, control
}

type answer struct {
	Counts []row `json:"counts"`
}

type row struct {
	Arm       string `json:"arm"`
	Candidate string `json:"candidate"` // that the arm belongs to
	Release   int64  `json:"release"`   // of the candidate's rollout; grows with each try
	Devices   int64  `json:"devices"`
	Confirmed int64  `json:"confirmed"`
	Failed    int64  `json:"failed"`
}

func (c *Client) ask(ctx context.Context, base string, t Trial) (answer, error) {
	fail := func(format string, args ...any) (answer, error) {
		return answer{}, fmt.Errorf("gateway %s: %s", base, fmt.Sprintf(format, args...))
	}
	query := url.Values{"app": {t.App}, "channel": {t.Channel}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+countsPath+"?"+query.Encode(), nil)
	if err != nil {
		return fail("its address is no URL")
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	res, err := c.http.Do(req)
	if err != nil {
		return fail("%s", reason(err))
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return fail("answers %s", res.Status)
	}
	raw, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err != nil {
		return fail("its answer broke off")
	}
	if len(raw) > maxAnswer {
		return fail("its answer is larger than %d bytes", maxAnswer)
	}
	var a answer
	if err := json.Unmarshal(raw, &a); err != nil {
		return fail("its answer is no JSON of counts")
	}
	return a, nil
}

// reason is a stable text for an error of the transport, without ports that change with each connection.
func reason(err error) string {
	if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() {
		return "no answer in time"
	}
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err
	}
	if e, ok := errors.AsType[*net.OpError](err); ok {
		return "cannot be reached: " + e.Err.Error()
	}
	return err.Error()
}
