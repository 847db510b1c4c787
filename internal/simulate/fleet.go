// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"math"
	"time"
)

// Fleet is the devices of a channel. The zero value of a field means its default.
type Fleet struct {
	Devices  int64   // 0: 100 000
	CheckIns float64 // of a device in an hour, at random times (exponential); 0: 1
	BaseRate float64 // share of devices on which the stable bundle fails after they are exposed, in each stage; 0: 0.01; negative: none

	Report  time.Duration // mean time until a failure is reported (exponential); 0: 1 m
	Confirm time.Duration // mean time until a device reports that it is well (exponential); 0: 5 m

	Requests      float64 // of an exposed device in an hour to the backend, of which prometheus and web metrics see the failed share; 0: 60
	RequestErrors float64 // share of the stable devices' requests that fail; 0: as BaseRate; negative: none

	Weather Weather // in both arms
}

// withDefaults fills in what was left out.
func (f Fleet) withDefaults() Fleet {
	set := func(v *float64, to float64) {
		if *v == 0 {
			*v = to
		}
		*v = max(*v, 0)
	}
	if f.Devices <= 0 {
		f.Devices = 100_000
	}
	set(&f.CheckIns, 1)
	set(&f.BaseRate, 0.01)
	set(&f.Requests, 60)
	set(&f.RequestErrors, f.BaseRate)
	if f.Report == 0 {
		f.Report = time.Minute
	}
	if f.Confirm == 0 {
		f.Confirm = 5 * time.Minute
	}
	return f
}

// kind is a part of the fleet whose devices are alike.
type kind struct {
	platform, native, os, region string
	share                        float64 // of the fleet
	bad                          bool    // the slice that a slice scenario is about
}

// alike is a fleet without parts.
var alike = []kind{{platform: "android", native: "4.3.0", os: "15", region: "eu", share: 1}}

// mixed is the fleet of the slice scenario: two platforms, with three native versions and two versions of the operating system each. Bad are
// devices with Android and a native version below 4.3.0, 15 % of all.
var mixed = func() []kind {
	var out []kind
	for _, p := range []struct {
		platform string
		systems  [2]string
		share    float64
	}{{"android", [2]string{"14", "15"}, 0.6}, {"ios", [2]string{"17", "18"}, 0.4}} {
		for _, v := range []struct {
			native string
			share  float64
			old    bool
		}{{"4.1.0", 0.1, true}, {"4.2.0", 0.15, true}, {"4.3.0", 0.75, false}} {
			for i, os := range p.systems {
				out = append(out, kind{
					platform: p.platform, native: v.native, os: os, region: "eu", share: p.share * v.share * [2]float64{0.4, 0.6}[i],
					bad: v.old && p.platform == "android",
				})
			}
		}
	}
	return out
}()

// hours of a duration.
func hours(d time.Duration) float64 { return float64(d) / float64(time.Hour) }

// share of n devices, rounded.
func share(n int64, of float64) int64 { return int64(math.Round(float64(n) * of)) }
