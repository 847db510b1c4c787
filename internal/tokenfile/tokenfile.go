// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package tokenfile reads the bearer token that the manager shows and gateways ask for. Both have the same file, mostly a Secret
// that is mounted, and read it each time: a new token counts at once.
package tokenfile

import (
	"bytes"
	"fmt"
	"os"
)

// minToken is the shortest token, in bytes: less can be guessed.
const minToken = 16

// Read reads a token file. White space around the token does not count.
func Read(path string) ([]byte, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read token file: %w", err)
	}
	token := bytes.TrimSpace(raw)
	if len(token) < minToken {
		return nil, fmt.Errorf("token file %s: expected a token of at least %d characters, got %d", path, minToken, len(token))
	}
	return token, nil
}
