// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package device

import (
	"context"
	"time"
)

// Names of the protocols.
const (
	Native = "native"
	Capgo  = "capgo"
)

// protocol is the update library of a device: what it says to the gateway, and what it does by itself.
type protocol interface {
	name() string
	check(ctx context.Context, g *gateway, d *device) (*answer, error)
	// report sends events in their order and gives how many the gateway took.
	report(ctx context.Context, g *gateway, d *device, events []event) (int, error)
	// verify refuses an artifact that is not what was offered.
	verify(content []byte, o *offer) error
	// remembers tells whether the library knows the bundles that failed, and keeps the bundle before the current one.
	remembers() bool
}

// answer is what a check gives.
type answer struct {
	reset bool   // back to the embedded bundle
	offer *offer // nil: nothing to install
}

// offer is a bundle that the gateway wants a device to run.
type offer struct {
	installed
	url        string
	size       int64    // bytes; 0: not told
	signatures []string // of the author, in base64
}

// What happened to a bundle on a device.
const (
	downloaded = "downloaded"
	started    = "installed" // it runs, unproven
	confirmed  = "confirmed"
	failed     = "failed"
)

// event is something that a device tells.
type event struct {
	bundle  installed
	running installed // when it happened
	outcome string
	kind    string // of a failure, in the words of the native protocol
	at      time.Time
}
