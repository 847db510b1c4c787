// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package device

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/windlass-dev/windlass/internal/gateway/protocol/native"
)

// installed is a bundle that a device has; the zero value is the one that the app was installed with.
type installed struct {
	version, digest string
}

// device is one installation of the app.
type device struct {
	id       string
	platform string
	current  installed
	previous installed // kept by the update library to go back to
	ran      []string  // digests that ever were the current one
	failed   []string  // digests that did not work here and are not installed again
	outbox   []native.ReportRequest
}

// maxOutbox is how many reports a device keeps for a gateway that does not answer.
const maxOutbox = 8

func newDevice(c *Config, i int) *device {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d/%d", c.Seed, i))
	sum[6], sum[8] = sum[6]&0x0f|0x40, sum[8]&0x3f|0x80 // the shape of a random UUID (RFC 9562)
	return &device{
		id:       fmt.Sprintf("%x-%x-%x-%x-%x", sum[0:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16]),
		platform: c.Platforms[i%len(c.Platforms)],
	}
}

// step is one poll: send what is left to report, ask, and do what the answer says.
func (d *device) step(ctx context.Context, f *Fleet) {
	if !d.flush(ctx, f) {
		return
	}
	res, err := f.gateway.check(ctx, d)
	if err != nil {
		f.stats.checkFailed(ctx, err)
		return
	}
	f.stats.checked()
	switch {
	case res.Action == "reset":
		d.run(f, installed{})
		d.previous = installed{}
	case res.Action == "update" && res.Bundle != nil:
		d.update(ctx, f, res.Bundle)
	}
	d.flush(ctx, f)
}

// update installs an offered bundle, unless it is the current one or did not work here before.
func (d *device) update(ctx context.Context, f *Fleet, b *native.Bundle) {
	target := installed{version: b.Version, digest: b.Digest}
	switch {
	case b.Digest == d.current.digest, slices.Contains(d.failed, b.Digest):
		return
	case b.Digest == d.previous.digest:
		d.run(f, target) // still on the device, verified and known to work
		d.previous = installed{}
		d.report(f, b.Digest, "confirmed", "")
		return
	}
	content, err := d.download(ctx, f, b)
	if err != nil {
		d.refuse(ctx, f, b, err)
		return
	}
	d.report(f, b.Digest, "downloaded", "")
	m, err := readManifest(content)
	if err != nil {
		f.stats.rejected(err)
		d.fail(f, target, native.KindRollback) // the app cannot start from it
		return
	}
	d.report(f, b.Digest, "installed", "")
	before := d.current
	d.run(f, target)
	if breaks(d.id, m) {
		d.run(f, before)
		d.fail(f, target, native.KindCrash)
		return
	}
	d.previous = before
	f.stats.confirmed(target)
	d.report(f, b.Digest, "confirmed", "")
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
func (d *device) download(ctx context.Context, f *Fleet, b *native.Bundle) ([]byte, error) {
	if err := f.downloads.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	defer f.downloads.Release(1)
	content, err := f.gateway.download(ctx, b)
	if err != nil {
		return nil, err
	}
	f.stats.downloaded(len(content))
	return content, verify(content, b, f.config.Author)
}

// refuse ends an update whose artifact did not arrive or is not what it should be.
func (d *device) refuse(ctx context.Context, f *Fleet, b *native.Bundle, err error) {
	if ctx.Err() != nil {
		return
	}
	f.stats.rejected(err)
	if _, ok := errors.AsType[*rejection](err); ok {
		d.fail(f, installed{version: b.Version, digest: b.Digest}, native.KindVerification)
		return
	}
	d.report(f, b.Digest, "failed", native.KindNetwork) // the next poll tries again
}

// fail remembers and reports that a bundle does not work here.
func (d *device) fail(f *Fleet, b installed, kind string) {
	d.failed = append(d.failed, b.digest)
	f.stats.failed(b)
	d.report(f, b.digest, "failed", kind)
}

func (d *device) report(f *Fleet, digest, outcome, kind string) {
	if len(d.outbox) == maxOutbox {
		d.outbox = d.outbox[1:]
	}
	d.outbox = append(d.outbox, native.ReportRequest{
		App: f.config.App, Channel: f.config.Channel, DeviceID: d.id, Digest: digest, Outcome: outcome, Kind: kind,
	})
}

// flush sends reports in order and tells whether all are sent. What the gateway did not take is sent again later.
func (d *device) flush(ctx context.Context, f *Fleet) bool {
	for len(d.outbox) > 0 {
		if err := f.gateway.report(ctx, &d.outbox[0]); err != nil {
			f.stats.reportFailed(ctx, err)
			return false
		}
		f.stats.reported()
		d.outbox = d.outbox[1:]
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
