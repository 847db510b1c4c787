// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"bytes"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
)

var epoch = time.Date(2026, 11, 22, 9, 0, 0, 123456000, time.UTC)

// chained gives records as they are in a bucket.
func chained(records ...Record) [][]byte {
	var lines [][]byte
	previous := ""
	for i, r := range records {
		r.Sequence, r.Previous = int64(i+1), previous
		line, hash, err := r.Encode()
		if err != nil {
			panic(err)
		}
		lines, previous = append(lines, line), hash
	}
	return lines
}

func drawRecord(t *rapid.T, i int) Record {
	text := rapid.StringOfN(rapid.RuneFrom([]rune("abc 12\"\\\n<>&ü\u2028")), 0, 20, -1)
	r := Record{
		ID: fmt.Sprintf("uid.%d", i), At: epoch.Add(time.Duration(i) * time.Second), Recorded: epoch.Add(time.Duration(i)*time.Second + 20*time.Millisecond),
		Kind: "Rollout", Namespace: "mobile", Name: "shop", UID: "uid", Action: rapid.SampledFrom([]string{"Progressing", "RollingBack", "CommandAccepted"}).Draw(t, "action"),
		Message: text.Draw(t, "message"), By: text.Draw(t, "by"), Evidence: rapid.SliceOfN(text, 0, 3).Draw(t, "evidence"),
		Weight: "5", MetadataVersion: rapid.Int64Range(0, 99).Draw(t, "version"),
	}
	if rapid.Bool().Draw(t, "counted") {
		r.Candidate = &otav1alpha1.ArmCounts{Devices: 100, Failures: rapid.Int64Range(0, 100).Draw(t, "failures")}
	}
	return r
}

// inspect verifies lines as an export has them, or as objects.
func inspect(lines [][]byte, named bool, anchors ...Anchor) Report {
	v := NewVerifier(1, anchors...)
	for i, line := range lines {
		name := int64(0)
		if named {
			name = int64(i + 1)
		}
		v.Add(name, line)
	}
	return v.Report()
}

func headOf(lines [][]byte) Anchor {
	return Anchor{Source: "timestamp.json version 7", Head: Head{Sequence: int64(len(lines)), Hash: HashOf(lines[len(lines)-1])}}
}

// rechain makes what comes from a line on follow it again, as somebody would who can write the bucket.
func rechain(lines [][]byte, from int) [][]byte {
	for i := from; i < len(lines); i++ {
		r, err := Decode(lines[i])
		if err != nil {
			continue
		}
		if r.Sequence, r.Previous = int64(i+1), ""; i > 0 {
			r.Previous = HashOf(lines[i-1])
		}
		lines[i], _, _ = r.Encode()
	}
	return lines
}

// edits are what somebody may do to a log. Each gives another one.
var edits = map[string]func(t *rapid.T, lines [][]byte) [][]byte{
	"change a byte": func(t *rapid.T, lines [][]byte) [][]byte {
		i := rapid.IntRange(0, len(lines)-1).Draw(t, "line")
		j := rapid.IntRange(0, len(lines[i])-1).Draw(t, "byte")
		lines[i] = bytes.Clone(lines[i])
		lines[i][j] ^= byte(rapid.IntRange(1, 255).Draw(t, "mask"))
		return lines
	},
	"change a field": func(t *rapid.T, lines [][]byte) [][]byte {
		i := rapid.IntRange(0, len(lines)-1).Draw(t, "line")
		r, _ := Decode(lines[i])
		r.By += "somebody else"
		lines[i], _, _ = r.Encode()
		return lines
	},
	"change a field and all hashes after it": func(t *rapid.T, lines [][]byte) [][]byte {
		i := rapid.IntRange(0, len(lines)-1).Draw(t, "line")
		r, _ := Decode(lines[i])
		r.Message += "!"
		lines[i], _, _ = r.Encode()
		return rechain(lines, i+1)
	},
	"remove": func(t *rapid.T, lines [][]byte) [][]byte {
		i := rapid.IntRange(0, len(lines)-1).Draw(t, "line")
		return slices.Delete(lines, i, i+1)
	},
	"remove and number anew": func(t *rapid.T, lines [][]byte) [][]byte {
		i := rapid.IntRange(0, len(lines)-1).Draw(t, "line")
		return rechain(slices.Delete(lines, i, i+1), i)
	},
	"cut off the end": func(t *rapid.T, lines [][]byte) [][]byte {
		return lines[:rapid.IntRange(0, len(lines)-1).Draw(t, "left")]
	},
	"cut off the beginning": func(t *rapid.T, lines [][]byte) [][]byte {
		return lines[rapid.IntRange(1, len(lines)).Draw(t, "cut"):]
	},
	"swap": func(t *rapid.T, lines [][]byte) [][]byte {
		i := rapid.IntRange(0, len(lines)-2).Draw(t, "line")
		lines[i], lines[i+1] = lines[i+1], lines[i]
		return lines
	},
	"swap and number anew": func(t *rapid.T, lines [][]byte) [][]byte {
		i := rapid.IntRange(0, len(lines)-2).Draw(t, "line")
		lines[i], lines[i+1] = lines[i+1], lines[i]
		return rechain(lines, i)
	},
	"repeat": func(t *rapid.T, lines [][]byte) [][]byte {
		i := rapid.IntRange(0, len(lines)-1).Draw(t, "line")
		return slices.Insert(lines, i, lines[i])
	},
	"insert": func(t *rapid.T, lines [][]byte) [][]byte { // before the last one: what comes after it, no anchor covers yet
		i := rapid.IntRange(0, len(lines)-1).Draw(t, "line")
		r := drawRecord(t, 1000)
		r.Sequence = int64(i + 1)
		line, _, _ := r.Encode()
		return rechain(slices.Insert(lines, i, line), i)
	},
	"another end": func(t *rapid.T, lines [][]byte) [][]byte {
		i := rapid.IntRange(0, len(lines)-1).Draw(t, "line")
		for j := i; j < len(lines); j++ {
			r := drawRecord(t, 2000+j)
			r.Sequence = int64(j + 1)
			lines[j], _, _ = r.Encode()
		}
		return rechain(lines, i)
	},
	"join two lines": func(t *rapid.T, lines [][]byte) [][]byte {
		i := rapid.IntRange(0, len(lines)-2).Draw(t, "line")
		lines[i] = slices.Concat(lines[i], lines[i+1])
		return slices.Delete(lines, i+1, i+2)
	},
}

// Whoever changes, removes, reorders or inserts anything before an anchor is found out, each time.
func TestEveryEditIsFound(t *testing.T) {
	tried := 0
	for name, edit := range edits {
		t.Run(name, rapid.MakeCheck(func(t *rapid.T) {
			var records []Record
			for i := range rapid.IntRange(2, 12).Draw(t, "records") {
				records = append(records, drawRecord(t, i))
			}
			lines := chained(records...)
			anchors := []Anchor{headOf(lines)}
			if rapid.Bool().Draw(t, "older anchor") {
				anchors = append(anchors, headOf(lines[:rapid.IntRange(1, len(lines)).Draw(t, "anchored")]))
			}
			named := rapid.Bool().Draw(t, "objects")
			if got := inspect(lines, named, anchors...); len(got.Faults) > 0 || len(got.Anchors) != len(anchors) || got.Head.Sequence != int64(len(lines)) {
				t.Fatalf("what nobody touched: got %+v", got)
			}
			changed := edit(t, slices.Clone(lines))
			if bytes.Equal(bytes.Join(changed, nil), bytes.Join(lines, nil)) {
				return // two records that say the same changed places
			}
			tried++
			if got := inspect(changed, named, anchors...); len(got.Faults) == 0 {
				t.Fatalf("nobody found out that somebody did this: %s\n%s", name, bytes.Join(changed, nil))
			}
		}))
	}
	if tried < 1000 {
		t.Errorf("%d edits were tried, at least 1000 are wanted", tried)
	}
	t.Logf("%d edits tried, all found", tried)
}

// What is wrong is named, with the first record that is.
func TestWhatIsWrong(t *testing.T) {
	record := func(i int) Record { return Record{ID: fmt.Sprintf("uid.%d", i), Action: "Progressing", At: epoch} }
	whole := chained(record(0), record(1), record(2), record(3))
	other := record(1)
	other.By = "mallory"
	forked := chained(record(0), other, record(2), record(3))
	for name, tc := range map[string]struct {
		lines [][]byte
		want  string
	}{
		"whole":              {whole, ""},
		"empty":              {nil, "record 1: is missing, and all up to 4: timestamp.json version 7 names record 4 as the last one"},
		"one changed":        {[][]byte{whole[0], forked[1], whole[2], whole[3]}, "record 2: was changed, or record 3 was put after another one"},
		"one missing":        {[][]byte{whole[0], whole[2], whole[3]}, "record 2: is missing"},
		"two missing":        {[][]byte{whole[0], whole[3]}, "record 2: is missing, and all up to 3"},
		"cut off":            {whole[:3], "record 4: is missing: timestamp.json version 7 names record 4 as the last one"},
		"cut off before":     {whole[2:], "record 1: is missing, and all up to 2"},
		"another history":    {forked, "record 4: is not the one that timestamp.json version 7 names, or one before it was changed"},
		"out of order":       {[][]byte{whole[0], whole[2], whole[1], whole[3]}, "record 2: is missing"},
		"not JSON":           {[][]byte{whole[0], []byte("hello\n"), whole[2], whole[3]}, "record 2: cannot be read: it is not the JSON of a record"},
		"half a line":        {[][]byte{whole[0], whole[1][:20], whole[2], whole[3]}, "record 2: cannot be read: it is not one line"},
		"told twice":         {chained(record(0), record(1), record(1), record(3)), "record 3: tells again what record 2 tells (id uid.1)"},
		"nothing of its own": {[][]byte{[]byte("{}\n")}, "record 1: cannot be read: it lacks sequence, id or action"},
	} {
		got := inspect(tc.lines, false, headOf(whole))
		switch {
		case tc.want == "" && len(got.Faults) > 0, tc.want != "" && len(got.Faults) == 0:
			t.Errorf("%s: got %v, want %q", name, got.Faults, tc.want)
		case tc.want != "" && !strings.HasPrefix(got.Faults[0].String(), tc.want):
			t.Errorf("%s: got %q first, want %q", name, got.Faults[0], tc.want)
		}
	}
	if got := inspect([][]byte{whole[1]}, true); len(got.Faults) == 0 || !strings.Contains(got.Faults[0].Message, "its object is called audit/000000000001.json") {
		t.Errorf("under another name: got %v", got.Faults)
	}
	v := NewVerifier(3, headOf(whole), headOf(whole[:1]))
	v.Add(3, whole[2])
	v.Add(4, whole[3])
	if got := v.Report(); len(got.Faults) > 0 || got.First != 3 || len(got.Anchors) != 1 {
		t.Errorf("a part: got %+v", got)
	}
}

func TestRecordsAreReadAsWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := drawRecord(t, 1)
		r.Sequence = rapid.Int64Range(1, 999_999_999_999).Draw(t, "sequence")
		line, hash, err := r.Encode()
		if err != nil {
			t.Fatal(err)
		}
		got, err := Decode(line)
		if r.Hash = hash; err != nil || !cmp.Equal(r, got, cmpopts.EquateEmpty()) {
			t.Fatalf("got %+v, %v, want %+v", got, err, r)
		}
		if n, ok := SequenceOf(Key(r.Sequence)); !ok || n != r.Sequence {
			t.Fatalf("%s is %d, %v", Key(r.Sequence), n, ok)
		}
	})
	for _, key := range []string{"", "audit/", "audit/1.json", "audit/000000000000.json", "audit/-00000000001.json", "audit/00000000000a.json", "audit/0000000000001.json", "audit/000000000001.json.bak"} {
		if n, ok := SequenceOf(key); ok {
			t.Errorf("%q is taken for record %d", key, n)
		}
	}
	if _, _, err := (Record{ID: "a", Message: strings.Repeat("a", MaxRecord)}).Encode(); err == nil {
		t.Error("a record that is too large is written")
	}
}

// A record is read whatever is in the bucket, and its hash is that of its bytes.
func FuzzDecode(f *testing.F) {
	for _, line := range chained(Record{ID: "a", Action: "Progressing"}, Record{ID: "b", Action: "RolledBack", By: "jane"}) {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		r, err := Decode(line)
		if err == nil && (r.Hash != HashOf(line) || r.Sequence < 1 || bytes.Count(line, []byte("\n")) != 1) {
			t.Errorf("%q is taken for %+v", line, r)
		}
	})
}

// The page tells how to verify a log without Windlass: what it says finds what is wrong.
func TestVerifyWithoutWindlass(t *testing.T) {
	for _, tool := range []string{"bash", "jq", "sha256sum"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is missing on this machine: the page's own commands are not run", tool)
		}
	}
	script, err := filepath.Abs("../../docs/audit/verify.sh")
	if err != nil {
		t.Fatal(err)
	}
	record := func(i int) Record {
		return Record{ID: fmt.Sprintf("uid.%d", i), Action: "Progressing", Message: "a \"quoted\" <ü> \\ message", At: epoch}
	}
	whole := chained(record(0), record(1), record(2))
	other := record(1)
	other.By = "mallory"
	for name, tc := range map[string]struct {
		lines [][]byte
		want  string
	}{
		"whole":   {whole, "3 records, the last one has the hash " + HashOf(whole[2])},
		"changed": {[][]byte{whole[0], chained(record(0), other)[1], whole[2]}, "record 3 does not follow"},
		"missing": {[][]byte{whole[0], whole[2]}, "record 2 is missing"},
	} {
		cmd := exec.CommandContext(t.Context(), "bash", script)
		cmd.Stdin = bytes.NewReader(bytes.Join(tc.lines, nil))
		out, err := cmd.CombinedOutput()
		if !strings.Contains(string(out), tc.want) || (err == nil) != (name == "whole") {
			t.Errorf("%s: got %v, %s, want %q", name, err, out, tc.want)
		}
	}
}
