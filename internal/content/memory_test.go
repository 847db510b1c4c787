// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package content

import (
	"io"
	"os"
	"runtime"
	"slices"
	"testing"
)

// maxHeap is what docs/content-rules.md says that one text takes at most.
const maxHeap = 48 << 20

// repeated gives a text again and again, behind a start.
type repeated struct {
	start, part string
	left        int
}

func (r *repeated) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	n := 0
	for n < min(len(p), r.left) {
		from := r.part
		if r.start != "" {
			from = r.start
		}
		m := copy(p[n:min(len(p), r.left)], from)
		if r.start != "" {
			r.start = r.start[m:]
		}
		n += m
		if m < len(from) {
			break
		}
	}
	r.left -= n
	return n, nil
}

// What is live at any time while the longest text of any kind is read, as often as the collector can be asked.
func TestMemory(t *testing.T) {
	for name, tc := range map[string]struct{ name, start, part string }{
		"script": {"a.js", "", "a=b/c;'x';"}, "open": {"a.js", "", "({["}, "regexps": {"a.js", "", "x=/a/;"}, "prose": {"a.txt", "", "eval import "},
		"origins": {"a.js", "x={}/1;", "import('https://a.io');"}, "text": {"a.html", "<p>", "x "}, "tags": {"a.html", "", "<a b=c>"},
		"attributes": {"a.html", "<a", " b"}, "handlers": {"a.html", "<a", " onab=c"}, "attribute": {"a.html", `<a onload="`, "x();"},
		"picture": {"a.html", `<img src="data:image/png;base64,`, "AAAA"}, "frame": {"a.html", `<iframe srcdoc="`, "<p>x</p>"},
		"policies": {"a.html", "", "<meta http-equiv=Content-Security-Policy content='a b'>"}, "SVG": {"a.svg", "<svg><script>", "x();"},
		"UTF-16": {"a.js", "\xff\xfe", "\x01\x4e"}, "UTF-16 page": {"a.html", "\xff\xfe<\x00p\x00>\x00", "\x01\x4e"},
		"configuration": {"capacitor.config.json", `{"a":[`, `"x",`}, "XML": {"config.xml", "<widget>", "<a b='c'/>"}, "source map": {"a.map", `{"version":[`, `"mappings","sources",`},
	} {
		if few := []string{"script", "UTF-16"}; os.Getenv("WINDLASS_CORPUS") != "full" && !slices.Contains(few, name) {
			continue
		}
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			s := NewScanner()
			var peak uint64
			stop, done := make(chan struct{}), make(chan struct{})
			go func() { // the live heap as often as it can be had
				defer close(done)
				for {
					select {
					case <-stop:
						return
					default:
						runtime.GC()
						runtime.ReadMemStats(&after)
						peak = max(peak, after.HeapAlloc)
					}
				}
			}()
			err := s.File(tc.name, &repeated{start: tc.start, part: tc.part, left: maxText})
			close(stop)
			<-done
			if err != nil {
				t.Fatal(err)
			}
			used := int64(peak) - int64(before.HeapAlloc)
			t.Logf("%d KiB", used>>10)
			if used > maxHeap {
				t.Errorf("%d bytes are in use, want at most %d", used, maxHeap)
			}
		})
	}
}
