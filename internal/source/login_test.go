// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package source_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/windlass-dev/windlass/internal/source"
)

func TestParseDockerConfig(t *testing.T) {
	const auth = "Y2k6czNjcjN0" // ci:s3cr3t
	login := source.Login{Username: "ci", Password: secretText}
	for name, tc := range map[string]struct {
		text, registry string
		want           source.Login
		err            string
	}{
		"auth":              {`{"auths":{"a.example":{"auth":"` + auth + `"}}}`, "a.example", login, ""},
		"user and password": {`{"auths":{"a.example":{"username":"ci","password":"s3cr3t"}}}`, "a.example", login, ""},
		"both":              {`{"auths":{"a.example":{"username":"x","password":"y","auth":"` + auth + `"}}}`, "a.example", login, ""},
		"identity token":    {`{"auths":{"a.example":{"identitytoken":"s3cr3t"}}}`, "a.example", source.Login{IdentityToken: secretText}, ""},
		"URL":               {`{"auths":{"https://a.example/v2/":{"auth":"` + auth + `"}}}`, "a.example", login, ""},
		"case":              {`{"auths":{"A.example":{"auth":"` + auth + `"}}}`, "a.EXAMPLE", login, ""},
		"port":              {`{"auths":{"a.example:5000":{"auth":"` + auth + `"},"a.example":{"auth":"eDp5"}}}`, "a.example:5000", login, ""},
		"Docker Hub":        {`{"auths":{"https://index.docker.io/v1/":{"auth":"` + auth + `"}}}`, "docker.io", login, ""},
		"twice the same":    {`{"auths":{"https://a.example":{"auth":"` + auth + `"},"a.example":{"auth":"` + auth + `"}}}`, "a.example", login, ""},
		"colon in password": {`{"auths":{"a.example":{"auth":"Y2k6YTpi"}}}`, "a.example", source.Login{Username: "ci", Password: "a:b"}, ""},

		"other":           {`{"auths":{"b.example":{"auth":"` + auth + `"}}}`, "a.example", source.Login{}, "no entry for a.example"},
		"other port":      {`{"auths":{"a.example":{"auth":"` + auth + `"}}}`, "a.example:5000", source.Login{}, "no entry for a.example:5000"},
		"longer name":     {`{"auths":{"a.example.evil":{"auth":"` + auth + `"}}}`, "a.example", source.Login{}, "no entry"},
		"below a path":    {`{"auths":{"a.example/shop":{"auth":"` + auth + `"}}}`, "a.example", source.Login{}, "no entry"},
		"two for one":     {`{"auths":{"https://a.example":{"auth":"` + auth + `"},"a.example":{"auth":"eDp5"}}}`, "a.example", source.Login{}, "several entries"},
		"kept elsewhere":  {`{"auths":{"a.example":{}},"credsStore":"desktop"}`, "a.example", source.Login{}, "is empty"},
		"no password":     {`{"auths":{"a.example":{"username":"s3cr3t"}}}`, "a.example", source.Login{}, "is empty"},
		"not base64":      {`{"auths":{"a.example":{"auth":"s3cr3t!"}}}`, "a.example", source.Login{}, "not base64"},
		"no colon":        {`{"auths":{"a.example":{"auth":"czNjcjN0"}}}`, "a.example", source.Login{}, "username:password"},
		"empty":           {``, "a.example", source.Login{}, "no JSON"},
		"not an object":   {`"s3cr3t"`, "a.example", source.Login{}, "no JSON"},
		"old .dockercfg":  {`{"a.example":{"auth":"` + auth + `"}}`, "a.example", source.Login{}, "no entry"},
		"no registry":     {`{"auths":{"a.example":{"auth":"` + auth + `"}}}`, "", source.Login{}, "no entry"},
		"types are wrong": {`{"auths":{"a.example":{"auth":{"s3cr3t":1}}}}`, "a.example", source.Login{}, "no JSON"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := source.ParseDockerConfig([]byte(tc.text), tc.registry)
			switch {
			case got != tc.want || (err == nil) != (tc.err == ""):
				t.Errorf("got a login of %q and error %v", got.Username, err)
			case err != nil && !strings.Contains(err.Error(), tc.err):
				t.Errorf("got error %v, want %q", err, tc.err)
			case err != nil && strings.Contains(err.Error(), secretText):
				t.Errorf("the error gives a secret away: %v", err)
			}
		})
	}
}

func FuzzParseDockerConfig(f *testing.F) {
	f.Add([]byte(`{"auths":{"a.example":{"auth":"Y2k6czNjcjN0"}}}`), "a.example")
	f.Add([]byte(`{"auths":{"https://index.docker.io/v1/":{"username":"u","password":"p"}}}`), "docker.io")
	f.Fuzz(func(t *testing.T, data []byte, registry string) {
		login, err := source.ParseDockerConfig(data, registry)
		if err != nil {
			if login != (source.Login{}) {
				t.Error("an error comes with a login")
			}
			return
		}
		if login.IdentityToken == "" && (login.Username == "" || login.Password == "") {
			t.Error("a login is empty without an error")
		}
		// What is found is found again in a Secret that has nothing but it.
		raw, _ := json.Marshal(map[string]any{"auths": map[string]any{registry: map[string]string{
			"username": login.Username, "password": login.Password, "identitytoken": login.IdentityToken,
		}}})
		if again, err := source.ParseDockerConfig(raw, registry); err != nil || (again != login && strings.ToValidUTF8(login.Password+login.Username+login.IdentityToken, "") == login.Password+login.Username+login.IdentityToken) {
			t.Errorf("got another login again, %v", err)
		}
	})
}

func FuzzOCI_reference(f *testing.F) {
	digest := "@sha256:" + strings.Repeat("0", 64)
	for _, s := range []string{"a.example/b", "a.example:5000/b/c:1.0", "[::1]:5000/b", "127.0.0.1/b", "a.example@/b", "//b", "a.example/B"} {
		f.Add(s + digest)
	}
	f.Fuzz(func(t *testing.T, image string) {
		registry := source.OCI{Image: image}.Registry()
		if registry == "" {
			return
		}
		if !strings.HasPrefix(image, registry+"/") || !strings.Contains(image, "@sha256:") {
			t.Errorf("%q has the registry %q", image, registry)
		}
		if strings.ContainsAny(registry, "@/?# ") {
			t.Errorf("the registry of %q is %q", image, registry)
		}
	})
}
