// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bufio"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// pipe is a listener with one connection.
type pipe struct {
	conn chan net.Conn
	done chan struct{}
}

func (p *pipe) Accept() (net.Conn, error) {
	select {
	case c := <-p.conn:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}
func (p *pipe) Close() error   { close(p.done); return nil }
func (p *pipe) Addr() net.Addr { return &net.TCPAddr{} }

// Clients that hold a connection without getting on: each loses it, in the test's own time.
func TestConnectionLimits(t *testing.T) {
	t.Parallel()
	request := "POST / HTTP/1.1\r\nHost: x\r\n"
	for _, tc := range []struct {
		name   string
		send   string        // at once
		drip   string        // then again and again, once a second
		status int           // of the answer; 0: none
		after  time.Duration // until the connection is closed
	}{
		{"nothing", "", "", 0, readHeaderTimeout},
		{"half a header", request, "", 0, readHeaderTimeout},
		{"a header without end", request, "X-Slow: 1\r\n", 0, readHeaderTimeout},
		{"a body without end", request + "Content-Length: 100\r\n\r\n", "x", http.StatusTeapot, readTimeout},
		{"a large header", request + "X-Large: " + strings.Repeat("x", 2*maxHeaderBytes) + "\r\n\r\n", "", http.StatusRequestHeaderFieldsTooLarge, 0},
		{"a quiet connection", request + "Content-Length: 0\r\n\r\n", "", http.StatusOK, idleTimeout},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client, conn := net.Pipe()
				l := &pipe{conn: make(chan net.Conn, 1), done: make(chan struct{})}
				l.conn <- conn
				server := (&Server{cfg: Config{Log: slog.New(slog.DiscardHandler)}}).server(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if _, err := io.Copy(io.Discard, r.Body); err != nil {
						w.WriteHeader(http.StatusTeapot)
					}
				}))
				go func() { _ = server.Serve(l) }()
				start := time.Now()
				go func() {
					_, err := io.WriteString(client, tc.send)
					for err == nil && tc.drip != "" {
						time.Sleep(time.Second)
						_, err = io.WriteString(client, tc.drip)
					}
				}()
				answers := bufio.NewReader(client)
				if tc.status != 0 {
					res, err := http.ReadResponse(answers, nil)
					if err != nil {
						t.Fatal(err)
					}
					if res.StatusCode != tc.status {
						t.Errorf("got %d, want %d", res.StatusCode, tc.status)
					}
					res.Body.Close()
				}
				if _, err := io.Copy(io.Discard, answers); err != nil {
					t.Error(err)
				}
				if got := time.Since(start); got < tc.after || got > tc.after+time.Second {
					t.Errorf("closed after %s, want %s", got, tc.after)
				}
				_ = client.Close()
				_ = server.Close()
				time.Sleep(time.Minute) // of the bubble: net/http lingers on connections
			})
		})
	}
}

// A client that does not read its answer loses the connection, too.
func TestAnswerNobodyReads(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, conn := net.Pipe()
		l := &pipe{conn: make(chan net.Conn, 1), done: make(chan struct{})}
		l.conn <- conn
		failed := make(chan time.Time, 1)
		server := (&Server{cfg: Config{Log: slog.New(slog.DiscardHandler)}}).server(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			for {
				if _, err := w.Write(make([]byte, 1<<10)); err != nil {
					failed <- time.Now()
					return
				}
			}
		}))
		go func() { _ = server.Serve(l) }()
		start := time.Now()
		_, _ = io.WriteString(client, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		if got := (<-failed).Sub(start); got != writeTimeout {
			t.Errorf("writing ended after %s, want %s", got, writeTimeout)
		}
		_ = client.Close()
		_ = server.Close()
		time.Sleep(time.Minute) // of the bubble
	})
}
