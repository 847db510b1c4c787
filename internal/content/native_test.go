// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package content

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestNativeDependencies(t *testing.T) {
	many := strings.Builder{}
	for i := range maxPackages + 1 {
		fmt.Fprintf(&many, `%s"p%d":"1.x"`, strings.Repeat(",", min(i, 1)), i)
	}
	for name, tc := range map[string]struct {
		file string
		want map[string]string // nil: refused
	}{
		"one":           {`{"nativeDependencies":{"@capacitor/camera":"^6.1.0"}}`, map[string]string{"@capacitor/camera": "^6.1.0"}},
		"none":          {` { "nativeDependencies" : { } } ` + "\n", map[string]string{}},
		"any version":   {`{"nativeDependencies":{"a":""}}`, map[string]string{"a": ""}},
		"byte order":    {"\xef\xbb\xbf" + `{"nativeDependencies":{}}`, map[string]string{}},
		"not a range":   {`{"nativeDependencies":{"a":"workspace:*"}}`, map[string]string{"a": "workspace:*"}}, // the baseline refuses it
		"empty":         {``, nil},
		"empty object":  {`{}`, nil},
		"other field":   {`{"nativeDependencies":{},"x":1}`, nil},
		"twice":         {`{"nativeDependencies":{},"nativeDependencies":{}}`, nil},
		"other case":    {`{"NativeDependencies":{}}`, nil},
		"package twice": {`{"nativeDependencies":{"a":"1","a":"2"}}`, nil},
		"array":         {`{"nativeDependencies":["a"]}`, nil},
		"null":          {`{"nativeDependencies":null}`, nil},
		"number":        {`{"nativeDependencies":{"a":1}}`, nil},
		"nested":        {`{"nativeDependencies":{"a":{}}}`, nil},
		"no name":       {`{"nativeDependencies":{"":"1"}}`, nil},
		"long name":     {`{"nativeDependencies":{"` + strings.Repeat("a", 215) + `":"1"}}`, nil},
		"long range":    {`{"nativeDependencies":{"a":"` + strings.Repeat("1", 129) + `"}}`, nil},
		"control":       {`{"nativeDependencies":{"a\u0000":"1"}}`, nil},
		"not UTF-8":     {"{\"nativeDependencies\":{\"a\xff\":\"1\"}}", nil},
		"too many":      {`{"nativeDependencies":{` + many.String() + `}}`, nil},
		"cut":           {`{"nativeDependencies":{"a":"1"}`, nil},
		"more":          {`{"nativeDependencies":{}}{}`, nil},
		"too long":      {`{"nativeDependencies":{}}` + strings.Repeat(" ", maxNativeFile), nil},
	} {
		t.Run(name, func(t *testing.T) {
			report := scan(t, nativeFile, tc.file)
			var got map[string]string
			if report.Native != nil {
				got = report.Native.Packages
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("packages (-want +got):\n%s", diff)
			}
			if f := report.Finding(CheckNativeInvalid); (f != nil) != (tc.want == nil) {
				t.Errorf("native-dependencies-invalid %v, want found: %v", f, tc.want == nil)
			}
		})
	}
}

func TestNativeDependenciesPlace(t *testing.T) {
	const file = `{"nativeDependencies":{"a":"1.x"}}`
	for name, tc := range map[string]struct {
		files   []string
		native  bool
		invalid bool
	}{
		"root":               {[]string{nativeFile, file}, true, false},
		"one folder down":    {[]string{"package/" + nativeFile, file}, true, false},
		"two folders down":   {[]string{"a/b/" + nativeFile, file}, false, false},
		"in an archive":      {[]string{"a.zip", zipped(t, nativeFile, file)}, false, false},
		"two, even if equal": {[]string{nativeFile, file, "package/" + nativeFile, file}, false, true},
		"a broken and a good": {
			[]string{nativeFile, "x", "package/" + nativeFile, file}, false, true,
		},
		"as an archive": {[]string{nativeFile, zipped(t, "a", "b")}, false, false},
	} {
		report := scan(t, tc.files...)
		if (report.Native != nil) != tc.native || (report.Finding(CheckNativeInvalid) != nil) != tc.invalid {
			t.Errorf("%s: report %+v, want native: %v, invalid: %v", name, report, tc.native, tc.invalid)
		}
	}
}

func TestSatisfies(t *testing.T) {
	for _, tc := range []struct {
		have, need string
		want       string // part of the error; empty: satisfied
	}{
		{"6.1.0", "^6.1.0", ""},
		{"6.9.3", "^6.1.0", ""},
		{"7.0.0", "^6.1.0", "7.0.0 is installed, ^6.1.0 is needed"},
		{"6.0.9", "^6.1.0", "is needed"},
		{"1.2.9", "~1.2", ""},
		{"1.3.0", "~1.2", "is needed"},
		{"1.9.9", "1.x", ""},
		{"1.2.3", "1", ""},
		{"1.2.3", ">=1 <2", ""},
		{"2.0.0", ">=1 <2", "is needed"},
		{"2.0.0", ">= 1.0.0 < 2.0.0 || ^2.0.0", ""},
		{"1.5.0", "1.2.3 - 2", ""},
		{"1.5.0", "*", ""},
		{"1.5.0", "=1.5.0", ""},
		{"0.2.5", "^0.2.3", ""},
		{"0.3.0", "^0.2.3", "is needed"},
		{"6.2.0-beta.1", "^6.1.0", "is needed"}, // as npm: prereleases are not meant
		{"6.1.0", "workspace:^6.1.0", "no range of versions"},
		{"6.1.0", "file:../camera", "no range of versions"},
		{"6.1.0", "github:a/b", "no range of versions"},
		{"6.1.0", "git+https://x.io/a.git#semver:^6", "no range of versions"},
		{"6.1.0", "npm:other@^6", "no range of versions"},
		{"6.1.0", "latest", "no range of versions"},
		{"6.1.0", "https://x.io/a.tgz", "no range of versions"},
		{"6.1.0", ">=6, <7", "no range of versions"},
		{"6.1.0", "!=6.1.0", "no range of versions"},
		{"6.1.0", "=>6", "no range of versions"},
		{"6.1.0", "^", "no range of versions"},
		{"6.1.0", "||", "no range of versions"},
		{"6.1.0", " ", "no range of versions"},
		{"6.1", "^6.0.0", "no version"},
		{"v6.1.0", "^6.0.0", "no version"},
		{"", "^6.0.0", "no version"},
	} {
		err := satisfies(tc.have, tc.need)
		if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("satisfies(%q, %q) gave %v, want %q", tc.have, tc.need, err, tc.want)
		}
	}
}

// npm's own code is asked about all pairs of these: what it does not take must be refused here too, and where both take a range, they
// must agree.
func TestRangesAsNpm(t *testing.T) {
	ranges := []string{
		"^1.2.3", "^1.2", "^1", "^0.2.3", "^0.0.3", "^0.0", "^0", "~1.2.3", "~1.2", "~1", "~0.2.3", "1.2.3", "1.2", "1", "*", "x", "X", "1.x",
		"1.2.x", "1.X", "1.*", "1.2.*", ">1.2.3", ">=1.2.3", "<1.2.3", "<=1.2.3", "=1.2.3", "= 1.2.3", ">= 1.2", "> 1.2", "<= 1.2", "< 1.2", ">1",
		"<=1", ">=1 <2", ">=1.2.3 <1.9", ">1.2.3 <=2.0.0", "1.2.3 - 2.3.4", "1.2 - 2.3.4", "1.2.3 - 2.3", "1.2.3 - 2", "^1.2.3 || ^2.0.0",
		"1 || 2", "<1.0.0 || >=2.0.0", "^1.2.3-beta.2", "~1.2.3-beta.2", "1.2.3-beta.1", "v1.2.3", "^v1.2.3", "~ 1.2.3", "^ 1.2.3", ">=*", "<0.0.0",
		"1.2.3+build", "", "||", "latest", "file:x", "1.2.3.4", "01.2.3", "^1.x.3", "x.1", "*.*", ">=1.x", "<1.x", ">1.x", "<=1.x", "^*", "~*",
		"1 - 2 - 3", "^1 - 2", "1 2", ">=1 ||", "git+ssh://a", "1.2.3 || latest",
	}
	versions := []string{
		"0.0.0", "0.0.3", "0.0.4", "0.2.3", "0.2.9", "0.3.0", "0.9.0", "1.0.0", "1.2.0", "1.2.2", "1.2.3", "1.2.4", "1.3.0", "1.9.0", "1.9.9", "2.0.0",
		"2.3.0", "2.3.4", "2.3.5", "2.4.0", "3.0.0", "10.0.0", "1.2.3-beta.1", "1.2.3-beta.2", "1.2.3-beta.11", "1.2.4-alpha", "2.0.0-rc.1", "0.0.0-0",
	}
	// What npm takes and is refused here: nobody writes it, and the library reads it otherwise.
	odd := []string{"^*", "~*", ">=*", "*.*", "^1.x.3", "", "||", ">=1 ||"}
	npm := askNpm(t, ranges, versions)
	for i, need := range ranges {
		for j, have := range versions {
			err := satisfies(have, need)
			switch {
			case err == nil && !npm[i][j]:
				t.Errorf("satisfies(%q, %q): yes, npm says no", have, need)
			case err != nil && npm[i][j] && !slices.Contains(odd, need):
				t.Errorf("satisfies(%q, %q): %v, npm says yes", have, need, err)
			}
		}
	}
}

// askNpm asks the package semver that comes with npm which versions satisfy which range; what it cannot parse is satisfied by none.
func askNpm(t *testing.T, ranges, versions []string) [][]bool {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("node is not installed: nothing to compare with")
	}
	npm, err := exec.LookPath("npm")
	if err != nil {
		t.Skip("npm is not installed: nothing to compare with")
	}
	if npm, err = filepath.EvalSymlinks(npm); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	input, err := json.Marshal([]any{filepath.Join(filepath.Dir(npm), "..", "node_modules", "semver"), ranges, versions})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, node, "-e", `
		const [where, ranges, versions] = JSON.parse(require("fs").readFileSync(0));
		let semver; try { semver = require(where) } catch { process.exit(7) }
		console.log(JSON.stringify(ranges.map(r => versions.map(v => semver.satisfies(v, r)))))`)
	cmd.Stdin = strings.NewReader(string(input))
	out, err := cmd.Output()
	if cmd.ProcessState != nil && cmd.ProcessState.ExitCode() == 7 {
		t.Skip("npm has no package semver where it is expected: nothing to compare with")
	}
	if err != nil {
		t.Fatal(err)
	}
	var answers [][]bool
	if err := json.Unmarshal(out, &answers); err != nil {
		t.Fatal(err)
	}
	return answers
}
