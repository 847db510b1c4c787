// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The page is what the tables say: make api-docs writes it anew.
func TestPage(t *testing.T) {
	var want bytes.Buffer
	if err := write(&want); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../../docs/events.md")
	if err != nil || !bytes.Equal(got, want.Bytes()) {
		t.Errorf("docs/events.md is not what the controllers tell of (%v): run make api-docs", err)
	}
}

// Rows are whole, and each reason has one.
func TestTables(t *testing.T) {
	name, word := regexp.MustCompile(`^[A-Z][A-Za-z]{2,63}$`), regexp.MustCompile(`^[A-Z][a-z]+$`)
	for _, table := range tables {
		seen := map[string]bool{}
		for _, e := range table.events {
			if !name.MatchString(e.Reason) || seen[e.Reason] || !word.MatchString(e.Action) || e.When == "" || e.Says == "" || strings.ContainsAny(e.When+e.Says, "|\n") {
				t.Errorf("%s: row %+v: want a reason in PascalCase that has one row, an action in one word, when and says", table.kind, e)
			}
			seen[e.Reason] = true
		}
	}
}

// constants are the reasons of api/v1alpha1, by name.
func constants(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, file := range parse(t, "../../api/v1alpha1") {
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok {
				return true
			}
			for i, name := range spec.Names {
				if lit, ok := value(spec, i); ok && strings.HasSuffix(name.Name, "Reason") {
					out[name.Name] = lit
				}
			}
			return true
		})
	}
	if len(out) < 50 {
		t.Fatalf("only %d reasons were found", len(out))
	}
	return out
}

func value(spec *ast.ValueSpec, i int) (string, bool) {
	if i >= len(spec.Values) {
		return "", false
	}
	return text(spec.Values[i])
}

func text(e ast.Expr) (string, bool) {
	lit, ok := e.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return "", false
	}
	s, err := strconv.Unquote(lit.Value)
	return s, err == nil
}

// parse reads the Go files of a folder and those below it, without tests.
func parse(t *testing.T, dir string) []*ast.File {
	t.Helper()
	var out []*ast.File
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		out = append(out, file)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// reasonsOf gives the reasons with which functions of these names are called: text, or a constant of the API.
func reasonsOf(t *testing.T, files []*ast.File, known map[string]string, argument int, functions ...string) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	for _, file := range files {
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) <= argument {
				return true
			}
			fun, ok := call.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if x, ok := fun.X.(*ast.Ident); !ok || !slices.Contains(functions, x.Name+"."+fun.Sel.Name) {
				return true
			}
			if s, ok := text(call.Args[argument]); ok {
				out[s] = true
			} else if c, ok := call.Args[argument].(*ast.SelectorExpr); ok && known[c.Sel.Name] != "" {
				out[known[c.Sel.Name]] = true
			}
			return true
		})
	}
	return out
}

// A transition with a reason that is not in the table of its controller has no place in docs/events.md, and no row that says how grave it
// is. Reasons that the code names are looked for in the code.
func TestReasonsHaveARow(t *testing.T) {
	known := constants(t)
	for _, table := range tables {
		named := reasonsOf(t, parse(t, "../../controllers/"+table.folder), known, 0, "Events.New")
		if len(named) < 3 {
			t.Errorf("%s: only %d reasons were found: %v", table.kind, len(named), slices.Sorted(maps.Keys(named)))
		}
		for reason := range named {
			if _, ok := table.events.Find(reason); !ok {
				t.Errorf("controllers/%s tells of %s, which is not in its table", table.folder, reason)
			}
		}
	}
}

// fails are the folders whose errors can become the Ready condition of a kind, and so an event with their reason.
var fails = map[string][]string{
	"Bundle": {
		"controllers/bundle", "internal/ingest", "internal/source", "internal/verify", "internal/store", "internal/trust", "internal/kit",
	},
	"Repository": {"controllers/repository", "internal/publish", "internal/store", "internal/trust", "internal/kit"},
	"Rollout":    nil, // transitions ask the table whether a reason is told
	"Channel":    nil, // failures are no transitions of what is served
}

// Errors carry reasons: those of failed Bundles and Repositories are told, so that each has a row.
func TestReasonsOfFailuresHaveARow(t *testing.T) {
	known := constants(t)
	for _, table := range tables {
		var files []*ast.File
		for _, folder := range fails[table.kind] {
			files = append(files, parse(t, "../../"+folder)...)
		}
		failing := reasonsOf(t, files, known, 0, "kit.Retry", "kit.Stall")
		if len(files) > 0 && len(failing) < 8 {
			t.Errorf("%s: only %d reasons were found: %v", table.kind, len(failing), slices.Sorted(maps.Keys(failing)))
		}
		for reason := range failing {
			if _, ok := table.events.Find(reason); !ok {
				t.Errorf("%s fails with %s, which is not in its table", table.kind, reason)
			}
		}
	}
}
