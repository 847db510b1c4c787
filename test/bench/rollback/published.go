// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package rollback

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/windlass-dev/windlass/internal/release"
	"github.com/windlass-dev/windlass/internal/store"
)

// limit of what is read from the bucket, in bytes.
const limit = 8 << 20

// follow looks at the timestamp again and again and notes when a commit took a candidate away. Nothing is verified: the
// gateway does that, this only looks when it happened.
func (w *world) follow(ctx context.Context) error {
	etag := ""
	versions := map[string]int64{}
	for ctx.Err() == nil {
		raw, obj, changed, err := w.bucket.GetIfChanged(ctx, "metadata/timestamp.json", etag, limit)
		if err == nil && changed {
			etag = obj.ETag
			err = w.note(ctx, raw, versions, time.Now())
		}
		if err == nil {
			err = sleep(ctx, look)
		}
		if err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}

// note reads what a commit changed.
func (w *world) note(ctx context.Context, raw []byte, versions map[string]int64, at time.Time) error {
	var timestamp metadata.TimestampType
	if err := decode(raw, &timestamp); err != nil {
		return err
	}
	var snapshot metadata.SnapshotType
	if err := w.read(ctx, fmt.Sprintf("metadata/%d.snapshot.json", timestamp.Meta["snapshot.json"].Version), &snapshot); err != nil {
		return err
	}
	for i := range channels {
		channel := channelName(i)
		meta := snapshot.Meta[release.Role(app, channel)+".json"]
		if meta == nil || versions[channel] == meta.Version {
			continue
		}
		versions[channel] = meta.Version
		doc, err := w.document(ctx, channel, meta.Version)
		if err != nil {
			return err
		}
		if doc.Candidate == nil {
			w.mu.Lock()
			w.gone[channel] = at
			w.mu.Unlock()
		}
	}
	return nil
}

func (w *world) document(ctx context.Context, channel string, version int64) (*release.Document, error) {
	var targets metadata.TargetsType
	if err := w.read(ctx, fmt.Sprintf("metadata/%d.%s.json", version, release.Role(app, channel)), &targets); err != nil {
		return nil, err
	}
	target := release.ChannelTarget(app, channel)
	info := targets.Targets[target]
	if info == nil {
		return nil, fmt.Errorf("%s is not published", target)
	}
	raw, _, err := w.bucket.Get(ctx, release.TargetObject(target, release.DigestPrefix+info.Hashes["sha256"].String()), limit)
	if err != nil {
		return nil, err
	}
	return release.Decode(raw)
}

// withdrawn waits for the first commit after a time that has no candidate.
func (w *world) withdrawn(ctx context.Context, channel string, after time.Time) (at time.Time, err error) {
	err = w.until(ctx, func() (bool, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		at = w.gone[channel]
		return at.After(after), nil
	})
	return at, err
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
	return decode(raw, into)
}

func decode(raw []byte, into any) error {
	envelope := struct {
		Signed any `json:"signed"`
	}{into}
	return json.Unmarshal(raw, &envelope)
}
