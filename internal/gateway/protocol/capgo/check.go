// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package capgo

import (
	"net/http"
	"slices"

	"github.com/windlass-dev/windlass/internal/gateway/delivery"
	"github.com/windlass-dev/windlass/internal/gateway/ledger"
	"github.com/windlass-dev/windlass/internal/gateway/limit"
	"github.com/windlass-dev/windlass/internal/gateway/protocol/jsonlex"
	"github.com/windlass-dev/windlass/internal/release"
	"github.com/windlass-dev/windlass/internal/resolve"
)

// check is an update check that is being answered.
type check struct {
	*Handler
	*scratch

	network ledger.Network
	channel *resolve.Channel // that the device follows, or nil
}

func (h *Handler) check(w http.ResponseWriter, r *http.Request) error {
	visitor, shed, err := h.admit(limit.Checks, r)
	switch {
	case err != nil:
		return err
	case shed:
		return shedCheck(w)
	}
	s := scratches.Get().(*scratch)
	defer s.release()
	if err := s.read(r); err != nil {
		return err
	}
	c := check{Handler: h, scratch: s}
	if c.network, err = h.Edge.SpeakFor(visitor, s.info.device); err != nil {
		return err
	}
	s.device.OSVersion, s.device.Region = h.os.Get(s.info.os), visitor.Region()
	if !h.Edge.Begin(limit.Checks) {
		return shedCheck(w)
	}
	defer h.Edge.End(limit.Checks)
	return c.reply(w, r)
}

func (c *check) reply(w http.ResponseWriter, r *http.Request) error {
	if why := c.complete(); why != nil {
		return answer(w, http.StatusOK, appendRefusal(c.buf[:0], why, c))
	}
	c.decide()
	allowOrigin(w, r, c.channel)
	c.buf = c.appendAnswer(c.buf[:0], r)
	if !silent(r) {
		c.note()
	}
	return answer(w, http.StatusOK, c.buf)
}

// note hands the check to the ledger. Electron's client goes on with a bundle that did not get ready in time: to run one that
// failed on the device proves nothing there.
func (c *check) note() {
	if c.device.Platform == electron && c.runsFailed() {
		if c.noted.Told.Action == resolve.None {
			return
		}
		c.noted.RunsVersion = ""
	}
	c.Ledger.Checked(&c.noted)
}

// runsFailed tells whether the device runs a bundle that failed on it, or one of which that cannot be told.
func (c *check) runsFailed() bool {
	if len(c.device.Failed) == 0 || c.noted.RunsVersion == "" {
		return false
	}
	return c.channel == nil || !slices.ContainsFunc(c.channel.Bundles(), func(b *resolve.Bundle) bool {
		return b.Version == c.noted.RunsVersion && !slices.Contains(c.device.Failed, b.Digest)
	})
}

// complete reads the device's versions, or says why it cannot be served.
func (c *check) complete() *refusal {
	in, d := &c.info, &c.device
	if !c.plugin.verifies() {
		return &oldPlugin
	}
	if in.build == "" || in.build == "unknown" {
		return &noBuild
	}
	var err error
	if d.NativeVersion, err = c.builds.Get(in.build); err != nil {
		return &badBuild
	}
	d.Key = in.openedBy(c.plugin)
	if in.embedded(in.name) {
		return nil
	}
	d.Version, err = c.names.Get(in.name)
	d.Foreign = err != nil
	return nil
}

// decide notes what the device is told.
func (c *check) decide() {
	in, d, n := &c.info, &c.device, &c.noted
	device := c.Ledger.Pseudonym(in.app, in.device)
	d.Failed = c.Ledger.Failed(device)
	*n = ledger.Check{
		App: in.app, Device: device, Client: in.client(d), Network: c.network, Votes: d.Votes(), At: c.Now(),
	}
	if !in.embedded(in.name) {
		n.RunsVersion = in.name
	}
	if c.channel, n.Told = c.told(d); c.channel != nil {
		n.Channel = c.channel.Name
	}
}

// told gives what a device like this one is told, and the channel that it follows if there is one.
func (c *check) told(d *resolve.Device) (*resolve.Channel, resolve.Decision) {
	n := &c.noted
	channel, why := c.resolved().Follow(n.App, c.wish(&c.info, c.plugin, n.Device), d, n.At)
	if channel == nil {
		return nil, resolve.Decision{Action: resolve.None, Reason: why}
	}
	return channel, channel.Decide(d, n.At)
}

// appendAnswer renders what the device is told.
func (c *check) appendAnswer(b []byte, r *http.Request) []byte {
	told := &c.noted.Told
	switch {
	case told.Action == resolve.Update:
		return c.appendUpdate(b, r, told.Bundle)
	case told.Action == resolve.Reset && c.noted.RunsVersion == "":
		return appendRefusal(b, &onBuiltin, c)
	case told.Action == resolve.Reset && !c.plugin.resets():
		return appendRefusal(b, &cannotReset, c)
	case told.Action == resolve.Reset:
		return append(b, `{"version":"builtin"}`...)
	}
	why := refusals[told.Reason]
	return appendRefusal(b, &why, c)
}

// appendUpdate renders an offer. It has no other key: one named error, kind or message would make a failure of it.
func (c *check) appendUpdate(b []byte, r *http.Request, bundle *resolve.Bundle) []byte {
	scheme, rest := delivery.BaseURL(c.BaseURL, r)
	checksum, sessionKey := release.Hex(bundle.Digest), ""
	if e := bundle.Encryption; e != nil {
		checksum, sessionKey = e.Checksum, e.SessionKey
	}
	b = jsonlex.AppendText(append(b, `{"version":`...), bundle.Version)
	b = jsonlex.AppendText(append(b, `,"url":`...), scheme, rest, delivery.Prefix, c.info.app, "/", release.Hex(bundle.Digest))
	b = jsonlex.AppendText(append(b, `,"checksum":`...), checksum)
	b = jsonlex.AppendText(append(b, `,"session_key":`...), sessionKey)
	return append(b, '}')
}
