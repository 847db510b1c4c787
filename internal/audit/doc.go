// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package audit is the log of a Repository: every decision and every command, one record each, chained by hashes so that
// removing or changing any of them shows.
//
// # Layout
//
// A record is an object of its own below the Repository's prefix, audit/<sequence, 12 digits>.json, put only if there is none of
// this name, and never replaced. Sequences count from 1. The object is one line of JSON with a line feed at its end, and its
// SHA-256 is the hash of the record; the next record has it as "previous". So `cat audit/*.json` is the log as a file, and
// `sha256sum` verifies it.
//
// # Who writes
//
// A transition is decided in a status write, and the same write puts it into status.unrecorded with an id (Append). After it, and
// at every later pass, the controller submits what waits there (Outbox); the log appends what it does not have, and wakes the
// object, whose next write drops what the log has. So a manager that is killed at any instruction loses no record and writes
// none twice.
package audit
