// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"context"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

// verbs calls f for each command that does something.
func verbs(f func(*cobra.Command)) {
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		for _, c := range cmd.Commands() {
			if c.HasSubCommands() {
				walk(c)
			} else if c.Name() != "help" && c.Parent().Name() != "completion" {
				f(c)
			}
		}
	}
	walk((&app{}).rootCommand())
}

// Every command explains itself, and the examples are commands that exist, with flags that exist.
func TestHelp(t *testing.T) {
	count := 0
	verbs(func(cmd *cobra.Command) {
		count++
		if len(cmd.Long) < 80 || cmd.Short == "" || cmd.Example == "" {
			t.Errorf("%s: long help of %d letters, example %q", cmd.CommandPath(), len(cmd.Long), cmd.Example)
		}
		own := false
		for line := range strings.Lines(strings.ReplaceAll(cmd.Example, "\\\n", " ")) {
			words := split(line)
			if len(words) < 4 || words[0] != "kubectl" || words[1] != "windlass" {
				continue
			}
			found, rest, err := (&app{}).rootCommand().Find(words[2:])
			if err == nil {
				err = found.ParseFlags(rest)
			}
			if err == nil {
				err = found.ValidateArgs(found.Flags().Args())
			}
			if err != nil {
				t.Errorf("%s: the example %q: %v", cmd.CommandPath(), strings.TrimSpace(line), err)
			}
			own = own || err == nil && found.CommandPath() == cmd.CommandPath()
		}
		if !own {
			t.Errorf("%s: no example of its own", cmd.CommandPath())
		}
		for line := range strings.Lines(cmd.Long) {
			if len(line) > 140 {
				t.Errorf("%s: a line of help has %d letters", cmd.CommandPath(), len(line))
			}
		}
	})
	if count < 12 {
		t.Errorf("%d commands, want at least 12", count)
	}
}

// split cuts a line into words, without what a shell does behind | and >.
func split(line string) []string {
	var words []string
	var word strings.Builder
	quoted, started := false, false
	for _, r := range line + " " {
		switch {
		case r == '\'':
			quoted, started = !quoted, true
		case (r == ' ' || r == '\n') && !quoted:
			if started {
				words = append(words, word.String())
			}
			word.Reset()
			started = false
		case (r == '|' || r == '>' || r == ';') && !quoted:
			return words
		default:
			word.WriteRune(r)
			started = true
		}
	}
	return words
}

func TestExitCodes(t *testing.T) {
	s := newShell(t)
	for _, args := range [][]string{{}, {"--help"}, {"bundle"}, {"bundle", "pack", "--help"}, {"completion", "bash"}} {
		if o := s.try(args...); o.code != ExitOK || o.out == "" || o.err != "" {
			t.Errorf("%q: %+v, want help", args, o)
		}
	}
	s.fails(ExitUsage, `got "bundel"`, "bundel")
	s.fails(ExitUsage, `got "sing"`, "bundle", "sing")
	s.fails(ExitUsage, "unknown flag", "bundle", "pack", "dist", "--fast")
	s.fails(ExitUsage, "expected 1 arguments [FILE], got 0", "bundle", "digest")
	s.fails(ExitUsage, "expected 1 arguments [FILE], got 2", "bundle", "digest", "a", "b")
	s.fails(ExitUsage, "--output", "bundle", "digest", "a", "--output", "xml")
	s.fails(ExitError, "can be read", "bundle", "digest", "nothing")
}

func TestCompletion(t *testing.T) {
	s := newShell(t)
	for want, args := range map[string][]string{
		"manifest": {"bundle", ""}, "tar.zst": {"bundle", "pack", "--format", ""}, "yaml": {"bundle", "digest", "--output", ""},
		"timestamp": {"repository", "rotate-key", "--role", ""},
	} {
		if out := s.run(append([]string{"__complete"}, args...)...); !strings.Contains(out, want) {
			t.Errorf("%q completes to %q, want %s", args, out, want)
		}
	}
}

// ticking is a reader whose every read takes a while.
type ticking struct {
	now  *time.Time
	by   time.Duration
	left int
}

func (r *ticking) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	r.left--
	*r.now = r.now.Add(r.by)
	return len(p), nil
}

func TestProgress(t *testing.T) {
	for name, tc := range map[string]struct {
		terminal, quiet bool
		by              time.Duration
		want            string
	}{
		"a log of quick work":        {false, false, time.Second, ""},
		"a log of long work":         {false, false, 4 * time.Second, "read: 3 of 4 MiB\n"},
		"a terminal":                 {true, false, 150 * time.Millisecond, "\r\x1b[Kread: 2 of 4 MiB\r\x1b[Kread: 4 of 4 MiB\r\x1b[K"},
		"a terminal with quick work": {true, false, time.Millisecond, ""},
		"quiet":                      {true, true, time.Hour, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			clock := now
			a := &app{Streams: Streams{Err: &out, Terminal: tc.terminal, Now: func() time.Time { return clock }}, quiet: tc.quiet}
			r := a.reader(t.Context(), "read", &ticking{&clock, tc.by, 4}, 4<<20)
			if _, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, r, make([]byte, 1<<20)); err != nil {
				t.Fatal(err)
			}
			if out.String() != tc.want {
				t.Errorf("got %q, want %q", out.String(), tc.want)
			}
		})
	}
}

// An interrupt ends long work, and leaves no file.
func TestInterrupt(t *testing.T) {
	s := newShell(t)
	s.write(site)
	ctx, stop := context.WithCancel(t.Context())
	stop()
	var errs bytes.Buffer
	streams := Streams{Out: io.Discard, Err: &errs, Getenv: func(string) string { return "" }, Now: time.Now}
	if code := Run(ctx, streams, []string{"bundle", "pack", "dist"}); code != ExitError || !strings.Contains(errs.String(), "canceled") {
		t.Errorf("exit code %d: %s", code, errs.String())
	}
	if _, err := os.Stat("dist.zip"); err == nil {
		t.Error("there is an archive")
	}
}

func TestColour(t *testing.T) {
	s := newShell(t)
	s.write(site)
	var out bytes.Buffer
	streams := Streams{Out: &out, Err: io.Discard, Getenv: func(string) string { return "" }, Now: time.Now, Colour: true}
	s.write(map[string]string{"a": "x"})
	s.run("bundle", "sign", "a", "--key", "ci.key")
	if code := Run(t.Context(), streams, []string{"bundle", "verify", "a", "--key", "ci.pub", "--signature", "a.sig"}); code != 0 || !strings.Contains(out.String(), "\x1b[32mverified\x1b[0m") {
		t.Errorf("exit code %d: %q", code, out.String())
	}
	if plain := s.run("bundle", "verify", "a", "--key", "ci.pub", "--signature", "a.sig"); strings.Contains(plain, "\x1b") {
		t.Errorf("colours where there is no terminal: %q", plain)
	}
}

// A name cannot steer the terminal of who reads it.
func TestPrintable(t *testing.T) {
	if got := printable("a\x1b[31m\r\nb\u202e\u2066ü"); got != "a\ufffd[31m\ufffd\ufffdb\ufffd\ufffdü" {
		t.Errorf("got %q", got)
	}
}
