// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package serve

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/actor"
	"github.com/windlass-dev/windlass/internal/command"
)

// order is a command that is carried out: it changes the status, and nothing else. What devices see follows from the status.
type order struct {
	command.Given // By is never empty

	channel *otav1alpha1.Channel
	status  *otav1alpha1.ChannelStatus
	facts   *Facts // nil for commands that need none
	at      *metav1.Time
	doubt   string // why names of people cannot be relied on; empty: they can
}

// commands that a Channel knows, without those that need facts. Each says why it cannot be carried out.
var commands = map[string]func(*order) error{
	command.Halt: halt, command.Unhalt: unhalt, command.Override: override, command.Approve: approve,
}

// informed are the commands that need to know what is served. They have their turn one by one, when the status says what the one
// before has led to.
var informed = map[string]func(*order) error{command.Rollback: rollback, command.Allow: allow}

// Obey carries out the command that the annotations of a Channel give, unless that was done before, and records what became of it.
// Nil: there is nothing to do. A command that needs facts is left alone without, and waits until it has its turn. Trust says how far the
// name of who gave it can be relied on.
func Obey(ch *otav1alpha1.Channel, now time.Time, trust actor.Trust, f *Facts) (st *otav1alpha1.ChannelStatus, waits bool) {
	given := command.Read(ch.Annotations, ch.Status.LastCommand)
	if given == nil {
		return nil, false
	}
	do, plain := commands[given.Name], true
	if known, ok := informed[given.Name]; ok {
		do, plain = known, false
	}
	switch {
	case !plain && f == nil:
		return nil, true
	case !plain && owing(ch, f):
		return nil, true
	case do == nil:
		do = unknown
	}
	name(given, trust)
	st = ch.Status.DeepCopy()
	o := &order{Given: *given, channel: ch, status: st, facts: f, at: second(now), doubt: trust.Doubt}
	err := do(o)
	if err != nil {
		st = ch.Status.DeepCopy() // a command is carried out, or not
	}
	st.LastCommand = given.Status(now, err)
	return st, false
}

// name fills in who gave a command, and how far that can be relied on.
func name(given *command.Given, trust actor.Trust) {
	attribute(given, trust)
}

// attribute says of a command by whom it is, and how far that can be relied on.
func attribute(g *command.Given, trust actor.Trust) {
	if g.Actor = trust.Actor; g.By == "" {
		g.By, g.Actor = command.Unverified, otav1alpha1.ActorUnverified
	}
}

// second is a time as status has it.
func second(t time.Time) *metav1.Time { return &metav1.Time{Time: t.Truncate(time.Second)} }

func unknown(o *order) error {
	names := slices.Sorted(maps.Keys(commands))
	names = slices.Sorted(slices.Values(slices.AppendSeq(names, maps.Keys(informed))))
	return fmt.Errorf("a Channel knows the commands %s, not %s", strings.Join(names, ", "), o.Name)
}

func badArgs(err error) error { return fmt.Errorf("%s: %w", otav1alpha1.CommandArgsAnnotation, err) }

// owing tells whether an earlier command is not carried out yet, or the status does not say yet what it has led to.
func owing(ch *otav1alpha1.Channel, f *Facts) bool {
	if f.Committed == nil {
		return false
	}
	p := ch.Status.Published
	return p == nil || p.Revision != f.Committed.Revision || lastOrder(ch) > f.Committed.Orders
}

// lastOrder is the number of the last command in the status that changes what is served.
func lastOrder(ch *otav1alpha1.Channel) int64 {
	var last int64
	if r := ch.Status.Rollback; r != nil {
		last = r.Order
	}
	if a := ch.Status.Allowed; a != nil {
		last = max(last, a.Order)
	}
	return last
}

// next is the number of the next such command: above all that the document has carried out, also where a status was lost.
func (o *order) next() int64 { return max(lastOrder(o.channel), o.facts.Committed.Orders) + 1 }
