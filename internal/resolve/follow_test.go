// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package resolve_test

import (
	"fmt"
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
		resolve.Unreadable("shop", "unreadable"),
	)
}

func TestFollow(t *testing.T) {
	t.Parallel()
	view := shop(t)
	staff := resolve.NewView(now.Add(time.Minute), channel(t, "staff", private), channel(t, "droid", private, platforms("android")))
	droid := resolve.NewView(now.Add(time.Minute), channel(t, "staff", private), channel(t, "droid", platforms("android")))
	released := resolve.NewView(now.Add(time.Minute), channel(t, "store", builds("Production")))
	torn := resolve.NewView(now.Add(time.Minute), resolve.Unreadable("shop", "a"), channel(t, "b"))
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
		{"override to one of another platform", view, resolve.Wish{Override: "nightly"}, nil, "nightly"},
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
		{"one that cannot be read is not passed over", torn, resolve.Wish{}, nil, "a"},
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
	if got := c.Origins(); !slices.Equal(got, []string{two, one}) {
		t.Errorf("origins %v", got)
	}
	for origin, want := range map[string]bool{one: true, two: true, "https://shop.example.com:8443": false, "http://shop.example.com": false, "null": false, "": false} {
		if c.AllowsOrigin(origin) != want || view.AllowsOrigin(origin) != want {
			t.Errorf("%q: channel %v, view %v, want %v", origin, c.AllowsOrigin(origin), view.AllowsOrigin(origin), want)
		}
		if channel(t, "beta").AllowsOrigin(origin) || (*resolve.View)(nil).AllowsOrigin(origin) {
			t.Errorf("%q is allowed by nobody", origin)
		}
	}
}

func TestUnreadableIsNeitherPublicNorChosen(t *testing.T) {
	t.Parallel()
	if c := resolve.Unreadable("shop", "production"); c.Public() || c.SelfAssignable() {
		t.Errorf("public %v, may be chosen %v: nothing is known of it", c.Public(), c.SelfAssignable())
	}
}

// anyView has a few channels of random policies.
func anyView(t *rapid.T) *resolve.View {
	var channels []*resolve.Channel
	for _, name := range names {
		switch rapid.IntRange(0, 7).Draw(t, name) {
		case 0:
			continue
		case 1:
			channels = append(channels, resolve.Unreadable("shop", name))
			continue
		}
		doc := anyDocument(t)
		doc.Channel = name
		doc.Follow.Visibility = rapid.SampledFrom([]string{"", "Public", "Private"}).Draw(t, name+" visibility")
		doc.Follow.SelfAssignment = rapid.SampledFrom([]string{"", "Denied", "Allowed"}).Draw(t, name+" selfAssignment")
		doc.Audience.Platforms = rapid.SampledFrom([][]string{nil, {"ios"}, {"android"}, {"ios", "android"}}).Draw(t, name+" platforms")
		c := compiled(t, doc)
		if rapid.IntRange(0, 5).Draw(t, name+" expired") == 0 {
			c = c.Until(now)
		}
		channels = append(channels, c)
	}
	return resolve.NewView(now.Add(rapid.SampledFrom([]time.Duration{time.Hour, time.Hour, time.Hour, 0}).Draw(t, "expires")), channels...)
}

var names = []string{"alpha", "beta", "gamma", "delta", "omega"}

func anyWish(t *rapid.T) resolve.Wish {
	some := rapid.SampledFrom(append([]string{"", "unheard-of"}, names...))
	return resolve.Wish{Override: some.Draw(t, "override"), Channel: some.Draw(t, "wish"), Exact: rapid.Bool().Draw(t, "exact")}
}

// A private channel is followed by override or by a device's own choice where it is allowed, and by nobody else. Whatever is
// followed is the best that there is: nothing that goes before it was open to the device.
func TestPrivateStaysPrivate(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		view, wish, dev := anyView(t), anyWish(t), anyDevice(t)
		c, why := view.Follow("shop", wish, &dev, now)
		if (c == nil) == (why == "") {
			t.Fatalf("channel %v and reason %q", c, why)
		}
		if c == nil {
			return
		}
		named := c.Name == wish.Channel && c.SelfAssignable()
		if unknown := !c.Readable(); !c.Public() && !unknown && c.Name != wish.Override && !named {
			t.Fatalf("follows private %s with %+v", c.Name, wish)
		}
		if wish.Exact && c.Name != wish.Channel {
			t.Fatalf("follows %s with %+v", c.Name, wish)
		}
		if _, ok := view.Apps["shop"][wish.Override]; ok && !wish.Exact && c.Name != wish.Override {
			t.Fatalf("follows %s though it was put to %s", c.Name, wish.Override)
		}
	})
}

// To leave out channels that serve no device which an earlier one does not serve changes nothing.
func TestDefaultIsTheFirstThatServes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		view, dev := anyView(t), anyDevice(t)
		c, _ := view.Follow("shop", resolve.Wish{}, &dev, now)
		for _, name := range []string{"alpha", "beta", "delta", "gamma", "omega"} { // in order
			candidate := view.Apps["shop"][name]
			if candidate == nil || candidate.Readable() && !candidate.Public() {
				continue
			}
			if why := candidate.Decide(&dev, now).Reason; why == resolve.ReasonPlatformNotServed || why == resolve.ReasonBuildNotServed {
				continue
			}
			if candidate.Decide(&dev, now).Reason == resolve.ReasonHalted {
				return // Decide says no more of its audience
			}
			if c != nil && c.Name != name {
				t.Fatalf("follows %s, but %s goes before and serves it", c.Name, name)
			}
			return
		}
		if c != nil {
			t.Fatalf("follows %s, but none serves it", c.Name)
		}
	})
}

// What a device is offered as a list is what it may follow by its wish.
func TestChannelsAreThoseThatAWishGives(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		view, dev := anyView(t), anyDevice(t)
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
