// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package telemetry asks gateways what devices reported. The shapes of the answers are those of gateway.Counts and gateway.Slices;
// a test asks real gateways.
package telemetry

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/windlass-dev/windlass/internal/analysis/eprocess"
)

const (
	countsPath = "/internal/v1/counts"
	slicesPath = "/internal/v1/slices"
	// timeout bounds the look-up of a name, a connection, and the question for counts to one gateway.
	timeout = 5 * time.Second
	// slicesTimeout bounds the question for slices: a gateway reads all votes of the trial for it, for 8 s at most.
	slicesTimeout = 10 * time.Second
	// maxAnswer bounds an answer in bytes: a few hundred per bundle, arm and stage, or per group of devices.
	maxAnswer = 4 << 20
	// parallel bounds how many gateways are asked at a time.
	parallel = 16
)

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
			DialContext: (&net.Dialer{Timeout: timeout}).DialContext, TLSHandshakeTimeout: timeout,
			TLSClientConfig:     &tls.Config{ServerName: serverName, MinVersion: tls.VersionTLS12},
			MaxIdleConnsPerHost: 4, IdleConnTimeout: time.Minute, DisableCompression: true,
		},
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

// Counts gives what all gateways counted for the candidate of a trial, and for its control, in all of its stages, the oldest first:
// devices that stayed on what was stable. Voted devices reported success or failure;
// who failed once counts as failed, also if that was made good. A gateway that cannot be asked is an error,
// never a gateway without failures. Gateways that share a ledger tell the same counts, which are taken once; counts of different
// ledgers are added up. A ledger that was begun after the trial is an error, too: its file was lost, or it was in memory, and what
// failed before is not in it.
func (c *Client) Counts(ctx context.Context, t Trial) ([]eprocess.Stage, error) {
	answers, err := askAll[counts](ctx, c, t, question{path: countsPath, name: "counts", timeout: timeout})
	if err != nil {
		return nil, err
	}
	return stages(answers, t), nil
}

// question is what gateways are asked.
type question struct {
	path    string
	name    string // for messages
	query   url.Values
	timeout time.Duration
	token   []byte
}

// reply is what a gateway can answer.
type reply interface {
	// total adds up all that it counts, to tell which of two answers is the newer one.
	total() eprocess.Arm
}

// answer is that of one gateway.
type answer[R reply] struct {
	from   string    // name of the gateway
	ledger string    // id of the database that the counts are of
	since  time.Time // when it was begun
	reply  R
}

// askAll asks every gateway behind every target, and gives one answer of each ledger, the newest of those that tell of one. A ledger
// that is younger than the trial is an error.
func askAll[R reply](ctx context.Context, c *Client, t Trial, q question) ([]answer[R], error) {
	if len(c.targets) == 0 {
		return nil, errors.New("no gateway is known: give the manager their internal addresses")
	}
	var err error
	if q.token, err = c.token(); err != nil {
		return nil, fmt.Errorf("token of the gateways: %w", err)
	}
	if q.query == nil {
		q.query = url.Values{}
	}
	q.query.Set("app", t.App)
	q.query.Set("channel", t.Channel)
	var asked []func(context.Context) (answer[R], error)
	for _, target := range c.targets {
		replicas, err := target.replicas(ctx, c.resolver)
		if err != nil {
			return nil, err
		}
		for _, r := range replicas {
			asked = append(asked, func(ctx context.Context) (answer[R], error) { return ask[R](ctx, target.http, r, &q) })
		}
	}
	answers := make([]answer[R], len(asked))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for i, ask := range asked {
		group.Go(func() (err error) {
			answers[i], err = ask(ctx)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	for _, a := range answers {
		if a.since.After(t.Began) {
			return nil, fmt.Errorf("gateway %s: its ledger was begun at %s, after the release at %s: what devices reported before is not in it; "+
				"abort and retry the release to count anew", a.from, instant(a.since), instant(t.Began))
		}
	}
	return newest(answers), nil
}

// newest keeps one answer of each ledger. The gateways read it a moment apart; since the devices that were seen only get more,
// the answer with the most of them is the last one, and with equally many the one with the most votes, or returns.
func newest[R reply](answers []answer[R]) []answer[R] {
	var out []answer[R]
	at := map[string]int{}
	for _, a := range answers {
		i, ok := at[a.ledger]
		switch {
		case !ok:
			at[a.ledger] = len(out)
			out = append(out, a)
		case newer(a.reply.total(), out[i].reply.total()):
			out[i] = a
		}
	}
	return out
}

func newer(mine, theirs eprocess.Arm) bool {
	return cmp.Or(cmp.Compare(mine.Exposed, theirs.Exposed), cmp.Compare(mine.Voted, theirs.Voted), cmp.Compare(mine.Returned, theirs.Returned)) > 0
}

// add adds up arms.
func add(to *eprocess.Arm, n eprocess.Arm) {
	to.Exposed += n.Exposed
	to.Voted += n.Voted
	to.Failed += n.Failed
	to.Returned += n.Returned
}

// stages adds up the arms of a trial by stage.
func stages(answers []answer[counts], t Trial) []eprocess.Stage {
	byID := map[int32]*eprocess.Stage{}
	for _, a := range answers {
		for _, r := range a.reply.Counts {
			if r.Candidate != t.Digest || r.Trial != t.Salt || r.Arm != "candidate" && r.Arm != "control" {
				continue
			}
			s := byID[r.Stage]
			if s == nil {
				s = &eprocess.Stage{ID: r.Stage}
				byID[r.Stage] = s
			}
			if r.Arm == "candidate" {
				add(&s.Candidate, r.arm())
			} else {
				add(&s.Control, r.arm())
			}
		}
	}
	var out []eprocess.Stage
	for _, id := range slices.Sorted(maps.Keys(byID)) {
		out = append(out, *byID[id])
	}
	return out
}

func instant(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// counts is the answer of countsPath, as far as it is read.
type counts struct {
	Counts []row `json:"counts"`
}

type row struct {
	Arm        string `json:"arm"`
	Candidate  string `json:"candidate"` // that the arm belongs to
	Trial      string `json:"trial"`     // salt of the cohort
	Stage      int32  `json:"stage"`
	Devices    int64  `json:"devices"`
	Confirmed  int64  `json:"confirmed"`
	Failed     int64  `json:"failed"`
	FailedOnce int64  `json:"failedOnce"`
	Returned   int64  `json:"returned"`
}

func (r *row) arm() eprocess.Arm {
	return eprocess.Arm{Exposed: r.Devices, Voted: r.Confirmed + r.Failed, Failed: everFailed(r.Failed, r.FailedOnce), Returned: r.Returned}
}

// everFailed is how many devices failed, also if that was made good: a count that falls again when devices heal would break the promise of the
// sequential tests. Gateways of before that count do not tell or keep it, and then it is at least those that are failed now. A
// count below zero stays one, so that it is found out.
func everFailed(failed, failedOnce int64) int64 {
	if least := min(failed, failedOnce); least < 0 {
		return least
	}
	return max(failed, failedOnce)
}

func (c counts) total() (sum eprocess.Arm) {
	for i := range c.Counts {
		add(&sum, c.Counts[i].arm())
	}
	return sum
}

// head is what all answers begin with.
type head struct {
	Ledger string    `json:"ledger"`
	Since  time.Time `json:"since"`
}

func ask[R reply](ctx context.Context, client *http.Client, r replica, q *question) (answer[R], error) {
	a := answer[R]{from: r.name}
	fail := func(format string, args ...any) (answer[R], error) {
		return answer[R]{}, fmt.Errorf("gateway %s: %s", r.name, fmt.Sprintf(format, args...))
	}
	ctx, cancel := context.WithTimeout(ctx, q.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.base+q.path+"?"+q.query.Encode(), nil)
	if err != nil {
		return fail("its address is no URL")
	}
	req.Host = r.host
	req.Header.Set("Authorization", "Bearer "+string(q.token))
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
	h := head{}
	if json.Unmarshal(raw, &h) != nil || json.Unmarshal(raw, &a.reply) != nil {
		return fail("its answer is no JSON of %s", q.name)
	}
	if h.Ledger == "" {
		return fail("its answer does not say which ledger it is of: expected a gateway of this version")
	}
	a.ledger, a.since = h.Ledger, h.Since
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
