// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package ledger remembers what devices were offered and how it went: one device, one vote for a bundle, in the arm that it
// was assigned to. Checks and reports go through a bounded queue to an SQL database, in batches; nothing on a request's path
// waits for it.
package ledger
