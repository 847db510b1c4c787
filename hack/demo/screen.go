// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/windlass-dev/windlass/hack/fleet/device"
)

// screen shows how the world changes: in a terminal a table that is redrawn, in a log one line a change.
type screen struct {
	mu       sync.Mutex
	out      io.Writer
	width    func() int // of the terminal; nil: a log
	begin    time.Time  // of the story
	devices  int
	running  bool
	drawn    int    // lines of the table that are on the terminal now
	state    string // what the last line of a log said, apart from devices
	numbers  string // the devices of that line
	lastLine time.Time
}

// heartbeat is how often a log gets a line while only devices move.
const heartbeat = 5 * time.Second

func newScreen(out io.Writer) *screen {
	s := &screen{out: out}
	if f, ok := out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		s.width = func() int {
			w, _, err := term.GetSize(int(f.Fd()))
			if err != nil || w < 20 {
				return 80
			}
			return w
		}
	}
	return s
}

// start begins the table.
func (s *screen) start(begin time.Time, devices int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.begin, s.devices, s.running = begin, devices, true
	if s.width == nil {
		fmt.Fprintf(s.out, "\n%*s\n%s\n", len(header), "devices on each bundle", header)
	} else {
		fmt.Fprintln(s.out)
	}
}

// stop ends the table. In a terminal its last state stays.
func (s *screen) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running, s.drawn = false, 0
}

// close leaves the terminal usable.
func (s *screen) close() { s.stop() }

// say tells what happens next, above the table.
func (s *screen) say(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.erase()
	clock := "     "
	if s.running {
		clock = elapsed(time.Since(s.begin))
	}
	fmt.Fprintf(s.out, "%s  %s\n", clock, fmt.Sprintf(format, args...))
}

// print writes text as it is.
func (s *screen) print(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.erase()
	fmt.Fprintf(s.out, format, args...)
}

// update shows the world.
func (s *screen) update(v *view) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.width != nil {
		s.draw(v)
		return
	}
	s.log(v)
}

var versions = []string{device.Embedded, first, second, third}

const (
	header = "TIME   CHANNEL     STABLE  CANDIDATE  WEIGHT  VERDICT           EVIDENCE   EMBEDDED   1.0.0   1.1.0   1.2.0"
	row    = "%s  %-10s  %-6s  %-9s  %6s  %-16s  %s"
)

// log writes a line when something has changed, and now and then while only devices move.
func (s *screen) log(v *view) {
	candidate, weight := v.candidate()
	if weight != "-" {
		weight += " %"
	}
	state := fmt.Sprintf("%s %s %s %s", v.stable(), candidate, weight, v.verdict())
	var numbers strings.Builder
	fmt.Fprintf(&numbers, "%-9s  ", v.evidence())
	for _, version := range versions {
		width := 6
		if version == device.Embedded {
			width = 8
		}
		fmt.Fprintf(&numbers, "%*d  ", width, v.devices.Bundles[version].Running)
	}
	now := time.Now()
	if state == s.state && (numbers.String() == s.numbers || now.Sub(s.lastLine) < heartbeat) {
		return
	}
	s.state, s.numbers, s.lastLine = state, numbers.String(), now
	line := fmt.Sprintf(row, elapsed(now.Sub(s.begin)), channel, v.stable(), candidate, weight, v.verdict(), numbers.String())
	fmt.Fprintln(s.out, strings.TrimRight(line, " "))
}

// draw draws the table in place of the one before.
func (s *screen) draw(v *view) {
	width := s.width()
	candidate, weight := v.candidate()
	if weight != "-" {
		weight += " %"
	}
	lines := []string{
		"",
		fmt.Sprintf("%-6s  %-10s  %-6s  %-9s  %6s  %-16s  %s", "TIME", "CHANNEL", "STABLE", "CANDIDATE", "WEIGHT", "VERDICT", "EVIDENCE"),
		fmt.Sprintf("%-6s  %-10s  %-6s  %-9s  %6s  %-16s  %s", elapsed(time.Since(s.begin)), channel, v.stable(), candidate, weight, v.verdict(), v.evidence()),
		"",
	}
	for _, version := range versions {
		b := v.devices.Bundles[version]
		failed := ""
		if b.Failed > 0 {
			failed = fmt.Sprintf("  failed on %d", b.Failed)
		}
		const label = 18
		space := max(10, min(50, width-label-20))
		lines = append(lines, fmt.Sprintf("%-8s  %6d  %s%s", version, b.Running, bar(b.Running, s.devices, space), failed))
	}
	lines = append(lines, "", v.rollout.Status.Message)
	s.erase()
	for _, line := range lines {
		fmt.Fprintf(s.out, "%s\x1b[K\n", cut(line, width-1))
	}
	s.drawn = len(lines)
}

// erase takes the table off the terminal.
func (s *screen) erase() {
	if s.drawn > 0 {
		fmt.Fprintf(s.out, "\x1b[%dA\r\x1b[J", s.drawn)
		s.drawn = 0
	}
}

// bar is a share as a bar of eighths of a character.
func bar(n, all, width int) string {
	eighths := n * width * 8 / max(all, 1)
	if n > 0 {
		eighths = max(eighths, 1)
	}
	out := strings.Repeat("█", eighths/8)
	if rest := eighths % 8; rest > 0 {
		out += string([]rune("▏▎▍▌▋▊▉")[rest-1])
	}
	return out
}

// cut shortens a line to a number of characters.
func cut(line string, width int) string {
	if r := []rune(line); len(r) > width {
		return string(r[:max(width, 0)])
	}
	return line
}

func elapsed(d time.Duration) string {
	return fmt.Sprintf("%2d:%02d", int(d.Minutes()), int(d.Seconds())%60)
}
