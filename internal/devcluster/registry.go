// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package devcluster

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/crypto/bcrypt"
)

// Registry is a running container registry of the CNCF (distribution). It speaks HTTP without TLS.
type Registry struct {
	*Process
	Host string // 127.0.0.1:<port>, as images begin with it
}

// StartRegistry starts a container registry that keeps its images and log below dir. With users, given as names and passwords,
// it lets only them in.
func StartRegistry(ctx context.Context, dir string, users map[string]string) (*Registry, error) {
	path, err := Binary(ctx, "registry")
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("start registry: %w", err)
	}
	for attempt := 1; ; attempt++ {
		r, err := startRegistry(ctx, path, dir, users)
		if err == nil || attempt == startAttempts || ctx.Err() != nil {
			return r, err
		}
	}
}

func startRegistry(ctx context.Context, path, dir string, users map[string]string) (*Registry, error) {
	port, err := FreePort()
	if err != nil {
		return nil, err
	}
	r := &Registry{Host: "127.0.0.1:" + strconv.Itoa(port)}
	config, err := writeRegistryConfig(dir, r.Host, users)
	if err != nil {
		return nil, fmt.Errorf("start registry: %w", err)
	}
	r.Process, err = StartProcess(ctx, Command{
		Name: "registry", Path: path, Dir: dir, Args: []string{"serve", config},
		Env:   []string{"OTEL_TRACES_EXPORTER=none"},
		Ready: r.answers,
	})
	if err != nil {
		return nil, err
	}
	return r, nil
}

// writeRegistryConfig writes the configuration as JSON, which is YAML as well, and the file of users.
func writeRegistryConfig(dir, address string, users map[string]string) (string, error) {
	type object = map[string]any
	config := object{
		"version": "0.1",
		"log":     object{"level": "warn"},
		"storage": object{"filesystem": object{"rootdirectory": filepath.Join(dir, "images")}, "delete": object{"enabled": true}},
		"http":    object{"addr": address},
	}
	if len(users) > 0 {
		var lines strings.Builder
		for name, password := range users {
			hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
			if err != nil {
				return "", err
			}
			fmt.Fprintf(&lines, "%s:%s\n", name, hash)
		}
		file := filepath.Join(dir, "htpasswd")
		if err := os.WriteFile(file, []byte(lines.String()), 0o600); err != nil {
			return "", err
		}
		config["auth"] = object{"htpasswd": object{"realm": "dev", "path": file}}
	}
	raw, err := json.Marshal(config)
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "registry.yml")
	return path, os.WriteFile(path, raw, 0o600)
}

// answers is nil when the registry answers at all; to be asked for a password is answer enough.
func (r *Registry) answers(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.Host+"/v2/", http.NoBody)
	if err != nil {
		return err
	}
	res, err := probeClient.Do(req)
	if err != nil {
		return err
	}
	return res.Body.Close()
}
