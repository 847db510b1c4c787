// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package simulate

import "time"

// Fleet is the devices of a channel. The zero value of a field means its default.
type Fleet struct {
	Devices  int64   // 0: 100 000
	CheckIns float64 // of a device in an hour, at random times (exponential); 0: 1
	BaseRate float64 // share of devices on which the stable bundle fails once they are exposed, per stage; 0: 0.01; negative: none

	Report  time.Duration // mean time until a failure is reported (exponential); 0: 1 m
	Confirm time.Duration // mean time until a device reports that it is well (exponential); 0: 5 m

	Requests      float64 // to the backend by an exposed device in an hour, of which prometheus and web metrics see the failed share; 0: 60
	RequestErrors float64 // share of the stable devices' requests that fail; 0: as BaseRate

	Weather Weather // what happens to devices of both arms alike
}

// Weather is what happens to devices of both arms alike. The zero Weather is calm.
type Weather struct {
	Correlation float64 // of the logarithm of the base rate with that of an hour before: AR(1), in [0, 1)
	Spread      float64 // standard deviation of the logarithm of the base rate; 0 with a Correlation: 0.5
	Drift       float64 // factor by which the base rate grows within a day; 0: 1
	Night       float64 // share of check-ins that is missing at night, in [0, 1): a cosine with its low at 03:00; the base rate is as much higher
	Duplicates  float64 // share of devices that are counted twice, by gateways with ledgers of their own
}
