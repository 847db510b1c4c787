// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
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
