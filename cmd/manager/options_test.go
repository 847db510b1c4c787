// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/netip"
	"strings"
	"testing"
)

func TestGatewayFlags(t *testing.T) {
	t.Parallel()
	o, err := parseOptions(strings.Fields("--gateway-url dns+http://gateway-internal:8081 --gateway-url=http://10.0.0.7:8081/ --gateway-token-file=t"))
	if err != nil || o.gatewayURLs.String() != "dns+http://gateway-internal:8081,http://10.0.0.7:8081" {
		t.Errorf("got %s, %v", o.gatewayURLs.String(), err)
	}
	for want, args := range map[string]string{
		"expected a URL such as http://10.0.0.7:8081, or dns+http://": "--gateway-url=gateway:8081 --gateway-token-file=t",
		"--gateway-url needs --gateway-token-file":                    "--gateway-url=dns+http://gateway:8081",
	} {
		if _, err := parseOptions(strings.Fields(args)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", args, err, want)
		}
	}
}

func TestAddressFlags(t *testing.T) {
	t.Parallel()
	o, err := parseOptions(strings.Fields("--allow-address 10.0.0.0/8 --allow-address=minio.storage.svc:9000"))
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]bool{"10.1.2.3:80": true, "192.168.1.1:80": false} {
		if err := o.allowed.policy.Check("metrics.example", netip.MustParseAddrPort(host)); (err == nil) != want {
			t.Errorf("%s: got %v, want allowed %v", host, err, want)
		}
	}
	if err := o.allowed.policy.Check("minio.storage.svc", netip.MustParseAddrPort("192.168.1.1:9000")); err != nil {
		t.Errorf("the name is not allowed: %v", err)
	}
	if _, err := parseOptions([]string{"--allow-address=*.example"}); err == nil || !strings.Contains(err.Error(), "expected an address such as") {
		t.Errorf("got %v, want to hear of what is expected", err)
	}
}

func TestMetricsFlags(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		args             string
		secure, filtered bool
		certs            string
	}{
		"as they are":            {"", true, true, ""},
		"a certificate":          {"--metrics-cert-dir=/certs", true, true, "/certs"},
		"without rights for it":  {"--metrics-auth=false", true, false, ""},
		"without TLS, so no one": {"--metrics-secure=false", false, false, ""},
	} {
		o, err := parseOptions(strings.Fields(tc.args))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got := managerOptions(o).Metrics
		if got.SecureServing != tc.secure || (got.FilterProvider != nil) != tc.filtered || got.CertDir != tc.certs {
			t.Errorf("%s: got %+v", name, got)
		}
	}
	if _, err := parseOptions(strings.Fields("--metrics-secure=false --metrics-cert-dir=/certs")); err == nil {
		t.Error("a certificate without TLS is taken")
	}
}
