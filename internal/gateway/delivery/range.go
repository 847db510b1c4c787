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

// rangeOf gives the part that a request asks for (RFC 9110 14.2). A Range that is no valid single byte range is ignored, as
// is one whose If-Range does not name this content; one outside of the artifact is a 416.
func rangeOf(r *http.Request, etag string, size int64) (part, error) {
	whole := part{length: size, size: size}
	spec, ok := strings.CutPrefix(r.Header.Get("Range"), "bytes=")
	if condition := r.Header.Get("If-Range"); !ok || condition != "" && condition != etag {
		return whole, nil
	}
	from, to, ok := strings.Cut(strings.TrimSpace(spec), "-")
	first, okFirst := number(from)
	last, okLast := number(to)
	switch {
	case !ok || !okFirst && from != "" || !okLast && to != "" || from == "" && to == "" || okFirst && okLast && last < first:
		return whole, nil
	case from == "": // the last bytes
		first, last = max(0, size-last), size-1
	case to == "" || last >= size:
		last = size - 1
	}
	if first > last {
		return part{}, &httpx.Problem{
			Status: http.StatusRequestedRangeNotSatisfiable, Detail: fmt.Sprintf("expected a range within %d bytes", size),
			Header: http.Header{"Content-Range": {fmt.Sprintf("bytes */%d", size)}},
		}
	}
	return part{offset: first, length: last - first + 1, size: size, partial: true}, nil
}

func number(s string) (int64, bool) {
	n, err := strconv.ParseUint(s, 10, 62)
	return int64(n), err == nil
}
