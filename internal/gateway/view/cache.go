// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package view

import (
	"bytes"
	"context"
	"maps"
)

// cached is what the mirror holds, as far as this process wrote it. It spares to write the same again.
type cached struct {
	state      map[string][]byte
	yardsticks map[string][]byte
}

// restore loads the cached state, and what it may not go back behind. A cache that does not verify is like none.
func (p *Poller) restore(ctx context.Context) {
	defer func() {
		p.chain.recall(ctx, trusted{p.mirror})
		p.raiseFloors()
	}()
	raw, err := p.mirror.Get(ctx, timestampName, maxTimestamp)
	if err != nil {
		return
	}
	if err := p.refresh(ctx, p.mirror, raw); err != nil {
		p.cfg.Log.Warn("Not using all of the cached metadata", "error", err)
	}
	if v := p.View(); v != nil {
		total, _ := v.Count()
		p.cfg.Log.Info("Serving from the cache", "metadataVersion", v.Version, "channels", total)
	}
}

// save keeps the state for the next start: the newest top-level metadata, and each channel as it is served. One that could
// not be read is kept as it was before, and holds no other back. To fail is no reason not to serve.
func (p *Poller) save(src Getter, t *top, out *loaded) {
	if p.mirror == nil || src == Getter(p.mirror) {
		return
	}
	files := maps.Clone(t.files)
	for role, e := range out.entries {
		if e.role != nil {
			files[versionedName(role, e.version)] = e.role
		}
		if e.docName != "" {
			files[e.docName] = e.doc
		}
	}
	if maps.EqualFunc(files, p.cache.state, bytes.Equal) {
		return
	}
	if err := p.mirror.save(files); err != nil {
		p.cacheFailed(err)
		return
	}
	p.cache = cached{state: files} // the yardsticks are part of it
}

// remember keeps what was verified of a state that cannot be had as a whole, beside the last one that could: after a restart
// too nothing older is accepted.
func (p *Poller) remember(src Getter) {
	if p.mirror == nil || src == Getter(p.mirror) {
		return
	}
	files := p.chain.yardsticks()
	for name, raw := range files {
		if before, ok := p.cache.yardsticks[name]; ok && bytes.Equal(before, raw) {
			continue
		}
		if err := p.mirror.write(trustedPrefix+name, raw); err != nil {
			p.cacheFailed(err)
			return
		}
	}
	p.cache.yardsticks = files
}

func (p *Poller) cacheFailed(err error) {
	p.metrics.cacheErrors.Inc()
	p.cfg.Log.Warn("Writing the cache failed", "error", err)
}
