// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package resolve_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/windlass-dev/windlass/internal/release"
	"github.com/windlass-dev/windlass/internal/resolve"
)

func follow(visibility, selfAssignment string) func(*release.Document) {
	return func(d *release.Document) { d.Follow.Visibility, d.Follow.SelfAssignment = visibility, selfAssignment }
}

func platforms(names ...string) func(*release.Document) {
	return func(d *release.Document) { d.Audience.Platforms = names }
}

var private = follow("Private", "")

// channel compiles a channel of the shop.
func channel(t testing.TB, name string, edit ...func(*release.Document)) *resolve.Channel {
	t.Helper()
	doc := document(edit...)
	doc.Channel = name
	c, err := resolve.Compile(doc)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// shop has channels of all sorts.
func shop(t testing.TB) *resolve.View {
	return resolve.NewView(now.Add(time.Minute),
		channel(t, "a-staff", private),
		channel(t, "android", platforms("android")),
		channel(t, "beta", follow("Private", "Allowed")),
		channel(t, "ios-late", platforms("ios")),
		channel(t, "nightly", platforms("android"), private),
		channel(t, "old", follow("Public", "Allowed")).Until(now),
		channel(t, "production", follow("Public", "Denied")),
		resolve.Unreadable("shop", "unreadable", nil, nil),
	)
}

// torn is a channel of which only the document's head could be read.
func torn(name string, edit ...func(*release.Document)) *resolve.Channel {
	return resolve.Unreadable("shop", name, document(edit...), nil)
}

func TestFollow(t *testing.T) {
	t.Parallel()
	view := shop(t)
	staff := resolve.NewView(now.Add(time.Minute), channel(t, "staff", private), channel(t, "droid", private, platforms("android")))
	droid := resolve.NewView(now.Add(time.Minute), channel(t, "staff", private), channel(t, "droid", platforms("android")))
	released := resolve.NewView(now.Add(time.Minute), channel(t, "store", builds("Production")))
	newer := resolve.NewView(now.Add(time.Minute), torn("a"), channel(t, "b"))
	beta := resolve.NewView(now.Add(time.Minute),
		torn("beta", private), torn("gamma", follow("Private", "Allowed")), torn("omega", follow("Private", "Perhaps")), channel(t, "production"))
	secret := resolve.NewView(now.Add(time.Minute), torn("beta", follow("Secret", "")), channel(t, "production"))
	droids := resolve.NewView(now.Add(time.Minute), torn("a", platforms("android")), channel(t, "b"))
	lost := resolve.NewView(now.Add(time.Minute), resolve.Unreadable("shop", "a", nil, nil), channel(t, "b"))
	kept := resolve.NewView(now.Add(time.Minute), resolve.Unreadable("shop", "a", nil, channel(t, "a", platforms("ios"))),
		resolve.Unreadable("shop", "beta", nil, channel(t, "beta", private)), channel(t, "c"))
	late := resolve.NewView(now.Add(time.Minute), channel(t, "a").Until(now), channel(t, "b"))
	for _, tc := range []struct {
		name   string
		view   *resolve.View
		wish   resolve.Wish
		device devEdits
		want   string // the channel, or the reason
	}{
		{"no wish: the first public one that serves it", view, resolve.Wish{}, nil, "ios-late"},
		{"no wish, on another platform", view, resolve.Wish{}, devEdits{platform("android")}, "android"},
		{"no wish, on a third platform", view, resolve.Wish{}, devEdits{platform("web")}, "old!"},
		{"wish", view, resolve.Wish{Channel: "production"}, nil, "production"},
		{"wish for what may be chosen", view, resolve.Wish{Channel: "beta"}, nil, "beta"},
		{"wish for a private one", view, resolve.Wish{Channel: "a-staff"}, nil, "ios-late"},
		{"wish for one of another platform", view, resolve.Wish{Channel: "android"}, nil, "ios-late"},
		{"wish for one that does not exist", view, resolve.Wish{Channel: "gamma"}, nil, "ios-late"},
		{"wish for one that cannot be read", view, resolve.Wish{Channel: "unreadable"}, nil, "unreadable"},
		{"wish for one that nobody signed", view, resolve.Wish{Channel: "old"}, nil, "MetadataExpired"},
		{"override", view, resolve.Wish{Override: "a-staff", Channel: "production"}, nil, "a-staff"},
		{"override, private, of this platform", view, resolve.Wish{Override: "nightly", Channel: "production"}, devEdits{platform("android")}, "nightly"},
		{"override to one of another platform", view, resolve.Wish{Override: "nightly"}, nil, "ios-late"},
		{"override to one of another platform, wish", view, resolve.Wish{Override: "nightly", Channel: "production"}, nil, "production"},
		{"override to one of another platform, all are private", staff, resolve.Wish{Override: "droid"}, nil, "PlatformNotServed"},
		{"override to one of another platform, wish for a private one", staff, resolve.Wish{Override: "droid", Channel: "staff"}, nil, "PlatformNotServed"},
		{"override to one of another build", released, resolve.Wish{Override: "store"}, devEdits{development}, "BuildNotServed"},
		{"override to one that cannot be read", view, resolve.Wish{Override: "unreadable", Channel: "production"}, nil, "unreadable"},
		{"override to one that is gone", view, resolve.Wish{Override: "gamma", Channel: "production"}, nil, "production"},
		{"override to one that nobody signed", view, resolve.Wish{Override: "old", Channel: "production"}, nil, "MetadataExpired"},

		{"exact", view, resolve.Wish{Channel: "production", Exact: true}, nil, "production"},
		{"exact, what may be chosen", view, resolve.Wish{Channel: "beta", Exact: true}, nil, "beta"},
		{"exact, private", view, resolve.Wish{Channel: "a-staff", Exact: true}, nil, "ChannelPrivate"},
		{"exact, private, put there", view, resolve.Wish{Channel: "a-staff", Override: "a-staff", Exact: true}, nil, "a-staff"},
		{"exact, private, put elsewhere", view, resolve.Wish{Channel: "a-staff", Override: "nightly", Exact: true}, nil, "ChannelPrivate"},
		{"exact, put elsewhere", view, resolve.Wish{Channel: "production", Override: "a-staff", Exact: true}, nil, "production"},
		{"exact, does not exist", view, resolve.Wish{Channel: "gamma", Exact: true}, nil, "UnknownChannel"},
		{"exact, nothing", view, resolve.Wish{Exact: true}, nil, "UnknownChannel"},
		{"exact, of another platform", view, resolve.Wish{Channel: "android", Exact: true}, nil, "android"},
		{"exact, nobody signed", view, resolve.Wish{Channel: "old", Exact: true}, nil, "MetadataExpired"},

		{"all are private", staff, resolve.Wish{}, nil, "NoChannel"},
		{"all are private, wish", staff, resolve.Wish{Channel: "staff"}, nil, "ChannelPrivate"},
		{"all are private, wish for none of them", staff, resolve.Wish{Channel: "gamma"}, nil, "NoChannel"},
		{"the public one is of another platform", droid, resolve.Wish{}, nil, "PlatformNotServed"},
		{"the public one is of another platform, wish", droid, resolve.Wish{Channel: "droid"}, nil, "PlatformNotServed"},
		{"the public one is of another platform, wish for a private one", droid, resolve.Wish{Channel: "staff"}, nil, "ChannelPrivate"},
		{"the public one is of another build", released, resolve.Wish{}, devEdits{development}, "BuildNotServed"},
		{"public one that cannot be read is not passed over", newer, resolve.Wish{}, nil, "a"},
		{"private one that cannot be read is passed over", beta, resolve.Wish{}, nil, "production"},
		{"private one that cannot be read, wish", beta, resolve.Wish{Channel: "beta"}, nil, "production"},
		{"private one that cannot be read, override", beta, resolve.Wish{Override: "beta"}, nil, "beta"},
		{"private one that cannot be read, exact", beta, resolve.Wish{Channel: "beta", Exact: true}, nil, "ChannelPrivate"},
		{"private one that may be chosen and cannot be read", beta, resolve.Wish{Channel: "gamma"}, nil, "gamma"},
		{"private one of which it is not known whether it may be chosen", beta, resolve.Wish{Channel: "omega"}, nil, "omega"},
		{"one of a visibility that is not known is passed over", secret, resolve.Wish{}, nil, "production"},
		{"one of a visibility that is not known, wish", secret, resolve.Wish{Channel: "beta"}, nil, "beta"},
		{"one of a visibility that is not known, exact", secret, resolve.Wish{Channel: "beta", Exact: true}, nil, "beta"},
		{"one that cannot be read is followed by those that it serves", droids, resolve.Wish{}, devEdits{platform("android")}, "a"},
		{"one that cannot be read is not followed by others", droids, resolve.Wish{}, nil, "b"},
		{"one that cannot be read and does not serve it, wish", droids, resolve.Wish{Channel: "a"}, nil, "b"},
		{"one of which nothing is known is passed over", lost, resolve.Wish{}, nil, "b"},
		{"one of which nothing is known, wish", lost, resolve.Wish{Channel: "a"}, nil, "a"},
		{"one of which nothing is known, override", lost, resolve.Wish{Override: "a"}, nil, "a"},
		{"one that was public before", kept, resolve.Wish{}, nil, "a"},
		{"one that was public before, for others", kept, resolve.Wish{}, devEdits{platform("android")}, "c"},
		{"one that was private before", kept, resolve.Wish{Channel: "beta"}, devEdits{platform("android")}, "c"},
		{"one that nobody signed is not passed over", late, resolve.Wish{}, nil, "MetadataExpired"},
		{"nothing was read", nil, resolve.Wish{}, nil, "NoMetadata"},
		{"the metadata have expired", resolve.NewView(now, channel(t, "a")), resolve.Wish{}, nil, "MetadataExpired"},
		{"no such app", resolve.NewView(now.Add(time.Minute)), resolve.Wish{}, nil, "UnknownApp"},
	} {
		d := device(tc.device...)
		c, why := tc.view.Follow("shop", tc.wish, &d, now)
		got := string(why)
		if c != nil {
			got += c.Name
		}
		if want := strings.ReplaceAll(tc.want, "old!", "MetadataExpired"); got != want {
			t.Errorf("%s: %s, want %s", tc.name, got, want)
		}
	}
}

func TestChannels(t *testing.T) {
	t.Parallel()
	view := shop(t)
	for _, tc := range []struct {
		platform string
		at       time.Time
		want     string
	}{
		{"ios", now, "beta:false:true ios-late:true:false production:true:false"},
		{"ios", now.Add(-time.Second), "beta:false:true ios-late:true:false old:true:true production:true:false"},
		{"android", now, "android:true:false beta:false:true production:true:false"},
	} {
		d := device(platform(tc.platform))
		list, why := view.Channels("shop", &d, tc.at)
		var got []string
		for _, c := range list {
			got = append(got, fmt.Sprintf("%s:%v:%v", c.Name, c.Public(), c.SelfAssignable()))
		}
		if strings.Join(got, " ") != tc.want || why != "" {
			t.Errorf("%s: %v %s, want %s", tc.platform, got, why, tc.want)
		}
	}
	d := device()
	if list, why := view.Channels("bank", &d, now); list != nil || why != resolve.ReasonUnknownApp {
		t.Errorf("another app: %v %q", list, why)
	}
}

func TestOrigins(t *testing.T) {
	t.Parallel()
	const one, two = "https://shop.example.com", "capacitor://localhost"
	c := channel(t, "production", func(d *release.Document) { d.Follow.Origins = []string{two, one} })
	view := resolve.NewView(now.Add(time.Minute), c, channel(t, "beta"))
	for origin, want := range map[string]bool{one: true, two: true, "https://shop.example.com:8443": false, "http://shop.example.com": false, "null": false, "": false} {
		if c.AllowsOrigin(origin) != want || view.AllowsOrigin(origin) != want {
			t.Errorf("%q: channel %v, view %v, want %v", origin, c.AllowsOrigin(origin), view.AllowsOrigin(origin), want)
		}
		if channel(t, "beta").AllowsOrigin(origin) || (*resolve.View)(nil).AllowsOrigin(origin) {
			t.Errorf("%q is allowed by nobody", origin)
		}
	}
}

// Nothing is made up of a channel of which nothing is known. Of others, who follows is known though what they offer is not.
func TestUnreadable_whoFollows(t *testing.T) {
	t.Parallel()
	const origin = "https://shop.example.com"
	if c := resolve.Unreadable("shop", "production", nil, nil); c.Public() || c.SelfAssignable() {
		t.Errorf("public %v, may be chosen %v: nothing is known of it", c.Public(), c.SelfAssignable())
	}
	open := func(d *release.Document) {
		d.Follow = release.Follow{Visibility: "Public", SelfAssignment: "Allowed", Origins: []string{origin}}
	}
	for name, c := range map[string]*resolve.Channel{
		"head": torn("production", open), "before": resolve.Unreadable("shop", "production", nil, channel(t, "production", open)),
		"head, not before": resolve.Unreadable("shop", "production", document(open), channel(t, "production", private)),
	} {
		if !c.Public() || !c.SelfAssignable() || !c.AllowsOrigin(origin) || c.Readable() || c.Stable() != nil || len(c.Bundles()) != 0 {
			t.Errorf("%s: public %v, may be chosen %v, readable %v, bundles %v", name, c.Public(), c.SelfAssignable(), c.Readable(), c.Bundles())
		}
	}
}

// anyShop has a few channels of random policies, and what is known of them: nil for a channel of which nothing is.
type anyShop struct {
	*resolve.View
	known map[string]*release.Document
}

func anyView(t *rapid.T) anyShop {
	s := anyShop{known: map[string]*release.Document{}}
	var channels []*resolve.Channel
	for _, name := range names {
		state := rapid.IntRange(0, 9).Draw(t, name)
		if state == 0 {
			continue
		}
		doc := anyDocument(t)
		doc.Channel = name
		doc.Follow.Visibility = rapid.SampledFrom([]string{"", "Public", "Private"}).Draw(t, name+" visibility")
		doc.Follow.SelfAssignment = rapid.SampledFrom([]string{"", "Denied", "Allowed"}).Draw(t, name+" selfAssignment")
		var c *resolve.Channel
		s.known[name] = doc
		switch state {
		case 1:
			c, s.known[name] = resolve.Unreadable("shop", name, nil, nil), nil
		case 2:
			c = resolve.Unreadable("shop", name, doc, nil)
		case 3:
			c = resolve.Unreadable("shop", name, nil, compiled(t, doc))
		default:
			c = compiled(t, doc)
		}
		if rapid.IntRange(0, 5).Draw(t, name+" expired") == 0 {
			c = c.Until(now)
		}
		channels = append(channels, c)
	}
	s.View = resolve.NewView(now.Add(rapid.SampledFrom([]time.Duration{time.Hour, time.Hour, time.Hour, 0}).Draw(t, "expires")), channels...)
	return s
}

// has tells whether there is such a channel.
func (s anyShop) has(name string) bool { _, ok := s.known[name]; return ok }

// serves tells whether a channel's audience has a device: that of a channel of which nothing is known has all.
func (s anyShop) serves(name string, d *resolve.Device) bool {
	doc := s.known[name]
	if doc == nil {
		return s.has(name)
	}
	listed := func(one, other, is string) bool { // one of two kinds of build
		return slices.Contains(doc.Audience.Builds, is) || !slices.Contains(doc.Audience.Builds, one) && !slices.Contains(doc.Audience.Builds, other)
	}
	return (len(doc.Audience.Platforms) == 0 || slices.Contains(doc.Audience.Platforms, d.Platform)) &&
		listed("Production", "Development", d.Distribution) && listed("Device", "Emulator", d.Hardware)
}

// open tells whether devices may follow a channel that they name.
func (s anyShop) open(name string) bool {
	doc := s.known[name]
	return s.has(name) && (doc == nil || doc.Follow.Visibility != "Private" || doc.Follow.SelfAssignment == "Allowed")
}

// public tells whether devices may follow a channel that name none.
func (s anyShop) public(name string) bool {
	doc := s.known[name]
	return doc != nil && doc.Follow.Visibility != "Private"
}

// followed gives the name of the channel that a device has to follow; empty: none.
func (s anyShop) followed(wish resolve.Wish, d *resolve.Device) string {
	switch {
	case wish.Exact && (s.open(wish.Channel) || s.has(wish.Channel) && wish.Override == wish.Channel):
		return wish.Channel
	case wish.Exact:
		return ""
	case s.serves(wish.Override, d):
		return wish.Override
	case s.open(wish.Channel) && s.serves(wish.Channel, d):
		return wish.Channel
	}
	for _, name := range slices.Sorted(maps.Keys(s.known)) {
		if s.public(name) && s.serves(name, d) {
			return name
		}
	}
	return ""
}

var names = []string{"alpha", "beta", "gamma", "delta", "omega"}

func anyWish(t *rapid.T) resolve.Wish {
	some := rapid.SampledFrom(append([]string{"", "unheard-of"}, names...))
	return resolve.Wish{Override: some.Draw(t, "override"), Channel: some.Draw(t, "wish"), Exact: rapid.Bool().Draw(t, "exact")}
}

// A private channel is followed by override or by a device's own choice where it is allowed, and by nobody else; so it is when it
// cannot be read. One of which nothing is known is followed by devices that name it.
func TestPrivateStaysPrivate(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		shop, wish, dev := anyView(t), anyWish(t), anyDevice(t)
		c, why := shop.Follow("shop", wish, &dev, now)
		if (c == nil) == (why == "") {
			t.Fatalf("channel %v and reason %q", c, why)
		}
		if c == nil {
			return
		}
		named := c.Name == wish.Channel && shop.open(c.Name)
		if !shop.public(c.Name) && c.Name != wish.Override && !named {
			t.Fatalf("follows %s with %+v", c.Name, wish)
		}
		if !wish.Exact && !shop.serves(c.Name, &dev) {
			t.Fatalf("follows %s, which does not serve it", c.Name)
		}
	})
}

// Whatever is followed is the best that there is, by a second, simple reading of the rules: to leave out channels that serve no
// device which an earlier one does not serve changes nothing.
func TestFollowsTheFirstThatServes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		shop, wish, dev := anyView(t), anyWish(t), anyDevice(t)
		want := shop.followed(wish, &dev)
		got, why := shop.Follow("shop", wish, &dev, now)
		switch {
		case got != nil && got.Name != want:
			t.Fatalf("follows %s with %+v, want %q", got.Name, wish, want)
		case got == nil && want != "" && why != resolve.ReasonMetadataExpired:
			t.Fatalf("follows none for %s with %+v, want %s", why, wish, want)
		}
	})
}

// What a device is offered as a list is what it may follow by its wish.
func TestChannelsAreThoseThatAWishGives(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		view, dev := anyView(t).View, anyDevice(t)
		list, why := view.Channels("shop", &dev, now)
		if !slices.IsSortedFunc(list, func(a, b *resolve.Channel) int { return strings.Compare(a.Name, b.Name) }) {
			t.Fatal("not sorted")
		}
		for _, name := range names {
			c, _ := view.Follow("shop", resolve.Wish{Channel: name}, &dev, now)
			listed := slices.ContainsFunc(list, func(c *resolve.Channel) bool { return c.Name == name })
			if given := c != nil && c.Name == name; listed && !given || listed && why != "" {
				t.Fatalf("%s is listed, a wish for it gives %v", name, c)
			}
		}
	})
}

func BenchmarkFollow(b *testing.B) {
	for _, n := range []int{1, 100, 10_000} {
		b.Run(fmt.Sprintf("%d channels", n), func(b *testing.B) {
			channels := make([]*resolve.Channel, 0, n)
			for i := range n {
				channels = append(channels, channel(b, fmt.Sprintf("channel-%05d", i), platforms("ios")))
			}
			view := resolve.NewView(now.Add(time.Hour), channels...)
			d := device(platform("android"))
			b.ReportAllocs()
			for b.Loop() {
				view.Follow("shop", resolve.Wish{}, &d, now)
			}
		})
	}
}
