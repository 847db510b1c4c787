// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package notify tells receivers what happened in a Repository: one CloudEvent a record of the audit log, signed as Standard Webhooks
// says, posted in the order of the log (docs/notifications.md).
//
// What is delivered is remembered as the sequence of a record, in the Repository's status. A manager that is killed between a
// delivery and that write delivers the record again, with the same id; nothing else does. So receivers get each record at least
// once, and exactly once when they look at the id.
//
// Pure: NewEvent, Key. Edge: Poster, which makes one request, and Secrets. Dispatcher is what decides when.
package notify
