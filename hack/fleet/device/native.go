// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package device

import (
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/base64"

	"github.com/windlass-dev/windlass/internal/gateway/protocol/native"
)

// nativeLibrary speaks Windlass' own protocol. It trusts the author only: who does not have the author's private key cannot
// make a device install anything, the gateway included.
type nativeLibrary struct {
	author *ecdsa.PublicKey
}

func (nativeLibrary) name() string    { return Native }
func (nativeLibrary) remembers() bool { return true }

func (nativeLibrary) check(ctx context.Context, g *gateway, d *device) (*answer, error) {
	req := native.CheckRequest{
		App: g.config.App, Channel: g.config.Channel, DeviceID: d.id, Platform: d.platform, NativeVersion: g.config.NativeVersion,
		Current: native.Current{Version: d.current.version, Digest: d.current.digest},
	}
	var res native.CheckResponse
	if err := g.call(ctx, d, native.CheckPath, req, &res); err != nil {
		return nil, err
	}
	b := res.Bundle
	if res.Action != "update" || b == nil {
		return &answer{reset: res.Action == "reset"}, nil
	}
	o := &offer{installed: installed{version: b.Version, digest: b.Digest}, url: b.URL, size: b.Size}
	for _, s := range b.Signatures {
		o.signatures = append(o.signatures, s.Signature)
	}
	return &answer{offer: o}, nil
}

func (nativeLibrary) report(ctx context.Context, g *gateway, d *device, events []event) (int, error) {
	for i, e := range events {
		req := native.ReportRequest{
			App: g.config.App, Channel: g.config.Channel, DeviceID: d.id, Digest: e.bundle.digest, Outcome: e.outcome, Kind: e.kind,
		}
		if err := g.call(ctx, d, native.ReportPath, req, &native.ReportResponse{}); err != nil {
			return i, err
		}
	}
	return len(events), nil
}

func (l nativeLibrary) verify(content []byte, o *offer) error {
	if int64(len(content)) != o.size {
		return reject("size", "got %d bytes, want %d", len(content), o.size)
	}
	if err := checkDigest(content, o.digest); err != nil {
		return err
	}
	sum := sha256.Sum256(content)
	for _, s := range o.signatures {
		sig, err := base64.StdEncoding.DecodeString(s)
		if err == nil && ecdsa.VerifyASN1(l.author, sum[:], sig) {
			return nil
		}
	}
	return reject("signature", "none of %d signatures is by the author whose key this app carries", len(o.signatures))
}
