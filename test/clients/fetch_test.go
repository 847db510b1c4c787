// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package clients runs Capgo clients that nobody here wrote against a real gateway: the command line tool, the updater for
// Electron and the Android plugin's own cryptography. They are fetched from npm when the tests run, at pinned versions whose
// content is pinned too, and are kept outside of the tree.
package clients

import "github.com/windlass-dev/windlass/internal/testkit/npm"

var (
	cliPackage = &npm.Package{
		Name: "@capgo/cli", Version: "8.68.1",
		Integrity: "sha512-/Pw1i6rIrzNeu3ptk+jVr9JxLqhZawMj51b0i3B0MWkVjTJNAq2t+rY+nDzAgH3n2zz+3dGqY62EZVfQK1M07g==",
	}
	electronPackage = &npm.Package{
		Name: "@capgo/electron-updater", Version: "0.0.6", Lock: "testdata/electron",
	}
	// The tag latest of the registry names an older publication: never follow it.
	pluginPackage = &npm.Package{
		Name: "@capgo/capacitor-updater", Version: "8.51.23",
		Integrity: "sha512-1vC/msh6eg/Wa7nYa7u1wMUQoxuQ9ZZk+bT0pewkrfFpyvDWJFtASL1tFVewLrI4n2gQM/ctZD5QCh7XXMOWnw==",
	}
)
