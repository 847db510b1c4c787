// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// side is one handler under load.
type side struct {
	name     string
	server   *child
	address  string
	protocol *protocol
	bodies   []string

	rounds    []round
	latencies []time.Duration // of all rounds
}

// round is one measurement over loopback.
type round struct {
	perSecond float64       // requests by the clock
	cpu       time.Duration // of the server, for one request
}

// warm sends checks that are not measured.
func (s *side) warm(ctx context.Context) error {
	err := s.load(ctx, warmUp)
	s.rounds, s.latencies = nil, nil
	return err
}

// load sends checks over all connections for a while.
func (s *side) load(ctx context.Context, d time.Duration) error {
	before, err := s.server.used("")
	if err != nil {
		return err
	}
	begin := time.Now()
	took := make([][]time.Duration, connections)
	g, gctx := errgroup.WithContext(ctx)
	for i := range connections {
		g.Go(func() (err error) {
			took[i], err = s.ask(gctx, i, begin.Add(d))
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	clock := time.Since(begin)
	after, err := s.server.used("")
	if err != nil {
		return err
	}
	all := slices.Concat(took...)
	s.latencies = append(s.latencies, all...)
	s.rounds = append(s.rounds, round{
		perSecond: float64(len(all)) / clock.Seconds(), cpu: (after.CPU - before.CPU) / time.Duration(len(all)),
	})
	return nil
}

// ask sends one check after the other on one connection. It speaks just enough HTTP to cost less than the server.
func (s *side) ask(ctx context.Context, first int, until time.Time) ([]time.Duration, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", s.address)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	in := bufio.NewReader(conn)
	var took []time.Duration
	begin := time.Now()
	for device := first; begin.Before(until); device += connections {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		text := s.bodies[device%devices]
		request := "POST " + s.protocol.path + " HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: " +
			strconv.Itoa(len(text)) + "\r\n\r\n" + text
		if _, err := io.WriteString(conn, request); err != nil {
			return nil, err
		}
		if err := readAnswer(in); err != nil {
			return nil, err
		}
		end := time.Now()
		took = append(took, end.Sub(begin))
		begin = end
	}
	return took, nil
}

// readAnswer reads one answer and wants it to be an update.
func readAnswer(in *bufio.Reader) error {
	length := -1
	for first := true; ; first = false {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return err
		}
		text := strings.TrimSpace(string(line))
		if first && !strings.HasPrefix(text, "HTTP/1.1 200") {
			return errors.New("the server answers " + text)
		}
		if text == "" {
			break
		}
		if n, ok := strings.CutPrefix(text, "Content-Length: "); ok {
			if length, err = strconv.Atoi(n); err != nil {
				return err
			}
		}
	}
	const shortest = 200 // bytes: any offer is longer, any other answer shorter
	if length < shortest {
		return fmt.Errorf("the server answers %d bytes", length)
	}
	_, err := in.Discard(length)
	return err
}
