// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package content

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	mathrand "math/rand/v2"
	"strings"

	rules "github.com/windlass-dev/windlass/internal/content"
)

// Secret is a file with a secret in it, and the check that must find it. Leak is a part of the secret that no report may have.
type Secret struct {
	Name, Check, Path string
	Data              []byte
	Leak              string
}

// chars makes text of a kind, which is different for each name and always the same.
func chars(name, alphabet string, n int) string {
	seed := sha256.Sum256([]byte(name))
	r := mathrand.New(mathrand.NewChaCha8(seed))
	b := make([]byte, n)
	for i := range b {
		b[i] = alphabet[r.IntN(len(alphabet))]
	}
	return string(b)
}

const (
	upper   = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
	letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
)

// jwt makes a token that nobody signed.
func jwt(role string) string {
	enc := base64.RawURLEncoding.EncodeToString
	return enc([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + enc([]byte(`{"iss":"supabase","ref":"abcdefghijkl","role":"`+role+`","iat":1700000000}`)) +
		"." + chars(role, letters, 43)
}

// keys are private keys that are made when they are asked for.
func keys() []Secret {
	ed := ed25519.NewKeyFromSeed([]byte(chars("ed25519", letters, 32)))
	ec, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), []byte(chars("p256", letters, 32)))
	must(err)
	old, err := rsa.GenerateKey(rand.Reader, 2048) // the only thing here that is never the same
	must(err)
	der := func(key any) []byte {
		raw, err := x509.MarshalPKCS8PrivateKey(key)
		must(err)
		return raw
	}
	sec1, err := x509.MarshalECPrivateKey(ec)
	must(err)
	text := func(kind string, raw []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: raw}) }
	rsaPEM := text("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(old))
	return []Secret{
		{"PKCS #8 of RSA", rules.CheckPrivateKey, "certs/key.pem", text("PRIVATE KEY", der(old)), ""},
		{"PKCS #8 of ECDSA", rules.CheckPrivateKey, "key.txt", text("PRIVATE KEY", der(ec)), ""},
		{"PKCS #8 of Ed25519", rules.CheckPrivateKey, "key", text("PRIVATE KEY", der(ed)), ""},
		{"PKCS #1", rules.CheckPrivateKey, "a.png", rsaPEM, ""},
		{"SEC 1", rules.CheckPrivateKey, "a", text("EC PRIVATE KEY", sec1), ""},
		{"encrypted", rules.CheckPrivateKey, "a", text("ENCRYPTED PRIVATE KEY", der(old)), ""},
		{"OpenSSH", rules.CheckPrivateKey, "id", text("OPENSSH PRIVATE KEY", []byte(chars("ssh", letters, 200))), ""},
		{"in a script", rules.CheckPrivateKey, "app.js", []byte("const k=`" + string(rsaPEM) + "`"), ""},
		{"in a string", rules.CheckPrivateKey, "app.js", []byte(`const k="` + strings.ReplaceAll(string(rsaPEM), "\n", `\n`) + `"`), ""},
		{"of a service account", rules.CheckPrivateKey, "sa.json", []byte(`{"type":"service_account","private_key":"` + strings.ReplaceAll(string(rsaPEM), "\n", `\n`) + `"}`), ""},
		{"DER of RSA", rules.CheckPrivateKey, "a.bin", der(old), ""},
		{"DER of ECDSA", rules.CheckPrivateKey, "a.bin", der(ec), ""},
		{"DER of Ed25519", rules.CheckPrivateKey, "a.bin", der(ed), ""},
		{"DER of PKCS #1", rules.CheckPrivateKey, "a.bin", x509.MarshalPKCS1PrivateKey(old), ""},
		{"DER of SEC 1", rules.CheckPrivateKey, "a.bin", sec1, ""},
		{"PKCS #12", rules.CheckPrivateKey, "dist.p12", []byte("\x30\x82\x0a\x41\x02\x01\x03\x30\x82\x0a\x07\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01" + chars("p12", letters, 64)), ""},
		{"Java keystore", rules.CheckPrivateKey, "release", []byte("\xfe\xed\xfe\xed\x00\x00\x00\x02\x00\x00\x00\x01" + chars("jks", letters, 64)), ""},
		{"in a zip", rules.CheckPrivateKey, "a.zip", Zip(Files{"k": rsaPEM}), ""},
		{"behind a picture", rules.CheckPrivateKey, "a.png", append([]byte(pngStart+pngEnd), rsaPEM...), ""},
	}
}

// Secrets are files that must not be in an update.
func Secrets() []Secret {
	list := keys()
	for name, start := range map[string][2]string{
		"AWS": {"AKIA", chars("aws", upper, 16)}, "AWS session": {"ASIA", chars("sts", upper, 16)},
		"Google client": {"GOCSPX-", chars("google", letters, 28)}, "Google access": {"ya29.", "a0" + chars("ya29", letters, 60)},
		"Azure storage":   {"DefaultEndpointsProtocol=https;AccountName=x;AccountKey=", chars("az", letters, 86) + "=="},
		"Azure service":   {"Endpoint=sb://x.servicebus.windows.net/;SharedAccessKey=", chars("sb", letters, 43) + "="},
		"Azure client":    {"abc8Q~", chars("entra", letters, 34)},
		"GitHub personal": {"ghp_", chars("ghp", letters, 36)}, "GitHub server": {"ghs_", chars("ghs", letters, 36)},
		"GitHub OAuth": {"gho_", chars("gho", letters, 36)}, "GitHub user": {"ghu_", chars("ghu", letters, 36)}, "GitHub refresh": {"ghr_", chars("ghr", letters, 36)},
		"GitHub fine-grained": {"github_pat_", chars("a", letters, 22) + "_" + chars("b", letters, 59)},
		"GitLab":              {"glpat-", chars("gl", letters, 20)},
		"Slack bot":           {"xoxb-", "123456789012-1234567890123-" + chars("slack", letters, 24)},
		"Slack user":          {"xoxp-", "123456789012-123456789012-123456789012-" + hex.EncodeToString([]byte(chars("u", letters, 16)))},
		"Slack webhook":       {"https://hooks.slack.com/services/", "T" + chars("t", upper, 9) + "/B" + chars("h", upper, 9) + "/" + chars("hook", letters, 24)},
		"Stripe secret":       {"sk_live_", chars("sk", letters, 24)}, "Stripe restricted": {"rk_live_", chars("rk", letters, 24)},
		"npm": {"npm_", chars("npm", letters, 36)}, "npm in .npmrc": {"//npm.example.com/:_authToken=", chars("npmrc", letters, 36)},
		"Supabase": {"sb_secret_", chars("sb", letters, 31)}, "Supabase service role": {"", jwt("service_role")},
	} {
		list = append(list, Secret{name, rules.CheckCloudToken, "assets/app.js", []byte(`const c = {k: "` + start[0] + start[1] + `"};`), start[1][2:10]})
	}
	return append(list,
		Secret{"settings", rules.CheckEnvFile, ".env", []byte("API=1\nPASSWORD=" + chars("pw", letters, 20) + "\n"), chars("pw", letters, 20)},
		Secret{"settings of production", rules.CheckEnvFile, "www/.env.production.local", []byte("export A=b\n"), ""},
		Secret{"source map", rules.CheckSourceMap, "assets/app.js.map", []byte(`{"version":3,"file":"a.js","sources":["a.ts"],"names":[],"mappings":"AAAA"}`), ""},
		Secret{"source map of another name", rules.CheckSourceMap, "assets/data.json", []byte(`{"mappings":"AAAA","sources":["a.ts"],"version":3}`), ""},
		Secret{"inline source map", rules.CheckSourceMap, "assets/app.js", []byte("x()\n//# sourceMappingURL=data:application/json;base64,eyJ2ZXJzaW9uIjozfQ=="), ""})
}

// PublicKeys are files that look like secrets and are meant for apps, or are examples.
func PublicKeys() Files {
	return Files{
		"stripe.js":      []byte(`Stripe("pk_live_` + chars("pk", letters, 24) + `")`),
		"firebase.js":    []byte(`initializeApp({apiKey:"AIzaSy` + chars("fb", letters, 33) + `"})`),
		"supabase.js":    []byte(`createClient("https://x.supabase.co","` + jwt("anon") + `")`),
		"aws-example.js": []byte(`"AKIAIOSFODNN7EXAMPLE"`),
		"jose.js":        []byte(`if(t.indexOf("-----BEGIN PRIVATE KEY-----")!==0)throw new TypeError('"pkcs8" must be PKCS#8 formatted string')`),
		"pem.js":         []byte("const f=(k)=>`-----BEGIN ${k?\"RSA PRIVATE KEY\":\"PUBLIC KEY\"}-----\\n`"),
		"public.pem":     []byte("-----BEGIN PUBLIC KEY-----\n" + chars("pub", letters, 64) + "\n" + chars("pub2", letters, 60) + "\n-----END PUBLIC KEY-----\n"),
		"cert.pem":       []byte("-----BEGIN CERTIFICATE-----\n" + chars("crt", letters, 64) + "\n" + chars("crt2", letters, 60) + "\n-----END CERTIFICATE-----\n"),
		".env.example":   []byte("API=\n"),
		"names.js":       []byte(`npm_config_registry;ghp_short;sk_live_;task_live_1234567890123456;xoxb-`),
		"maps.js":        []byte("s+=`\\n//# sourceMappingURL=data:application/json;base64,${btoa(m)}`"),
		"named-map.js":   []byte("x()\n//# sourceMappingURL=app.js.map"),
		"icon.txt":       []byte("eyJ" + chars("noise", letters, 4000)),
	}
}
