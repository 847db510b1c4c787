// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package capgo

import (
	"net/http"
	"strconv"
	"time"

	"github.com/windlass-dev/windlass/internal/gateway/protocol/jsonlex"
)

// fault is an answer that is no success over HTTP. Clients drop what they sent, but after a 429 they come back.
type fault struct {
	status        int
	code, message string
	retryAfter    time.Duration // with a 429
}

// The faults of requests.
var (
	errNotJSON  = &fault{status: http.StatusBadRequest, code: "invalid_json_parse_body", message: "Expected a JSON object"}
	errNoDevice = &fault{status: http.StatusBadRequest, code: "missing_device_id", message: "Expected device_id, 1 to 128 printable characters without space"}
	errNoApp    = &fault{status: http.StatusBadRequest, code: "missing_app_id", message: "Expected app_id, 1 to 128 characters"}
	errBusy     = &fault{status: http.StatusServiceUnavailable, code: "too_many_requests", message: "Too many requests at the moment: try again later"}
)

// tooMany holds back a plugin that waits for as long as it is told. Older ones would stop until the app starts again.
func tooMany(wait time.Duration) *fault {
	return &fault{status: http.StatusTooManyRequests, code: "too_many_requests", message: "Too many requests from this network", retryAfter: wait}
}

// Error implements error.
func (f *fault) Error() string { return f.code + ": " + f.message }

// write renders the fault. A 429 has a kind, by which Android's client takes it as no failed check.
func (f *fault) write(w http.ResponseWriter) error {
	b := jsonlex.AppendText([]byte(`{"error":`), f.code)
	b = jsonlex.AppendText(append(b, `,"message":`...), f.message)
	if f.retryAfter > 0 {
		seconds := strconv.FormatInt(int64((f.retryAfter+time.Second-1)/time.Second), 10)
		w.Header().Set("Retry-After", seconds)
		b = append(b, `,"kind":"up_to_date","moreInfo":{"retryAfterSeconds":`...)
		b = append(append(b, seconds...), `}}`...)
	} else {
		b = append(b, `,"moreInfo":{}}`...)
	}
	return answer(w, f.status, b)
}
