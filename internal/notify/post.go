// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package notify

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/windlass-dev/windlass/internal/analysis/fetch"
	"github.com/windlass-dev/windlass/internal/audit"
	"github.com/windlass-dev/windlass/internal/egress"
)

// Timeout of a delivery.
const Timeout = 10 * time.Second

// errGone means that a receiver asks to be left alone (410), as Standard Webhooks has it.
var errGone = errors.New("the receiver is gone: it answered with status 410. Nothing more is sent to it until its url or secretRef changes, or the manager starts anew")

// Poster delivers events, one request each.
type Poster struct {
	http *fetch.Client
	now  func() time.Time // of the timestamp that is signed: the time of day
}

// NewPoster makes a Poster that connects where a policy allows. It follows no redirect, and reads no body of an answer.
func NewPoster(allowed egress.Policy, now func() time.Time) *Poster {
	return &Poster{http: fetch.New(allowed, Timeout), now: now}
}

// Post delivers the event of a record. Any status of 200 to 299 means that the receiver has it. Errors are sentences that stay the same
// as long as the cause does; errGone among them.
func (p *Poster) Post(ctx context.Context, url string, key Key, r audit.Record) error {
	body, err := NewEvent(r)
	if err != nil {
		return err
	}
	header := key.Sign(r.ID, p.now(), body)
	header.Set("Content-Type", ContentType)
	start := time.Now()
	answer, err := p.http.Do(ctx, fetch.Request{Method: http.MethodPost, URL: url, Header: header, Body: string(body)})
	if err == nil {
		err = judge(answer.Code)
	} else if ctx.Err() == nil {
		err = &unreachableError{err}
	}
	observe(time.Since(start), err)
	return err
}

// judge tells what a status means for a delivery.
func judge(code int) error {
	switch {
	case code >= 200 && code < 300:
		return nil
	case code == http.StatusGone:
		return errGone
	case code >= 300 && code < 400:
		return &refusedError{fmt.Sprintf("the receiver redirects (status %d): name the address that it redirects to", code)}
	case code >= 400 && code < 500:
		return &refusedError{fmt.Sprintf("the receiver refuses the event (status %d), expected 200 to 299", code)}
	}
	return fmt.Errorf("the receiver answered with status %d, expected 200 to 299", code)
}

// refusedError is an answer that says that the request is at fault.
type refusedError struct{ text string }

func (e *refusedError) Error() string { return e.text }

// unreachableError is no answer.
type unreachableError struct{ err error }

func (e *unreachableError) Error() string { return e.err.Error() }
func (e *unreachableError) Unwrap() error { return e.err }
