// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/windlass-dev/windlass/internal/gateway/httpx"
)

// part is what is sent of an artifact.
type part struct {
	offset, length, size int64
	partial              bool
}

func (p part) contentRange() string {
	return fmt.Sprintf("bytes %d-%d/%d", p.offset, p.offset+p.length-1, p.size)
}

// partOf gives the part that a request asks for (RFC 9110 14.2). A Range is ignored that is no valid single byte range, whose
// If-Range does not name this content, or that comes with HEAD, for which none is defined; one outside of the artifact is a 416.
func partOf(r *http.Request, etag string, size int64) (part, error) {
	first, last, ok := parseRange(r.Header.Get("Range"), size)
	ok = ok && r.Method == http.MethodGet
	if condition := r.Header.Get("If-Range"); !ok || condition != "" && condition != etag {
		return part{length: size, size: size}, nil
	}
	if first >= size || first > last {
		return part{}, &httpx.Problem{
			Status: http.StatusRequestedRangeNotSatisfiable, Detail: fmt.Sprintf("expected a range within %d bytes", size),
			Header: http.Header{"Content-Range": {fmt.Sprintf("bytes */%d", size)}},
		}
	}
	return part{offset: first, length: last - first + 1, size: size, partial: true}, nil
}

// parseRange reads bytes=first-last, bytes=first- and bytes=-count. The last byte is within the artifact; first may be past
// last when the range has none of its bytes.
func parseRange(header string, size int64) (first, last int64, ok bool) {
	spec, isBytes := strings.CutPrefix(header, "bytes=")
	from, to, isRange := strings.Cut(spec, "-")
	if !isBytes || !isRange {
		return 0, 0, false
	}
	if from == "" {
		count, err := parseNumber(to)
		return max(0, size-count), size - 1, err == nil
	}
	first, err := parseNumber(from)
	if err != nil || to == "" {
		return first, size - 1, err == nil
	}
	last, err = parseNumber(to)
	return first, min(last, size-1), err == nil && first <= last
}

func parseNumber(s string) (int64, error) {
	n, err := strconv.ParseUint(s, 10, 62)
	return int64(n), err
}
