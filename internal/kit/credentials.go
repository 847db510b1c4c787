// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package kit

import (
	"net/url"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
)

// HostsAnnotation of a Secret lists the web servers that may be shown what is in it: host or host:port as in the URL, in lower
// case, separated by commas. Who writes Bundles and Rollouts chooses the server, and may not be allowed to read Secrets.
const HostsAnnotation = "ota.windlass.dev/hosts"

// identities are types of Secrets that let their holder be somebody in the cluster. No web server is shown one.
var identities = []corev1.SecretType{corev1.SecretTypeServiceAccountToken, corev1.SecretTypeBootstrapToken}

// MayBeShown tells why a Secret is not sent to the server of a URL: its owner must have named that server.
func MayBeShown(secret *corev1.Secret, to string) error {
	if slices.Contains(identities, secret.Type) {
		return Retry(otav1alpha1.CredentialsNotAllowedReason, "Secret %s is of type %s, which is sent to no web server: "+
			"expected a Secret of type Opaque with the credentials for this server alone", secret.Name, secret.Type)
	}
	u, err := url.Parse(to)
	if err != nil || u.Host == "" {
		return Stall(otav1alpha1.InvalidSpecReason, "the URL cannot be read: expected an absolute http or https URL")
	}
	host := strings.ToLower(u.Host)
	for listed := range strings.SplitSeq(secret.Annotations[HostsAnnotation], ",") {
		if strings.TrimSpace(listed) == host {
			return nil
		}
	}
	return Retry(otav1alpha1.CredentialsNotAllowedReason, "Secret %s is not for %s: its annotation %s is %.200q, expected %s in it; "+
		"whoever may change the Secret allows it with kubectl annotate --overwrite secret %s %s=%s (more hosts: separated by commas)",
		secret.Name, host, HostsAnnotation, secret.Annotations[HostsAnnotation], host, secret.Name, HostsAnnotation, host)
}
