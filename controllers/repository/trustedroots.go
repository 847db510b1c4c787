// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package repository

import (
	"fmt"
	"strings"
	"time"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/trust"
)

const (
	day = 24 * time.Hour
	// maxRootDays is the age in days from which a trusted root is old. The public Sigstore instance changes its own a few times a
	// year, and publishes keys some months before they are used.
	maxRootDays = 90
)

// sigstoreRoot is the trusted root of a keyless authority.
type sigstoreRoot struct {
	authority trust.Authority
	from      otav1alpha1.KeyReference
}

// describeRoots tells how old the trusted roots are. Those that cannot be read are left out.
func (s *scope) describeRoots(roots []sigstoreRoot, now time.Time) {
	st := &s.repo.Status
	st.TrustedRoots = nil
	var old []string
	for _, r := range roots {
		days := int32(max(0, now.Sub(r.authority.RootUpdatedAt)/day))
		st.TrustedRoots = append(st.TrustedRoots, otav1alpha1.TrustedRootStatus{
			Authority: r.authority.Name, Digest: otav1alpha1.Digest(r.authority.Identity.Root.Digest()),
			UpdatedAt: seconds(r.authority.RootUpdatedAt), AgeDays: &days,
		})
		if days >= maxRootDays {
			old = append(old, fmt.Sprintf("%s (key %s of ConfigMap %s)", r.authority.Name, r.from.Key, r.from.Name))
		}
	}
	switch {
	case len(old) > 0:
		s.set(otav1alpha1.TrustedRootsFreshCondition, metav1.ConditionFalse, otav1alpha1.TrustedRootOldReason, fmt.Sprintf(
			"the trusted root of authority %s was not changed for %d days or more: it may lack keys that are used by now, or trust withdrawn ones; fetch it "+
				"anew from your Sigstore instance and update the ConfigMap; where it is the same as before, annotate the ConfigMap to say that you looked",
			strings.Join(old, ", "), maxRootDays))
	case len(roots) > 0:
		s.set(otav1alpha1.TrustedRootsFreshCondition, metav1.ConditionTrue, otav1alpha1.SucceededReason, "")
	default:
		apimeta.RemoveStatusCondition(&st.Conditions, otav1alpha1.TrustedRootsFreshCondition)
	}
}
