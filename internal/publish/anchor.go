// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package publish

import (
	"strconv"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/windlass-dev/windlass/internal/audit"
)

// auditField of a timestamp names the last record of the audit log at that commit: its sequence, as text since numbers of unknown
// fields do not survive all canonical JSON readers, and its hash. Whoever keeps a signed timestamp can prove that the log was changed.
const auditField = "x-windlass-audit"

// anchorFields are the unknown fields of a timestamp; nil when there is no record yet.
func anchorFields(head audit.Head) map[string]any {
	if head.Sequence == 0 {
		return nil
	}
	return map[string]any{auditField: map[string]any{"sequence": strconv.FormatInt(head.Sequence, 10), "hash": head.Hash}}
}

// AnchorOf gives the record that a timestamp names as the last one of the audit log. The zero Head: it names none.
func AnchorOf(t *metadata.TimestampType) audit.Head {
	fields, _ := t.UnrecognizedFields[auditField].(map[string]any)
	text, _ := fields["sequence"].(string)
	hash, _ := fields["hash"].(string)
	sequence, err := strconv.ParseInt(text, 10, 64)
	if err != nil || sequence < 1 || !digestPattern.MatchString(hash) {
		return audit.Head{}
	}
	return audit.Head{Sequence: sequence, Hash: hash}
}

// anchor is what the next timestamp names: what the log says now, or what the present one names while nobody has looked into the log.
func (p *Publisher) anchor(w *world) audit.Head {
	if p.cfg.Audit == nil {
		return w.audit
	}
	if head := p.cfg.Audit(); head.Sequence > w.audit.Sequence {
		return head
	}
	return w.audit
}
