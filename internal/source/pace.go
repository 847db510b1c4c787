// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package source

import "time"

// paceSlots is in how many parts the window of a pace slides.
const paceSlots = 6

// pace holds a server to a least rate: a server that sends a little now and then keeps neither of the other limits of time, and
// holds up a transfer for an hour. Only the time that was spent waiting for it counts, so that a slow reader is not its fault.
type pace struct {
	least  int64         // bytes a second
	window time.Duration // of waiting, over which the average is made

	slots  [paceSlots]int64 // bytes that came in each part of the window
	at     int              // the part that is filled
	filled int              // parts that were
	spent  time.Duration    // in the part that is filled
}

// keeps takes note of n bytes that were waited for, and tells whether the server keeps the rate.
func (p *pace) keeps(n int, waited time.Duration) bool {
	p.slots[p.at] += int64(n)
	p.spent += waited
	part := p.window / paceSlots
	for p.spent >= part {
		p.spent -= part
		p.filled = min(p.filled+1, paceSlots)
		if p.filled == paceSlots && p.sum() < int64(p.window.Seconds()*float64(p.least)) {
			return false
		}
		p.at = (p.at + 1) % paceSlots
		p.slots[p.at] = 0
	}
	return true
}

func (p *pace) sum() (bytes int64) {
	for _, n := range p.slots {
		bytes += n
	}
	return bytes
}
