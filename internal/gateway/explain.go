// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/windlass-dev/windlass/internal/compat"
	"github.com/windlass-dev/windlass/internal/gateway/httpx"
	"github.com/windlass-dev/windlass/internal/gateway/ledger"
	"github.com/windlass-dev/windlass/internal/gateway/protocol/capgo"
	"github.com/windlass-dev/windlass/internal/resolve"
)

// ExplainPath is where people ask why a device gets what it gets.
const ExplainPath = "/internal/v1/explain"

// Explanation is the answer of ExplainPath: what a device would be told now, and why. It does not name the device.
type Explanation struct {
	App             string         `json:"app"`
	Channel         string         `json:"channel,omitempty"` // that the device follows; absent: none
	Action          resolve.Action `json:"action"`
	Reason          resolve.Reason `json:"reason"`
	Arm             string         `json:"arm"` // candidate, control or none
	Slot            *int32         `json:"slot,omitempty"`
	Bundle          *BundleName    `json:"bundle,omitempty"` // that the device should run; absent: the embedded one, or nothing is known
	Trial           *TrialState    `json:"trial,omitempty"`  // of the channel
	Device          DeviceFacts    `json:"device"`
	Steps           []resolve.Step `json:"steps"`
	Ledger          DeviceLedger   `json:"ledger"`
	MetadataVersion int64          `json:"metadataVersion"` // what this gateway serves; 0: nothing yet
}

// BundleName names a bundle.
type BundleName struct {
	Version string `json:"version"`
	Digest  string `json:"digest"`
}

// TrialState is the rollout that is active on a channel.
type TrialState struct {
	Candidate    BundleName     `json:"candidate"`
	Rollout      string         `json:"rollout"`
	Release      int64          `json:"release"`
	Stage        int32          `json:"stage"`  // 0: the document does not tell
	Weight       int32          `json:"weight"` // basis points: devices whose slot is less are in the candidate's arm
	Salt         string         `json:"salt"`
	LeaseExpires time.Time      `json:"leaseExpires"`
	OnLoss       resolve.OnLoss `json:"onLoss"`
}

// DeviceFacts is what the explanation holds for: what the query told, and what the ledger knew of the rest.
type DeviceFacts struct {
	Protocol       string `json:"protocol"`         // native: follows the channel that it names, or none; capgo: may be put on another
	Plugin         string `json:"plugin,omitempty"` // with capgo: as the ledger has it, such as capgo/8.51.23
	Channel        string `json:"channel,omitempty"`
	Platform       string `json:"platform"`
	NativeVersion  string `json:"nativeVersion"`
	RuntimeVersion string `json:"runtimeVersion,omitempty"`
	OSVersion      string `json:"osVersion,omitempty"`
	Region         string `json:"region,omitempty"`
	Distribution   string `json:"distribution"`
	Hardware       string `json:"hardware"`
	Version        string `json:"version,omitempty"` // of the bundle that it runs; with no digest either: the embedded one
	Digest         string `json:"digest,omitempty"`
	KeyID          string `json:"keyID,omitempty"`
}

// DeviceLedger is what the ledger knows of a device.
type DeviceLedger struct {
	Reachable bool      `json:"reachable"`          // false: there may be a history
	Override  string    `json:"override,omitempty"` // channel that the device was put on
	Failed    []string  `json:"failed,omitempty"`   // digests that are not offered to it again
	History   []History `json:"history"`            // the newest first
}

// History is what happened with one bundle in one arm. Absent times mean never.
type History struct {
	Channel          string      `json:"channel"`
	Version          string      `json:"version"`
	Digest           string      `json:"digest,omitempty"` // absent: the embedded bundle
	Arm              string      `json:"arm"`
	Candidate        string      `json:"candidate,omitempty"`
	Release          int64       `json:"release,omitempty"`
	Stage            int32       `json:"stage,omitempty"`
	Votes            bool        `json:"votes"`          // false: development build, emulator, or one of too many of its network
	Vote             string      `json:"vote,omitempty"` // confirmed or failed
	Returned         bool        `json:"returned"`       // it checked in again, the ready time or more after its first check
	Platform         string      `json:"platform,omitempty"`
	NativeVersion    string      `json:"nativeVersion,omitempty"`
	OSVersion        string      `json:"osVersion,omitempty"`
	Region           string      `json:"region,omitempty"`
	Plugin           string      `json:"plugin,omitempty"`
	ExposedAt        time.Time   `json:"exposedAt,omitzero"`
	OfferedAt        time.Time   `json:"offeredAt,omitzero"`
	DownloadedAt     time.Time   `json:"downloadedAt,omitzero"`
	InstalledAt      time.Time   `json:"installedAt,omitzero"`
	SeenAt           time.Time   `json:"seenAt,omitzero"`
	ReadyAt          time.Time   `json:"readyAt,omitzero"`
	FailedAt         time.Time   `json:"failedAt,omitzero"`
	FailedKind       ledger.Kind `json:"failedKind,omitempty"`
	DeliveryFailedAt time.Time   `json:"deliveryFailedAt,omitzero"`
	DeliveryKind     ledger.Kind `json:"deliveryKind,omitempty"`
	UpdatedAt        time.Time   `json:"updatedAt,omitzero"`
}

// The protocols, as far as they choose channels in different ways.
const (
	protocolNative = "native"
	protocolCapgo  = "capgo"
)

// maxDeviceID bounds what is hashed, in bytes.
const maxDeviceID = 256

func (s *Server) explain(w http.ResponseWriter, r *http.Request) error {
	if err := s.authorize(r); err != nil {
		return err
	}
	query := r.URL.Query()
	if err := checkQuery(query); err != nil {
		return err
	}
	app, id := query.Get("app"), query.Get("device")
	pseudonym := s.ledger.Pseudonym(app, id)
	history, err := s.ledger.History(r.Context(), pseudonym)
	if err != nil && !errors.Is(err, ledger.ErrUnavailable) {
		return err
	}
	facts := factsOf(query, history)
	if facts.Platform == "" || facts.NativeVersion == "" {
		if err != nil {
			return unavailable(err)
		}
		return &httpx.Problem{
			Status: http.StatusNotFound,
			Detail: "the ledger knows nothing of this device; give platform and nativeVersion to learn what such a device would get",
		}
	}
	device, problem := facts.device(id)
	if problem != nil {
		return problem
	}
	device.Failed = s.ledger.Failed(pseudonym)
	known := DeviceLedger{
		Reachable: err == nil, Override: s.ledger.Override(pseudonym), Failed: device.Failed, History: rendered(history),
	}
	return sayJSON(w, s.explanation(app, device, facts, known))
}

// explanation asks the view, as a check would.
func (s *Server) explanation(app string, device *resolve.Device, facts DeviceFacts, known DeviceLedger) Explanation {
	var view *resolve.View
	out := Explanation{App: app, Device: facts, Ledger: known}
	if v := s.poller.View(); v != nil {
		view, out.MetadataVersion = &v.View, v.Version
	}
	wish := resolve.Wish{Channel: facts.Channel, Exact: facts.Protocol == protocolNative}
	if keeps, _, ok := capgo.Plugin(facts.Plugin); !ok || !keeps || wish.Exact {
		wish.Override = known.Override
	}
	e := view.Explain(app, wish, device, time.Now())
	told := e.Decision
	out.Channel, out.Action, out.Reason, out.Steps = e.Channel, told.Action, told.Reason, e.Steps
	out.Arm = cmp.Or(string(told.Arm), "none")
	if told.Bundle != nil {
		out.Bundle = &BundleName{told.Bundle.Version, told.Bundle.Digest}
	}
	if e.Channel == "" {
		return out
	}
	if t := view.Apps[app][e.Channel].Trial(); t != nil {
		out.Slot = &told.Slot
		out.Trial = &TrialState{
			Candidate: BundleName{t.Bundle.Version, t.Bundle.Digest}, Rollout: t.Rollout, Release: t.Release, Stage: t.Stage, Weight: t.Weight,
			Salt: t.Salt, LeaseExpires: t.LeaseExpires, OnLoss: t.OnLoss,
		}
	}
	return out
}

// parameters are what a query may have, each with what it may be; docs/api/gateway-internal-v1.yaml says the same.
var parameters = map[string][]string{
	"app": nil, "device": nil, "channel": nil, "nativeVersion": nil, "runtimeVersion": nil, "version": nil, "digest": nil, "keyID": nil, "plugin": nil,
	"osVersion": nil, "region": nil,
	"protocol":     {protocolNative, protocolCapgo},
	"platform":     {"ios", "android", "electron", "linux", "windows", "macos", "web"},
	"distribution": {resolve.Production, resolve.Development},
	"hardware":     {resolve.Physical, resolve.Emulator},
}

// checkQuery says what is wrong with a query. It does not show the device's id.
func checkQuery(query url.Values) error {
	if err := required(query, "app", "device"); err != nil {
		return err
	}
	var wrong []httpx.FieldError
	for name, values := range query {
		allowed, known := parameters[name]
		switch {
		case !known:
			wrong = append(wrong, httpx.FieldError{Field: name, Expected: "no such parameter", Actual: "a parameter of this name"})
		case len(values) > 1:
			wrong = append(wrong, httpx.FieldError{Field: name, Expected: "the parameter once", Actual: "the parameter more often"})
		case len(values[0]) > maxDeviceID:
			wrong = append(wrong, httpx.FieldError{Field: name, Expected: "at most 256 bytes", Actual: "more"})
		case allowed != nil && values[0] != "" && !slices.Contains(allowed, values[0]):
			wrong = append(wrong, httpx.FieldError{Field: name, Expected: "one of " + strings.Join(allowed, ", "), Actual: "another value"})
		}
	}
	if len(wrong) > 0 {
		slices.SortFunc(wrong, func(a, b httpx.FieldError) int { return cmp.Compare(a.Field, b.Field) })
		return &httpx.Problem{Status: http.StatusBadRequest, Detail: "some parameters are not as expected", Fields: wrong}
	}
	return nil
}

// factsOf takes what the query tells, and what it does not tell from what the ledger knows: the newest row tells of the device,
// the last bundle that it was seen to run is the one that it runs.
func factsOf(query url.Values, history []ledger.Entry) DeviceFacts {
	var last, runs ledger.Entry
	if len(history) > 0 {
		last, runs = history[0], running(history)
	}
	f := DeviceFacts{
		Channel:       cmp.Or(query.Get("channel"), last.Channel),
		Platform:      cmp.Or(query.Get("platform"), last.Platform),
		NativeVersion: cmp.Or(query.Get("nativeVersion"), last.NativeVersion), RuntimeVersion: query.Get("runtimeVersion"),
		OSVersion: cmp.Or(query.Get("osVersion"), last.OSVersion), Region: cmp.Or(query.Get("region"), last.Region),
		Distribution: cmp.Or(query.Get("distribution"), resolve.Production), Hardware: cmp.Or(query.Get("hardware"), resolve.Physical),
		Version: query.Get("version"), Digest: query.Get("digest"), KeyID: query.Get("keyID"),
		Plugin: cmp.Or(query.Get("plugin"), last.Plugin),
	}
	if f.Version == "" && f.Digest == "" && runs.Digest != "" {
		f.Version, f.Digest = runs.Version, runs.Digest
	}
	guess := protocolNative
	if f.Plugin != "" || f.Channel == "" {
		guess = protocolCapgo
	}
	f.Protocol = cmp.Or(query.Get("protocol"), guess)
	return f
}

// running gives the row of the bundle that a device was last seen to run and that did not fail since; an empty one when there
// is none.
func running(history []ledger.Entry) ledger.Entry {
	var out ledger.Entry
	var when time.Time
	for _, e := range history {
		at := slices.MaxFunc([]time.Time{e.InstalledAt, e.SeenAt, e.ReadyAt}, time.Time.Compare)
		if at.After(when) && !e.FailedAt.After(at) {
			out, when = e, at
		}
	}
	return out
}

// device is what the view decides for.
func (f *DeviceFacts) device(id string) (*resolve.Device, error) {
	d := &resolve.Device{
		Device: compat.Device{Platform: f.Platform, RuntimeVersion: f.RuntimeVersion},
		ID:     id, Distribution: f.Distribution, Hardware: f.Hardware, Digest: f.Digest,
		Key: f.opens(), Region: f.Region,
	}
	var err error
	if d.OSVersion, err = compat.ParseOSVersion(f.OSVersion); err != nil {
		d.OSVersion = nil // as a check that says it so
	}
	if d.NativeVersion, err = compat.ParseVersion(f.NativeVersion); err != nil {
		return nil, notVersion("nativeVersion")
	}
	if f.Version == "" {
		return d, nil
	}
	if d.Version, err = compat.ParseVersion(f.Version); err != nil {
		return nil, notVersion("version")
	}
	return d, nil
}

// opens is what the device can open, as far as it is known: the ledger does not keep keys.
func (f *DeviceFacts) opens() resolve.Key {
	_, decrypts, ok := capgo.Plugin(f.Plugin)
	if f.Protocol == protocolNative || ok && !decrypts {
		return resolve.Key{Told: true}
	}
	return resolve.Key{Told: f.KeyID != "", ID: f.KeyID}
}

func notVersion(field string) error {
	return &httpx.Problem{Status: http.StatusBadRequest, Detail: "some parameters are not as expected", Fields: []httpx.FieldError{
		{Field: field, Expected: "a semantic version such as 4.2.0", Actual: "another value"},
	}}
}

func rendered(entries []ledger.Entry) []History {
	out := make([]History, 0, len(entries))
	for _, e := range entries {
		out = append(out, History{
			Channel: e.Channel, Version: e.Version, Digest: e.Digest, Arm: cmp.Or(string(e.Arm), "none"), Candidate: e.Candidate, Release: e.Release,
			Stage: e.Stage, Votes: e.Votes, Vote: e.Vote, Returned: e.Returned,
			Platform: e.Platform, NativeVersion: e.NativeVersion, OSVersion: e.OSVersion, Region: e.Region, Plugin: e.Plugin,
			ExposedAt: e.ExposedAt, OfferedAt: e.OfferedAt, DownloadedAt: e.DownloadedAt, InstalledAt: e.InstalledAt, SeenAt: e.SeenAt,
			ReadyAt: e.ReadyAt, FailedAt: e.FailedAt, FailedKind: e.FailedKind, DeliveryFailedAt: e.DeliveryFailedAt,
			DeliveryKind: e.DeliveryKind, UpdatedAt: e.UpdatedAt,
		})
	}
	return out
}
