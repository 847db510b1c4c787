// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/windlass-dev/windlass/internal/devcluster"
	"github.com/windlass-dev/windlass/internal/testkit"
)

// step is some shell lines of a pipeline, with the environment of their own.
type step struct {
	name string
	run  string
	env  map[string]string
}

// pipeline is a pipeline of a page, as lines that a shell runs one after another.
type pipeline struct {
	name  string
	env   map[string]string
	steps []step
}

var (
	yamlBlock  = regexp.MustCompile("(?s)```yaml\n(.*?)```")
	expression = regexp.MustCompile(`\$\{\{ *([a-z.]+[A-Z_a-z]+) *\}\}`)
)

// blocks are the pipelines in a page of docs/ci.
func blocks(t *testing.T, page string) []string {
	t.Helper()
	root, err := devcluster.Root()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "docs/ci", page))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, m := range yamlBlock.FindAllStringSubmatch(string(text), -1) {
		out = append(out, m[1])
	}
	return out
}

// githubPipelines reads workflows. What stands in ${{ }} must be in the environment of the test.
func githubPipelines(t *testing.T, known map[string]string) []pipeline {
	t.Helper()
	var out []pipeline
	for i, text := range blocks(t, "github-actions.md") {
		var workflow struct {
			Jobs map[string]struct {
				Env   map[string]string
				Steps []struct {
					Name, Uses, Run string
					Env             map[string]string
				}
			}
		}
		if err := yaml.Unmarshal([]byte(text), &workflow); err != nil {
			t.Fatal(err)
		}
		for name, job := range workflow.Jobs {
			p := pipeline{name: fmt.Sprintf("github %d %s", i, name), env: job.Env}
			for _, s := range job.Steps {
				for key, value := range s.Env {
					s.Env[key] = expression.ReplaceAllStringFunc(value, func(e string) string {
						value, ok := known[expression.FindStringSubmatch(e)[1]]
						if !ok {
							t.Errorf("%s: nobody knows %s", p.name, e)
						}
						return value
					})
				}
				if s.Run != "" {
					p.steps = append(p.steps, step{s.Name, s.Run, s.Env})
				}
			}
			out = append(out, p)
		}
	}
	return out
}

// gitlabPipelines reads pipelines: the jobs in the order of their stages, each line a step.
func gitlabPipelines(t *testing.T) []pipeline {
	t.Helper()
	var out []pipeline
	for i, text := range blocks(t, "gitlab-ci.md") {
		var file map[string]any
		if err := yaml.Unmarshal([]byte(text), &file); err != nil {
			t.Fatal(err)
		}
		p := pipeline{name: fmt.Sprintf("gitlab %d", i), env: map[string]string{}}
		for key, value := range file["variables"].(map[string]any) {
			p.env[key] = value.(string)
		}
		for _, stage := range file["stages"].([]any) {
			var lines []string
			job := file[stage.(string)].(map[string]any)
			for _, part := range []string{"before_script", "script"} {
				list, _ := job[part].([]any)
				for _, line := range list {
					lines = append(lines, line.(string))
				}
			}
			p.steps = append(p.steps, step{name: stage.(string), run: strings.Join(lines, "\n")})
		}
		out = append(out, p)
	}
	return out
}

// keyless is the one command that cannot run here: it needs a signature that a public instance of Sigstore made.
var keyless = regexp.MustCompile(`(?m)^kubectl[ -]windlass bundle verify (?:.*\\\n)*.*--identity.*$`)

// The pipelines of docs/ci run: everything but what goes to the network, which stubs stand in for. What they commit is a Bundle
// that the API server takes.
func TestPipelines(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not installed")
	}
	env := testkit.Start(t)
	appKey, err := exec.CommandContext(t.Context(), "openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048").Output()
	if err != nil {
		t.Skipf("openssl: %v", err)
	}
	known := map[string]string{"secrets.SIGNING_KEY": edKey(), "secrets.CAPGO_KEY": string(appKey), "github.token": "token"}
	all := slices.Concat(githubPipelines(t, known), gitlabPipelines(t))
	if len(all) != 5 {
		t.Errorf("%d pipelines, want 5", len(all))
	}
	for _, p := range all {
		t.Run(p.name, func(t *testing.T) {
			s := newShell(t)
			newTools(t)
			s.write(site)
			s.write(map[string]string{"stub.key": ecKey(t), "signing.key": edKey(), "dist/index.html": inlinePage})
			dir, err := os.Getwd()
			if err != nil {
				t.Fatal(err)
			}
			origin := t.TempDir()
			for _, args := range [][]string{{"init", "-q", "--bare", origin}, {"init", "-q", "."}, {"remote", "add", "origin", origin}} {
				bash(t, nil, "git "+strings.Join(args, " "))
			}
			vars := map[string]string{
				"STUB_KEY": filepath.Join(dir, "stub.key"), "SIGNING_KEY": filepath.Join(dir, "signing.key"),
				"GITHUB_REF_NAME": "v2.4.1", "GITHUB_REF": "refs/tags/v2.4.1", "GITHUB_REPOSITORY": "example/shop", "GITHUB_ENV": filepath.Join(dir, "github.env"),
				"CI_COMMIT_TAG": "v2.4.1", "CI_API_V4_URL": "https://gitlab.example.com/api/v4", "CI_PROJECT_ID": "7", "CI_JOB_TOKEN": "token",
				"GIT_TOKEN": "token", "CI_SERVER_HOST": "gitlab.example.com", "CI_PROJECT_PATH": "example/shop",
				"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "url." + origin + ".insteadOf", "GIT_CONFIG_VALUE_0": "https://release:token@gitlab.example.com/example/shop.git",
			}
			for key, value := range p.env {
				vars[key] = os.Expand(value, func(name string) string { return vars[name] })
			}
			for _, step := range p.steps {
				mine := maps.Clone(vars)
				maps.Copy(mine, step.env)
				bash(t, mine, keyless.ReplaceAllString(step.run, "true"))
				readEnv(t, vars)
			}
			dryRun(t, env, bash(t, nil, "git -C "+origin+" show main:releases/shop-2.4.1.yaml"))
		})
	}
}

// bash runs lines as CI does, and gives what they print.
func bash(t *testing.T, env map[string]string, lines string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", lines)
	cmd.Env = os.Environ()
	for key, value := range env {
		cmd.Env = append(cmd.Env, key+"="+value)
	}
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s\n%s%s", err, lines, out, errs.String())
	}
	return string(out)
}

// readEnv takes what a step wrote for those after it, as GitHub does.
func readEnv(t *testing.T, vars map[string]string) {
	t.Helper()
	text, err := os.ReadFile(vars["GITHUB_ENV"])
	if err != nil {
		return // nothing was written
	}
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		vars[key] = value
	}
}
