// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/onsi/gomega"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/testkit"
)

const manyApps = 10

// With WINDLASS_CORPUS=full there are 200 bundles.
var (
	manyBundles = testkit.Sized(80, 200)
	// manyServed is how many of the bundles devices get, each on a channel of its own. All of them with WINDLASS_CORPUS=full.
	manyServed = testkit.Sized(20, 200)
	// manyCommits is far fewer than there are bundles. They lose their trust as fast as their statuses can be written,
	// and a commit takes along what has lost it by then.
	manyCommits = int64(manyBundles / 8)
)

// One edit of the Repository takes the trust from many bundles of ten apps. All that are served are withdrawn, in far fewer
// commits.
func TestTrust_manyLost(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.hurry()
	r.StartManager()
	p := r.place(t, "many")
	p.open()
	channels, bundles := p.many()
	served := len(channels)
	p.Logf("%d bundles are stable after %s", served, p.all(channels, bundles, func(ch *otav1alpha1.Channel, b *otav1alpha1.Bundle) bool {
		served := ch == nil || ch.Status.Stable != nil && ch.Status.Stable.Digest == b.Spec.Digest
		return served && apimeta.IsStatusConditionTrue(b.Status.Conditions, otav1alpha1.ReadyCondition)
	}))
	p.offers(channels[served-1], nil, bundles[served-1])

	before := p.metadataVersion()
	p.trust(p.byKey(p.lead), p.github())
	took := p.all(channels, bundles, func(ch *otav1alpha1.Channel, b *otav1alpha1.Bundle) bool {
		withdrawn := ch == nil || ch.Status.Stable == nil && refusal(ch, b) != nil && refusal(ch, b).By == "bundle/"+b.Name
		return withdrawn && apimeta.IsStatusConditionFalse(b.Status.Conditions, otav1alpha1.VerifiedCondition)
	})
	commits := p.metadataVersion() - before
	p.Logf("%d bundles lost their trust, and %d were withdrawn, in %s by %d commits", manyBundles, served, took, commits)
	if most := max(manyCommits, int64(served)/4); commits > most {
		p.Errorf("%d commits withdrew %d bundles, want at most %d", commits, served, most)
	}
	p.withdrawn(channels[0], bundles[0], nil, "bundle/"+bundles[0].Name, "authority ci was removed")
	p.withdrawn(channels[served-1], bundles[served-1], nil, "bundle/"+bundles[served-1].Name, "authority ci was removed")
}

// hurry lets the test itself ask the API server as often as it likes.
func (r *rig) hurry() {
	r.Helper()
	cfg := rest.CopyConfig(r.Config)
	cfg.QPS = -1
	var err error
	if r.Client, err = client.New(cfg, client.Options{Scheme: r.Scheme}); err != nil {
		r.Fatal(err)
	}
}

// many makes Bundles of several apps, and channels that serve as many of them as there are channels, from the first on.
func (p *place) many() (channels []*otav1alpha1.Channel, bundles []*otav1alpha1.Bundle) {
	p.Helper()
	for n := range manyBundles {
		b := p.bundle(n, p.www(n, nil), "ci")
		b.Spec.App = otav1alpha1.AppID(fmt.Sprintf("com.example.app%d", n%manyApps))
		p.Create(p.T, b)
		bundles = append(bundles, b)
		if n < manyServed {
			ch := p.Channel(fmt.Sprintf("%s-%d", p.Prefix, n))
			ch.Spec.RepositoryRef, ch.Spec.App = b.Spec.RepositoryRef, b.Spec.App
			p.Create(p.T, ch, p.Rollout(ch.Name, ch.Name, b.Name))
			channels = append(channels, ch)
		}
	}
	return channels, bundles
}

// all waits until something holds for each bundle and its channel, if it has one, however long that takes as long as it goes on.
func (p *place) all(channels []*otav1alpha1.Channel, bundles []*otav1alpha1.Bundle, holds func(*otav1alpha1.Channel, *otav1alpha1.Bundle) bool) time.Duration {
	p.Helper()
	begin := time.Now()
	for left := len(bundles); left > 0; {
		most := left
		gomega.NewWithT(p.T).Eventually(func(g gomega.Gomega) {
			p.list(g, channels, bundles)
			left = 0
			for n, b := range bundles {
				var ch *otav1alpha1.Channel
				if n < len(channels) {
					ch = channels[n]
				}
				if !holds(ch, b) {
					left++
				}
			}
			g.Expect(left).To(gomega.BeNumerically("<", most), "nothing goes on")
		}).WithTimeout(testkit.Timeout).WithPolling(5 * testkit.Interval).Should(gomega.Succeed())
	}
	return time.Since(begin).Round(time.Millisecond)
}

// list reads all channels and bundles in two requests.
func (p *place) list(g gomega.Gomega, channels []*otav1alpha1.Channel, bundles []*otav1alpha1.Bundle) {
	var cs otav1alpha1.ChannelList
	g.Expect(p.Client.List(p.Context(), &cs, client.InNamespace(p.Namespace))).To(gomega.Succeed())
	seen := map[string]*otav1alpha1.Channel{}
	for i := range cs.Items {
		seen[cs.Items[i].Name] = &cs.Items[i]
	}
	for _, ch := range channels {
		seen[ch.Name].DeepCopyInto(ch)
	}
	var bs otav1alpha1.BundleList
	g.Expect(p.Client.List(p.Context(), &bs, client.InNamespace(p.Namespace))).To(gomega.Succeed())
	known := map[string]*otav1alpha1.Bundle{}
	for i := range bs.Items {
		known[bs.Items[i].Name] = &bs.Items[i]
	}
	for _, b := range bundles {
		known[b.Name].DeepCopyInto(b)
	}
}

// metadataVersion is how often the Repository was committed.
func (p *place) metadataVersion() int64 {
	p.Helper()
	p.comes(p.repo, metav1.ConditionTrue, "")
	return p.repo.Status.Metadata.Version
}
