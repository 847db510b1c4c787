// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package devcluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// ErrNoRoot is returned by Root outside of the project's tree.
var ErrNoRoot = errors.New("no folder above has hack/bin.sh: run this inside the project's tree")

// Root is the top folder of the project's tree, found from the working directory upwards.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the project's tree: %w", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "hack", "bin.sh")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", ErrNoRoot
		}
		dir = parent
	}
}

// Binary gives the path of a program that hack/bin.sh knows, and builds it first when it is not in the cache: seconds for
// versitygw, minutes for kube-apiserver and prometheus. The name assets gives the folder with kube-apiserver and etcd.
func Binary(ctx context.Context, name string) (string, error) {
	root, err := Root()
	if err != nil {
		return "", err
	}
	var log strings.Builder
	cmd := exec.CommandContext(ctx, filepath.Join(root, "hack", "bin.sh"), name)
	cmd.Stderr = &log
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("hack/bin.sh %s: %w: %s", name, err, strings.TrimSpace(log.String()))
	}
	return strings.TrimSpace(string(out)), nil
}
