// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package httpx_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/windlass-dev/windlass/internal/gateway/httpx"
)

// oneConn is a listener with one connection.
type oneConn struct {
	conn chan net.Conn
	done chan struct{}
}

func (l *oneConn) Accept() (net.Conn, error) {
	select {
	case c := <-l.conn:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}
func (l *oneConn) Close() error   { close(l.done); return nil }
func (l *oneConn) Addr() net.Addr { return &net.TCPAddr{} }

// inBubble serves a route that echoes up to 8 bytes to one client, in the test's own time.
func inBubble(t *testing.T, bodyTimeout time.Duration, test func(f *fixture, client net.Conn)) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		client, server := net.Pipe()
		l := &oneConn{conn: make(chan net.Conn, 1), done: make(chan struct{})}
		l.conn <- server
		s := &http.Server{
			Handler:     f.adapter.Mux(httpx.Route{Method: "POST", Path: "/x", Name: "x", MaxBody: 8, BodyTimeout: bodyTimeout, Handle: readAll}),
			ReadTimeout: 15 * time.Second, WriteTimeout: 30 * time.Second,
		}
		go func() { _ = s.Serve(l) }()
		test(f, client)
		client.Close()
		_ = s.Close()
		time.Sleep(time.Minute) // of the bubble: net/http lingers on connections
		if strings.Contains(f.log.String(), "level=ERROR") {
			t.Errorf("a client's fault is logged as ours: %s", f.log.String())
		}
	})
}

func send(f *fixture, client net.Conn, text string) {
	f.Helper()
	if _, err := io.WriteString(client, text); err != nil {
		f.Fatal(err)
	}
}

const (
	sized   = "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s"
	chunked = "POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n%s"
)

// What a client sends and then nothing more: the answer, and after how long it comes.
func TestBodies(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, request string
		timeout       time.Duration
		code          int
		after         time.Duration
	}{
		{"whole", fmt.Sprintf(sized, 8, "12345678"), 0, 200, 0},
		{"whole in chunks", fmt.Sprintf(chunked, "8\r\n12345678\r\n0\r\n\r\n"), 0, 200, 0},
		{"none", fmt.Sprintf(sized, 0, ""), 0, 200, 0},
		{"announced as too large", fmt.Sprintf(sized, 9, ""), 0, 413, 0},
		{"announced as huge", fmt.Sprintf(sized, 1<<40, ""), time.Minute, 413, 0},
		{"too large in chunks", fmt.Sprintf(chunked, "9\r\n123456789\r\n"), 0, 413, 0},
		{"no chunks", fmt.Sprintf(chunked, "xyz\r\n"), 0, 400, 0},
		{"never ends", fmt.Sprintf(sized, 8, "1"), 0, 408, 15 * time.Second},
		{"never ends in chunks", fmt.Sprintf(chunked, "2\r\n1"), 0, 408, 15 * time.Second},
		{"never ends on a route with less time", fmt.Sprintf(sized, 8, ""), 2 * time.Second, 408, 2 * time.Second},
		{"never ends on a route with more time", fmt.Sprintf(sized, 8, ""), 20 * time.Second, 408, 20 * time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, tc.timeout, func(f *fixture, client net.Conn) {
				start := time.Now()
				go func() { _, _ = io.WriteString(client, tc.request) }() // the server may not want all of it
				res, err := http.ReadResponse(bufio.NewReader(client), nil)
				if err != nil {
					f.Fatal(err)
				}
				defer res.Body.Close()
				if took := time.Since(start); res.StatusCode != tc.code || took != tc.after || res.Close != (tc.code != 200) {
					f.Errorf("got %d after %s, closing: %v; want %d after %s", res.StatusCode, took, res.Close, tc.code, tc.after)
				}
				if f.count(fmt.Sprint(tc.code)) != 1 {
					f.Error("it is not counted")
				}
			})
		})
	}
}

// A slow client on a route that has the time is served, and its next request has its own time.
func TestSlowBodyInTime(t *testing.T) {
	t.Parallel()
	inBubble(t, 20*time.Second, func(f *fixture, client net.Conn) {
		answers := bufio.NewReader(client)
		for range 2 {
			send(f, client, fmt.Sprintf(sized, 8, ""))
			for range 8 {
				time.Sleep(2400 * time.Millisecond)
				send(f, client, "a")
			}
			res, err := http.ReadResponse(answers, nil)
			if err != nil {
				f.Fatal(err)
			}
			if raw, err := io.ReadAll(res.Body); err != nil || string(raw) != "aaaaaaaa" {
				f.Errorf("got %s %v", raw, err)
			}
			res.Body.Close()
		}
	})
}

// A client that goes away in the middle of its body is counted as such, and is no fault of ours.
func TestCutBody(t *testing.T) {
	t.Parallel()
	inBubble(t, 0, func(f *fixture, client net.Conn) {
		send(f, client, fmt.Sprintf(sized, 8, "1234"))
		client.Close()
		synctest.Wait()
		if f.count("499") != 1 || f.count("500") != 0 {
			f.Errorf("counted %v times as 499 and %v times as 500", f.count("499"), f.count("500"))
		}
	})
}

// A client that closed only its own side reads a failure, and no empty success.
func TestHalfClosed(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	s := httptest.NewServer(f.adapter.Mux(httpx.Route{Method: "POST", Path: "/x", Name: "x", MaxBody: 8, Handle: readAll}))
	defer s.Close()
	conn, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	send(f, conn, fmt.Sprintf(sized, 8, "1234"))
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusBadRequest {
		t.Errorf("got %d", res.StatusCode)
	}
}

// The limits hold on HTTP/2 as well, where a connection has many requests: a slow one fails alone.
func TestSlowBodyOnHTTP2(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	s := httptest.NewUnstartedServer(f.adapter.Mux(
		httpx.Route{Method: "POST", Path: "/slow", Name: "slow", MaxBody: 8, BodyTimeout: 20 * time.Millisecond, Handle: readAll},
		httpx.Route{Method: "POST", Path: "/x", Name: "x", MaxBody: 8, Handle: readAll},
	))
	s.EnableHTTP2 = true
	s.StartTLS()
	defer s.Close()
	post := func(path string, body io.Reader) int {
		t.Helper()
		res, err := s.Client().Post(s.URL+path, "application/json", body)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if res.ProtoMajor != 2 {
			t.Errorf("%s over %s", path, res.Proto)
		}
		return res.StatusCode
	}
	ctx, cancel := context.WithCancel(t.Context())
	cut, begun := io.Pipe()
	go func() {
		_, _ = begun.Write([]byte("1"))
		cancel()
	}()
	req, _ := http.NewRequestWithContext(ctx, http.MethodPost, s.URL+"/x", cut)
	if res, err := s.Client().Do(req); err == nil {
		res.Body.Close()
		t.Errorf("cut: got %d", res.StatusCode)
	}
	never, end := io.Pipe()
	defer func() { _ = end.Close() }()
	if got := post("/slow", never); got != http.StatusRequestTimeout {
		t.Errorf("slow: got %d", got)
	}
	if got := post("/x", strings.NewReader("123456789")); got != http.StatusRequestEntityTooLarge {
		t.Errorf("too large: got %d", got)
	}
	if got := post("/x", strings.NewReader("12345678")); got != http.StatusOK {
		t.Errorf("after them: got %d", got)
	}
	s.Close() // waits for all handlers
	if f.count("499") != 1 || f.count("408") != 1 || f.count("400") != 0 {
		t.Errorf("counted %v times as 499, %v as 408, %v as 400", f.count("499"), f.count("408"), f.count("400"))
	}
}
