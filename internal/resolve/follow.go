// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package resolve

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/windlass-dev/windlass/internal/release"
)

// Wish is what says which channel a device follows.
type Wish struct {
	Override string // stored for this device by its id; it may be a private channel, and is passed over if it does not serve the device
	Channel  string // that the app was built with, or that the device chose
	Exact    bool   // the device follows Channel or none, as in the native protocol: an override then opens that channel, no other
}

// follow says who may follow a channel. The zero value is the API's default: everyone that names it.
type follow struct {
	visibility     visibility
	selfAssignable bool
	origins        []string
}

// visibility of a channel.
type visibility int8

const (
	public  visibility = iota
	private            // for devices that chose it, or were put there
	unknown            // of a channel that cannot be read: devices that name it stay with it, and no other follows it
)

func compileFollow(src release.Follow) (follow, error) {
	f := follow{selfAssignable: src.SelfAssignment == "Allowed", origins: src.Origins}
	switch src.Visibility {
	case "", "Public":
	case "Private":
		f.visibility = private
	default:
		f.visibility = unknown
		return f, fmt.Errorf("follow visibility: expected Public or Private, got %q", src.Visibility)
	}
	if src.SelfAssignment != "" && src.SelfAssignment != "Denied" && !f.selfAssignable {
		return f, fmt.Errorf("follow selfAssignment: expected Denied or Allowed, got %q", src.SelfAssignment)
	}
	return f, nil
}

// gleanFollow reads who follows a channel of which the document cannot be understood. Whether a private channel may be chosen
// decides whether a device that names it stays: where that is not understood, it stays.
func gleanFollow(src release.Follow) follow {
	f, err := compileFollow(src)
	if err != nil && f.visibility == private {
		f.visibility = unknown
	}
	return f
}

// Public tells whether every device may follow that names the channel.
func (c *Channel) Public() bool { return c.follow.visibility == public }

// SelfAssignable tells whether a device may choose this channel itself.
func (c *Channel) SelfAssignable() bool { return c.follow.selfAssignable }

// AllowsOrigin tells whether pages of a web origin, such as https://app.example.com, may ask (CORS). It takes the Origin header as browsers send it.
func (c *Channel) AllowsOrigin(origin string) bool { return slices.Contains(c.follow.origins, origin) }

// closed tells whether the channel is only for devices that were put there. One of which nothing is known counts as open: a
// device that names it is offered nothing, while another channel in its place could be one that it never asked for.
func (c *Channel) closed() bool { return c.follow.visibility == private && !c.follow.selfAssignable }

// roster lists the channels of an app, by name.
type roster struct {
	open     []*Channel // that devices may name
	defaults []*Channel // the public ones, without those of which an earlier one serves the same devices
}

func newRoster(channels map[string]*Channel) roster {
	var r roster
	for _, name := range slices.Sorted(maps.Keys(channels)) {
		c := channels[name]
		if !c.closed() && !c.unreadable {
			r.open = append(r.open, c)
		}
		if c.Public() && !slices.ContainsFunc(r.defaults, c.servedBy) {
			r.defaults = append(r.defaults, c)
		}
	}
	return r
}

// servedBy tells whether another channel serves all devices that this one serves. There are few different audiences, so that
// a device without a wish finds its channel at the same cost among three and among ten thousand.
func (c *Channel) servedBy(other *Channel) bool { return other.audience.contains(&c.audience) }

// NewView makes a View of compiled channels.
func NewView(expires time.Time, channels ...*Channel) *View {
	v := &View{Apps: map[string]map[string]*Channel{}, Expires: expires, rosters: map[string]roster{}, origins: map[string]bool{}}
	for _, c := range channels {
		if v.Apps[c.App] == nil {
			v.Apps[c.App] = map[string]*Channel{}
		}
		v.Apps[c.App][c.Name] = c
		for _, o := range c.follow.origins {
			v.origins[o] = true
		}
	}
	for app, channels := range v.Apps {
		v.rosters[app] = newRoster(channels)
	}
	return v
}

// AllowsOrigin tells whether any channel lets pages of a web origin ask: a browser's question before the request
// (preflight) names no channel.
func (v *View) AllowsOrigin(origin string) bool { return v != nil && v.origins[origin] }

// Channels gives the channels that a device may follow by its own wish, by name: those that are public or may be chosen, and
// that serve it. It gives a reason instead when the app is not known, or what it publishes.
func (v *View) Channels(app string, d *Device, now time.Time) ([]*Channel, Reason) {
	if why := v.lacks(app, now); why != noReason {
		return nil, why
	}
	var out []*Channel
	for _, c := range v.rosters[app].open {
		if c.expired(now) == noReason && c.audience.excludes(d) == noReason {
			out = append(out, c)
		}
	}
	return out, noReason
}

// Follow gives the channel that a device follows: its override, if that exists and serves it; else the channel that it wishes
// for, if that is open and serves it; else the first public channel, by name, that serves it. It gives a reason instead when
// there is none: the first that was met. A channel of which the metadata have expired, or that cannot be read, is not passed
// over, since a fleet must not change channels because nobody signed one, or because the manager is newer than the gateway.
func (v *View) Follow(app string, wish Wish, d *Device, now time.Time) (*Channel, Reason) {
	return v.follow(app, &wish, d, now, nil)
}

func (v *View) follow(app string, wish *Wish, d *Device, now time.Time, t *trace) (*Channel, Reason) {
	if why := t.metadata(v, app, v.lacks(app, now)); why != noReason {
		return nil, why
	}
	var c *Channel
	var why Reason
	if wish.Exact {
		c, why = v.named(app, wish, t)
	} else {
		c, why = v.choose(app, wish, d, t)
	}
	if why == noReason {
		why = t.signed(c, c.expired(now))
	}
	if why != noReason {
		return nil, why
	}
	return c, noReason
}

// named gives the very channel that a device asks for, if it may follow it.
func (v *View) named(app string, wish *Wish, t *trace) (*Channel, Reason) {
	c, why := v.Apps[app][wish.Channel], noReason
	switch {
	case c == nil:
		why = ReasonUnknownChannel
	case c.closed() && wish.Override != wish.Channel:
		why = ReasonChannelPrivate
	}
	return c, t.wish(wish, c, why)
}

// choose gives the channel that suits a device best.
func (v *View) choose(app string, wish *Wish, d *Device, t *trace) (*Channel, Reason) {
	first := noReason
	if wish.Override != "" {
		c := v.Apps[app][wish.Override]
		why := t.override(wish, c, c.misses(d))
		if why == noReason {
			return c, noReason
		}
		first = met(why)
	}
	if wish.Channel != "" {
		c := v.Apps[app][wish.Channel]
		why := t.wish(wish, c, c.shuns(d))
		if why == noReason {
			return c, noReason
		}
		first = cmp.Or(first, met(why))
	}
	for _, c := range v.rosters[app].defaults {
		why := t.public(c, c.audience.excludes(d))
		if why == noReason {
			return c, noReason
		}
		first = cmp.Or(first, why)
	}
	return nil, cmp.Or(first, t.public(nil, ReasonNoChannel))
}

// met gives no reason for a channel that does not exist: to ask for that is as to ask for none.
func met(why Reason) Reason {
	if why == ReasonUnknownChannel {
		return noReason
	}
	return why
}

// misses gives the reason why a channel is none for a device that was put there, if it is none.
func (c *Channel) misses(d *Device) Reason {
	if c == nil {
		return ReasonUnknownChannel
	}
	return c.audience.excludes(d)
}

// shuns gives the reason why a device may not follow a channel by its own wish, if it may not.
func (c *Channel) shuns(d *Device) Reason {
	if c != nil && c.closed() {
		return ReasonChannelPrivate
	}
	return c.misses(d)
}
