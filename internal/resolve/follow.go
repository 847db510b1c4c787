// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package resolve

import "time"

// Wish is what says which channel a device follows.
type Wish struct {
	Override string // stored for this device by its id; it may be a private channel
	Channel  string // that the app was built with, or that the device chose
}

// Follow gives the channel that a device follows: its override, else the channel that it wishes for if that is open to it,
// else the first public channel, by name, that serves it. It gives a reason instead when there is none.
func (v *View) Follow(app string, wish Wish, d *Device, now time.Time) (name string, why Reason) {
	panic("not written yet")
}
