// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package native

import (
	"net/http"
	"strconv"
	"time"

	"github.com/windlass-dev/windlass/internal/gateway/delivery"
	"github.com/windlass-dev/windlass/internal/gateway/protocol/jsonlex"
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
	b = jsonlex.AppendText(b, bundle.Version)
	b = append(b, `,"digest":`...)
	b = jsonlex.AppendText(b, bundle.Digest)
	b = append(b, `,"size":`...)
	b = strconv.AppendInt(b, bundle.Size, 10)
	scheme, host := delivery.BaseURL(h.BaseURL, r)
	b = append(b, `,"url":`...)
	b = jsonlex.AppendText(b, scheme, host, delivery.Prefix, app, "/", release.Hex(bundle.Digest))
	if bundle.MediaType != "" {
		b = append(b, `,"mediaType":`...)
		b = jsonlex.AppendText(b, bundle.MediaType)
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
		b = jsonlex.AppendText(b, s.Authority)
		b = append(b, `,"keyID":`...)
		b = jsonlex.AppendText(b, s.KeyID)
		b = append(b, `,"algorithm":`...)
		b = jsonlex.AppendText(b, s.Algorithm)
		b = append(b, `,"signature":`...)
		b = jsonlex.AppendText(b, s.Signature)
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
