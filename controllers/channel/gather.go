// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package channel

import (
	"context"
	"fmt"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/index"
	"github.com/windlass-dev/windlass/internal/kit"
	"github.com/windlass-dev/windlass/internal/serve"
)

// repository finds the Repository and its publisher.
func (r *Reconciler) repository(ctx context.Context, s *scope) (time.Duration, error) {
	name := serve.RepositoryName(s.channel.Spec.RepositoryRef)
	repo, err := kit.Find(ctx, r.Client, client.ObjectKey{Namespace: s.channel.Namespace, Name: name}, &otav1alpha1.Repository{})
	switch {
	case err != nil:
		return 0, err
	case repo == nil:
		return 0, kit.Wait(otav1alpha1.RepositoryNotFoundReason, 0, "Repository %s does not exist yet", name)
	}
	publisher, ok := r.Publishers.For(client.ObjectKeyFromObject(repo))
	if !ok {
		return 0, kit.Wait(otav1alpha1.RepositoryNotReadyReason, 0, "Repository %s cannot publish yet", name)
	}
	s.repository, s.publisher = repo, publisher
	if c, ok := publisher.Committed(string(s.channel.Spec.App), s.channel.Name); ok {
		s.committed = &c
	}
	return 0, nil
}

// gather collects the facts of the next document. Everything comes from the cache and from the publisher's memory.
func (r *Reconciler) gather(ctx context.Context, s *scope) (time.Duration, error) {
	f := serve.Facts{
		Channel: s.channel, Repository: s.repository, LeastVersion: s.publisher.Floor(string(s.channel.Spec.App)), Authorities: s.repository.Spec.Trust.Authorities, Now: r.Wall(),
	}
	if s.committed != nil {
		f.Committed = s.committed.Document
	}
	if d := s.repository.Spec.Delivery; d != nil {
		f.PublicURL = string(d.PublicURL)
	}
	var rollouts otav1alpha1.RolloutList
	if err := r.Client.List(ctx, &rollouts, client.InNamespace(s.channel.Namespace),
		client.MatchingFields{index.RolloutChannel: s.channel.Name}); err != nil {
		return 0, fmt.Errorf("list Rollouts of the channel: %w", err)
	}
	f.Rollouts = rollouts.Items
	var err error
	if f.Bundles, err = r.bundles(ctx, s, f); err != nil {
		return 0, err
	}
	if err = r.explain(ctx, s, f); err != nil {
		return 0, err
	}
	if f.Floor, err = r.floor(ctx, s); err != nil {
		return 0, err
	}
	if f.Withdrawn, err = r.withdrawn(ctx, s, f.LeastVersion); err != nil {
		return 0, err
	}
	if a := s.channel.Spec.Admission; a != nil && a.PromotedFrom != nil {
		if f.Upstream, err = kit.Find(ctx, r.Client, client.ObjectKey{Namespace: s.channel.Namespace, Name: a.PromotedFrom.Name}, &otav1alpha1.Channel{}); err != nil {
			return 0, err
		}
	}
	s.facts = f
	return 0, nil
}

// withdrawn finds the artifacts below the Repository's floor, whatever they are called now.
func (r *Reconciler) withdrawn(ctx context.Context, s *scope, floor string) (map[string]string, error) {
	if floor == "" {
		return nil, nil
	}
	app := s.channel.Spec.App
	bundles, channels, err := index.OfApp(ctx, r.Client, s.channel.Namespace, app)
	return serve.Withdrawn(floor, app, s.repository.Name, serve.Known{Bundles: bundles, Channels: channels}), err
}

// bundles reads the Bundles that assignments, the committed document, the history and people name.
func (r *Reconciler) bundles(ctx context.Context, s *scope, f serve.Facts) (map[string]*otav1alpha1.Bundle, error) {
	names := map[string]bool{}
	for _, ro := range f.Rollouts {
		if a := ro.Status.Assignment; a != nil {
			names[a.Bundle] = true
		}
	}
	if f.Committed != nil {
		for _, b := range f.Committed.Bundles() {
			names[b.Name] = true
		}
	}
	for _, h := range s.channel.Status.History {
		names[h.Bundle] = true
	}
	for _, name := range serve.Wanted(s.channel, f.Rollouts) {
		names[name] = true
	}
	out := map[string]*otav1alpha1.Bundle{}
	for name := range names {
		b, err := kit.Find(ctx, r.Client, client.ObjectKey{Namespace: s.channel.Namespace, Name: name}, &otav1alpha1.Bundle{})
		if err != nil {
			return nil, err
		}
		if b != nil {
			out[name] = b
		}
	}
	return out, nil
}

// explain adds the Bundles of digests that a commit has just refused: they may be the reason, and nothing else names them any more.
func (r *Reconciler) explain(ctx context.Context, s *scope, f serve.Facts) error {
	fresh := map[otav1alpha1.Digest]bool{}
	if f.Committed != nil {
		for _, x := range f.Committed.Refused {
			fresh[otav1alpha1.Digest(x.Digest)] = true
		}
	}
	for _, x := range s.channel.Status.Refused {
		delete(fresh, x.Digest)
	}
	if len(fresh) == 0 {
		return nil
	}
	all, err := r.ofApp(ctx, s)
	for i := range all {
		if fresh[all[i].Spec.Digest] {
			f.Bundles[all[i].Name] = &all[i]
		}
	}
	return err
}

func (r *Reconciler) ofApp(ctx context.Context, s *scope) ([]otav1alpha1.Bundle, error) {
	var list otav1alpha1.BundleList
	if err := r.Client.List(ctx, &list, client.InNamespace(s.channel.Namespace),
		client.MatchingFields{index.BundleApp: string(s.channel.Spec.App)}); err != nil {
		return nil, fmt.Errorf("list Bundles of the app: %w", err)
	}
	return list.Items, nil
}

// floor finds the Bundle of the version that guards.floor names. Nil: there is none that can be served.
func (r *Reconciler) floor(ctx context.Context, s *scope) (*otav1alpha1.Bundle, error) {
	g := s.channel.Spec.Guards
	if g == nil || g.Floor == "" {
		return nil, nil
	}
	all, err := r.ofApp(ctx, s)
	if err != nil {
		return nil, err
	}
	for i := range all {
		b := &all[i]
		if b.Spec.Version != g.Floor || serve.RepositoryName(b.Spec.RepositoryRef) != s.repository.Name {
			continue
		}
		if ok, _ := serve.Trusted(b); ok {
			return b, nil
		}
	}
	return nil, nil
}
