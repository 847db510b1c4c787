// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime/debug"
	"syscall"
	"time"
)

// childEnv marks the process that serves: it has one core for itself. Its value is the worlds, by name, in JSON.
const childEnv = "WINDLASS_BENCH_GATEWAY"

func init() {
	worlds := os.Getenv(childEnv)
	if worlds == "" {
		return
	}
	if err := serve(context.Background(), worlds); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// usage is what the child has used so far.
type usage struct {
	CPU time.Duration
	RSS int64 // bytes of memory, now
}

// serve serves each world, and the bare handlers of each, and tells on each line of input what it has used, until its input
// ends.
func serve(ctx context.Context, text string) error {
	var worlds map[string]*world
	if err := json.Unmarshal([]byte(text), &worlds); err != nil {
		return err
	}
	addresses := map[string]string{}
	for name, w := range worlds {
		gateway, err := w.handler(ctx)
		if err != nil {
			return err
		}
		handlers := map[string]http.Handler{name: gateway}
		for i := range protocols {
			p := &protocols[i]
			if handlers[bareOf(name, p)], err = p.bare(gateway); err != nil {
				return err
			}
		}
		for name, h := range handlers {
			if addresses[name], err = listen(ctx, h); err != nil {
				return err
			}
		}
	}
	out := json.NewEncoder(os.Stdout)
	if err := out.Encode(addresses); err != nil {
		return err
	}
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		u, err := used(in.Text() == "memory")
		if err == nil {
			err = out.Encode(u)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// bareOf names the bare handler of a protocol in a world.
func bareOf(world string, p *protocol) string { return world + "/bare/" + p.name }

func listen(ctx context.Context, h http.Handler) (string, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	go func() { _ = (&http.Server{Handler: h, ReadHeaderTimeout: time.Minute}).Serve(l) }()
	return l.Addr().String(), nil
}

func used(memory bool) (usage, error) {
	var u usage
	if memory {
		debug.FreeOSMemory() // what is garbage is not what the gateway needs
		raw, err := os.ReadFile("/proc/self/statm")
		if err != nil {
			return u, fmt.Errorf("memory is measured on Linux only: %w", err)
		}
		var size, resident int64
		if _, err := fmt.Fscan(bytes.NewReader(raw), &size, &resident); err != nil {
			return u, err
		}
		u.RSS = resident * int64(os.Getpagesize())
	}
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return u, err
	}
	u.CPU = time.Duration(r.Utime.Nano() + r.Stime.Nano())
	return u, nil
}

// child is the running server, seen from the client.
type child struct {
	addresses map[string]string
	cmd       *exec.Cmd
	in        io.WriteCloser
	out       *json.Decoder
}

func startChild(ctx context.Context, worlds map[string]*world) (*child, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	text, err := json.Marshal(worlds)
	if err != nil {
		return nil, err
	}
	c := &child{cmd: exec.CommandContext(ctx, exe)}
	c.cmd.Env = append(os.Environ(), childEnv+"="+string(text), "GOMAXPROCS=1")
	c.cmd.Stderr = os.Stderr
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.out = json.NewDecoder(out)
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the server: %w", err)
	}
	if err := c.out.Decode(&c.addresses); err != nil {
		c.stop()
		return nil, fmt.Errorf("start the server: %w", err)
	}
	return c, nil
}

// stop ends the server: it goes when its input ends.
func (c *child) stop() {
	_ = c.in.Close()
	_ = c.cmd.Wait()
}

// used is what the server has used; memory costs it a garbage collection.
func (c *child) used(what string) (u usage, err error) {
	if _, err := io.WriteString(c.in, what+"\n"); err != nil {
		return u, err
	}
	return u, c.out.Decode(&u)
}
