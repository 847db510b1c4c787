// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package kit

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
)

// Who writes a Bundle does not choose which Secrets leave the namespace, nor where to.
func TestMayBeShown(t *testing.T) {
	for name, tc := range map[string]struct {
		kind  corev1.SecretType
		hosts string
		url   string
		want  string // of the refusal; empty: it is sent
	}{
		"named":           {"", "ci.example.com", "https://ci.example.com/a.zip", ""},
		"named with port": {"", "ci.example.com:8443", "https://ci.example.com:8443/a.zip", ""},
		"one of three":    {corev1.SecretTypeBasicAuth, "a.example, ci.example.com ,b.example", "https://ci.example.com/", ""},
		"URL in capitals": {"", "ci.example.com", "https://CI.example.com/", ""},
		"address":         {"", "[2001:db8::1]:8443", "https://[2001:db8::1]:8443/", ""},

		"nothing named":     {"", "", "https://ci.example.com/", `is "", expected ci.example.com in it`},
		"another":           {"", "ci.example.com", "https://evil.example/", "ota.windlass.dev/hosts=evil.example"},
		"another port":      {"", "ci.example.com", "https://ci.example.com:8443/", "expected ci.example.com:8443"},
		"below it":          {"", "example.com", "https://ci.example.com/", "expected ci.example.com"},
		"above it":          {"", "ci.example.com", "https://example.com/", "expected example.com"},
		"as a beginning":    {"", "ci.example.com", "https://ci.example.com.evil.example/", "expected ci.example.com.evil.example"},
		"dot at the end":    {"", "ci.example.com", "https://ci.example.com./", "expected ci.example.com."},
		"user of this name": {"", "ci.example.com", "https://ci.example.com@evil.example/", "expected evil.example"},
		"star":              {"", "*", "https://ci.example.com/", "expected ci.example.com"},
		"named in capitals": {"", "CI.example.com", "https://ci.example.com/", "expected ci.example.com"},
		"no host":           {"", ",", "https:///a.zip", "cannot be read"},
		"service account":   {corev1.SecretTypeServiceAccountToken, "ci.example.com", "https://ci.example.com/", "kubernetes.io/service-account-token, which is sent to no web server"},
		"bootstrap token":   {corev1.SecretTypeBootstrapToken, "ci.example.com", "https://ci.example.com/", "bootstrap.kubernetes.io/token, which is sent to no web server"},
	} {
		t.Run(name, func(t *testing.T) {
			secret := &corev1.Secret{Type: tc.kind, ObjectMeta: metav1.ObjectMeta{Name: "ci", Annotations: map[string]string{HostsAnnotation: tc.hosts}}}
			err := MayBeShown(secret, tc.url)
			if (tc.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("got error %v, want %q", err, tc.want)
			}
			if reason := Classify(err).Reason; tc.want != "" && tc.want != "cannot be read" && reason != otav1alpha1.CredentialsNotAllowedReason {
				t.Errorf("got reason %s, want %s", reason, otav1alpha1.CredentialsNotAllowedReason)
			}
		})
	}
}
