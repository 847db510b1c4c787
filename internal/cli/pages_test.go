// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/windlass-dev/windlass/internal/devcluster"
)

// docs is the folder of the pages.
func docs(t *testing.T) string {
	t.Helper()
	root, err := devcluster.Root()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(root, "docs")
}

// page reads a file of docs.
func page(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(docs(t), name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// rewrite writes a file of docs anew, with -update.
func rewrite(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

var commandLine = regexp.MustCompile(`(?m)^(?:\$|#  ) (kubectl windlass .*)$`)

// The commands of the pages exist, and so do their flags.
func TestPagesCommands(t *testing.T) {
	for name, least := range map[string]int{"cli.md": 24, "analysis/rollout.yaml": 3} {
		found := commandLine.FindAllStringSubmatch(page(t, name), -1)
		if len(found) < least {
			t.Errorf("%s: %d commands, want %d", name, len(found), least)
		}
		for _, m := range found {
			words := split(m[1])
			if at := slices.IndexFunc(words, func(w string) bool { return strings.HasPrefix(w, "#") }); at > 0 {
				words = words[:at]
			}
			cmd, rest, err := (&app{}).rootCommand().Find(words[2:])
			if err == nil {
				err = cmd.ParseFlags(rest)
			}
			if err == nil {
				err = cmd.ValidateArgs(cmd.Flags().Args())
			}
			if err != nil {
				t.Errorf("%s: %q: %v", name, m[1], err)
			}
		}
	}
}

// What the page shows of simulate is what it prints, as far as that does not depend on the number of rollouts.
func TestPagesSimulate(t *testing.T) {
	policy, cli, path := page(t, "analysis/rollout.yaml"), page(t, "cli.md"), filepath.Join(docs(t), "cli.md")
	s := newShell(t)
	s.write(map[string]string{"docs/analysis/rollout.yaml": policy})
	const line = "$ kubectl windlass simulate -f docs/analysis/rollout.yaml\n"
	_, shown, ok := strings.Cut(cli, line)
	if !ok {
		t.Fatalf("docs/cli.md has no %s", line)
	}
	if *update {
		_, rest, _ := strings.Cut(shown, "```\n")
		before, _, _ := strings.Cut(cli, line)
		rewrite(t, path, before+line+s.run("simulate", "-f", "docs/analysis/rollout.yaml")+"```\n"+rest)
		return
	}
	const until = ": 1 000 rollouts of each rule"
	want, _, ok := strings.Cut(shown, until)
	got, _, _ := strings.Cut(strings.Replace(s.run("simulate", "-f", "docs/analysis/rollout.yaml", "--runs", "1", "--compare", "none"), ": 1 rollouts of each rule", until, 1), until)
	if diff := cmp.Diff(want, got); !ok || diff != "" {
		t.Errorf("docs/cli.md (-has +want; go test -update writes it anew):\n%s", diff)
	}
}

// The plots of the pages are those of the commands that are given for them: small, and with the same lines and numbers on their axes.
func TestPagesPlots(t *testing.T) {
	policy, text, folder := page(t, "analysis/rollout.yaml"), page(t, "analysis.md"), docs(t)
	commands := commandLine.FindAllStringSubmatch(policy, -1)
	plots := map[string]string{}
	for _, m := range commands {
		name := m[1][strings.LastIndex(m[1], " ")+1:]
		plots[name] = page(t, "analysis/"+name)
	}
	s := newShell(t)
	s.write(map[string]string{"rollout.yaml": policy})
	for _, m := range commands {
		words := split(m[1])
		name := words[len(words)-1]
		t.Run(name, func(t *testing.T) {
			s.run(append(words[2:], "--runs", "1", "--compare", "none")...)
			if *update {
				rewrite(t, filepath.Join(folder, "analysis", name), s.read(name))
				return
			}
			committed := plots[name]
			if diff := cmp.Diff(wordsOf(t, committed), wordsOf(t, s.read(name))); diff != "" {
				t.Errorf("docs/analysis/"+name+" (-has +want; go test -update writes it anew):\n%s", diff)
			}
			if len(committed) > 100_000 {
				t.Errorf("%d bytes, want at most 100 000", len(committed))
			}
			if !strings.Contains(text, "(analysis/"+name+")") {
				t.Error("docs/analysis.md does not show it")
			}
		})
	}
}

var shown = regexp.MustCompile("(?ms)^```console state=([a-z-]+)\n\\$ kubectl windlass ([^\n]+)\n(.*?)```\n")

// What the page shows of releases is what the commands print when a cluster is in the state that the page names.
func TestPagesCluster(t *testing.T) {
	text, path := page(t, "cli.md"), filepath.Join(docs(t), "cli.md")
	explained, err := os.ReadFile("testdata/explain.txt")
	if err != nil {
		t.Fatal(err)
	}
	s := newShell(t)
	count := 0
	want := shown.ReplaceAllStringFunc(text, func(block string) string {
		count++
		m := shown.FindStringSubmatch(block)
		tc, ok := sides[m[1]]
		if !ok {
			t.Fatalf("docs/cli.md: no test knows the state %s", m[1])
		}
		cluster := underWay()
		tc.make(&cluster)
		o := s.try(newServer(t, cluster).on(split(m[2])...)...)
		if o.err != "" {
			t.Fatalf("%s: %s", m[2], o.err)
		}
		return "```console state=" + m[1] + "\n$ kubectl windlass " + m[2] + "\n" + o.out + "```\n"
	})
	if *update {
		rewrite(t, path, want)
		return
	}
	if diff := cmp.Diff(want, text); diff != "" || count < 7 {
		t.Errorf("docs/cli.md shows %d states, want 7 (-want +has; go test -update writes it anew):\n%s", count, diff)
	}
	if !strings.Contains(text, string(explained)) {
		t.Errorf("docs/cli.md does not show testdata/explain.txt:\n%s", explained)
	}
}
