// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package publish is the writer of a Repository: one TUF repository in a bucket, with one delegated role per channel.
//
// # Layout
//
// All names are below the Repository's prefix (TUF specification 1.0.31, consistent snapshots).
//
//	metadata/timestamp.json                              the only object that changes; replacing it is the commit
//	metadata/<N>.snapshot.json                           versions of all roles
//	metadata/<N>.targets.json                            delegations only, no targets of its own
//	metadata/<N>.<app>.<channel>.json                    a channel's role: its release document and the artifacts it refers to
//	metadata/<N>.root.json                               root of trust; N grows by one
//	targets/channels/<app>/<sha256>.<channel>.json       release document (internal/release)
//	targets/bundles/<app>/<sha256>.<version>.<ext>       artifact
//
// The TUF target paths are channels/<app>/<channel>.json and bundles/<app>/<version>.<ext>. A channel's role may sign
// its own document and the bundles of its app. It is not terminating: another channel of the app may be the one that lists
// a bundle. Clients look for a bundle in the role of the channel that they follow, because a stock client that walks all
// delegations gives up after 32 roles.
//
// # Commits
//
// All submissions of some milliseconds become one commit. Its version N is one more than any version that the bucket or the
// Repository's status has seen, and all of its metadata carries it: the changed roles, snapshot and timestamp. So a version is
// never used twice, an aborted commit leaves only objects that nothing refers to, and gaps are normal. Everything is
// put first, then read back and verified as a client would, and then timestamp.json is replaced by compare-and-swap.
//
// Snapshots say which commit they followed (field x-windlass-previous), so that garbage collection can tell what
// devices with an older, unexpired timestamp may still ask for.
//
// A removed channel leaves an empty role behind: TUF clients refuse a snapshot that forgets a role.
package publish
