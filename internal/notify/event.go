// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package notify

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/cloudevents/sdk-go/v2/event"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/audit"
)

const (
	// TypePrefix of all events: the action of the record follows.
	TypePrefix = "dev.windlass.ota."
	// ContentType of what is posted: a CloudEvent in structured mode.
	ContentType = "application/cloudevents+json; charset=utf-8"
	// sequenceExtension orders the events of a Repository (CloudEvents, extension "sequence").
	sequenceExtension = "sequence"
)

// plurals are how kinds are written in paths of the API server.
var plurals = map[string]string{"Repository": "repositories", "Bundle": "bundles", "Channel": "channels", "Rollout": "rollouts"}

// Source of the events of an object: its path at the API server.
func Source(r audit.Record) string {
	plural := plurals[r.Kind]
	if plural == "" {
		plural = strings.ToLower(r.Kind) + "s"
	}
	return fmt.Sprintf("/apis/%s/v1alpha1/namespaces/%s/%s/%s", otav1alpha1.Group, r.Namespace, plural, r.Name)
}

// NewEvent makes the JSON of the CloudEvent of a record. The same record gives the same bytes. Its data are the record as it is in
// the log, and its id is that of the record.
func NewEvent(r audit.Record) ([]byte, error) {
	e := event.New()
	e.SetID(r.ID)
	e.SetSource(Source(r))
	e.SetType(TypePrefix + r.Action)
	e.SetTime(r.At)
	if r.Channel != "" {
		e.SetSubject(r.Channel)
	}
	e.SetExtension(sequenceExtension, fmt.Sprintf("%012d", r.Sequence))
	if err := e.SetData(event.ApplicationJSON, r); err != nil {
		return nil, fmt.Errorf("event of record %d: %w", r.Sequence, err)
	}
	if err := e.Validate(); err != nil {
		return nil, fmt.Errorf("event of record %d: %w", r.Sequence, err)
	}
	raw, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("event of record %d: %w", r.Sequence, err)
	}
	return raw, nil
}
