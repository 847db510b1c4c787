// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"
)

const (
	drawEvery = 200 * time.Millisecond // on a terminal, one line that changes
	logEvery  = 10 * time.Second       // elsewhere, a line each
)

// progress is a reader that tells how far it is, on stderr, when that takes long. It ends when the context does.
type progress struct {
	ctx   context.Context //nolint:containedctx // a reader is given no context, and lives for one call
	app   *app
	what  string
	from  io.Reader
	total int64 // bytes
	done  int64
	last  time.Time
	drawn bool
}

// reader tells on stderr how far the reading of size bytes is.
func (a *app) reader(ctx context.Context, what string, from io.Reader, size int64) *progress {
	return &progress{ctx: ctx, app: a, what: what, from: from, total: size, last: a.Now()}
}

// Read reads, and tells.
func (p *progress) Read(b []byte) (int, error) {
	n, err := p.from.Read(b)
	if err == nil {
		return n, p.advance(n)
	}
	p.clear()
	return n, err
}

// advance tells that n more bytes are done.
func (p *progress) advance(n int) error {
	p.done += int64(n)
	p.tell()
	if err := p.ctx.Err(); err != nil {
		p.clear()
		return err
	}
	return nil
}

func (p *progress) tell() {
	every := logEvery
	if p.app.Terminal {
		every = drawEvery
	}
	now := p.app.Now()
	if p.app.quiet || now.Sub(p.last) < every {
		return
	}
	p.last = now
	line := fmt.Sprintf("%s: %d of %d MiB", p.what, p.done>>20, p.total>>20)
	if p.app.Terminal {
		p.drawn = true
		fmt.Fprintf(p.app.Err, "\r\x1b[K%s", line)
		return
	}
	fmt.Fprintln(p.app.Err, line)
}

// clear takes the line away again.
func (p *progress) clear() {
	if p.drawn {
		p.drawn = false
		fmt.Fprint(p.app.Err, "\r\x1b[K")
	}
}

// counter tells on stderr which part of long work is under way, and how far that is. Several goroutines may use it.
type counter struct {
	app   *app
	what  string
	total int // parts; 0 when nobody knows how many there are

	mu    sync.Mutex
	part  int
	line  string
	done  int // within the part
	last  time.Time
	drawn bool
	ended bool
}

// counter tells about total parts of work.
func (a *app) counter(what string, total int) *counter {
	return &counter{app: a, what: what, total: total, last: a.Now()}
}

// next begins the next part.
func (c *counter) next(part string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.part++
	c.done = 0
	c.line = c.what + ": " + part
	if c.total > 0 {
		c.line += fmt.Sprintf(" (%d of %d)", c.part, c.total)
	}
	c.tell(c.line, 0)
}

// tick tells that one more of n is done within the part.
func (c *counter) tick(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done++
	c.tell(fmt.Sprintf("%s: %s of %s", c.line, number(float64(c.done)), number(float64(n))), drawEvery)
}

// tell draws a line on a terminal when the last one is old enough. A log gets a line when there was none for a while.
func (c *counter) tell(line string, every time.Duration) {
	if c.app.quiet || c.ended {
		return
	}
	if !c.app.Terminal {
		every = logEvery
	}
	now := c.app.Now()
	if now.Sub(c.last) < every {
		return
	}
	c.last = now
	if c.app.Terminal {
		c.drawn = true
		fmt.Fprintf(c.app.Err, "\r\x1b[K%s", line)
		return
	}
	fmt.Fprintln(c.app.Err, line)
}

// end takes the line away. Work that nobody waits for any more then tells nothing.
func (c *counter) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	if c.drawn {
		fmt.Fprint(c.app.Err, "\r\x1b[K")
	}
}
