// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package install

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// instruction gives the arguments of a Dockerfile's last instruction of a name.
func instruction(t *testing.T, name, keyword string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(root, "build", name+".Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	all := regexp.MustCompile(`(?m)^`+keyword+` (.*)$`).FindAllStringSubmatch(string(raw), -1)
	if len(all) == 0 {
		t.Fatalf("build/%s.Dockerfile has no %s", name, keyword)
	}
	return all[len(all)-1][1]
}

// TestImages_fitTheirPods holds what images run, as whom, against what the pods say.
func TestImages_fitTheirPods(t *testing.T) {
	t.Parallel()
	objects := plain.kustomize(t)
	for name, kind := range map[string]string{"manager": "Deployment", "gateway": "StatefulSet"} {
		pod := podOf(t, find(t, objects, kind, "windlass-"+name))
		var entrypoint []string
		if err := json.Unmarshal([]byte(instruction(t, name, "ENTRYPOINT")), &entrypoint); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(entrypoint, pod.Spec.Containers[0].Command) {
			t.Errorf("the image of the %s runs %q, its pod %q", name, entrypoint, pod.Spec.Containers[0].Command)
		}
		security := pod.Spec.SecurityContext
		want := strconv.FormatInt(*security.RunAsUser, 10) + ":" + strconv.FormatInt(*security.RunAsGroup, 10)
		if got := instruction(t, name, "USER"); got != want {
			t.Errorf("the image of the %s runs as %s, its pod as %s", name, got, want)
		}
		if from := instruction(t, name, "FROM"); from != "scratch" {
			t.Errorf("the image of the %s has more in it than the program: it is from %s", name, from)
		}
	}
}

// TestImages_build builds the images where there is a builder, and runs what is in them. Elsewhere it runs the programs, built with
// the flags of the Dockerfiles, and holds that they are static.
func TestImages_build(t *testing.T) {
	t.Parallel()
	builder := builder(t)
	for _, name := range []string{"manager", "gateway", "kubectl-windlass"} {
		if builder != "" {
			tag := "windlass-test/" + name + ":test"
			if out, err := exec.CommandContext(t.Context(), builder, "build", "-f", filepath.Join(root, "build", name+".Dockerfile"), "-t", tag, root).CombinedOutput(); err != nil {
				t.Errorf("%s build: %v\n%s", builder, err, out)
			} else if out, err := exec.CommandContext(t.Context(), builder, "run", "--rm", "--read-only", tag, "--help").CombinedOutput(); err != nil {
				t.Errorf("the image of %s does not run: %v\n%s", name, err, out)
			}
			continue
		}
		out := program(t, name)
		if log, err := exec.CommandContext(t.Context(), out, "--help").CombinedOutput(); err != nil {
			t.Errorf("%s does not run: %v\n%s", name, err, log)
		}
		if needs, err := exec.CommandContext(t.Context(), "ldd", out).CombinedOutput(); err == nil && !strings.Contains(string(needs), "statically") {
			t.Errorf("%s is not static, and the image has no libraries:\n%s", name, needs)
		}
	}
}

// builder is a program that builds images here; empty when there is none that works.
func builder(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"docker", "podman"} {
		if exec.CommandContext(t.Context(), name, "info").Run() == nil {
			return name
		}
	}
	t.Log("neither docker nor podman works here: the programs are built without images")
	return ""
}

// TestImages_flags holds that all ways to build give the same program, which the tests run.
func TestImages_flags(t *testing.T) {
	t.Parallel()
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(makefile), "LDFLAGS := -s -w\n") || !strings.Contains(string(makefile), "CGO_ENABLED=0 go build -trimpath -ldflags='$(LDFLAGS)' -o bin/manager") {
		t.Error("make build has other flags than the ones that this test, the Dockerfiles and hack/release know")
	}
	for _, name := range []string{"manager", "gateway", "kubectl-windlass"} {
		if run := instruction(t, name, "RUN"); !strings.HasPrefix(run, "CGO_ENABLED=0 ") ||
			!strings.Contains(run, strings.Replace(strings.Join(flags, " "), "-s -w", "'-s -w'", 1)) {
			t.Errorf("build/%s.Dockerfile builds by %s", name, run)
		}
	}
}
