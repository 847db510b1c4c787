// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package kit holds what all reconcilers share: ordered phases, errors that carry their handling, and the one pure mapping
// from an outcome to conditions and a result.
package kit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
)

// Class says what the controller does about an error.
type Class int

const (
	// Transient errors are tried again with backoff.
	Transient Class = iota
	// Waiting means healthy and not finished: come back after a known delay or on a watch event.
	Waiting
	// Stalled means that trying again cannot help until the spec or a dependency changes.
	Stalled
)

// Error carries a class and a condition reason along with the cause. Adapters return it, so that controllers need not
// parse messages.
type Error struct {
	Class  Class
	Reason string        // of the Ready condition
	After  time.Duration // Waiting only; zero: 30 s
	Err    error
}

func (e *Error) Error() string { return e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// Wait is an error of class Waiting.
func Wait(reason string, after time.Duration, format string, args ...any) error {
	return &Error{Class: Waiting, Reason: reason, After: after, Err: fmt.Errorf(format, args...)}
}

// Stall is an error of class Stalled.
func Stall(reason, format string, args ...any) error {
	return &Error{Class: Stalled, Reason: reason, Err: fmt.Errorf(format, args...)}
}

// Retry is an error of class Transient.
func Retry(reason, format string, args ...any) error {
	return &Error{Class: Transient, Reason: reason, Err: fmt.Errorf(format, args...)}
}

// Classify finds the Error in a chain. Unknown errors are Transient with reason InternalError.
func Classify(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{Class: Transient, Reason: otav1alpha1.InternalErrorReason, Err: err}
}

// Phase is one ordered step of a reconcile. It reports the soonest time it wants to run again; zero means never.
type Phase[S any] func(ctx context.Context, s S) (time.Duration, error)

// Run executes phases in order, stops at the first error, and keeps the soonest requeue.
func Run[S any](ctx context.Context, s S, phases ...Phase[S]) (ctrl.Result, error) {
	var res ctrl.Result
	for _, phase := range phases {
		after, err := phase(ctx, s)
		if err != nil {
			return ctrl.Result{}, err
		}
		res.RequeueAfter = Soonest(res.RequeueAfter, after)
	}
	return res, nil
}

// Soonest is the smaller of two delays, where zero means never.
func Soonest(a, b time.Duration) time.Duration {
	if a == 0 || b == 0 {
		return max(a, b)
	}
	return min(a, b)
}

// Finish maps the outcome of a reconcile to Ready, Reconciling and Stalled, to observedGeneration and to the result for the
// queue. A nil error leaves Ready as the phases set it. It is pure.
func Finish(generation int64, conds *[]metav1.Condition, observed *int64, res ctrl.Result, err error) (ctrl.Result, error) {
	if err == nil {
		apimeta.RemoveStatusCondition(conds, otav1alpha1.ReconcilingCondition)
		apimeta.RemoveStatusCondition(conds, otav1alpha1.StalledCondition)
		*observed = generation
		return res, nil
	}
	e := Classify(err)
	set := func(kind string, status metav1.ConditionStatus, reason string) {
		SetCondition(conds, generation, kind, status, reason, e.Error())
	}
	switch e.Class {
	case Stalled:
		apimeta.RemoveStatusCondition(conds, otav1alpha1.ReconcilingCondition)
		set(otav1alpha1.StalledCondition, metav1.ConditionTrue, e.Reason)
		set(otav1alpha1.ReadyCondition, metav1.ConditionFalse, e.Reason)
		*observed = generation // kstatus reports InProgress for ever without this
		return ctrl.Result{}, reconcile.TerminalError(err)
	case Waiting:
		apimeta.RemoveStatusCondition(conds, otav1alpha1.StalledCondition)
		set(otav1alpha1.ReconcilingCondition, metav1.ConditionTrue, e.Reason)
		set(otav1alpha1.ReadyCondition, metav1.ConditionUnknown, e.Reason)
		*observed = generation
		return ctrl.Result{RequeueAfter: cmp.Or(e.After, 30*time.Second)}, nil
	default:
		apimeta.RemoveStatusCondition(conds, otav1alpha1.StalledCondition)
		set(otav1alpha1.ReconcilingCondition, metav1.ConditionTrue, otav1alpha1.ProgressingWithRetryReason)
		set(otav1alpha1.ReadyCondition, metav1.ConditionFalse, e.Reason)
		return ctrl.Result{}, err
	}
}

// Settle keeps stale reads (409: a short requeue) and vanished objects (404: done) out of the error path. A reconcile error
// that merely wraps a conflict on another object is settled too: reading again is the cure for both.
func Settle(res ctrl.Result, err error) (ctrl.Result, error) {
	switch {
	case err == nil:
		return res, nil
	case apierrors.IsConflict(err):
		return ctrl.Result{RequeueAfter: 200 * time.Millisecond}, nil
	case apierrors.IsNotFound(err):
		return ctrl.Result{}, nil
	}
	return ctrl.Result{}, err
}

// maxMessage keeps condition messages readable and far below the API's limit of 32 KiB.
const maxMessage = 1024

// SetCondition sets a condition of a status and keeps its transition time when the status did not change.
//
//nolint:revive // a condition has that many parts, and callers close over the first two
func SetCondition(conds *[]metav1.Condition, generation int64, kind string, status metav1.ConditionStatus, reason, message string) {
	if len(message) > maxMessage {
		message = strings.ToValidUTF8(message[:maxMessage-3], "") + "..."
	}
	apimeta.SetStatusCondition(conds, metav1.Condition{
		Type: kind, Status: status, Reason: reason, Message: message, ObservedGeneration: generation,
	})
}
