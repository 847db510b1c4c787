// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
)

// Assignment is what the Channel should serve for a release; nil asks for nothing. It follows from the release alone, so
// that it cannot disagree with it.
func Assignment(uid string, r Release) *otav1alpha1.Assignment {
	a := &otav1alpha1.Assignment{
		Release: r.Revision, Bundle: r.Bundle, Digest: otav1alpha1.Digest(r.Digest), Salt: Salt(uid, r.Revision),
	}
	switch r.State {
	case otav1alpha1.ReleaseProgressing, otav1alpha1.ReleasePaused:
		a.State, a.Weight, a.Stage, a.Exclude = otav1alpha1.AssignmentCandidate, FormatWeight(r.Weight), r.Stage, r.Exclude
	case otav1alpha1.ReleasePromoting, otav1alpha1.ReleaseCompleted:
		a.State, a.Stage, a.Exclude = otav1alpha1.AssignmentPromoted, r.Stage, r.Exclude // what is stable excludes the same devices
	case otav1alpha1.ReleaseRollingBack:
		a.State = otav1alpha1.AssignmentWithdrawn
		if r.Outcome != otav1alpha1.ReleaseBundleNotAdmitted {
			a.Refuse = r.Reason
		}
	case otav1alpha1.ReleaseSuperseding, otav1alpha1.ReleaseRolledBack, otav1alpha1.ReleaseAborted:
		a.State = otav1alpha1.AssignmentWithdrawn // what had to be refused is on the Channel's list by now
	default:
		if !r.Lift {
			return nil
		}
		a.State, a.Lift = otav1alpha1.AssignmentWithdrawn, "Refusal"
	}
	if a.Digest == "" {
		return nil
	}
	return a
}

// Salt of a release's cohort: anyone who knows the Rollout's UID can recompute it; it is in the signed metadata too.
func Salt(uid string, revision int64) string {
	sum := sha256.Sum256([]byte(uid + "/" + strconv.FormatInt(revision, 10)))
	return hex.EncodeToString(sum[:16])
}

// FormatWeight prints basis points as a percentage with at most two decimals: 25 is "0.25".
func FormatWeight(basisPoints int32) otav1alpha1.Percent {
	s := fmt.Sprintf("%d.%02d", basisPoints/100, basisPoints%100)
	return otav1alpha1.Percent(strings.TrimRight(strings.TrimRight(s, "0"), "."))
}

// ParseWeight reads a percentage with at most two decimals into basis points.
func ParseWeight(percent string) (int32, error) {
	whole, fraction, _ := strings.Cut(percent, ".")
	if len(fraction) > 2 || len(whole) > 3 {
		return 0, fmt.Errorf("weight %q is not a percentage with at most two decimals", percent)
	}
	n, err := strconv.ParseUint(whole+fraction+strings.Repeat("0", 2-len(fraction)), 10, 16)
	if err != nil || n > FullWeight {
		return 0, fmt.Errorf("weight %q is not a percentage from 0 to 100", percent)
	}
	return int32(n), nil
}
