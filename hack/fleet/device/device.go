// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package device

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"time"

	"github.com/windlass-dev/windlass/internal/gateway/protocol/native"
)

// installed is a bundle that a device has; the zero value is the one that the app was installed with.
type installed struct {
	version, digest string
}

// device is one installation of the app.
type device struct {
	id       string
	address  string // in the public internet
	platform string
	protocol protocol
	current  installed
	previous installed // kept by some update libraries to go back to
	ran      []string  // digests that ever were the current one
	failed   []string  // digests that did not work here. Not every update library knows them
	outbox   []event
}

// maxOutbox is how many events a device keeps for a gateway that does not answer.
const maxOutbox = 8

func newDevice(c *Config, i int) *device {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d/%d", c.Seed, i))
	sum[6], sum[8] = sum[6]&0x0f|0x40, sum[8]&0x3f|0x80 // the shape of a random UUID (RFC 9562)
	d := &device{
		id:       fmt.Sprintf("%x-%x-%x-%x-%x", sum[0:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16]),
		address:  address(sum[16:22]),
		platform: c.Platforms[i%len(c.Platforms)],
		protocol: nativeLibrary{author: c.Author},
	}
	turn := float64(i / len(c.Platforms)) // so that each platform has its share
	if math.Floor((turn+1)*c.Capgo) > math.Floor(turn*c.Capgo) {
		d.protocol = capgoLibrary{}
	}
	return d
}

// address is somewhere in the documentation prefix of IPv6 (RFC 3849): hardly two devices share a network.
func address(random []byte) string {
	a := [16]byte{0x20, 0x01, 0x0d, 0xb8, 15: 1}
	copy(a[4:8], random)
	return netip.AddrFrom16(a).String()
}

// step is one poll: send what is left to report, ask, and do what the answer says.
func (d *device) step(ctx context.Context, f *Fleet) {
	if !d.flush(ctx, f) {
		return
	}
	a, err := d.protocol.check(ctx, f.gateway, d)
	if err != nil {
		f.stats.checkFailed(ctx, err)
		return
	}
	f.stats.checked(d.protocol.name())
	switch {
	case a.reset:
		d.run(f, installed{})
		d.previous = installed{}
	case a.offer != nil:
		d.update(ctx, f, a.offer)
	}
	d.flush(ctx, f)
}

// update installs an offered bundle, unless it is the current one or known to fail here.
func (d *device) update(ctx context.Context, f *Fleet, o *offer) {
	target := o.installed
	if target.digest == d.current.digest {
		return
	}
	if slices.Contains(d.failed, target.digest) {
		f.stats.offeredAgain(target)
		if d.protocol.remembers() {
			return
		}
	}
	if target.digest == d.previous.digest && d.protocol.remembers() {
		d.run(f, target) // still on the device, verified and known to work
		d.previous = installed{}
		d.report(confirmed, target, "")
		return
	}
	content, err := d.download(ctx, f, o)
	if err != nil {
		d.refuse(ctx, f, o, err)
		return
	}
	d.report(downloaded, target, "")
	d.try(f, target, content)
}

// try runs a bundle, and goes back when it does not work.
func (d *device) try(f *Fleet, target installed, content []byte) {
	m, err := readManifest(content)
	if err != nil {
		f.stats.rejected(err)
		d.fail(f, target, native.KindRollback) // the app cannot start from it
		return
	}
	d.report(started, target, "")
	before := d.current
	d.run(f, target)
	if breaks(d.id, m) {
		d.run(f, before)
		d.fail(f, target, native.KindRollback)
		return
	}
	d.previous = before
	f.stats.confirmed(target)
	d.report(confirmed, target, "")
}

// run makes a bundle the current one.
func (d *device) run(f *Fleet, b installed) {
	before := d.current
	first := b != (installed{}) && !slices.Contains(d.ran, b.digest)
	if first {
		d.ran = append(d.ran, b.digest)
	}
	d.current = b
	f.stats.moved(before, b, first)
}

// download waits for its turn, and gives the content of an artifact that passed every check.
func (d *device) download(ctx context.Context, f *Fleet, o *offer) ([]byte, error) {
	if err := f.downloads.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	defer f.downloads.Release(1)
	content, err := f.gateway.download(ctx, d, o)
	if err != nil {
		return nil, err
	}
	f.stats.downloaded(d.protocol.name(), len(content))
	return content, d.protocol.verify(content, o)
}

// refuse ends an update whose artifact did not arrive or is not what it should be. A library that knows no bad bundles tries
// again with the next poll, as all do when only the network failed.
func (d *device) refuse(ctx context.Context, f *Fleet, o *offer, err error) {
	if ctx.Err() != nil {
		return
	}
	f.stats.rejected(err)
	_, bad := errors.AsType[*rejection](err)
	switch {
	case !bad:
		d.report(failed, o.installed, native.KindNetwork)
	case d.protocol.remembers():
		d.fail(f, o.installed, native.KindVerification)
	default:
		d.report(failed, o.installed, native.KindVerification)
	}
}

// fail reports that a bundle does not work here.
func (d *device) fail(f *Fleet, b installed, kind string) {
	if !slices.Contains(d.failed, b.digest) {
		d.failed = append(d.failed, b.digest)
		f.stats.failed(d.protocol.name(), b)
	}
	d.report(failed, b, kind)
}

func (d *device) report(outcome string, b installed, kind string) {
	if len(d.outbox) == maxOutbox {
		d.outbox = d.outbox[1:]
	}
	d.outbox = append(d.outbox, event{bundle: b, running: d.current, outcome: outcome, kind: kind, at: time.Now()})
}

// flush sends events in order and tells whether all are sent. What the gateway did not take is sent again later.
func (d *device) flush(ctx context.Context, f *Fleet) bool {
	if len(d.outbox) == 0 {
		return true
	}
	sent, err := d.protocol.report(ctx, f.gateway, d, d.outbox)
	f.stats.reported(d.protocol.name(), sent)
	d.outbox = d.outbox[sent:]
	if err != nil {
		f.stats.reportFailed(ctx, err)
		return false
	}
	d.outbox = nil
	return true
}

// breaks tells whether a bundle breaks on a device. The same device and version always give the same answer, and over many
// devices the share that breaks is the bundle's failure rate.
func breaks(id string, m *manifest) bool {
	sum := sha256.Sum256([]byte("breaks\x00" + id + "\x00" + m.Version))
	const span = 1 << 53 // a float64 holds integers up to here exactly
	return float64(binary.BigEndian.Uint64(sum[:8])%span) < m.FailureRate*span
}
