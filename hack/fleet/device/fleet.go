// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package device simulates devices that follow a channel, over HTTP, as an app with an update library does: ask, download,
// check the artifact, install, run, report, and go back to the previous bundle when the new one does not work. A part of them
// speaks the Capgo protocol, the others the native one. Whether a bundle works on a device is decided by what the bundle itself
// declares in a file inside it.
package device

import (
	"container/heap"
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
)

// Config describes a fleet.
type Config struct {
	Gateway       string // base URL
	App           string
	Channel       string
	NativeVersion string   // of the installed app build
	Platforms     []string // devices take turns
	Devices       int
	Capgo         float64       // share of devices that speak the Capgo protocol, 0 to 1
	Seed          uint64        // of device ids and of the spread of their polls
	Poll          time.Duration // between two checks of a device
	Workers       int           // checks at a time
	Downloads     int           // downloads at a time
	Author        *ecdsa.PublicKey
}

// maxDevices bounds memory: a device takes about 200 bytes.
const maxDevices = 5_000_000

// check refuses a Config that cannot work.
func (c *Config) check() error {
	u, err := url.Parse(c.Gateway)
	switch {
	case err != nil || u.Host == "":
		return fmt.Errorf("gateway is %q, want a URL such as http://127.0.0.1:8080", c.Gateway)
	case c.App == "" || c.Channel == "" || c.NativeVersion == "" || len(c.Platforms) == 0:
		return errors.New("app, channel, native version and platforms must be set")
	case c.Devices < 1 || c.Devices > maxDevices:
		return fmt.Errorf("devices is %d, want 1 to %d", c.Devices, maxDevices)
	case !(c.Capgo >= 0 && c.Capgo <= 1):
		return fmt.Errorf("capgo is %g, want a share of the devices from 0 to 1", c.Capgo)
	case c.Poll < time.Millisecond:
		return fmt.Errorf("poll is %s, want at least 1ms", c.Poll)
	case c.Workers < 1 || c.Downloads < 1:
		return errors.New("workers and downloads must be at least 1")
	case c.Author == nil:
		return errors.New("the author's public key is missing: a device installs nothing that it cannot verify")
	}
	return nil
}

// Fleet is a set of devices.
type Fleet struct {
	config    Config
	gateway   *gateway
	stats     *stats
	downloads *semaphore.Weighted
	queue     queue
}

// New makes a fleet whose devices all run the bundle that their app was installed with.
func New(c Config) (*Fleet, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	f := &Fleet{config: c, gateway: newGateway(&c), stats: newStats(c.Devices), downloads: semaphore.NewWeighted(int64(c.Downloads))}
	return f, nil
}

// Run polls until the context ends. Polls are spread evenly over the interval. A fixed number of workers serves all devices,
// so that a hundred thousand of them cost no more goroutines than ten.
func (f *Fleet) Run(ctx context.Context) {
	random := rand.New(rand.NewPCG(f.config.Seed, 1))
	start := time.Now()
	for i := range f.config.Devices {
		due := start.Add(time.Duration(random.Int64N(int64(f.config.Poll))))
		d := newDevice(&f.config, i)
		f.stats.joined(d.protocol.name())
		f.queue = append(f.queue, &scheduled{device: d, due: due})
	}
	heap.Init(&f.queue)

	work, done := make(chan *scheduled), make(chan *scheduled, f.config.Workers)
	var workers sync.WaitGroup
	for range f.config.Workers {
		workers.Go(func() {
			for s := range work {
				s.device.step(ctx, f)
				done <- s
			}
		})
	}
	f.dispatch(ctx, work, done)
	close(work)
	for range len(done) {
		<-done
	}
	workers.Wait()
}

// dispatch hands out devices as they become due.
func (f *Fleet) dispatch(ctx context.Context, work chan<- *scheduled, done <-chan *scheduled) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		var (
			ready chan<- *scheduled
			next  *scheduled
		)
		if len(f.queue) > 0 {
			next = f.queue[0]
			if late := time.Since(next.due); late >= 0 {
				ready = work
				f.stats.late(late)
			} else {
				timer.Reset(-late)
			}
		}
		select {
		case ready <- next:
			heap.Pop(&f.queue)
		case s := <-done:
			s.due = nextPoll(s.due, time.Now(), f.config.Poll)
			heap.Push(&f.queue, s)
		case <-timer.C:
		case <-ctx.Done():
			return
		}
	}
}

// nextPoll keeps a device's rhythm; a device that is late by more than one poll skips the polls that it missed, as a device
// that slept does.
func nextPoll(due, now time.Time, poll time.Duration) time.Time {
	if late := now.Sub(due); late >= poll {
		due = due.Add(late.Truncate(poll))
	}
	return due.Add(poll)
}

// Status is what the devices did so far.
func (f *Fleet) Status() Status { return f.stats.status() }

// scheduled is a device and when its next poll is due.
type scheduled struct {
	device *device
	due    time.Time
}

// queue is a heap of devices, the next due one first.
type queue []*scheduled

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].due.Before(q[j].due) }
func (q queue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }

// Push adds an element, as container/heap asks.
func (q *queue) Push(x any) { *q = append(*q, x.(*scheduled)) }

// Pop removes the last element, as container/heap asks.
func (q *queue) Pop() any {
	old := *q
	last := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	return last
}
