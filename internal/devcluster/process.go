// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package devcluster runs the real parts that Windlass needs on loopback: control plane, object store, metrics. Tests, the
// demo and the benchmarks share it.
package devcluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Limits of a process's life.
const (
	readyTimeout = 60 * time.Second
	readyPoll    = 20 * time.Millisecond
	defaultGrace = 5 * time.Second
	logTail      = 4 << 10 // bytes of the log that an error quotes
)

// Command says how to start a server.
type Command struct {
	Name string   // for messages and the log file
	Path string   // of the binary
	Args []string // without the name of the binary
	Env  []string // added to the environment of this process
	Dir  string   // working folder and place of the log file; created when absent
	// Grace is how long Stop waits before it kills. When zero, 5 s.
	Grace time.Duration
	// Credential is who runs it, for servers that refuse to run as root. When nil, the user of this process.
	Credential *syscall.Credential
	// Ready returns nil once the server answers. It is polled; nil means ready as soon as it was started.
	Ready func(context.Context) error
}

// Process is a running server. It is in its own process group and, on Linux, dies with this process.
type Process struct {
	Name    string
	LogPath string

	cmd  *exec.Cmd
	done chan struct{}
	stop sync.Once

	grace time.Duration
}

// StartProcess starts a server and waits until it is ready. It has stopped the server again when it returns an error.
func StartProcess(ctx context.Context, c Command) (*Process, error) {
	if err := os.MkdirAll(c.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Name, err)
	}
	p := &Process{Name: c.Name, LogPath: filepath.Join(c.Dir, c.Name+".log"), done: make(chan struct{}), grace: cmp.Or(c.Grace, defaultGrace)}
	log, err := os.OpenFile(p.LogPath, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Name, err)
	}
	p.cmd = exec.Command(c.Path, c.Args...)
	p.cmd.Dir, p.cmd.Env = c.Dir, append(os.Environ(), c.Env...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = procAttr()
	p.cmd.SysProcAttr.Credential = c.Credential

	started := make(chan error)
	go p.run(started, log)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Name, err)
	}
	if err := p.waitReady(ctx, c.Ready); err != nil {
		p.Stop()
		return nil, err
	}
	return p, nil
}

// run starts the command and waits for its end on one thread: the parent-death signal of Linux follows the thread that
// forked, so that thread must live as long as the child.
func (p *Process) run(started chan<- error, log io.Closer) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer func() { _ = log.Close() }() // the child wrote it, not this process
	defer close(p.done)
	err := p.cmd.Start()
	started <- err
	if err == nil {
		_ = p.cmd.Wait() // ProcessState tells how it ended
	}
}

func (p *Process) waitReady(ctx context.Context, ready func(context.Context) error) error {
	if ready == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	tick := time.NewTicker(readyPoll)
	defer tick.Stop()
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("%s ended before it was ready (%s); its log ends with:\n%s", p.Name, p.cmd.ProcessState, p.tail())
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w; its log ends with:\n%s", p.Name, errors.Join(ctx.Err(), err), p.tail())
		case <-tick.C:
		}
	}
}

// PID is the id of the process and of its process group.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Stop asks the process group to end, and kills it after a grace time. It may be called more than once.
func (p *Process) Stop() {
	p.stop.Do(func() {
		p.Signal(syscall.SIGTERM)
		select {
		case <-p.done:
		case <-time.After(p.grace):
		}
		p.Signal(syscall.SIGKILL) // also for what the process left in its group
		<-p.done
	})
}

// Kill ends the process group without any warning, as a crash would.
func (p *Process) Kill() {
	p.Signal(syscall.SIGKILL)
	<-p.done
}

// Signal sends a signal to the process group. A group that has ended is no error: nobody needs to know.
func (p *Process) Signal(sig syscall.Signal) { _ = syscall.Kill(-p.PID(), sig) }

// tail gives the end of the log.
func (p *Process) tail() string {
	raw, err := os.ReadFile(p.LogPath)
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(raw[max(0, len(raw)-logTail):]))
}

// FreePort gives a TCP port of the loopback interface that nobody listened on a moment ago.
func FreePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
