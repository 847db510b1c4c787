// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package release defines the release document: what a channel publishes to gateways and devices. It is the seam between
// manager and gateway, stored as the TUF target channels/<app>/<channel>.json. Numbers are integers only, because
// canonical JSON has no floats.
package release

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// Schema is the version of the document's format.
const Schema = 1

// MaxDocumentSize is the largest release document in bytes that is written or read.
const MaxDocumentSize = 1 << 20

// FullWeight is 100 % in basis points.
const FullWeight = 10_000

// Document is the published state of one channel. App, Channel, Follow and Audience keep their names, types and meanings in
// every schema: see DecodeHead. Readers ignore fields that they do not know, so that gateways are upgraded before the manager.
type Document struct {
	Schema   int    `json:"schema"`
	App      string `json:"app"`
	Channel  string `json:"channel"`
	Revision int64  `json:"revision"` // grows by one with each change of content; renewing a lease is none
	Serving  string `json:"serving"`  // Active or Halted

	PublicURL string   `json:"publicURL,omitempty"` // where devices find the repository's prefix; empty: through the gateway
	Follow    Follow   `json:"follow,omitzero"`
	Audience  Audience `json:"audience,omitzero"`
	Guards    Guards   `json:"guards,omitzero"`

	Stable    *Bundle    `json:"stable,omitempty"`    // none: the app's embedded bundle
	Candidate *Candidate `json:"candidate,omitempty"` // none: no rollout is active
	Previous  *Bundle    `json:"previous,omitempty"`  // stable before stable: served when stable is revoked, and where it is excluded
	Refused   []Refusal  `json:"refused,omitempty"`   // devices that run one of these are brought back
	Orders    int64      `json:"orders,omitempty"`    // up to which commands of people are carried out, for the manager; they are counted

	Halt        *Halt  `json:"halt,omitempty"`        // by whom devices are stopped, for the manager: a status may be lost. None: by no command
	LastCommand string `json:"lastCommand,omitempty"` // ID of the last command that the manager dealt with; it is none twice
}

// Halt is what a person's command to stop a channel says.
type Halt struct {
	Reason string `json:"reason"`
	By     string `json:"by"`
	Actor  string `json:"actor"`        // how far By can be relied on; values as in the API
	At     int64  `json:"at,omitempty"` // Unix seconds
}

// Serving values.
const (
	Active = "Active"
	Halted = "Halted"
)

// Follow says which devices may follow the channel, and from which web pages. Values as in the API; empty means the API's default.
type Follow struct {
	Visibility     string   `json:"visibility,omitempty"`     // Public, Private
	SelfAssignment string   `json:"selfAssignment,omitempty"` // Denied, Allowed
	Origins        []string `json:"origins,omitempty"`        // that browsers may ask from (CORS), such as https://app.example.com; empty: none
}

// Audience restricts which devices are served; empty lists restrict nothing. Values as in the API.
type Audience struct {
	Platforms []string `json:"platforms,omitempty"`
	Builds    []string `json:"builds,omitempty"`
}

// Guards are compared with the installed native build. Values as in the API; empty means the API's default.
type Guards struct {
	AutoUpdate   string  `json:"autoUpdate,omitempty"`   // None, Patch, Minor, Major
	BelowNative  string  `json:"belowNative,omitempty"`  // Denied, Allowed
	FloorVersion string  `json:"floorVersion,omitempty"` // nothing below it is offered
	Floor        *Bundle `json:"floor,omitempty"`        // of that version: devices below get it first
}

// Bundle is an update as devices need it.
type Bundle struct {
	Name           string      `json:"name"`    // of the Bundle object
	Version        string      `json:"version"` // semantic version
	Digest         string      `json:"digest"`  // sha256:<hex>
	Size           int64       `json:"size"`    // bytes
	Path           string      `json:"path"`    // TUF target: bundles/<app>/<version>.<ext>
	MediaType      string      `json:"mediaType,omitempty"`
	Platforms      []string    `json:"platforms,omitempty"`
	NativeVersion  string      `json:"nativeVersion,omitempty"`
	RuntimeVersion string      `json:"runtimeVersion,omitempty"`
	Signatures     []Signature `json:"signatures,omitempty"`
	Encryption     *Encryption `json:"encryption,omitempty"` // none: the artifact is readable
	Since          int64       `json:"since,omitempty"`      // when it became what it is here; Unix seconds
	Exclude        []Slice     `json:"exclude,omitempty"`    // of what is stable, or was: devices of these parts get what came before it
}

// Signature is an author's signature over the artifact, for devices that check the author themselves.
type Signature struct {
	Authority string `json:"authority"`
	KeyID     string `json:"keyID"`
	Algorithm string `json:"algorithm"`
	Signature string `json:"signature"`          // base64
	Format    string `json:"format,omitempty"`   // Minisign, SigstoreBundle, CosignImage; empty: a bare signature
	Issuer    string `json:"issuer,omitempty"`   // of the certificate, of keyless signatures
	Subject   string `json:"subject,omitempty"`  // of the certificate
	Evidence  string `json:"evidence,omitempty"` // digest of the Sigstore bundle or statement, see EvidenceObject; empty: there is none
}

// Encryption is what a device needs to open an artifact that CI encrypted. It passes through as CI wrote it.
type Encryption struct {
	SessionKey string `json:"sessionKey"`      // base64(IV):base64(encrypted AES key)
	Checksum   string `json:"checksum"`        // encrypted SHA-256 of the readable artifact, hexadecimal
	KeyID      string `json:"keyID,omitempty"` // of the app's public key: the first 20 characters of its PEM body
}

// Candidate is a bundle that a rollout lets out.
type Candidate struct {
	Bundle       Bundle `json:"bundle"`
	Weight       int32  `json:"weight"` // basis points, 0 to 10 000
	Salt         string `json:"salt"`
	Rollout      string `json:"rollout"`
	Release      int64  `json:"release"`
	LeaseExpires int64  `json:"leaseExpires"` // Unix seconds
	OnLoss       string `json:"onLoss"`       // StopOffering, Retract or Continue, once the lease has expired

	Stage   int32   `json:"stage,omitempty"`   // grows by one with each weight and exclusion of the release: devices are counted anew in each
	Exclude []Slice `json:"exclude,omitempty"` // devices of these parts get what they would get without the candidate, and do not vote
}

// Slice is a part of the devices. All that is set has to match; a device that does not tell what is asked for does not match.
type Slice struct {
	Platform      string `json:"platform,omitempty"`
	NativeVersion string `json:"nativeVersion,omitempty"` // range of semantic versions
	OSVersion     string `json:"osVersion,omitempty"`     // the same
	Region        string `json:"region,omitempty"`
}

// Refusal is a digest that is not offered again until a person allows it.
type Refusal struct {
	Digest  string `json:"digest"`
	Version string `json:"version,omitempty"`
	At      int64  `json:"at"` // Unix seconds
}

// Refuses tells whether the document refuses a digest.
func (d *Document) Refuses(digest string) bool {
	return slices.ContainsFunc(d.Refused, func(r Refusal) bool { return r.Digest == digest })
}

// Bundles gives every bundle that the document refers to, each once.
func (d *Document) Bundles() []*Bundle {
	all := []*Bundle{d.Stable, d.Previous, d.Guards.Floor}
	if d.Candidate != nil {
		all = append(all, &d.Candidate.Bundle)
	}
	var out []*Bundle
	for _, b := range all {
		if b != nil && !slices.ContainsFunc(out, func(o *Bundle) bool { return o.Digest == b.Digest && o.Path == b.Path }) {
			out = append(out, b)
		}
	}
	return out
}

// Encode gives the document's bytes. The same document always gives the same bytes.
func (d *Document) Encode() ([]byte, error) {
	raw, err := json.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("encode release document: %w", err)
	}
	if len(raw) > MaxDocumentSize {
		return nil, fmt.Errorf("release document of %s/%s has %d bytes, at most %d are allowed", d.App, d.Channel, len(raw), MaxDocumentSize)
	}
	return raw, nil
}

// Decode reads a document that Encode wrote. It refuses another schema rather than to misread it.
func Decode(raw []byte) (*Document, error) {
	if len(raw) > MaxDocumentSize {
		return nil, fmt.Errorf("release document has %d bytes, at most %d are allowed", len(raw), MaxDocumentSize)
	}
	var d Document
	if err := json.Unmarshal(raw, &d); err != nil {
		return nil, fmt.Errorf("decode release document: %w", err)
	}
	if d.Schema != Schema {
		return nil, fmt.Errorf("release document has schema %d, this version reads %d", d.Schema, Schema)
	}
	return &d, nil
}

// DecodeHead reads what every schema has, and nothing else: App, Channel, Follow and Audience. It is for documents that Decode
// refuses, or that hold what their reader does not understand: devices stay with the channel that they follow all the same.
func DecodeHead(raw []byte) (*Document, error) {
	if len(raw) > MaxDocumentSize {
		return nil, fmt.Errorf("release document has %d bytes, at most %d are allowed", len(raw), MaxDocumentSize)
	}
	var head struct {
		App      string   `json:"app"`
		Channel  string   `json:"channel"`
		Follow   Follow   `json:"follow"`
		Audience Audience `json:"audience"`
	}
	if err := json.Unmarshal(raw, &head); err != nil {
		return nil, fmt.Errorf("decode head of release document: %w", err)
	}
	return &Document{App: head.App, Channel: head.Channel, Follow: head.Follow, Audience: head.Audience}, nil
}

// Committed is a document that devices can see.
type Committed struct {
	Document        *Document
	MetadataVersion int64     // of the repository's metadata that published it
	At              time.Time // of the commit, by the manager's clock; after a restart: of the restart, which is later
}
