// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package content

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/windlass-dev/windlass/internal/artifact"
	rules "github.com/windlass-dev/windlass/internal/content"
	"github.com/windlass-dev/windlass/internal/testkit"
	"github.com/windlass-dev/windlass/internal/testkit/npm"
)

// stores is the policy of the corpora.
var stores = rules.Policy{AppStores: true}

// inspect packs files as an update, and looks into it as the manager does.
func inspect(t *testing.T, files Files) *rules.Report {
	t.Helper()
	scanner := rules.NewScanner()
	if _, err := artifact.Scan(bytes.NewReader(Zip(files)), artifact.Limits{}, scanner.File); err != nil {
		t.Fatalf("the update that is to be looked into is refused: %v", err)
	}
	report := scanner.Report()
	return &report
}

// with adds files to App.
func with(files Files) Files {
	all := App()
	maps.Copy(all, files)
	return all
}

// denied gives the checks that deny; warned those that speak up at all.
func denied(list []rules.Violation) []string { return checks(list, rules.Deny) }
func warned(list []rules.Violation) []string { return checks(list, rules.Deny, rules.Warn) }

func checks(list []rules.Violation, actions ...rules.Action) []string {
	var out []string
	for _, v := range list {
		if slices.Contains(actions, v.Action) {
			out = append(out, v.Check)
		}
	}
	return out
}

// native are the checks that find native code, or what could hide it.
var native = []string{rules.CheckNativeCode, rules.CheckAppPackage, rules.CheckNestedArchive}

// Every program is found in every disguise, and denied, by the profile as by nativeCode: Denied. The rest of the update is the same as
// that which is stable.
func TestNativePayloads(t *testing.T) {
	stable := inspect(t, App())
	payloads, accepted := Payloads(), 0
	if os.Getenv("WINDLASS_CORPUS") != "full" { // every third: 3 divides neither number of disguises, so that each program meets each in turn
		i := 0
		payloads = slices.DeleteFunc(payloads, func(p Payload) bool {
			i++
			return i%3 != 0 && !strings.HasPrefix(p.Name, "package/") && !strings.HasPrefix(p.Name, "closed/")
		})
	}
	for _, p := range payloads {
		report := inspect(t, with(p.Files))
		bad := denied(rules.Evaluate(stores, rules.Facts{Report: report, Stable: stable}))
		strict := denied(rules.Evaluate(rules.Policy{NativeCode: rules.Deny}, rules.Facts{Report: report, Stable: stable}))
		if !slices.ContainsFunc(bad, isNative) || len(strict) == 0 || !report.NativeCode() {
			accepted++
			t.Errorf("%s is accepted: %v", p.Name, report.Findings)
		}
		// A program that can be seen is named as one.
		if !strings.HasPrefix(p.Name, "package/") && !strings.HasPrefix(p.Name, "closed/") && !slices.Contains(bad, rules.CheckNativeCode) {
			t.Errorf("%s is denied by %v, want %s among them", p.Name, bad, rules.CheckNativeCode)
		}
	}
	fmt.Fprintf(os.Stdout, "TRIED native-payload %d ACCEPTED %d\n", len(payloads), accepted)
	if len(payloads) < 60 {
		t.Errorf("%d payloads, want at least 60", len(payloads))
	}
}

func isNative(check string) bool { return slices.Contains(native, check) }

// Interpreters' code is found where a Channel asks for that.
func TestScripts(t *testing.T) {
	strict := rules.Policy{Checks: map[string]rules.Action{rules.CheckScript: rules.Deny, rules.CheckBytecode: rules.Deny}}
	tried, accepted := 0, 0
	for name, start := range map[string]string{
		"sh": "#!/bin/sh\n", "bash": "#! /bin/bash -e\n", "behind a mark": "\xef\xbb\xbf#!/bin/sh\n", "env": "#!/usr/bin/env python3\n",
		"env with settings": "#!/usr/bin/env -S A=b perl -w\n", "Android": "#!/system/bin/sh\r\n", "no end of line": "#!/bin/sh",
		"Python": "\xcb\r\r\n\x00\x00\x00\x00" + strings.Repeat("\x00", 16), "Lua": "\x1bLuaS\x00\x19\x93\r\n", "LuaJIT": "\x1bLJ\x02\x02",
		"Ruby": "YARB\x03\x00", "mruby": "RITE0300", "V8": "\x2a\x06\xde\xc0" + strings.Repeat("\x01", 60), "Dart": "\x90\xab\xcd\xef\x00\x00\x00\x70",
	} {
		for _, path := range []string{"assets/a.png", "RUN.TXT"} {
			for _, data := range [][]byte{[]byte(start), Zip(Files{"x": []byte(start)}), Gzip([]byte(start))} {
				tried++
				if len(denied(rules.Evaluate(strict, rules.Facts{Report: inspect(t, with(Files{path: data}))}))) == 0 {
					accepted++
					t.Errorf("%s as %s is accepted", name, path)
				}
			}
		}
	}
	fmt.Fprintf(os.Stdout, "TRIED script-payload %d ACCEPTED %d\n", tried, accepted)
}

// Programs that real tools made.
func TestRealPrograms(t *testing.T) {
	programs := built(t)
	if len(programs) == 0 {
		t.Skip("no tool that makes programs is installed")
	}
	tried, accepted := 0, 0
	for name, raw := range programs {
		for _, files := range []Files{{"a.png": raw}, {"a.png": append([]byte(pngStart), raw...)}, {"a": Zip(Files{"b": raw})}, {"a": Zstd(Tar(Files{"b": raw}))}} {
			tried++
			if !slices.ContainsFunc(denied(rules.Evaluate(stores, rules.Facts{Report: inspect(t, files)})), isNative) {
				accepted++
				t.Errorf("%s is accepted", name)
			}
		}
	}
	fmt.Fprintf(os.Stdout, "TRIED native-real %d ACCEPTED %d\n", tried, accepted)
}

// recipes make a program of a kind, in a folder with a.c, A.java and main.go. Those that take long are for the whole corpus.
var recipes = []struct {
	file, script string
	long         bool
}{
	{"a.so", "gcc -shared -nostdlib -o a.so a.c", false},
	{"a.o", "gcc -c -o a.o a.c", false},
	{"a.a", "gcc -c -o b.o a.c && ar rc a.a b.o", false},
	{"A.class", "javac A.java", false},
	{"a.jar", "javac -d classes A.java && jar cf a.jar -C classes .", false},
	{"linux", "GOOS=linux GOARCH=arm64 go build -o linux main.go", true},
	{"android", "GOOS=android GOARCH=arm64 go build -o android main.go", true},
	{"darwin", "GOOS=darwin GOARCH=arm64 go build -o darwin main.go", true},
	{"windows", "GOOS=windows GOARCH=amd64 go build -o windows main.go", true},
	{"big-endian", "GOOS=linux GOARCH=mips go build -o big-endian main.go", true},
}

// built are programs by name: what the tools here make, and what Go's own parsers are tested with.
func built(t *testing.T) map[string][]byte {
	t.Helper()
	dir, programs := t.TempDir(), map[string][]byte{}
	for name, text := range map[string]string{"a.c": "int a(void){return 1;}", "A.java": "public class A{int a(){return 1;}}", "main.go": "package main\nfunc main(){}"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range recipes {
		tool := strings.Fields(r.script)
		if r.long {
			tool = []string{"go"}
		}
		if _, err := exec.LookPath(tool[0]); err != nil || r.long && os.Getenv("WINDLASS_CORPUS") != "full" {
			t.Logf("%s was not made: %s is not installed, or it is for the whole corpus", r.file, tool[0])
			continue
		}
		cmd := exec.CommandContext(t.Context(), "sh", "-ec", r.script)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "CGO_ENABLED=0", "GO111MODULE=off", "GOFLAGS=")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", r.script, err, out)
		}
		programs[r.file] = read(t, filepath.Join(dir, r.file))
	}
	for _, pattern := range []string{"elf/testdata/*exec*", "pe/testdata/*exec*"} {
		paths, err := filepath.Glob(filepath.Join(goroot(t), "src", "debug", pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			programs[filepath.Base(path)] = read(t, path)
		}
	}
	return programs
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestWebChanges(t *testing.T) {
	stable := inspect(t, App())
	changes, accepted := WebChanges(), 0
	for _, c := range changes {
		facts := rules.Facts{Report: inspect(t, c.Files), Stable: stable}
		if got := warned(rules.Evaluate(stores, facts)); !slices.Contains(got, c.Check) {
			accepted++
			t.Errorf("%s: %v, want %s", c.Name, got, c.Check)
		}
		// With the finding denied, the update is.
		policy := rules.Policy{Checks: map[string]rules.Action{c.Check: rules.Deny}}
		if got := denied(rules.Evaluate(policy, facts)); !slices.Equal(got, []string{c.Check}) {
			t.Errorf("%s, denied: %v, want %s", c.Name, got, c.Check)
		}
	}
	fmt.Fprintf(os.Stdout, "TRIED web-surface %d ACCEPTED %d\n", len(changes), accepted)
	if len(changes) < 40 {
		t.Errorf("%d changes, want at least 40", len(changes))
	}
}

func TestHonestChanges(t *testing.T) {
	stable := inspect(t, App())
	changes, refused := HonestChanges(), 0
	for _, c := range changes {
		if got := rules.Evaluate(stores, rules.Facts{Report: inspect(t, c.Files), Stable: stable}); len(got) > 0 {
			refused++
			t.Errorf("%s: %v, want nothing", c.Name, got)
		}
	}
	fmt.Fprintf(os.Stdout, "GOOD web-surface %d REFUSED %d\n", len(changes), refused)
}

func TestSecrets(t *testing.T) {
	secrets, accepted := Secrets(), 0
	for _, s := range secrets {
		report := inspect(t, with(Files{s.Path: s.Data}))
		policy := rules.Policy{Checks: map[string]rules.Action{s.Check: rules.Deny}}
		if got := denied(rules.Evaluate(policy, rules.Facts{Report: report})); !slices.Equal(got, []string{s.Check}) {
			accepted++
			t.Errorf("%s: %v, want %s", s.Name, got, s.Check)
		}
		raw, err := json.Marshal(report)
		if err != nil {
			t.Fatal(err)
		}
		if s.Leak != "" && bytes.Contains(raw, []byte(s.Leak)) {
			t.Errorf("%s: the report has a part of the secret", s.Name)
		}
	}
	fmt.Fprintf(os.Stdout, "TRIED secret %d ACCEPTED %d\n", len(secrets), accepted)
	if len(secrets) < 20 {
		t.Errorf("%d secrets, want at least 20", len(secrets))
	}
}

func TestPublicKeys(t *testing.T) {
	refused := 0
	for path, data := range PublicKeys() {
		report := inspect(t, Files{path: data})
		for _, check := range []string{rules.CheckPrivateKey, rules.CheckCloudToken, rules.CheckEnvFile, rules.CheckSourceMap} {
			if f := report.Finding(check); f != nil {
				refused++
				t.Errorf("%s: %v, want nothing", path, f)
			}
		}
	}
	fmt.Fprintf(os.Stdout, "GOOD secret %d REFUSED %d\n", len(PublicKeys()), refused)
}

func TestLookAlikes(t *testing.T) {
	refused := 0
	for path, data := range LookAlikes() {
		if got := denied(rules.Evaluate(stores, rules.Facts{Report: inspect(t, Files{path: data})})); len(got) > 0 {
			refused++
			t.Errorf("%s: %v, want nothing", path, got)
		}
	}
	fmt.Fprintf(os.Stdout, "GOOD native-look-alike %d REFUSED %d\n", len(LookAlikes()), refused)
}

// Real packages have no native code: what is found in one is a false alarm.
func TestRealPackages(t *testing.T) {
	list, err := os.ReadFile("../archives/testdata/packages.txt")
	if err != nil {
		t.Fatal(err)
	}
	tried, refused, want := 0, 0, testkit.Sized(10, 30)
	for i, line := range slices.Collect(strings.Lines(string(list))) {
		if i%testkit.Sized(3, 1) != 0 {
			continue
		}
		spec, integrity, _ := strings.Cut(strings.TrimSpace(line), " ")
		at := strings.LastIndexByte(spec, '@')
		p := &npm.Package{Name: spec[:at], Version: spec[at+1:], Integrity: integrity}
		if p.Name == "react-native" { // its sdks/hermesc has programs for Linux, macOS and Windows: it is no good example
			continue
		}
		tried++
		report := inspectFolder(t, p.Folder(t))
		if got := checks(rules.Evaluate(stores, rules.Facts{Report: report}), rules.Deny); slices.ContainsFunc(got, isNative) {
			refused++
			t.Errorf("%s: %v, want no native code", spec, report.Findings)
		}
	}
	fmt.Fprintf(os.Stdout, "GOOD native-npm %d REFUSED %d\n", tried, refused)
	if tried < want {
		t.Errorf("%d packages, want at least %d", tried, want)
	}
}

func inspectFolder(t *testing.T, dir string) *rules.Report {
	t.Helper()
	scanner := rules.NewScanner()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close() //nolint:errcheck // was read only
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		return scanner.File(filepath.ToSlash(name), f)
	})
	if err != nil {
		t.Fatal(err)
	}
	report := scanner.Report()
	return &report
}

func goroot(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "env", "GOROOT").Output()
	if err != nil {
		t.Skipf("go env GOROOT: %v", err)
	}
	return strings.TrimSpace(string(out))
}
