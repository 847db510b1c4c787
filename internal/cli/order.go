// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bufio"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/command"
)

const (
	answerWithin = 10 * time.Second       // what --timeout of commands is by default
	answerEvery  = 250 * time.Millisecond // how often is looked for an answer
	maxLine      = 4 << 10                // of what a person types
)

// orderFlags are those of all commands that people give to objects.
type orderFlags struct {
	reason  string
	wait    bool
	timeout time.Duration
	dryRun  string
}

// outcomeOf a command, as it is printed.
type outcomeOf struct {
	Object  string                    `json:"object"`  // rollout/shop
	Command string                    `json:"command"` // promote
	ID      string                    `json:"id"`
	Result  otav1alpha1.CommandResult `json:"result,omitempty"` // absent: nobody waited for it
	By      string                    `json:"by,omitempty"`
	Actor   otav1alpha1.Actor         `json:"actor,omitempty"`
	Message string                    `json:"message,omitempty"`
	DryRun  string                    `json:"dryRun,omitempty"`
}

const dryRunServer = "server"

// order is a command for an object, of which the name is known at least.
type order struct {
	to client.Object
	command.Given
}

// orderVerb is a verb that gives a command to an object. decide says which, from the arguments and --reason.
func (a *app) orderVerb(use, short, long, example string, decide func(context.Context, *cluster, []string, string) (order, error)) *cobra.Command {
	var o orderFlags
	cmd := a.clusterVerb(use, short, long, example, func(ctx context.Context, c *cluster, args []string) error {
		if o.dryRun != "none" && o.dryRun != dryRunServer {
			return usage("--dry-run: expected none or server, got %q", o.dryRun)
		}
		given, err := decide(ctx, c, args, strings.TrimSpace(o.reason))
		if err == nil {
			err = a.give(ctx, c, given, o)
		}
		return c.lacks(ctx, given, err)
	})
	flags := cmd.Flags()
	flags.StringVar(&o.reason, "reason", "", "why: it is kept with what happened")
	flags.BoolVar(&o.wait, "wait", true, "wait until the manager has taken or refused the command")
	flags.DurationVar(&o.timeout, "timeout", answerWithin, "how long to wait for that")
	flags.StringVar(&o.dryRun, "dry-run", "none", "server: ask the API server whether it would take the command, and give none")
	complete(cmd, "dry-run", "none", dryRunServer)
	return cmd
}

// why gives the reason of a command that needs one. On a terminal a person is asked for it.
func (a *app) why(reason, what string) (string, error) {
	if reason == "" && a.Interactive {
		var err error
		if reason, err = a.ask("Why " + what + "? "); err != nil {
			return "", err
		}
	}
	if reason == "" {
		return "", usage("expected --reason: why %s? It is shown to everybody who asks what happened", what)
	}
	if err := command.CheckReason(reason); err != nil {
		return "", usage("--reason: %w", err)
	}
	return reason, nil
}

// ask reads one line from the terminal.
func (a *app) ask(question string) (string, error) {
	fmt.Fprint(a.Err, question)
	line, err := bufio.NewReader(io.LimitReader(a.In, maxLine)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read the answer: %w", err)
	}
	return strings.TrimSpace(line), nil
}

// give writes a command to an object, waits for what becomes of it, and prints that.
func (a *app) give(ctx context.Context, c *cluster, g order, o orderFlags) error {
	obj := g.to
	obj.SetNamespace(c.namespace)
	g.ID = strings.ToLower(rand.Text()) // two people at one moment give two commands
	options := []client.PatchOption{client.FieldOwner(fieldManager)}
	if o.dryRun == dryRunServer {
		options = append(options, client.DryRunAll)
	}
	// All of it, also what is as before: of two commands at one moment, one must win as a whole.
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": g.Annotations()}})
	if err != nil {
		return err
	}
	if err := c.Patch(ctx, obj, client.RawPatch(types.MergePatchType, patch), options...); err != nil {
		return c.missing(ctx, err, obj.GetName(), obj)
	}
	out := outcomeOf{Object: strings.ToLower(kindName(obj)) + "/" + obj.GetName(), Command: g.Name, ID: g.ID}
	if o.dryRun == dryRunServer {
		out.DryRun, out.Message = dryRunServer, "the API server would take the command; whether the manager would was not asked"
		return a.printOutcome(out)
	}
	if o.wait {
		last, err := c.answer(ctx, obj, g.ID, o.timeout)
		if err != nil {
			return err
		}
		out.Result, out.By, out.Actor, out.Message = last.Result, last.By, last.Actor, last.Message
	}
	return a.printOutcome(out)
}

// answer waits until the manager has looked at a command. What passes by itself, such as an API server that restarts, does not end it.
func (c *cluster) answer(ctx context.Context, obj client.Object, id string, within time.Duration) (*otav1alpha1.CommandStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	tick := time.NewTicker(answerEvery)
	defer tick.Stop()
	var passed error // what was in the way of the last look
	for {
		if last := lastCommand(obj); last != nil && last.ID == id {
			return last, nil
		}
		if now := obj.GetAnnotations()[otav1alpha1.CommandIDAnnotation]; now != id {
			return nil, fmt.Errorf("expected to see what became of the command, and %s gave another one first: yours may or may not have been carried out; "+
				"look at status.lastCommand, history or the audit log", cmp.Or(obj.GetAnnotations()[otav1alpha1.RequestedByAnnotation], "somebody"))
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			if passed != nil {
				return nil, c.unknown(passed)
			}
			return nil, fmt.Errorf("expected the manager to look at the command within %s, and it did not: is it running? The command stays on the object, and is carried out once it is", within)
		}
		err := c.Get(ctx, client.ObjectKeyFromObject(obj), obj)
		switch {
		case ctx.Err() != nil && !apierrors.IsNotFound(err): // the time is up: it says nothing of the API server
		case err != nil && !passing(err):
			return nil, c.unknown(err)
		default:
			passed = err
		}
	}
}

// unknown says that a command was given, and why nobody could see what became of it. It is no refusal, even if looking is.
func (c *cluster) unknown(err error) error {
	return errors.New("the command was given, and what became of it is unknown: look at status.lastCommand, history or the audit log: " + c.explain(err).Error())
}

// printOutcome prints what became of a command. One that was refused is an error.
func (a *app) printOutcome(out outcomeOf) error {
	if out.Result == otav1alpha1.CommandRefused {
		if a.output == formatJSON || a.output == formatYAML {
			if err := a.print(out, nil); err != nil {
				return err
			}
		}
		return refused("%s of %s was refused: %s", out.Command, out.Object, out.Message)
	}
	return a.print(out, func(w io.Writer) {
		by := ""
		if out.By != "" {
			by = ", by " + person(out.By, out.Actor)
		}
		switch {
		case out.DryRun != "":
			fmt.Fprintf(w, "%s of %s: %s\n", out.Command, out.Object, out.Message)
		case out.Result == "":
			fmt.Fprintf(w, "%s of %s: asked for\n", out.Command, out.Object)
		default:
			said := ""
			if out.Message != "" {
				said = ": " + out.Message
			}
			fmt.Fprintf(w, "%s of %s: %s%s\n", out.Command, out.Object, a.colour(green, "accepted"), printable(by+said))
		}
	})
}

// lastCommand is what the manager says of the last command that it looked at.
func lastCommand(obj client.Object) *otav1alpha1.CommandStatus {
	switch o := obj.(type) {
	case *otav1alpha1.Rollout:
		return o.Status.LastCommand
	case *otav1alpha1.Channel:
		return o.Status.LastCommand
	case *otav1alpha1.Repository:
		return o.Status.LastCommand
	}
	return nil
}

// person is who did something, and how far that can be relied on.
func person(by string, actor otav1alpha1.Actor) string {
	if actor == otav1alpha1.ActorUnverified {
		return by + " (unverified)"
	}
	return by
}
