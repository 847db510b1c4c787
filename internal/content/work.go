// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package content

const (
	// workPerByte is how many steps may be taken for each byte of text, and freeWork how many there are besides. What builds make
	// takes fewer than ten.
	workPerByte = 64
	freeWork    = 1 << 20
)

// work counts what it takes to look into the texts of an artifact: its author must not be able to make that last for ever.
type work struct {
	bytes, steps int64
}

// spend counts steps. A nil work is for texts that are bounded otherwise.
func (w *work) spend(steps int) {
	if w != nil {
		w.steps += int64(steps)
	}
}

// exhausted tells that there were too many steps for what there was to look into.
func (w *work) exhausted() bool { return w != nil && w.steps > w.bytes*workPerByte+freeWork }
