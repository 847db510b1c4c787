// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/ingest"
	"github.com/windlass-dev/windlass/internal/trust"
	"github.com/windlass-dev/windlass/internal/verify"
)

// verdict is what claims of the past are worth today.
type verdict struct {
	held    []otav1alpha1.Verification // in the order of authorities
	doubted []otav1alpha1.Verification // to be verified again,
	doubts  []string                   // and why
	losses  []string                   // why others are worth nothing any more
}

// checkClaims holds what status says of signatures, attestation and encryption against the authorities and keys of today: who was
// removed, or is known by something else now, no longer vouches for the Bundle (docs/adr/0010).
func (r *Reconciler) checkClaims(_ context.Context, s *scope) (time.Duration, error) {
	s.weigh()
	return 0, nil
}

// weigh drops claims that are lost. Those in doubt stay until they were verified again: meanwhile the Bundle is not to be released,
// but is not taken from who has it either.
func (s *scope) weigh() {
	st := &s.bundle.Status
	v := s.trust.weigh(st.Verifications)
	st.Verifications = slices.Concat(v.held, v.doubted)
	s.checkOpened()
	s.held, s.doubts, s.losses, s.attestation = v.held, v.doubts, append(s.losses, v.losses...), nil
	s.weighAttestation()
	s.note.blame(slices.Concat(s.losses, s.doubts, s.attestation))
}

// weighAttestation does the same with who attested what is in the artifact.
func (s *scope) weighAttestation() {
	i := s.bundle.Status.Inspection
	if i == nil || i.By != otav1alpha1.InspectorAttestation {
		return
	}
	v := s.trust.weigh([]otav1alpha1.Verification{{Authority: i.Authority, Trust: i.Trust, At: i.At}})
	switch {
	case len(v.held) > 0:
		i.Authority = v.held[0].Authority
	case len(v.doubted) > 0:
		s.attestation = v.doubts
	default:
		s.bundle.Status.Inspection = nil
		s.losses = append(s.losses, v.losses...)
	}
}

// weigh sorts claims. Each authority of today holds what was verified as it would be verified now, under whatever name: the key made
// the signature. A claim that was made after notAfter is lost, one that rests on something else than what is expected now in doubt.
func (t trusted) weigh(old []otav1alpha1.Verification) verdict {
	var out verdict
	for _, a := range t.authorities {
		if c, ok := claimOf(old, a); ok {
			out.held = append(out.held, c)
		}
	}
	carried := out.held
	for _, v := range old {
		same := func(o otav1alpha1.Verification) bool {
			return o.Authority == v.Authority || v.Trust != "" && o.Trust == v.Trust
		}
		if slices.ContainsFunc(carried, same) {
			continue
		}
		notAfter, expects := t.expects(v)
		switch {
		case expects == "":
			out.losses = append(out.losses, fmt.Sprintf("authority %s was removed", v.Authority))
		case late(v, notAfter):
			out.losses = append(out.losses, fmt.Sprintf("verified at %s, after authority %s's notAfter %s",
				v.At.UTC().Format(time.RFC3339), v.Authority, notAfter.UTC().Format(time.RFC3339)))
		case expects == unknown:
			out.held = append(out.held, v)
		case v.Trust == "":
			out.doubted, out.doubts = append(out.doubted, v), append(out.doubts, "it was verified by an older version")
		default:
			out.doubted, out.doubts = append(out.doubted, v), append(out.doubts, fmt.Sprintf("authority %s now expects %s", v.Authority, expects))
		}
	}
	return out
}

// unknown is what an authority expects whose key or trusted root cannot be had.
const unknown = "?"

// expects tells of the authority that a claim names until when it counts, and by what it is known; nothing when it is not there.
func (t trusted) expects(v otav1alpha1.Verification) (notAfter time.Time, what string) {
	for _, a := range t.authorities {
		if a.Name == v.Authority {
			return a.NotAfter, trust.Describe(a)
		}
	}
	for _, a := range t.unknown {
		if a.Name == v.Authority {
			if a.NotAfter != nil {
				notAfter = a.NotAfter.Time
			}
			return notAfter, unknown
		}
	}
	return time.Time{}, ""
}

// claimOf finds what an authority holds: its own claim, else one that rests on the same.
func claimOf(old []otav1alpha1.Verification, a verify.Authority) (otav1alpha1.Verification, bool) {
	fingerprint := a.Fingerprint()
	holds := func(v otav1alpha1.Verification) bool { return v.Trust == fingerprint && !late(v, a.NotAfter) }
	own := func(v otav1alpha1.Verification) bool { return v.Authority == a.Name && holds(v) }
	i := slices.IndexFunc(old, own)
	if i < 0 {
		i = slices.IndexFunc(old, holds)
	}
	if i < 0 {
		return otav1alpha1.Verification{}, false
	}
	v := old[i]
	v.Authority = a.Name
	return v, true
}

// late tells whether a claim was made after its authority had ceased to count.
func late(v otav1alpha1.Verification, notAfter time.Time) bool {
	return v.At != nil && !notAfter.IsZero() && v.At.After(notAfter)
}

// vouched tells whether the Bundle is stored, signed by an authority of today and, where the Repository has keys of its app,
// opened by one of today.
func (s *scope) vouched() bool {
	return s.bundle.Status.Artifact != nil && len(s.held) > 0 && len(s.doubts)+len(s.attestation) == 0 && !s.doubted() && !s.unattested()
}

// unattested tells whether nobody says any more what is in an artifact that nobody can open, though the Bundle names who would.
func (s *scope) unattested() bool {
	return len(s.bundle.Spec.Attestations) > 0 && s.bundle.Status.Inspection == nil && s.sealed()
}

// incomplete tells whether another try could find out more: by authorities whose signature was not found yet, or by checks that are
// newer than the look into the artifact.
func (s *scope) incomplete(now time.Time) bool {
	return s.outdated() || s.trust.idle(s.bundle.Status.Verifications, now) && s.unmatched()
}

// idle tells whether some authority that counts now has no claim.
func (t trusted) idle(claims []otav1alpha1.Verification, now time.Time) bool {
	return slices.ContainsFunc(t.authorities, func(a verify.Authority) bool {
		return !a.Expired(now) && !slices.ContainsFunc(claims, func(v otav1alpha1.Verification) bool { return v.Authority == a.Name })
	})
}

// unmatched tells whether some signature matched no authority: another set of authorities might know it. How many are attached to an
// image only its registry knows.
func (s *scope) unmatched() bool {
	named := 0
	for _, sig := range s.bundle.Spec.Signatures {
		if sig.Attached != "" {
			return true
		}
		named++
	}
	matched := map[[3]string]bool{}
	for _, v := range s.bundle.Status.Verifications {
		matched[[3]string{v.KeyID, v.Signature, string(v.Evidence)}] = true
	}
	return len(matched) < named
}

// maxSignature is the longest text of a signature that the status takes.
const maxSignature = 8192

// verifications turns matches into status. What was verified before keeps its time, also when it rests on something else now: it is
// the time at which the manager has seen that signature.
func verifications(matches []ingest.Match, old []otav1alpha1.Verification, now time.Time) []otav1alpha1.Verification {
	out := make([]otav1alpha1.Verification, 0, len(matches))
	for _, m := range matches {
		v := otav1alpha1.Verification{
			Authority: m.Authority, KeyID: m.KeyID, Format: m.Format, Issuer: m.Issuer, Subject: m.Subject, Trust: m.Trust,
			Evidence: otav1alpha1.Digest(m.Evidence), Algorithm: m.Algorithm, At: new(metav1.NewTime(now)),
		}
		if text := m.Signature.Base64(); m.Format == otav1alpha1.FormatDetached && len(text) <= maxSignature {
			v.Signature = text
		}
		if i := slices.IndexFunc(old, func(o otav1alpha1.Verification) bool { return sameClaim(o, v) }); i >= 0 && old[i].At != nil {
			v.At = old[i].At
		}
		out = append(out, v)
	}
	return out
}

// sameClaim tells whether two verifications are of one signature by one signer. Older versions did not record all of it.
func sameClaim(a, b otav1alpha1.Verification) bool {
	return a.Authority == b.Authority && a.KeyID == b.KeyID && a.Issuer == b.Issuer && a.Subject == b.Subject &&
		a.Signature == b.Signature && a.Evidence == b.Evidence
}

// known are the signatures and the attestation that count, or did until a moment ago, for when their sources are gone.
func (s *scope) known() []ingest.Known {
	var out []ingest.Known
	for _, v := range s.bundle.Status.Verifications {
		out = append(out, ingest.Known{Format: cmp.Or(v.Format, otav1alpha1.FormatDetached), Signature: v.Signature, Evidence: string(v.Evidence)})
	}
	if i := s.bundle.Status.Inspection; i != nil && i.Evidence != "" {
		out = append(out, ingest.Known{Evidence: string(i.Evidence)})
	}
	return out
}

// voters are the authorities to verify against. One that has ceased to count is tried where it vouched for the Bundle while it did:
// its claim outlasts a change of the others.
func (s *scope) voters(now time.Time) []verify.Authority {
	out := slices.Clone(s.trust.authorities)
	for i, a := range out {
		if a.Expired(now) && s.vouchedBy(a.Name) {
			out[i].NotAfter = time.Time{}
		}
	}
	return out
}

func (s *scope) vouchedBy(authority string) bool {
	if i := s.bundle.Status.Inspection; i != nil && i.Authority == authority {
		return true
	}
	return slices.ContainsFunc(s.bundle.Status.Verifications, func(v otav1alpha1.Verification) bool { return v.Authority == authority })
}
