// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package testkit

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
)

// App is the app of all objects that this package builds.
const App = "com.example.shop"

// FromYAML reads one object, with unknown fields refused.
func FromYAML[T any](tb testing.TB, text string) *T {
	tb.Helper()
	out := new(T)
	if err := yaml.UnmarshalStrict([]byte(text), out); err != nil {
		tb.Fatalf("read YAML: %v\n%s", err, text)
	}
	return out
}

// Create creates objects in order and fails the test when the API server refuses one.
func (e *Env) Create(tb testing.TB, objs ...client.Object) {
	tb.Helper()
	for _, obj := range objs {
		if err := e.Client.Create(tb.Context(), obj); err != nil {
			tb.Fatalf("create %T %s: %v", obj, obj.GetName(), err)
		}
	}
}

func (e *Env) meta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: e.Namespace, Name: name}
}

// Repository builds one over a bucket, named default, that trusts authors under the names ci, ci-2, ... Its Secret with the
// bucket's credentials is Credentials.
func (e *Env) Repository(b *Bucket, authors ...*Author) *otav1alpha1.Repository {
	authorities := make([]otav1alpha1.Authority, 0, len(authors))
	for _, a := range authors {
		authorities = append(authorities, otav1alpha1.Authority{
			Name: a.Name, PublicKey: &otav1alpha1.PublicKeySource{Inline: a.PublicPEM()},
		})
	}
	return &otav1alpha1.Repository{
		ObjectMeta: e.meta(otav1alpha1.DefaultRepository),
		Spec: otav1alpha1.RepositorySpec{
			Storage: otav1alpha1.StorageSpec{
				Endpoint: b.Endpoint, Insecure: otav1alpha1.InsecureAllowed, Bucket: b.Name, Prefix: "mobile",
				CredentialsSecretRef: &otav1alpha1.LocalReference{Name: bucketSecret},
			},
			Trust: otav1alpha1.TrustSpec{Authorities: authorities},
		},
	}
}

const bucketSecret = "bucket"

// Credentials builds the Secret that Repository refers to.
func (e *Env) Credentials(b *Bucket) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: e.meta(bucketSecret), StringData: map[string]string{
		"accessKeyID": b.AccessKeyID, "secretAccessKey": b.SecretAccessKey,
	}}
}

// Bundle builds one of App from an artifact.
func (e *Env) Bundle(name, version string, a *Artifact) *otav1alpha1.Bundle {
	signatures := make([]otav1alpha1.SignatureSource, 0, len(a.Signatures))
	for _, s := range a.Signatures {
		signatures = append(signatures, otav1alpha1.SignatureSource{Inline: s})
	}
	return &otav1alpha1.Bundle{
		ObjectMeta: e.meta(name),
		Spec: otav1alpha1.BundleSpec{
			App: App, Version: otav1alpha1.Version(version), Digest: otav1alpha1.Digest(a.Digest),
			Source:     otav1alpha1.BundleSource{HTTP: &otav1alpha1.HTTPSource{URL: otav1alpha1.URL(a.URL)}},
			Signatures: signatures,
		},
	}
}

// Channel builds one of App without any restriction: a release may begin with all devices.
func (e *Env) Channel(name string) *otav1alpha1.Channel {
	return &otav1alpha1.Channel{ObjectMeta: e.meta(name), Spec: otav1alpha1.ChannelSpec{App: App, MaxFirstWeight: "100"}}
}

// Rollout builds one that releases a bundle on a channel through steps.
func (e *Env) Rollout(name, channel, bundle string, steps ...otav1alpha1.Step) *otav1alpha1.Rollout {
	return &otav1alpha1.Rollout{ObjectMeta: e.meta(name), Spec: otav1alpha1.RolloutSpec{
		ChannelRef: otav1alpha1.LocalReference{Name: channel},
		BundleRef:  otav1alpha1.LocalReference{Name: bundle},
		Steps:      steps,
	}}
}

// SetWeight is a step to a percentage, an integer as an int or another number as a string.
func SetWeight[P int | string](percent P) otav1alpha1.Step {
	var v intstr.IntOrString
	switch p := any(percent).(type) {
	case int:
		v = intstr.FromInt32(int32(p))
	case string:
		v = intstr.FromString(p)
	}
	return otav1alpha1.Step{SetWeight: &v}
}

// Pause is a step that holds until a person promotes.
func Pause() otav1alpha1.Step { return otav1alpha1.Step{Pause: &otav1alpha1.PauseStep{}} }

// PauseFor is a step that holds for a duration, such as 2s, and until a number of devices reported; zero means any.
func PauseFor(duration string, minSamples int32) otav1alpha1.Step {
	p := &otav1alpha1.PauseStep{Duration: otav1alpha1.Duration(duration)}
	if minSamples > 0 {
		p.MinSamples = &minSamples
	}
	return otav1alpha1.Step{Pause: p}
}

func objectsOf(tb testing.TB, list client.ObjectList) []client.Object {
	tb.Helper()
	var out []client.Object
	items, err := apimeta.ExtractList(list)
	if err != nil {
		tb.Errorf("read %T: %v", list, err)
	}
	for _, item := range items {
		if obj, ok := item.(client.Object); ok {
			out = append(out, obj)
		}
	}
	return out
}
