// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package native

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/windlass-dev/windlass/internal/gateway/delivery"
	"github.com/windlass-dev/windlass/internal/release"
	"github.com/windlass-dev/windlass/internal/resolve"
)

// Answers are rendered by appending: encoding/json would take half of a check's time. A test decodes every answer into the
// types of api.go.

// appendCheck renders a CheckResponse.
func (h *Handler) appendCheck(b []byte, r *http.Request, app string, told *resolve.Decision) []byte {
	b = append(b, `{"action":"`...)
	b = append(b, told.Action...)
	b = append(b, `","reason":"`...)
	b = append(b, told.Reason...)
	b = append(b, '"')
	if told.Arm != resolve.NoArm {
		b = append(b, `,"arm":"`...)
		b = append(b, told.Arm...)
		b = append(b, '"')
	}
	if told.Action == resolve.Update {
		b = h.appendBundle(b, r, app, told.Bundle)
	}
	if seconds := int64(h.NextCheck / time.Second); seconds > 0 {
		b = append(b, `,"nextCheckSeconds":`...)
		b = strconv.AppendInt(b, seconds, 10)
	}
	return append(b, '}')
}

func (h *Handler) appendBundle(b []byte, r *http.Request, app string, bundle *resolve.Bundle) []byte {
	b = append(b, `,"bundle":{"version":`...)
	b = appendText(b, bundle.Version)
	b = append(b, `,"digest":`...)
	b = appendText(b, bundle.Digest)
	b = append(b, `,"size":`...)
	b = strconv.AppendInt(b, bundle.Size, 10)
	scheme, host := h.baseURL(r)
	b = append(b, `,"url":`...)
	b = appendText(b, scheme, host, delivery.Prefix, app, "/", release.Hex(bundle.Digest))
	if bundle.MediaType != "" {
		b = append(b, `,"mediaType":`...)
		b = appendText(b, bundle.MediaType)
	}
	if len(bundle.Signatures) > 0 {
		b = append(b, `,"signatures":`...)
		b = appendSignatures(b, bundle.Signatures)
	}
	return append(b, '}')
}

func appendSignatures(b []byte, signatures []release.Signature) []byte {
	separator := byte('[')
	for _, s := range signatures {
		b = append(b, separator)
		separator = ','
		b = append(b, `{"authority":`...)
		b = appendText(b, s.Authority)
		b = append(b, `,"keyID":`...)
		b = appendText(b, s.KeyID)
		b = append(b, `,"algorithm":`...)
		b = appendText(b, s.Algorithm)
		b = append(b, `,"signature":`...)
		b = appendText(b, s.Signature)
		b = append(b, '}')
	}
	return append(b, ']')
}

func appendReport(b []byte, result Result) []byte {
	b = append(b, `{"accepted":`...)
	b = strconv.AppendBool(b, result.accepted())
	b = append(b, `,"reason":"`...)
	b = append(b, result...)
	return append(b, `"}`...)
}

// appendText renders the parts of one JSON string.
func appendText(b []byte, parts ...string) []byte {
	b = append(b, '"')
	for _, s := range parts {
		if plain(s) {
			b = append(b, s...)
			continue
		}
		quoted, err := json.Marshal(s)
		if err != nil { // strings cannot fail to encode
			continue
		}
		b = append(b, quoted[1:len(quoted)-1]...)
	}
	return append(b, '"')
}

// plain tells whether a text needs no escapes in JSON.
func plain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}
