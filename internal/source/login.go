// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package source

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Login is what a registry is shown. The zero value: nothing, for public images.
type Login struct {
	Username      string
	Password      string
	IdentityToken string // to get other tokens by (OAuth 2); instead of Password
}

// dockerConfig is the part of Docker's config.json that Secrets of type kubernetes.io/dockerconfigjson hold.
type dockerConfig struct {
	Auths map[string]dockerAuth `json:"auths"`
}

type dockerAuth struct {
	Username      string `json:"username"`
	Password      string `json:"password"`
	Auth          string `json:"auth"` // base64 of username:password
	IdentityToken string `json:"identitytoken"`
}

// ParseDockerConfig finds the login for a registry, such as registry.example.com:5000, in the text of .dockerconfigjson. Entries
// with a path below the registry, and programs that keep credentials, are not supported. Errors have nothing of the text in them.
func ParseDockerConfig(data []byte, registry string) (Login, error) {
	var config dockerConfig
	if err := json.Unmarshal(data, &config); err != nil {
		return Login{}, errors.New("the pull secret is no JSON of Docker: expected an object with auths, as kubectl create secret docker-registry makes it")
	}
	want := registryKey(registry)
	var found []Login
	for key, entry := range config.Auths {
		if registryKey(key) != want {
			continue
		}
		login, err := entry.login()
		if err != nil {
			return Login{}, fmt.Errorf("the entry of the pull secret for %s %w", registry, err)
		}
		found = append(found, login)
	}
	switch {
	case len(found) == 0:
		return Login{}, fmt.Errorf("the pull secret has no entry for %s: expected one below auths with its name", registry)
	case len(found) == 2 && found[0] != found[1], len(found) > 2:
		return Login{}, fmt.Errorf("the pull secret has several entries for %s: expected one", registry)
	}
	return found[0], nil
}

func (a dockerAuth) login() (Login, error) {
	out := Login{Username: a.Username, Password: a.Password, IdentityToken: a.IdentityToken}
	if a.Auth != "" {
		raw, err := base64.StdEncoding.DecodeString(a.Auth)
		if err != nil {
			return Login{}, errors.New("has an auth that is not base64")
		}
		name, password, ok := strings.Cut(string(raw), ":")
		if !ok {
			return Login{}, errors.New("has an auth that is not the base64 of username:password")
		}
		out.Username, out.Password = name, strings.Trim(password, "\x00") // as Docker does
	}
	if out.IdentityToken == "" && (out.Username == "" || out.Password == "") {
		return Login{}, errors.New("is empty: expected auth, or username and password")
	}
	return out, nil
}

// dockerHub is how the oldest registry is called in images, in logins and by its server.
var dockerHub = map[string]bool{"docker.io": true, "index.docker.io": true, "registry-1.docker.io": true}

// registryKey is the name of a registry as logins are compared by it.
func registryKey(name string) string {
	name = strings.TrimPrefix(strings.TrimPrefix(name, "https://"), "http://")
	for _, end := range []string{"/", "/v1", "/v2"} {
		name = strings.TrimSuffix(name, end)
	}
	name = strings.ToLower(name)
	if dockerHub[name] {
		return "docker.io"
	}
	return name
}
