// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package repository

import (
	"fmt"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/kit"
)

// Events are all that the controller tells of. Reasons of failures are those of the conditions.
var Events = kit.EventTable{
	kit.Normal("RepositoryReady", "Open", "the bucket is reachable and metadata is published", "that it is"),
	kit.Normal(otav1alpha1.KeysGeneratedReason, "Sign", "the manager made the signing keys itself", "where they are"),
	kit.Warning(otav1alpha1.RootSignatureNeededReason, "Sign", "holders of offline root keys have to sign a new root of trust", "why, and how"),
	kit.Normal("RootPublished", "Sign", "a new root of trust is published", "its version"),
	kit.Warning("FloorRaised", "Withdraw", "everything of an app below a version was withdrawn for security", "the app and the version"),
	kit.Warning(otav1alpha1.FloorLoweredReason, "Withdraw", "the spec asks for a lower floor than devices have seen", "that floors only rise"),
	kit.Warning(otav1alpha1.TrustedRootOldReason, "Verify", "the trusted root of a keyless authority was not refreshed for 90 days", "which, and how"),
	kit.Normal("CommandAccepted", "Command", "a person's command was carried out", "the command, by whom, and what it did"),
	kit.Warning("CommandRefused", "Command", "a person's command was not carried out", "the command, by whom, and why"),
	kit.Warning(otav1alpha1.HaltedReason, "Publish", "devices of all channels are offered nothing any more", "why and by whom"),
	kit.Normal("Unhalted", "Publish", "devices are offered updates again", "that they are"),
	kit.Warning(otav1alpha1.InUseReason, "Delete", "a deletion waits until nothing refers to the Repository", "what does"),
	kit.Warning(otav1alpha1.NotificationFailingReason, "Notify", "a receiver of notifications has taken none for 5 minutes", "which, and why"),
	kit.Normal("NotificationsResumed", "Notify", "all receivers take notifications again", "that they do"),

	kit.Warning(otav1alpha1.StorageUnreachableReason, "Open", "the object store does not answer; it is tried again", "why"),
	kit.Warning(otav1alpha1.StorageAccessDeniedReason, "Open", "the object store refuses the credentials", "what to check"),
	kit.Warning(otav1alpha1.BucketNotFoundReason, "Open", "the bucket does not exist", "what to do"),
	kit.Warning(otav1alpha1.AddressDeniedReason, "Open", "the manager does not connect to the address of the object store", "what would allow it"),
	kit.Warning(otav1alpha1.StorageFailedReason, "Open", "an object in the bucket is damaged", "which, and what to do"),
	kit.Warning(otav1alpha1.TooLargeReason, "Open", "an object in the bucket is larger than can be", "which"),
	kit.Warning(otav1alpha1.SecretNotFoundReason, "Open", "a Secret, or a key of it, is missing", "which"),
	kit.Warning(otav1alpha1.ConfigMapNotFoundReason, "Open", "a ConfigMap, or a key of it, is missing", "which"),
	kit.Warning(otav1alpha1.InvalidKeyReason, "Sign", "a key cannot be read or is too weak", "which, and why"),
	kit.Warning(otav1alpha1.KeysMismatchReason, "Sign", "the signing keys are not those of the root of trust in the bucket", "what to do"),
	kit.Warning(otav1alpha1.RootInvalidReason, "Sign", "a root of trust in the ConfigMap does not follow the published one", "why"),
	kit.Warning(otav1alpha1.TrustedRootInvalidReason, "Verify", "the trusted root of a keyless authority cannot be read", "why"),
	kit.Warning(otav1alpha1.PublishFailedReason, "Publish", "a commit of metadata failed and is tried again", "why"),
	kit.Warning(otav1alpha1.StateLostReason, "Publish", "what a channel published is damaged in the bucket, and nothing older is intact", "which, and what to do"),
	kit.Warning(otav1alpha1.ArtifactLostReason, "Publish", "an artifact that is to be published is not in the bucket", "which"),
	kit.Warning(otav1alpha1.InvalidSpecReason, "Reconcile", "the spec cannot be carried out", "what is wrong and what to do"),
	kit.Warning(otav1alpha1.NotSupportedYetReason, "Reconcile", "the spec asks for what this version cannot do", "what, and what to do"),
	kit.Warning(otav1alpha1.InternalErrorReason, "Reconcile", "an error without a better name; it is tried again", "the error"),
}

// transitions are the events of a changed status: one a transition, none for what stays as it is.
func transitions(old, now *otav1alpha1.Repository) []kit.Event {
	var out []kit.Event
	was, is := old.Status.Conditions, now.Status.Conditions
	c := kit.Changed(was, is, otav1alpha1.SigningReadyCondition)
	if c != nil && (c.Reason == otav1alpha1.KeysGeneratedReason || c.Status == metav1.ConditionTrue && c.Reason == otav1alpha1.RootSignatureNeededReason) {
		out = append(out, Events.New(c.Reason, c.Message))
	}
	if is, was := now.Status.Metadata, old.Status.Metadata; is != nil && was != nil && is.RootVersion > was.RootVersion {
		out = append(out, Events.New("RootPublished", fmt.Sprintf("version %d of the root of trust is published", is.RootVersion)))
	}
	out = append(out, floorEvents(old, now)...)
	if c := kit.Changed(was, is, otav1alpha1.TrustedRootsFreshCondition); c != nil && c.Status == metav1.ConditionFalse {
		out = append(out, Events.New(c.Reason, c.Message))
	}
	if c := kit.Changed(was, is, otav1alpha1.ReconcilingCondition); c != nil && c.Reason == otav1alpha1.InUseReason {
		out = append(out, Events.New(c.Reason, c.Message))
	}
	out = append(out, receiverEvents(old, now)...)
	out = append(out, kit.CommandEvents(Events, old.Status.LastCommand, now.Status.LastCommand)...)
	out = append(out, haltEvents(old.Status.Halt, now.Status.Halt)...)
	return append(out, readyEvents(was, is)...)
}

// readyEvents tell that the Repository works again, or does not. To be halted is neither.
func readyEvents(was, is []metav1.Condition) []kit.Event {
	switch c := kit.Changed(was, is, otav1alpha1.ReadyCondition); {
	case c == nil:
	case c.Status == metav1.ConditionTrue && !apimeta.IsStatusConditionTrue(was, otav1alpha1.ReadyCondition):
		return []kit.Event{Events.New("RepositoryReady", "the bucket is reachable and metadata is published")}
	case c.Status == metav1.ConditionFalse:
		return []kit.Event{Events.New(c.Reason, c.Message)}
	}
	return nil
}

// haltEvents tell that a person stopped all channels, or lets them go on.
func haltEvents(old, now *otav1alpha1.Halt) []kit.Event {
	switch {
	case now != nil && old == nil:
		return []kit.Event{Events.New(otav1alpha1.HaltedReason, "no device of any channel is offered anything: halted by "+now.By+": "+now.Reason).Asked(now.By, now.Actor)}
	case now == nil && old != nil:
		return []kit.Event{Events.New("Unhalted", "channels that nothing else stops serve devices again")}
	}
	return nil
}

// floorEvents tell of floors that were published, and of those that were not.
func floorEvents(old, now *otav1alpha1.Repository) (out []kit.Event) {
	before := map[otav1alpha1.AppID]otav1alpha1.Version{}
	for _, f := range old.Status.Floors {
		before[f.App] = f.MinVersion
	}
	for _, f := range now.Status.Floors {
		if before[f.App] != f.MinVersion {
			out = append(out, Events.New("FloorRaised", fmt.Sprintf("no version of app %s below %s is offered any more", f.App, f.MinVersion)))
		}
	}
	if c := kit.Changed(old.Status.Conditions, now.Status.Conditions, otav1alpha1.FloorsPublishedCondition); c != nil && c.Status == metav1.ConditionFalse {
		out = append(out, Events.New(c.Reason, c.Message))
	}
	return out
}
