// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"

	"github.com/windlass-dev/windlass/internal/artifact"
	"github.com/windlass-dev/windlass/internal/content"
)

// scanned is an artifact that was read as the operator reads it.
type scanned struct {
	measured
	artifact.Facts
	Report content.Report
}

// scan reads an artifact from its first byte. scanner may be nil.
func (a *app) scan(ctx context.Context, f *os.File, scanner *content.Scanner) (scanned, error) {
	info, err := f.Stat()
	if err != nil {
		return scanned{}, err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return scanned{}, err
	}
	var visit artifact.Visit
	if scanner != nil {
		visit = scanner.File
	}
	sum := sha256.New()
	facts, err := artifact.Scan(io.TeeReader(a.reader(ctx, "checked", f, info.Size()), sum), artifact.Limits{}, visit)
	if err != nil {
		return scanned{}, err
	}
	out := scanned{measured: measured{Digest: digestOf(sum.Sum(nil)), Size: info.Size()}, Facts: facts}
	if scanner != nil {
		out.Report = scanner.Report()
	}
	return out, nil
}

// inspectFile scans a file and looks into all that is in it.
func (a *app) inspectFile(ctx context.Context, path string) (scanned, error) {
	f, _, err := regular(path)
	if err != nil {
		return scanned{}, err
	}
	defer f.Close() //nolint:errcheck // only read
	out, err := a.scan(ctx, f, content.NewScanner())
	if err != nil {
		return scanned{}, fmt.Errorf("%s: %w", path, err)
	}
	return out, nil
}
