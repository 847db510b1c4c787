// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package notify

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/windlass-dev/windlass/internal/egress"
	"github.com/windlass-dev/windlass/internal/kit"
	"github.com/windlass-dev/windlass/internal/testkit"
)

// A key is given for the host that the Secret's owner has named, by TLS or where the operator allows plain HTTP; no error shows it.
func TestSecrets_key(t *testing.T) {
	allowed, err := egress.Parse([]string{"hooks.default.svc"})
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct{ url, hosts, key, want string }{
		"as it should be":    {"https://hooks.example.com/a", "hooks.example.com", secret, ""},
		"one of many":        {"https://hooks.example.com:8443/a", "a.example.com, hooks.example.com:8443", secret, ""},
		"plain, and allowed": {"http://hooks.default.svc/a", "hooks.default.svc", secret, ""},
		"plain":              {"http://hooks.example.com/a", "hooks.example.com", secret, "without TLS"},
		"another host":       {"https://evil.example.com/a", "hooks.example.com", secret, "is not for evil.example.com"},
		"another port":       {"https://hooks.example.com:8443/a", "hooks.example.com", secret, "is not for hooks.example.com:8443"},
		"no annotation":      {"https://hooks.example.com/a", "", secret, "is not for hooks.example.com"},
		"too short":          {"https://hooks.example.com/a", "hooks.example.com", "secret", "has 6 bytes"},
		"no URL":             {"https://%zz", "hooks.example.com", secret, "URL"},
	} {
		obj := &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: "mobile", Name: "hook", Annotations: map[string]string{kit.HostsAnnotation: tc.hosts}},
			Data:       map[string][]byte{"key": []byte(tc.key)},
		}
		s := Secrets{Live: fake.NewClientBuilder().WithScheme(testkit.Scheme(t)).WithObjects(obj).Build(), Egress: allowed}
		_, err := s.Key(t.Context(), types.NamespacedName{Namespace: "mobile", Name: "hook"}, tc.url)
		if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %v, want %q", name, err, tc.want)
		}
		if err != nil && strings.Contains(err.Error(), tc.key) && tc.key == secret {
			t.Errorf("%s: the error holds the key: %v", name, err)
		}
	}
	s := Secrets{Live: fake.NewClientBuilder().WithScheme(testkit.Scheme(t)).WithObjects(&corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "mobile", Name: "empty", Annotations: map[string]string{kit.HostsAnnotation: "h.example.com"}},
	}).Build()}
	for name, want := range map[string]string{"hook": "there is no Secret hook", "empty": "has no key named key"} {
		if _, err := s.Key(t.Context(), types.NamespacedName{Namespace: "mobile", Name: name}, "https://h.example.com"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", name, err, want)
		}
	}
}
