// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package serve

import (
	"fmt"
	"maps"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/tuf"
)

// Known is what a Repository's namespace knows of artifacts and their versions.
type Known struct {
	Bundles  []otav1alpha1.Bundle
	Channels []otav1alpha1.Channel
}

// Below tells whether a version is below a floor; nothing is below an empty one. Whatever cannot be read is below.
func Below(version, floor string) bool { return floor != "" && tuf.Below(version, floor) }

// Withdrawn gives the digests of an app that some Bundle or Channel of a Repository knows under a version below the floor, and that
// version: another name makes no other artifact of it. What a Bundle says counts once its artifact is stored: until then anybody
// could call anything old.
func Withdrawn(floor string, app otav1alpha1.AppID, repository string, known Known) map[string]string {
	out := low{floor: floor, versions: map[string]string{}}
	if floor == "" {
		return nil
	}
	for i := range known.Bundles {
		spec := &known.Bundles[i].Spec
		if spec.App == app && RepositoryName(spec.RepositoryRef) == repository && known.Bundles[i].Status.Artifact != nil {
			out.note(spec.Digest, spec.Version)
		}
	}
	for i := range known.Channels {
		if spec := &known.Channels[i].Spec; spec.App == app && RepositoryName(spec.RepositoryRef) == repository {
			out.channel(&known.Channels[i])
		}
	}
	return out.versions
}

// low collects versions below a floor, by digest.
type low struct {
	floor    string
	versions map[string]string
}

// note takes a version in. None, where a refusal outlived its Bundle, says nothing.
func (l low) note(digest otav1alpha1.Digest, version otav1alpha1.Version) {
	if version != "" && Below(string(version), l.floor) {
		l.versions[string(digest)] = string(version)
	}
}

// channel takes in what a Channel's status says that devices see, saw, or are to leave.
func (l low) channel(ch *otav1alpha1.Channel) {
	st := &ch.Status
	if st.Stable != nil {
		l.note(st.Stable.Digest, st.Stable.Version)
	}
	if st.Candidate != nil {
		l.note(st.Candidate.Digest, st.Candidate.Version)
	}
	for _, h := range st.History {
		l.note(h.Digest, h.Version)
	}
	for _, r := range st.Refused {
		l.note(r.Digest, r.Version)
	}
}

// withOwn adds what the channel itself has published, which its status may not say yet.
func (f Facts) withOwn() Facts {
	own := low{floor: f.LeastVersion, versions: map[string]string{}}
	maps.Copy(own.versions, f.Withdrawn)
	own.channel(f.Channel)
	if f.Committed != nil {
		for _, b := range f.Committed.Bundles() {
			own.note(otav1alpha1.Digest(b.Digest), otav1alpha1.Version(b.Version))
		}
		for _, r := range f.Committed.Refused {
			own.note(otav1alpha1.Digest(r.Digest), otav1alpha1.Version(r.Version))
		}
	}
	f.Withdrawn = own.versions
	return f
}

// low says why an artifact is below the Repository's floor; empty: it is not.
func (f Facts) low(digest, version string) string {
	return belowRepositoryFloor(digest, version, f.LeastVersion, f.Withdrawn)
}

// belowRepositoryFloor says why an artifact is below a floor, by the version that it has now or by one that it is known under.
func belowRepositoryFloor(digest, version, floor string, withdrawn map[string]string) string {
	if known := withdrawn[digest]; known != "" && known != version {
		return fmt.Sprintf("the same artifact is known as version %s, and %s", known, belowReason(known, floor))
	}
	if version != "" && Below(version, floor) {
		return belowReason(version, floor)
	}
	return ""
}

func belowReason(version, floor string) string {
	return fmt.Sprintf("version %s is below the floor %s of the Repository, withdrawn for security", version, floor)
}
