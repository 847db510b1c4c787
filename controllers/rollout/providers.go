// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"

	"github.com/windlass-dev/windlass/internal/analysis"
	"github.com/windlass-dev/windlass/internal/analysis/ask"
	"github.com/windlass-dev/windlass/internal/analysis/blame"
	"github.com/windlass-dev/windlass/internal/analysis/eprocess"
	"github.com/windlass-dev/windlass/internal/analysis/extract"
	"github.com/windlass-dev/windlass/internal/analysis/query"
)

// Headers of web metrics are read from Secrets by their names.
// +kubebuilder:rbac:groups="",resources=secrets,verbs=get

const noGateway = "no gateway is configured: start the manager with --gateway-url"

// Querier asks a Prometheus server.
type Querier interface {
	Query(ctx context.Context, address, query string) (float64, error)
}

// Counter asks the gateways what devices reported.
type Counter interface {
	// Counts gives all stages of the release, the oldest first.
	Counts(ctx context.Context, s Subject) ([]eprocess.Stage, error)
	// Slices gives the devices in groups that are alike, by stage.
	Slices(ctx context.Context, s Subject) ([]blame.Group, error)
}

// Getter asks a web server, with the headers of a Secret of a namespace when one is named.
type Getter interface {
	Get(ctx context.Context, u *url.URL, namespace, secret string) ([]byte, error)
}

// Providers measures by telemetry, Prometheus and web servers. Rollouts share what they ask.
type Providers struct {
	Desk       *ask.Desk
	Telemetry  Counter // nil: no gateway is configured
	Prometheus Querier
	Web        Getter
}

// Measure asks the metric's provider once, or takes what it answered another Rollout a moment ago.
func (p Providers) Measure(ctx context.Context, s Subject) analysis.Measurement {
	switch {
	case s.Prometheus != nil:
		return measurement(p.query(ctx, s))
	case s.Web != nil:
		return measurement(p.get(ctx, s))
	case p.Telemetry == nil:
		return analysis.Measurement{Err: noGateway}
	}
	text := strings.Join([]string{"counts", s.App, s.Channel, s.Digest, s.Salt}, "\n")
	counts, err := ask.Ask(ctx, p.Desk, s.question(ask.Telemetry, "", text), func(ctx context.Context) ([]eprocess.Stage, error) {
		return p.Telemetry.Counts(ctx, s)
	})
	if err != nil {
		return analysis.Measurement{At: counts.At, Err: err.Error()}
	}
	return analysis.Measurement{At: counts.At, Stages: slices.Clone(counts.Value)}
}

// measurement tells apart that there is nothing to measure and that it cannot be told.
func measurement(number ask.Answer[float64], err error) analysis.Measurement {
	m := analysis.Measurement{At: number.At}
	if none, ok := errors.AsType[*query.NoDataError](err); ok {
		m.NoData = none.Error()
	} else if err != nil {
		m.Err = err.Error()
	} else {
		m.Value = number.Value
	}
	return m
}

// Slices asks the gateways.
func (p Providers) Slices(ctx context.Context, s Subject) ([]blame.Group, error) {
	if p.Telemetry == nil {
		return nil, errors.New(noGateway)
	}
	return p.Telemetry.Slices(ctx, s)
}

func (p Providers) query(ctx context.Context, s Subject) (number ask.Answer[float64], err error) {
	text, err := query.Render(s.Prometheus.Query, s.vars())
	if err != nil {
		return number, err
	}
	address := string(s.Prometheus.Address)
	return ask.Ask(ctx, p.Desk, s.question(ask.Prometheus, host(address), address+"\n"+text), func(ctx context.Context) (float64, error) {
		return p.Prometheus.Query(ctx, address, text)
	})
}

func (p Providers) get(ctx context.Context, s Subject) (number ask.Answer[float64], err error) {
	in, err := extract.Parse(s.Web.JSONPath, s.Web.CEL)
	if err != nil {
		return number, err
	}
	u, err := query.RenderURL(s.Web.URL, s.vars())
	if err != nil {
		return number, err
	}
	text, secret := u.String(), ""
	if ref := s.Web.HeadersSecretRef; ref != nil {
		secret = ref.Name
		text += "\n" + s.Namespace + "\n" + secret
	}
	answer, err := ask.Ask(ctx, p.Desk, s.question(ask.Web, u.Host, text), func(ctx context.Context) ([]byte, error) {
		return p.Web.Get(ctx, u, s.Namespace, secret)
	})
	number.At = answer.At
	if err != nil {
		return number, err
	}
	number.Value, err = in.Number(ctx, answer.Value)
	return number, err
}

// question is what a Subject is measured by.
func (s Subject) question(provider, address, text string) ask.Question {
	return ask.Question{
		Provider: provider, Address: address, Text: text, Namespace: s.Namespace, Since: s.Since, Interval: s.Interval,
	}
}

func (s Subject) vars() query.Vars {
	return query.Vars{
		App: s.App, Channel: s.Channel, Bundle: s.Bundle, Version: s.Version, Digest: s.Digest,
		Window: query.Window(s.Now.Sub(s.Since)),
	}
}

// host of an address; what is no URL is an address of its own.
func host(address string) string {
	if u, err := url.Parse(address); err == nil {
		return u.Host
	}
	return address
}
