// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package capgo

import (
	"errors"
	"hash/fnv"
	"net/http"
	"strconv"

	"github.com/windlass-dev/windlass/internal/gateway/ledger"
	"github.com/windlass-dev/windlass/internal/gateway/limit"
	"github.com/windlass-dev/windlass/internal/gateway/protocol/jsonlex"
	"github.com/windlass-dev/windlass/internal/resolve"
)

// choice is a request about the channel that a device chose.
type choice struct {
	*Handler
	*scratch

	request *http.Request
	pseudo  ledger.Pseudonym
	channel *resolve.Channel // that the answer is about, or nil
}

// channel makes a handler of what answers a choice. Parameters of the address count as well as the body, since the clients'
// methods differ in where they put them.
func (h *Handler) channel(reply func(c *choice, b []byte) []byte) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		visitor, shed, err := h.admit(limit.Checks, r)
		switch {
		case err != nil:
			return err
		case shed:
			return answer(w, http.StatusOK, appendRejection(nil, busy))
		}
		s := scratches.Get().(*scratch)
		defer s.release()
		if err := s.readChoice(r); err != nil {
			return err
		}
		if _, err := h.Edge.SpeakFor(visitor, s.info.device); err != nil {
			return err
		}
		if !h.Edge.Begin(limit.Checks) {
			return answer(w, http.StatusOK, appendRejection(nil, busy))
		}
		defer h.Edge.End(limit.Checks)
		c := choice{Handler: h, scratch: s, request: r, pseudo: h.Ledger.Pseudonym(s.info.app, s.info.device)}
		s.buf = reply(&c, s.buf[:0])
		allowOrigin(w, r, c.channel)
		return answer(w, http.StatusOK, s.buf)
	}
}

func (s *scratch) readChoice(r *http.Request) error {
	parseQuery(&s.info, r.URL.Query())
	body, err := s.body(r)
	if err != nil {
		return err
	}
	if body != "" {
		if err := parseInfo(&s.info, body, nil); err != nil {
			return err
		}
	}
	s.know()
	err = s.info.identified()
	if errors.Is(err, errNoDevice) && r.Method == http.MethodGet {
		return nil // the list of channels is nobody's in particular
	}
	return err
}

// rejection says why a device cannot have what it asks for.
type rejection struct{ code, message string }

// The rejections.
var (
	noChannelNamed  = rejection{"missing_channel", "Expected channel, the name of a channel"}
	channelNotFound = rejection{"channel_not_found", "There is no such channel"}
	notServed       = rejection{"invalid_platform", "The channel does not serve this platform, or this kind of build"}
	publicOnly      = rejection{
		"public_channel_self_set_not_allowed", "The channel is public and does not let devices choose it: unset the channel to follow it by default",
	}
	overridden = rejection{"cannot_override", "The device was put into a channel that does not let devices choose"}
	notStored  = rejection{"channel_self_server_storage_unavailable", "The choice cannot be stored at the moment: try again later"}
	busy       = rejection{"too_many_requests", "Too many requests at the moment: try again later"}
)

// appendRejection renders a rejection. It has a status, since electron's client takes an answer without one for success.
func appendRejection(b []byte, why rejection) []byte {
	b = jsonlex.AppendText(append(b, `{"status":"error","error":`...), why.code)
	b = jsonlex.AppendText(append(b, `,"message":`...), why.message)
	return append(b, '}')
}

const accepted = `{"status":"ok"}`

// find gives a channel of the device's app by name, or says why there is none. One that devices neither follow nor choose by
// themselves is as none, so that nobody can find out what there is.
func (c *choice) find(name string) (*resolve.Channel, *rejection) {
	found, why := c.resolved().Follow(c.info.app, resolve.Wish{Channel: name, Exact: true}, &c.device, c.Now())
	switch {
	case found != nil:
		return found, nil
	case why == resolve.ReasonNoMetadata || why == resolve.ReasonMetadataExpired:
		return nil, &notStored
	}
	return nil, &channelNotFound
}

// getChannel says which channel a device follows. New plugins store the name that they get as the device's own choice: they
// only ever get back what they sent, so that asking pins no device to what it follows by default.
func (h *Handler) getChannel(c *choice, b []byte) []byte {
	in := &c.info
	if !c.plugin.electron && c.plugin.keepsChannel() {
		if in.channel != "" {
			c.channel, _ = c.find(in.channel)
			return c.appendChannel(b, in.channel, "override")
		}
		c.channel, _ = c.find(in.defaultChannel)
		return c.appendChannel(b, in.defaultChannel, "default")
	}
	wish := h.wish(in, c.plugin, c.pseudo)
	var why resolve.Reason
	if c.channel, why = h.resolved().Follow(in.app, wish, &c.device, h.Now()); why != "" {
		return appendRejection(b, channelNotFound)
	}
	status := "default"
	if c.channel.Name == wish.Override {
		status = "override"
	}
	return c.appendChannel(b, c.channel.Name, status)
}

// appendChannel renders the answer to getChannel. Electron's client has another name for allowSet.
func (c *choice) appendChannel(b []byte, name, status string) []byte {
	b = jsonlex.AppendText(append(b, `{"channel":`...), name)
	b = jsonlex.AppendText(append(b, `,"status":`...), status)
	if c.channel != nil {
		key := "allowSet"
		if c.plugin.electron {
			key = "allow_set"
		}
		b = append(jsonlex.AppendText(append(b, ','), key), ':')
		b = strconv.AppendBool(b, c.channel.SelfAssignable())
	}
	return append(b, '}')
}

// setChannel checks a device's choice. New plugins store it themselves; for old ones the ledger does.
func (h *Handler) setChannel(c *choice, b []byte) []byte {
	in := &c.info
	if c.plugin.electron && in.action == "unset" {
		return append(b, accepted...)
	}
	if in.channel == "" {
		return appendRejection(b, noChannelNamed)
	}
	if c.fixed() {
		return appendRejection(b, overridden)
	}
	var why *rejection
	c.channel, why = c.find(in.channel)
	switch {
	case why != nil:
		return appendRejection(b, *why)
	case !c.channel.SelfAssignable() && c.channel.Public():
		return appendRejection(b, publicOnly)
	case !c.channel.SelfAssignable(): // it cannot be read
		return appendRejection(b, notStored)
	case !c.served():
		return appendRejection(b, notServed)
	case c.plugin.keepsChannel():
		return append(b, `{"status":"ok","allowSet":true}`...)
	}
	return c.store(b, c.override())
}

// served tells whether the device would follow the channel that it chose.
func (c *choice) served() bool {
	followed, _ := c.resolved().Follow(c.info.app, resolve.Wish{Channel: c.channel.Name}, &c.device, c.Now())
	return followed == c.channel
}

// override is what the ledger has to store for the choice: nothing if the device follows that channel by default.
func (c *choice) override() string {
	byDefault, _ := c.resolved().Follow(c.info.app, resolve.Wish{Channel: c.info.defaultChannel}, &c.device, c.Now())
	if byDefault == c.channel {
		return ""
	}
	return c.channel.Name
}

// unsetChannel forgets a device's choice.
func (h *Handler) unsetChannel(c *choice, b []byte) []byte {
	switch {
	case c.plugin.keepsChannel():
		return append(b, accepted...)
	case c.fixed():
		return appendRejection(b, overridden)
	}
	return c.store(b, "")
}

// fixed tells whether an old plugin's device was put into a channel that lets no device choose.
func (c *choice) fixed() bool {
	if c.plugin.keepsChannel() {
		return false
	}
	override := c.Ledger.Override(c.pseudo)
	if override == "" {
		return false
	}
	in, _ := c.resolved().Channel(c.info.app, override, c.Now())
	return in != nil && !in.SelfAssignable()
}

func (c *choice) store(b []byte, channel string) []byte {
	if err := c.Ledger.SetOverride(c.request.Context(), c.info.app, c.pseudo, channel); err != nil {
		return appendRejection(b, notStored)
	}
	return append(b, accepted...)
}

// listChannels lists the channels that a device may follow. Electron's client asks for its own channel the same way.
func (h *Handler) listChannels(c *choice, b []byte) []byte {
	if c.plugin.electron && c.info.action != "list" {
		return h.getChannel(c, b)
	}
	channels, _ := h.resolved().Channels(c.info.app, &c.device, h.Now())
	if !c.plugin.electron {
		return appendChannels(b, channels)
	}
	return append(appendChannels(append(b, `{"channels":`...), channels), '}')
}

func appendChannels(b []byte, channels []*resolve.Channel) []byte {
	b = append(b, '[')
	for i, c := range channels {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendUint(append(b, `{"id":`...), uint64(channelID(c.Name)), 10)
		b = jsonlex.AppendText(append(b, `,"name":`...), c.Name)
		b = strconv.AppendBool(append(b, `,"public":`...), c.Public())
		b = strconv.AppendBool(append(b, `,"allow_self_set":`...), c.SelfAssignable())
		b = append(b, '}')
	}
	return append(b, ']')
}

// channelID is a number for a channel, as clients want one: the same at every replica.
func channelID(name string) uint32 {
	sum := fnv.New32a()
	_, _ = sum.Write([]byte(name)) // never fails
	return sum.Sum32()
}
