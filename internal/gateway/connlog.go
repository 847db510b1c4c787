// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"log"
	"log/slog"
	"regexp"
	"strings"
)

// address is that of a client, as net/http and the net package write it.
var address = regexp.MustCompile(`(\d{1,3}(\.\d{1,3}){3}|\[[0-9a-fA-F:.]+(%\w+)?\])(:\d+)?`)

// connections logs what net/http says of connections, such as failed handshakes, without the addresses of clients.
type connections struct{ log *slog.Logger }

func (c connections) Write(p []byte) (int, error) {
	c.log.Debug("Connection failed", "error", address.ReplaceAllLiteralString(strings.TrimSpace(string(p)), "a client"))
	return len(p), nil
}

func connectionLog(l *slog.Logger) *log.Logger { return log.New(connections{l}, "", 0) }
