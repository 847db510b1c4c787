// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
)

// lookEvery is how often what is watched is read. Reading needs no right to watch, and an API server that restarts is no matter.
const lookEvery = time.Second

// each looks at once, and then again and again, until look says that it has seen enough or the context ends. What passes by itself, such
// as an API server that restarts, is told once and tried again.
func (c *cluster) each(ctx context.Context, tell io.Writer, every time.Duration, look func() (bool, error)) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	told := ""
	for first := true; ; first = false {
		done, err := look()
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && (first || !passing(err)):
			return err
		case err != nil:
			if now := c.explain(err).Error(); now != told {
				told = now
				fmt.Fprintf(tell, "%s; trying again\n", now)
			}
		case done:
			return nil
		default:
			told = ""
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// passing tells whether an error may pass by itself.
func passing(err error) bool {
	var network net.Error // also of net/url
	return errors.As(err, &network) || errors.Is(err, io.ErrUnexpectedEOF) || apierrors.IsTooManyRequests(err) || apierrors.IsServerTimeout(err) || apierrors.IsTimeout(err) ||
		apierrors.IsServiceUnavailable(err) || apierrors.IsInternalError(err)
}

// change is what of a Rollout is worth a line in a log: not the numbers that move with each measurement.
func (v view) change(r *otav1alpha1.Rollout) string {
	reason, message := v.state(r)
	text := fmt.Sprintf("%s  %s  step %s  weight %s", reason, current(r), dash(r.Status.Step), percent(r.Status.Weight))
	if verdict := worst(r); verdict != "-" {
		text += "  analysis " + verdict
	}
	return printable(text + "  " + message)
}

// redraw shows lines on a terminal in the place of those before.
type redraw struct {
	out           io.Writer
	width, height func() int
	drawn         []string // lines that are on the terminal
}

// draw shows a text, if it is not what is there. Lines that scrolled out of sight could not be drawn over: what does not fit is left out.
func (r *redraw) draw(text string) error {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if most := max(r.height()-1, 1); len(lines) > most { // the cursor has a line, too
		lines = append(lines[:most-1:most-1], fmt.Sprintf("... %d more lines", len(lines)-most+1))
	}
	for i, line := range lines {
		lines[i] = cut(line, r.width()-1)
	}
	if slices.Equal(lines, r.drawn) {
		return nil
	}
	var out strings.Builder
	if len(r.drawn) > 0 {
		fmt.Fprintf(&out, "\x1b[%dA", len(r.drawn))
	}
	out.WriteString("\r")
	for _, line := range lines {
		fmt.Fprintf(&out, "%s\x1b[K\n", line)
	}
	out.WriteString("\x1b[J")
	r.drawn = lines
	_, err := io.WriteString(r.out, out.String())
	return err
}

// cut shortens a line to a number of characters that are seen, and ends its colours.
func cut(line string, most int) string {
	if width(line) <= most {
		return line
	}
	var out strings.Builder
	seen := 0
	for rest := line; rest != ""; {
		if at := painted.FindStringIndex(rest); at != nil && at[0] == 0 {
			out.WriteString(rest[:at[1]])
			rest = rest[at[1]:]
			continue
		}
		r := []rune(rest)[0]
		if seen++; seen > most {
			break
		}
		out.WriteRune(r)
		rest = rest[len(string(r)):]
	}
	return out.String() + "\x1b[0m"
}
