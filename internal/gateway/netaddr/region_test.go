// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package netaddr

import (
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

func regional(t testing.TB, trusted, header string) (*Resolver, error) {
	t.Helper()
	prefixes, err := ParseTrusted(trusted)
	if err != nil {
		t.Fatal(err)
	}
	return New(Config{Trusted: prefixes, RegionHeader: header, Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry()})
}

// A region is believed from a trusted proxy only, and only where it is told once.
func TestRegion(t *testing.T) {
	t.Parallel()
	r, err := regional(t, proxies, "cf-ipcountry")
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		peer  string
		lines []string
		want  string
	}{
		"country":        {"10.0.0.1:1", []string{"DE"}, "DE"},
		"lower case":     {"10.0.0.1:1", []string{"de"}, "DE"},
		"zone":           {"[fd00::1]:1", []string{"us-east-1"}, "US-EAST-1"},
		"Tor":            {"10.0.0.1:1", []string{"T1"}, "T1"},
		"longest":        {"10.0.0.1:1", []string{strings.Repeat("A", 32)}, strings.Repeat("A", 32)},
		"not known":      {"10.0.0.1:1", []string{"XX"}, ""},
		"untrusted peer": {"203.0.113.9:1", []string{"DE"}, ""},
		"no address":     {"@", []string{"DE"}, ""},
		"no header":      {"10.0.0.1:1", nil, ""},
		"empty":          {"10.0.0.1:1", []string{""}, ""},
		"twice":          {"10.0.0.1:1", []string{"FR", "DE"}, ""},
		"a list":         {"10.0.0.1:1", []string{"FR, DE"}, ""},
		"too long":       {"10.0.0.1:1", []string{strings.Repeat("A", 33)}, ""},
		"not legible":    {"10.0.0.1:1", []string{"D\x00"}, ""},
		"other letters":  {"10.0.0.1:1", []string{"ДЕ"}, ""},
	} {
		if got := r.Region(request(tc.peer, "CF-IPCountry", tc.lines...)); got != tc.want {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
	if got := r.Region(request("10.0.0.1:1", "X-Country", "DE")); got != "" {
		t.Errorf("another header: %q", got)
	}
	if got := resolver(t, proxies, "").Region(request("10.0.0.1:1", "CF-IPCountry", "DE")); got != "" {
		t.Errorf("without a header's name: %q", got)
	}
}

func TestRegionHeader(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]string{"CF-IPCountry:": "such as CF-IPCountry", "a b": "such as CF-IPCountry"} {
		if _, err := regional(t, proxies, header); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", header, err, want)
		}
	}
	if _, err := regional(t, "", "CF-IPCountry"); err == nil || !strings.Contains(err.Error(), "trusted proxies") {
		t.Errorf("without proxies: %v", err)
	}
}

// Whatever a header says: a region is short and legible, or not told.
func FuzzRegion(f *testing.F) {
	f.Add("DE", true)
	f.Add("us-east-1", false)
	f.Add("D\xff,", true)
	r, err := regional(f, proxies, "CF-IPCountry")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, line string, trusted bool) {
		req := request("203.0.113.9:1", "CF-IPCountry")
		if trusted {
			req.RemoteAddr = "10.0.0.1:1"
		}
		req.Header["Cf-Ipcountry"] = []string{line}
		got := r.Region(req)
		if got != "" && (!trusted || !isRegion(got) || !strings.EqualFold(got, line)) {
			t.Fatalf("%q, trusted %v: %q", line, trusted, got)
		}
	})
}

func TestRegionDoesNotAllocate(t *testing.T) {
	r, err := regional(t, proxies, "CF-IPCountry")
	if err != nil {
		t.Fatal(err)
	}
	req := &http.Request{RemoteAddr: "10.0.0.1:1", Header: http.Header{"Cf-Ipcountry": {"DE"}}}
	if n := testing.AllocsPerRun(100, func() { r.Region(req) }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}
