// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/windlass-dev/windlass/internal/ceremony"
	"github.com/windlass-dev/windlass/internal/publish"
	"github.com/windlass-dev/windlass/internal/tuf"
)

// TestConfigurations holds each mistake against the rules that everything has to pass before it is signed.
func TestConfigurations(t *testing.T) {
	accepted := 0
	for _, m := range mistakes {
		w, err := newWorld()
		if err != nil {
			t.Fatal(err)
		}
		if err := w.check(); err != nil {
			t.Fatalf("the good configuration: %v", err)
		}
		m.make(w)
		switch err := w.check(); {
		case err == nil:
			accepted++
			t.Errorf("%s: it would be signed", m.name)
		case !strings.Contains(err.Error(), m.say):
			t.Errorf("%s: got %q, want %q in it", m.name, err, m.say)
		}
	}
	fmt.Fprintf(os.Stdout, "TRIED tuf-config %d ACCEPTED %d\n", len(mistakes), accepted)
	if len(mistakes) < 60 {
		t.Errorf("%d configurations, want 60 or more", len(mistakes))
	}
}

// TestFiles holds files of a root that readers could understand in two ways against the parser.
func TestFiles(t *testing.T) {
	first, err := ceremony.Init(ceremony.Params{Generate: 1, Threshold: 1, Life: 365 * day, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, first.Root); err != nil {
		t.Fatal(err)
	}
	text, accepted := compact.String(), 0
	tries := map[string]string{
		"version in another case":   strings.Replace(text, `"version":1`, `"version":1,"Version":2`, 1),
		"expires in another case":   strings.Replace(text, `"keys":`, `"Expires":"2099-01-01T00:00:00Z","keys":`, 1),
		"roles in another case":     strings.Replace(text, `"roles":`, `"ROLES":`, 1),
		"version as a float":        strings.Replace(text, `"version":1`, `"version":1.0`, 1),
		"version with an exponent":  strings.Replace(text, `"version":1`, `"version":1e0`, 1),
		"threshold as a float":      strings.Replace(text, `"threshold":1`, `"threshold":1.5`, 1),
		"threshold as text":         strings.Replace(text, `"threshold":1`, `"threshold":"1"`, 1),
		"field with a whole float":  strings.Replace(text, `"version":1`, `"version":1,"x":2.0`, 1),
		"second value":              text + text,
		"signatures twice":          strings.Replace(text, `"signatures":[`, `"signatures":[`+signature(t, first.Root)+`,`, 1),
		"no signed part":            `{"signatures":[]}`,
		"timestamp instead":         strings.Replace(text, `"_type":"root"`, `"_type":"timestamp"`, 1),
		"half a megabyte of spaces": strings.Replace(text, `{`, `{`+strings.Repeat(" ", tuf.MaxRoot), 1),
		"nothing":                   "",
	}
	for name, file := range tries {
		if file == text {
			t.Fatalf("%s: the file is the good one", name)
		}
		if _, err := tuf.ParseRoot([]byte(file)); err == nil {
			accepted++
			t.Errorf("%s: it was read", name)
		}
	}
	fmt.Fprintf(os.Stdout, "TRIED tuf-root-files %d ACCEPTED %d\n", len(tries), accepted)
}

// signature gives the only signature of a root as JSON.
func signature(t *testing.T, root []byte) string {
	t.Helper()
	var file struct {
		Signatures []json.RawMessage `json:"signatures"`
	}
	if err := json.Unmarshal(root, &file); err != nil || len(file.Signatures) != 1 {
		t.Fatalf("%d signatures, %v", len(file.Signatures), err)
	}
	return string(file.Signatures[0])
}

// TestGood holds good ceremonies and keys against the same rules.
func TestGood(t *testing.T) {
	tried, refused := 0, 0
	try := func(name string, err error) {
		if tried++; err != nil {
			refused++
			t.Errorf("%s: %v", name, err)
		}
	}
	for keys := 1; keys <= 5; keys++ {
		for threshold := 1; threshold <= keys; threshold++ {
			name := fmt.Sprintf("%d of %d", threshold, keys)
			out, err := ceremony.Init(ceremony.Params{Generate: keys, Threshold: threshold, Life: 365 * day, Now: now})
			try(name, err)
			try(name, ceremony.Verify(out.Root, nil, now))
			_, err = publish.ParseKeys(out.Online)
			try(name, err)
			next, err := ceremony.Next(out.Root, now, ceremony.RaiseFloor(app, "2.0.0-rc.1"), ceremony.Renew(now.Add(500*day)))
			for _, k := range out.RootKeys {
				if err == nil {
					next, err = ceremony.Sign(next, out.Root, k.PEM)
				}
			}
			try(name, err)
			try(name, ceremony.Verify(next, out.Root, now))
		}
	}
	fmt.Fprintf(os.Stdout, "GOOD tuf-config %d REFUSED %d\n", tried, refused)
}
