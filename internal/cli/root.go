// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package cli is the command line kubectl windlass: one file for each verb, named after its group. Verbs read files and flags,
// leave the work to pure packages, and print one result. Results go to stdout, all else to stderr.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"
	"k8s.io/cli-runtime/pkg/genericclioptions"
)

// Exit codes. They are part of what pipelines rely on.
const (
	ExitOK      = 0
	ExitError   = 1 // something failed: a file, a tool, an input that cannot be read
	ExitUsage   = 2 // the command was given wrongly
	ExitRefused = 3 // all was read, and a policy denies it or a signature does not verify
)

// Streams are what a command has of the system besides files.
type Streams struct {
	In       io.Reader
	Out      io.Writer
	Err      io.Writer
	Getenv   func(string) string
	Now      func() time.Time
	Terminal bool // Err is one: progress is drawn
	Colour   bool // Out is one, and colours are wanted

	Interactive bool       // In and Err are terminals: a person can be asked
	Width       func() int // of the terminal that Out is, in columns; nil: it is none
	Height      func() int // of the same terminal, in lines
}

// System gives the streams of this process.
func System() Streams {
	in, out, err := int(os.Stdin.Fd()), int(os.Stdout.Fd()), int(os.Stderr.Fd())
	smart := os.Getenv("TERM") != "dumb"
	s := Streams{
		In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Getenv: os.Getenv, Now: time.Now,
		Terminal:    term.IsTerminal(err),
		Colour:      term.IsTerminal(out) && os.Getenv("NO_COLOR") == "" && smart,
		Interactive: term.IsTerminal(in) && term.IsTerminal(err),
	}
	if term.IsTerminal(out) && smart {
		size := func() (width, height int) {
			width, height, err := term.GetSize(out)
			if err != nil || width < 20 || height < 1 {
				return 80, 24
			}
			return width, height
		}
		s.Width = func() int { width, _ := size(); return width }
		s.Height = func() int { _, height := size(); return height }
	}
	return s
}

// app is one run of the command line.
type app struct {
	Streams
	output      string
	quiet       bool
	connections map[*cobra.Command]*genericclioptions.ConfigFlags // of the verbs that reach a cluster
}

// Run runs one command and gives its exit code. What went wrong is told on Err as "error: ...".
func Run(ctx context.Context, s Streams, args []string) int {
	a := &app{Streams: s}
	root := a.rootCommand() //nolint:contextcheck // cobra hands it to the command
	root.SetArgs(args)
	root.SetIn(s.In)
	root.SetOut(s.Out)
	root.SetErr(s.Err)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return ExitOK
	}
	f, ok := errors.AsType[*failure](err)
	if !ok {
		f = &failure{ExitError, err}
	}
	if f.err != nil { // else the result says it all
		fmt.Fprintln(s.Err, "error:", err)
	}
	return f.code
}

func (a *app) rootCommand() *cobra.Command {
	root := a.commands()
	root.Annotations = map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl windlass"}
	root.SilenceErrors, root.SilenceUsage = true, true
	flags := root.PersistentFlags()
	flags.StringVar(&a.output, "output", formatText, "form of the result on stdout: text, json or yaml")
	flags.BoolVarP(&a.quiet, "quiet", "q", false, "no progress on stderr")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usage("%w", err) })
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		if err := cmd.ValidateFlagGroups(); err != nil {
			return usage("expected flags that go together: %w", err)
		}
		return a.checkOutput(cmd)
	}
	complete(root, "output", formats...)
	return root
}

// commands are all of them, in groups.
func (a *app) commands() *cobra.Command {
	root := group("kubectl-windlass", "Make, check and release updates over the air", `
Shows and steers releases in a cluster, makes and checks updates in CI (bundle), keeps the offline keys of a repository (repository),
and tries a release policy before it is used, on made-up devices (simulate) or on what Prometheus recorded (replay).

The commands on files reach no cluster and no network, unless they say so. The others find the cluster as kubectl does, and take its flags:
--kubeconfig, --context, --namespace, --as and the like. The result goes to stdout in the form that --output chooses, everything else to
stderr. Exit codes: 0 done, 1 error, 2 wrong usage, 3 refused: by a policy, by the API server, by the manager, or by a signature that does not
verify. status has two more: 4 needs a person, 5 under way.`)
	for _, part := range []struct {
		id, title string
		verbs     []*cobra.Command
	}{
		{"see", "See what happens:", []*cobra.Command{
			a.listCommand(), a.getCommand(), a.statusCommand(), a.diffCommand(), a.historyCommand(), a.explainCommand(), a.auditCommand(), a.reportCommand(),
		}},
		{"steer", "Steer releases:", []*cobra.Command{
			a.promoteCommand(), a.pauseCommand(), a.resumeCommand(), a.abortCommand(), a.retryCommand(), a.approveCommand(), a.rollbackCommand(),
			a.haltCommand(), a.unhaltCommand(), a.allowCommand(), a.overrideCommand(),
		}},
		{"files", "Make, check and try, without a cluster:", []*cobra.Command{
			a.bundleCommand(), a.repositoryCommand(), a.simulateCommand(), a.replayCommand(),
		}},
	} {
		root.AddGroup(&cobra.Group{ID: part.id, Title: part.title})
		for _, verb := range part.verbs {
			verb.GroupID = part.id
		}
		root.AddCommand(part.verbs...)
	}
	root.AddCommand(a.versionCommand())
	return root
}

// group is a command that only has others below it.
func group(name, short, long string, verbs ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: name, Short: short, Long: trim(long), Args: cobra.ArbitraryArgs}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		return usage("expected a command of %s, got %q; see %[1]s --help", cmd.CommandPath(), args[0])
	}
	cmd.AddCommand(verbs...)
	return cmd
}

// verb is what all commands that do something share. run gets as many arguments as use names; those in brackets may be left out.
func verb(use, short, long, example string, run func(ctx context.Context, args []string) error) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Long: trim(long), Example: indent(example), DisableFlagsInUseLine: true}
	cmd.Use += " [flags]"
	want := arguments(use)
	least := slices.IndexFunc(want, func(word string) bool { return strings.HasPrefix(word, "[") })
	if least < 0 {
		least = len(want)
	}
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if n := cmd.ArgsLenAtDash(); n >= 0 {
			args = args[:n]
		}
		if len(args) < least || len(args) > len(want) {
			return usage("expected %d arguments %v, got %d; see %s --help", len(want), want, len(args), cmd.CommandPath())
		}
		return nil
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return run(cmd.Context(), args) }
	return cmd
}

// complete lets shells offer the values of a flag.
func complete(cmd *cobra.Command, flag string, values ...string) {
	if err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic(err) // there is no such flag: a bug
	}
}
