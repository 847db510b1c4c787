// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"context"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/prometheus/client_golang/prometheus"
)

// How the keys are followed.
const (
	DefaultRefresh = 5 * time.Minute
	fetchTimeout   = 10 * time.Second
	maxKeys        = 64
	maxKeySet      = 1 << 20          // bytes
	maxBackoff     = time.Minute      // between looks while they fail
	minGap         = 10 * time.Second // between looks that unknown keys ask for: tokens that are made up cannot flood the issuer
	keepFor        = 24 * time.Hour   // since the last good look: an issuer that is away must not lock out the fleet at once
)

// algorithms are those with a public key. With none or with HMAC, who knows the public keys could make tokens.
var algorithms = []jose.SignatureAlgorithm{
	jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA,
}

func algorithmNames() []string {
	var names []string
	for _, a := range algorithms {
		names = append(names, string(a))
	}
	return names
}

// keys are the issuer's keys: fetched in the background, so that no request waits for the issuer, and a key that the issuer
// removed is forgotten with the next look.
type keys struct {
	url     string
	refresh time.Duration
	client  *http.Client
	log     *slog.Logger
	current atomic.Pointer[keySet]
	unknown chan struct{} // asks for a look

	errors  prometheus.Counter
	strange prometheus.Counter
}

type keySet struct {
	keys    []jose.JSONWebKey
	fetched time.Time
}

func newKeys(cfg *JWT, log *slog.Logger, r prometheus.Registerer) *keys {
	k := &keys{
		url: cfg.JWKSURL, refresh: cfg.Refresh, log: log, unknown: make(chan struct{}, 1),
		client: &http.Client{
			Transport: cfg.Transport, Timeout: fetchTimeout,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	if k.refresh == 0 {
		k.refresh = DefaultRefresh
	}
	k.current.Store(&keySet{})
	k.register(r)
	return k
}

var errUnknownKey = errors.New("expected a token that one of the issuer's keys signed, got one of an unknown key")

// VerifySignature implements oidc.KeySet: it gives the payload of a token that one of the keys signed.
func (k *keys) VerifySignature(_ context.Context, token string) ([]byte, error) {
	jws, err := jose.ParseSignedCompact(token, algorithms)
	if err != nil {
		return nil, err
	}
	set := k.current.Load()
	if time.Since(set.fetched) > keepFor {
		set = &keySet{}
	}
	header := jws.Signatures[0].Protected
	err = errUnknownKey
	for i := range set.keys {
		key := &set.keys[i]
		if header.KeyID != "" && key.KeyID != header.KeyID || key.Algorithm != "" && key.Algorithm != header.Algorithm {
			continue
		}
		var payload []byte
		if payload, err = jws.Verify(key.Key); err == nil {
			return payload, nil
		}
	}
	if errors.Is(err, errUnknownKey) {
		k.strange.Inc()
		select {
		case k.unknown <- struct{}{}:
		default: // somebody asked already
		}
	}
	return nil, err
}

// run looks at the keys until the context ends: now and then, sooner after a failure, and soon when a token names an unknown
// key. That token is refused; the device's next one is not.
func (k *keys) run(ctx context.Context) {
	logged := ""
	for failures := 0; ; {
		next := k.refresh
		err := k.fetch(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			failures, logged = 0, ""
		default:
			failures++
			next = min(next, backoff(failures))
			k.errors.Inc()
			if logged != err.Error() {
				logged = err.Error()
				k.log.Error("Fetching the token issuer's keys failed, it is tried again", "error", err)
			}
		}
		gap := min(next, minGap)
		if !wait(ctx, gap, nil) || !wait(ctx, next-gap, k.unknown) {
			return
		}
	}
}

// backoff is the time until the next attempt: 1 s, 2 s, 4 s and so on, with a half at random.
func backoff(failures int) time.Duration {
	d := min(time.Second<<min(failures-1, 10), maxBackoff)
	return d/2 + rand.N(d/2)
}

// wait waits for a time, or less when it is woken. It gives false when the context ends.
func wait(ctx context.Context, d time.Duration, woken <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-woken:
	case <-timer.C:
	}
	return true
}

// fetch takes the keys that the issuer has now.
func (k *keys) fetch(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, k.url, http.NoBody)
	if err != nil {
		return err
	}
	res, err := k.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("token issuer's keys: expected code 200, got %d", res.StatusCode)
	}
	raw, err := io.ReadAll(io.LimitReader(res.Body, maxKeySet+1))
	if err != nil {
		return fmt.Errorf("token issuer's keys: %w", err)
	}
	usable, err := parseKeys(raw)
	if err != nil {
		return err
	}
	k.current.Store(&keySet{keys: usable, fetched: time.Now()})
	return nil
}

// parseKeys gives the keys of a JWKS that can sign tokens. Keys of other kinds and uses are passed over, as RFC 7517 5 has it.
func parseKeys(raw []byte) ([]jose.JSONWebKey, error) {
	if len(raw) > maxKeySet {
		return nil, fmt.Errorf("token issuer's keys: expected at most %d bytes", maxKeySet)
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(raw, &set); err != nil || set.Keys == nil {
		return nil, errors.New(`token issuer's keys: expected a JSON Web Key Set, {"keys": [...]}`)
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("token issuer's keys: expected at most %d, got %d", maxKeys, len(set.Keys))
	}
	var usable []jose.JSONWebKey
	for _, one := range set.Keys {
		var key jose.JSONWebKey
		if key.UnmarshalJSON(one) == nil && isUsable(&key) {
			usable = append(usable, key)
		}
	}
	return usable, nil
}

func isUsable(k *jose.JSONWebKey) bool {
	if !k.IsPublic() || k.Use != "" && k.Use != "sig" || k.Algorithm != "" && !slices.Contains(algorithms, jose.SignatureAlgorithm(k.Algorithm)) {
		return false
	}
	key, isRSA := k.Key.(*rsa.PublicKey)
	return !isRSA || key.N.BitLen() >= 2048 && key.N.BitLen() <= 8192 // short ones are weak, long ones take long
}
