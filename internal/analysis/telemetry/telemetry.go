// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package telemetry asks gateways what devices reported. The shape of the answer is that of gateway.Counts;
// a test asks real gateways.
package telemetry

import (
	"context"
	"crypto/tls"
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
	// timeout bounds the question to one gateway, and the look-up of a name.
	timeout = 5 * time.Second
	// maxAnswer bounds an answer in bytes: a few hundred per bundle and arm.
	maxAnswer = 4 << 20
	// parallel bounds how many gateways are asked at a time.
	parallel = 16
)

// Counts are devices of one arm, each once per ledger.
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

// Config of a Client.
type Config struct {
	Targets  []Target
	Token    func() ([]byte, error) // bearer token of the counts, asked for each time
	Resolver *net.Resolver          // nil: that of the machine
}

// Client asks all gateways. It is safe for concurrent use.
type Client struct {
	token    func() ([]byte, error)
	resolver *net.Resolver
	targets  []target
}

// target is a Target with its connections: the name that a certificate has to be of belongs to them.
type target struct {
	Target

	http *http.Client
}

// New makes a client.
func New(cfg Config) *Client {
	c := &Client{token: cfg.Token, resolver: cfg.Resolver}
	if c.resolver == nil {
		c.resolver = net.DefaultResolver
	}
	for _, t := range cfg.Targets {
		c.targets = append(c.targets, target{t, newHTTP(t.url.Hostname())})
	}
	return c
}

func newHTTP(serverName string) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			DialContext: (&net.Dialer{Timeout: timeout}).DialContext, ResponseHeaderTimeout: timeout,
			TLSClientConfig:     &tls.Config{ServerName: serverName, MinVersion: tls.VersionTLS12},
			MaxIdleConnsPerHost: 4, IdleConnTimeout: time.Minute, DisableCompression: true,
		},
		Timeout:       timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return errors.New("it redirects") }, // the token stays here
	}
}

// Trial is one release of a candidate on a channel.
type Trial struct {
	App, Channel string
	Digest       string
	Salt         string    // of the cohort: another try of the same digest has another one, and is counted apart
	Began        time.Time // a ledger that is younger does not know all of it
}

// Counts gives what all gateways counted for the candidate of a trial, and for its control: devices that stayed on what was
// stable. A gateway that cannot be asked is an error, never a gateway without failures. Gateways that share a ledger tell the
// same counts, which are taken once; counts of different ledgers are added up. A ledger that was begun after the trial is an error,
// too: its file was lost, or it was in memory, and what failed before is not in it.
func (c *Client) Counts(ctx context.Context, t Trial) (candidate, control Counts, err error) {
	answers, err := c.askAll(ctx, t)
	if err != nil {
		return Counts{}, Counts{}, err
	}
	for _, a := range answers {
		if a.Since.After(t.Began) {
			return Counts{}, Counts{}, fmt.Errorf("gateway %s: its ledger was begun at %s, after the release at %s: what devices reported before is not in it; "+
				"abort and retry the release to count anew", a.from, instant(a.Since), instant(t.Began))
		}
	}
	candidate, control = sum(newest(answers), t)
	return candidate, control, nil
}

// askAll asks every gateway behind every target.
func (c *Client) askAll(ctx context.Context, t Trial) ([]answer, error) {
	if len(c.targets) == 0 {
		return nil, errors.New("no gateway is known: give the manager their internal addresses")
	}
	token, err := c.token()
	if err != nil {
		return nil, fmt.Errorf("token of the gateways: %w", err)
	}
	var asked []func(context.Context) (answer, error)
	for _, target := range c.targets {
		replicas, err := target.replicas(ctx, c.resolver)
		if err != nil {
			return nil, err
		}
		for _, r := range replicas {
			asked = append(asked, func(ctx context.Context) (answer, error) { return ask(ctx, target.http, r, request{t, token}) })
		}
	}
	answers := make([]answer, len(asked))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for i, ask := range asked {
		group.Go(func() (err error) {
			answers[i], err = ask(ctx)
			return err
		})
	}
	return answers, group.Wait()
}

// newest keeps one answer of each ledger. The gateways read it a moment apart; since the devices that were seen only get more,
// the answer with the most of them is the last one, and with equally many the one with the most votes.
func newest(answers []answer) map[string]answer {
	out := map[string]answer{}
	for _, a := range answers {
		if known, ok := out[a.Ledger]; !ok || a.newer(known) {
			out[a.Ledger] = a
		}
	}
	return out
}

func (a answer) newer(than answer) bool {
	mine, theirs := a.total(), than.total()
	if mine.Exposed != theirs.Exposed {
		return mine.Exposed > theirs.Exposed
	}
	return mine.Voted > theirs.Voted
}

func (a answer) total() Counts {
	var c Counts
	for _, r := range a.Counts {
		c.add(r)
	}
	return c
}

// sum adds up the arms of a trial.
func sum(answers map[string]answer, t Trial) (candidate, control Counts) {
	for _, a := range answers {
		for _, r := range a.Counts {
			switch {
			case r.Candidate != t.Digest || r.Trial != t.Salt:
			case r.Arm == "candidate":
				candidate.add(r)
			case r.Arm == "control":
				control.add(r)
			}
		}
	}
	return candidate, control
}

func instant(t time.Time) string { return t.UTC().Format(time.RFC3339) }

type answer struct {
	from   string    // name of the gateway
	Ledger string    `json:"ledger"` // id of the database that the counts are of
	Since  time.Time `json:"since"`  // when it was begun
	Counts []row     `json:"counts"`
}

type row struct {
	Arm       string `json:"arm"`
	Candidate string `json:"candidate"` // that the arm belongs to
	Trial     string `json:"trial"`     // salt of the cohort
	Devices   int64  `json:"devices"`
	Confirmed int64  `json:"confirmed"`
	Failed    int64  `json:"failed"`
}

// request is what a gateway is asked.
type request struct {
	Trial

	token []byte
}

func ask(ctx context.Context, client *http.Client, r replica, what request) (answer, error) {
	fail := func(format string, args ...any) (answer, error) {
		return answer{}, fmt.Errorf("gateway %s: %s", r.name, fmt.Sprintf(format, args...))
	}
	query := url.Values{"app": {what.App}, "channel": {what.Channel}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.base+countsPath+"?"+query.Encode(), nil)
	if err != nil {
		return fail("its address is no URL")
	}
	req.Host = r.host
	req.Header.Set("Authorization", "Bearer "+string(what.token))
	res, err := client.Do(req)
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
	a := answer{from: r.name}
	if err := json.Unmarshal(raw, &a); err != nil {
		return fail("its answer is no JSON of counts")
	}
	if a.Ledger == "" {
		return fail("its answer does not say which ledger it is of: expected a gateway of this version")
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
