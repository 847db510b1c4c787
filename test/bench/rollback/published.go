// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package rollback

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/windlass-dev/windlass/internal/release"
	"github.com/windlass-dev/windlass/internal/store"
)

// limit of what is read from the bucket, in bytes.
const limit = 8 << 20

// published follows the metadata from the timestamp to a channel's document. Nothing is verified: the gateway does that, this
// only looks when the commit happened. Nil: the channel is not published.
func (w *world) published(ctx context.Context, channel string) (*release.Document, error) {
	var timestamp metadata.TimestampType
	if err := w.read(ctx, "metadata/timestamp.json", &timestamp); err != nil {
		return nil, err
	}
	var snapshot metadata.SnapshotType
	if err := w.read(ctx, fmt.Sprintf("metadata/%d.snapshot.json", timestamp.Meta["snapshot.json"].Version), &snapshot); err != nil {
		return nil, err
	}
	role := release.Role(app, channel)
	meta := snapshot.Meta[role+".json"]
	if meta == nil {
		return nil, nil
	}
	var targets metadata.TargetsType
	if err := w.read(ctx, fmt.Sprintf("metadata/%d.%s.json", meta.Version, role), &targets); err != nil {
		return nil, err
	}
	target := release.ChannelTarget(app, channel)
	info := targets.Targets[target]
	if info == nil {
		return nil, nil
	}
	raw, _, err := w.bucket.Get(ctx, release.TargetObject(target, release.DigestPrefix+info.Hashes["sha256"].String()), limit)
	if err != nil {
		return nil, err
	}
	return release.Decode(raw)
}

// read decodes the signed part of metadata.
func (w *world) read(ctx context.Context, name string, into any) error {
	raw, _, err := w.bucket.Get(ctx, name, limit)
	if errors.Is(err, store.ErrNotExist) {
		return fmt.Errorf("%s is missing", name)
	}
	if err != nil {
		return err
	}
	envelope := struct {
		Signed any `json:"signed"`
	}{into}
	return json.Unmarshal(raw, &envelope)
}
