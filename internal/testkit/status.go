// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package testkit

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	kstatus "github.com/fluxcd/cli-utils/pkg/kstatus/status"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/testkit/argo"
)

// status is the part of every status that kstatus and people read first.
type status struct {
	Status struct {
		Conditions         []metav1.Condition `json:"conditions"`
		ObservedGeneration int64              `json:"observedGeneration"`
	} `json:"status"`
}

func statusOf(obj client.Object) ([]metav1.Condition, int64, error) {
	raw, err := runtime.DefaultUnstructuredConverter.ToUnstructured(obj)
	if err != nil {
		return nil, 0, fmt.Errorf("read the status of %T: %w", obj, err)
	}
	var s status
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(raw, &s); err != nil {
		return nil, 0, fmt.Errorf("read the status of %T: %w", obj, err)
	}
	return s.Status.Conditions, s.Status.ObservedGeneration, nil
}

// CheckStatus fails the test when the object's status, as it is in memory, breaks a rule that holds for every status at every
// time (see StatusProblems). Read the object first.
func CheckStatus(tb testing.TB, obj client.Object) {
	tb.Helper()
	for _, p := range StatusProblems(obj) {
		tb.Errorf("status of %T %s: %s", obj, obj.GetName(), p)
	}
}

// StatusProblems lists how a status breaks the rules that tools which wait for it rely on (kstatus, as kubectl, Flux and
// Argo CD use it) and our own ones on messages. Empty: none.
func StatusProblems(obj client.Object) []string {
	conds, observed, err := statusOf(obj)
	if err != nil {
		return []string{err.Error()}
	}
	out := generationProblems(conds, observed, obj.GetGeneration())
	out = append(out, summaryProblems(conds)...)
	seen := map[string]bool{}
	for _, c := range conds {
		if seen[c.Type] {
			out = append(out, c.Type+" is there twice")
		}
		seen[c.Type] = true
		out = append(out, conditionProblems(c)...)
	}
	if len(out) == 0 { // else the tools may well disagree
		out = toolProblems(obj)
	}
	return out
}

// generationProblems: a status describes no generation that does not exist yet, and a final condition about this generation
// comes with the observedGeneration that lets kstatus believe it.
func generationProblems(conds []metav1.Condition, observed, generation int64) []string {
	var out []string
	if observed > generation {
		out = append(out, fmt.Sprintf("observedGeneration is %d, ahead of generation %d", observed, generation))
	}
	for _, c := range conds {
		switch {
		case c.ObservedGeneration == 0:
			out = append(out, c.Type+" has no observedGeneration")
		case c.ObservedGeneration > generation:
			out = append(out, fmt.Sprintf("%s has observedGeneration %d, ahead of generation %d", c.Type, c.ObservedGeneration, generation))
		case c.ObservedGeneration > observed && isFinal(c):
			out = append(out, fmt.Sprintf("%s=%s is about generation %d, but observedGeneration is %d: kstatus would wait for ever", c.Type, c.Status, c.ObservedGeneration, observed))
		}
	}
	return out
}

func isFinal(c metav1.Condition) bool {
	return c.Status == metav1.ConditionTrue && (c.Type == otav1alpha1.ReadyCondition || c.Type == otav1alpha1.StalledCondition)
}

// summaryProblems: Ready is there, Reconciling and Stalled exclude each other, and nothing is both stalled and ready.
func summaryProblems(conds []metav1.Condition) []string {
	var out []string
	ready := apimeta.FindStatusCondition(conds, otav1alpha1.ReadyCondition)
	stalled := apimeta.FindStatusCondition(conds, otav1alpha1.StalledCondition)
	reconciling := apimeta.FindStatusCondition(conds, otav1alpha1.ReconcilingCondition)
	if ready == nil {
		out = append(out, "Ready is missing")
	}
	switch {
	case stalled != nil && reconciling != nil:
		out = append(out, "Reconciling and Stalled are there together")
	case ready == nil:
	case stalled != nil && ready.Status != metav1.ConditionFalse:
		out = append(out, fmt.Sprintf("Ready is %s while Stalled is there, want False", ready.Status))
	case stalled == nil && reconciling == nil && ready.Status != metav1.ConditionTrue:
		out = append(out, fmt.Sprintf("Ready is %s with neither Reconciling nor Stalled: nobody can tell whether to wait", ready.Status))
	}
	for _, c := range []*metav1.Condition{reconciling, stalled} {
		if c != nil && c.Status != metav1.ConditionTrue {
			out = append(out, fmt.Sprintf("%s is %s, but may be there only while True", c.Type, c.Status))
		}
	}
	return out
}

const maxMessage = 1024

var (
	reasonPattern = regexp.MustCompile(`^[A-Z][A-Za-z0-9]*$`)
	clockPattern  = regexp.MustCompile(`\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}`)
	// factPattern are times that do not change: when a signature was verified, and when its authority had ceased to count; and, to the
	// minute, when what a release waits for comes.
	factPattern   = regexp.MustCompile(`verified at \S+, after authority \S+ notAfter \S+|(at|until) \S+ \d{2}:\d{2} UTC`)
	signedPattern = regexp.MustCompile(`(?i)x-amz-(signature|credential)|[?&](sig|signature|token)=`)
)

func conditionProblems(c metav1.Condition) []string {
	var out []string
	if !reasonPattern.MatchString(c.Reason) {
		out = append(out, fmt.Sprintf("%s has reason %q, want a word in UpperCamelCase", c.Type, c.Reason))
	}
	if c.LastTransitionTime.IsZero() {
		out = append(out, c.Type+" has no lastTransitionTime")
	}
	if len(c.Message) > maxMessage {
		out = append(out, fmt.Sprintf("%s has a message of %d bytes, at most %d are readable", c.Type, len(c.Message), maxMessage))
	}
	if clockPattern.MatchString(factPattern.ReplaceAllString(c.Message, "")) {
		out = append(out, fmt.Sprintf("%s has a time in its message, which rewrites the status of an unchanged state: %s", c.Type, c.Message))
	}
	if signedPattern.MatchString(c.Message) {
		out = append(out, c.Type+" has a signed URL or token in its message")
	}
	if strings.ContainsAny(c.Message, "\n\r") {
		out = append(out, fmt.Sprintf("%s has a message of several lines, which breaks tables: %q", c.Type, c.Message))
	}
	return out
}

// What kstatus says of an object (github.com/fluxcd/cli-utils, which Flux and Helm 4 use).
const (
	Current    = string(kstatus.CurrentStatus)
	InProgress = string(kstatus.InProgressStatus)
	Failed     = string(kstatus.FailedStatus)
)

// KStatus is what tools that wait for an object see; an error's text when they cannot tell.
func KStatus(obj client.Object) string {
	raw, err := runtime.DefaultUnstructuredConverter.ToUnstructured(obj)
	if err != nil {
		return err.Error()
	}
	res, err := kstatus.Compute(&unstructured.Unstructured{Object: raw})
	if err != nil {
		return err.Error()
	}
	return string(res.Status)
}

// toolProblems: kstatus and Argo CD's health tell the same story. What failed for the one is Degraded for the other, and what is
// done is Healthy, or halted by a person; a release that is being taken back, or held, is neither failed nor done yet.
func toolProblems(obj client.Object) []string {
	if obj.GetDeletionTimestamp() != nil {
		return nil // both look no further
	}
	raw, err := argo.FromObject(obj)
	if err != nil {
		return []string{err.Error()}
	}
	health, err := argo.HealthOf(raw)
	if err != nil {
		return []string{err.Error()}
	}
	fits := map[string][]string{
		Current: {argo.Healthy, argo.Suspended}, Failed: {argo.Degraded}, InProgress: {argo.Progressing, argo.Suspended, argo.Degraded},
	}
	var out []string
	waits := KStatus(obj)
	if obj.GetAnnotations()[argo.FirstStep] == "" && !slices.Contains(fits[waits], health.Status) {
		out = append(out, fmt.Sprintf("kstatus says %s, and Argo CD %s: %s", waits, health.Status, health.Message))
	}
	if health.Message == "" || strings.ContainsAny(health.Message, "\n\r") {
		out = append(out, fmt.Sprintf("Argo CD shows %q, expected a sentence", health.Message))
	}
	return out
}
