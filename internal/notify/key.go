// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package notify

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Headers of a delivery, as Standard Webhooks 1.0.0 names them.
const (
	IDHeader        = "Webhook-Id"
	TimestampHeader = "Webhook-Timestamp"
	SignatureHeader = "Webhook-Signature"
)

const (
	// keyPrefix marks a key in base64.
	keyPrefix = "whsec_"
	// scheme of signatures: HMAC-SHA256.
	scheme = "v1,"

	minKey = 24 // bytes
	maxKey = 64
)

// Key signs deliveries.
type Key struct{ secret []byte }

// ParseKey reads a key: 24 to 64 bytes as they are, or whsec_ and their base64. White space around the latter is not part of it.
// Its errors hold nothing of the key.
func ParseKey(text []byte) (Key, error) {
	secret := text
	if encoded, ok := bytes.CutPrefix(bytes.TrimSpace(text), []byte(keyPrefix)); ok {
		decoded, err := base64.StdEncoding.DecodeString(string(encoded))
		if err != nil {
			return Key{}, errors.New("what follows " + keyPrefix + " is no base64")
		}
		secret = decoded
	}
	if len(secret) < minKey || len(secret) > maxKey {
		return Key{}, fmt.Errorf("the key has %d bytes, expected %d to %d random ones", len(secret), minKey, maxKey)
	}
	return Key{bytes.Clone(secret)}, nil
}

// Sign gives the headers of a delivery at a time.
func (k Key) Sign(id string, at time.Time, body []byte) http.Header {
	timestamp := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, k.secret)
	_, _ = mac.Write([]byte(id + "." + timestamp + ".")) // never fails
	_, _ = mac.Write(body)
	return http.Header{
		IDHeader: {id}, TimestampHeader: {timestamp}, SignatureHeader: {scheme + base64.StdEncoding.EncodeToString(mac.Sum(nil))},
	}
}

// String keeps keys out of messages and logs.
func (Key) String() string { return strings.Repeat("*", 3) }
