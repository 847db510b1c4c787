// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package repository

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/kit"
	"github.com/windlass-dev/windlass/internal/publish"
)

// rootSuffix follows the version in the keys of the ConfigMap with the roots.
const rootSuffix = ".root.json"

// Commands that messages name. They work on the folder with the roots (docs/tuf.md).
const (
	renewCommand = "kubectl windlass repository renew"
	floorCommand = "kubectl windlass repository floor --app %s --min-version %s"
	afterCommand = ", then kubectl windlass repository sign, and apply the ConfigMap"
)

// roots reads the roots of trust that were signed offline. What is wrong with them is told in the end: it must not keep the rest
// from devices, which the published root serves as before.
func (r *Reconciler) roots(ctx context.Context, s *scope) (time.Duration, error) {
	spec := s.repo.Spec.Signing
	if spec == nil || spec.RootConfigMapRef == nil {
		return 0, nil
	}
	var cm corev1.ConfigMap
	name := spec.RootConfigMapRef.Name
	err := r.Live.Get(ctx, types.NamespacedName{Namespace: s.repo.Namespace, Name: name}, &cm)
	switch {
	case apierrors.IsNotFound(err):
		s.signing.roots = map[int64][]byte{}
		s.signing.problem = kit.Retry(otav1alpha1.ConfigMapNotFoundReason, "there is no ConfigMap %s, which spec.signing.rootConfigMapRef names", name)
	case err != nil:
		return 0, fmt.Errorf("get ConfigMap %s: %w", name, err)
	default:
		s.signing.roots, s.signing.problem = rootFiles(&cm)
	}
	for version, raw := range s.signing.roots {
		s.identity.add(fmt.Sprintf("root %d", version), raw)
	}
	return 0, nil
}

// rootFiles gives the files of a ConfigMap whose keys are <N>.root.json. Other keys are passed over.
func rootFiles(cm *corev1.ConfigMap) (map[int64][]byte, error) {
	files := map[string][]byte{}
	for key, text := range cm.Data {
		files[key] = []byte(text)
	}
	maps.Copy(files, cm.BinaryData)
	roots := map[int64][]byte{}
	for _, key := range slices.Sorted(maps.Keys(files)) {
		number, ok := strings.CutSuffix(key, rootSuffix)
		if !ok {
			continue
		}
		version, err := strconv.ParseInt(number, 10, 64)
		if err != nil || version < 1 || strconv.FormatInt(version, 10) != number {
			return roots, kit.Retry(otav1alpha1.RootInvalidReason, "ConfigMap %s has the key %s, expected 1.root.json, 2.root.json and so on", cm.Name, key)
		}
		roots[version] = files[key]
	}
	if len(roots) == 0 {
		return roots, kit.Retry(otav1alpha1.ConfigMapNotFoundReason, "ConfigMap %s has no root: expected the key 1.root.json", cm.Name)
	}
	return roots, nil
}

// signed ends a reconcile with what is wrong with the roots and the floors. It comes last: the published root serves on.
func (r *Reconciler) signed(_ context.Context, s *scope) (time.Duration, error) {
	if s.signing.problem != nil {
		return 0, s.signing.problem
	}
	return 0, s.signing.floors
}

// judgeSigning says whether keys and roots are as they should be, when the publisher is open.
func (s *scope) judgeSigning(state publish.State, now time.Time) {
	if s.signing.problem == nil {
		s.signing.problem = state.RootError
	}
	if e := kit.Classify(state.LastError); s.signing.problem == nil && e.Reason == otav1alpha1.RootInvalidReason {
		s.signing.problem = state.LastError
	}
	left := state.RootExpiresAt.Sub(now)
	renew := fmt.Sprintf("version %d of the root of trust has less than a third of its life left, see status.metadata.rootExpiresAt: %s%s",
		state.RootVersion, renewCommand, afterCommand)
	if s.signing.problem == nil && !state.RootOnline && left <= 0 {
		s.signing.problem = kit.Retry(otav1alpha1.RootSignatureNeededReason,
			"version %d of the root of trust has expired, and devices accept nothing new: %s%s", state.RootVersion, renewCommand, afterCommand)
	}
	switch {
	case s.signing.problem != nil:
		_ = s.signingFailed(s.signing.problem) // the last phase returns it
	case !state.RootOnline && left < s.signing.rootLife/3:
		s.set(otav1alpha1.SigningReadyCondition, metav1.ConditionTrue, otav1alpha1.RootSignatureNeededReason, renew)
	case s.signing.source == keysGenerated:
		s.set(otav1alpha1.SigningReadyCondition, metav1.ConditionTrue, otav1alpha1.KeysGeneratedReason,
			"the manager made all signing keys: for production keep the root key offline, and a backup of the Secret")
	default:
		s.set(otav1alpha1.SigningReadyCondition, metav1.ConditionTrue, otav1alpha1.KeysProvidedReason, "the signing keys are those of the Secret")
	}
}

// rootKeys tells where the keys are that sign roots.
func rootKeys(state publish.State) string {
	if state.RootOnline {
		return rootOnline
	}
	return rootOffline
}

// Values of status.metadata.rootKeys.
const (
	rootOnline  = "Online"
	rootOffline = "Offline"
)
