// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/windlass-dev/windlass/internal/gateway/protocol/native"
)

// childEnv marks the process that serves: it has one core for itself.
const childEnv = "WINDLASS_BENCH_GATEWAY"

func init() {
	if os.Getenv(childEnv) == "" {
		return
	}
	if err := serve(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// addresses are what the child tells: where it serves each handler.
type addresses struct{ Bare, Gateway string }

// serve serves both handlers, and tells on each line of input how much CPU time it has used, until its input ends.
func serve() error {
	gateway, err := newGateway()
	if err != nil {
		return err
	}
	bare, err := newBare(gateway, "127.0.0.1")
	if err != nil {
		return err
	}
	var at addresses
	for address, h := range map[*string]http.Handler{&at.Bare: bare, &at.Gateway: gateway} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		*address = l.Addr().String()
		go func() { _ = (&http.Server{Handler: h, ReadHeaderTimeout: time.Minute}).Serve(l) }()
	}
	if err := json.NewEncoder(os.Stdout).Encode(at); err != nil {
		return err
	}
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		var used syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
			return err
		}
		if _, err := fmt.Fprintln(os.Stdout, used.Utime.Nano()+used.Stime.Nano()); err != nil {
			return err
		}
	}
	return nil
}

// child is the running server, seen from the client.
type child struct {
	bare, gateway string
	cmd           *exec.Cmd
	in            io.WriteCloser
	out           *bufio.Reader
}

func startChild(ctx context.Context) (*child, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	c := &child{cmd: exec.CommandContext(ctx, exe)}
	c.cmd.Env = append(os.Environ(), childEnv+"=1", "GOMAXPROCS=1")
	c.cmd.Stderr = os.Stderr
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.out = bufio.NewReader(out)
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the server: %w", err)
	}
	var at addresses
	line, err := c.out.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &at)
	}
	if err != nil {
		c.stop()
		return nil, fmt.Errorf("start the server: %w", err)
	}
	c.bare, c.gateway = at.Bare, at.Gateway
	return c, nil
}

// stop ends the server: it goes when its input ends.
func (c *child) stop() {
	_ = c.in.Close()
	_ = c.cmd.Wait()
}

// cpu is the CPU time that the server has used.
func (c *child) cpu() (time.Duration, error) {
	if _, err := io.WriteString(c.in, "\n"); err != nil {
		return 0, err
	}
	line, err := c.out.ReadString('\n')
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(strings.TrimSpace(line), 10, 64)
	return time.Duration(n), err
}

// load sends checks over all connections for a while.
func (c *child) load(ctx context.Context, address string, d time.Duration, out *round) error {
	before, err := c.cpu()
	if err != nil {
		return err
	}
	begin := time.Now()
	counts := make([]int, connections)
	g, ctx := errgroup.WithContext(ctx)
	for i := range connections {
		g.Go(func() (err error) {
			counts[i], err = ask(ctx, address, i, begin.Add(d))
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	took := time.Since(begin)
	after, err := c.cpu()
	if err != nil || out == nil {
		return err
	}
	requests := 0
	for _, n := range counts {
		requests += n
	}
	out.perSecond, out.cpu = float64(requests)/took.Seconds(), (after-before)/time.Duration(requests)
	return nil
}

// ask sends one check after the other on one connection. It speaks just enough HTTP to cost less than the server.
func ask(ctx context.Context, address string, first int, until time.Time) (int, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	in := bufio.NewReader(conn)
	requests := 0
	for device := first; time.Now().Before(until); device += connections {
		if err := ctx.Err(); err != nil {
			return requests, err
		}
		text := bodies[device%devices]
		request := "POST " + native.CheckPath + " HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: " +
			strconv.Itoa(len(text)) + "\r\n\r\n" + text
		if _, err := io.WriteString(conn, request); err != nil {
			return requests, err
		}
		if err := readAnswer(in); err != nil {
			return requests, err
		}
		requests++
	}
	return requests, nil
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
	if length < 500 { // as long as the gateway's offer
		return fmt.Errorf("the server answers %d bytes", length)
	}
	_, err := in.Discard(length)
	return err
}
