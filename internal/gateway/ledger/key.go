// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// pseudonyms makes pseudonyms with a key. It is safe for concurrent use.
type pseudonyms struct {
	fingerprint string // of the key: tells keys apart, and nothing of them
	pool        sync.Pool
}

// scratch is what it takes to make one pseudonym.
type scratch struct {
	mac hash.Hash
	in  []byte
	out [sha256.Size]byte
}

func newPseudonyms(key []byte) *pseudonyms {
	p := &pseudonyms{}
	p.pool.New = func() any { return &scratch{mac: hmac.New(sha256.New, key)} }
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("windlass ledger: fingerprint of the key"))
	p.fingerprint = hex.EncodeToString(mac.Sum(nil)[:8])
	return p
}

// of gives the pseudonym of a device of an app, without regard to the case of its id, as bucketing has none.
func (p *pseudonyms) of(app, deviceID string) (name Pseudonym) {
	s := p.pool.Get().(*scratch)
	defer p.pool.Put(s)
	s.in = append(append(append(s.in[:0], app...), 0), deviceID...)
	id := s.in[len(app)+1:]
	for i, c := range id {
		if 'A' <= c && c <= 'Z' {
			id[i] = c + 'a' - 'A'
		}
	}
	s.mac.Reset()
	s.mac.Write(s.in)
	copy(name[:], s.mac.Sum(s.out[:0]))
	return name
}

// loadKey gives the key of the pseudonyms, and makes one beside a database in a file or for one in memory.
func (c *Config) loadKey() ([]byte, error) {
	switch {
	case len(c.Key) > 0:
		return checkKey("Key", c.Key)
	case c.KeyFile != "":
		return readKey(c.KeyFile)
	case c.DSN != "":
		return nil, errors.New("ledger: a key of the pseudonyms is required with a DSN, the same for all replicas: give a file with 32 random bytes or more, such as of openssl rand -hex 32")
	case c.Path == "":
		return randomKey(), nil
	}
	path := c.Path + ".key"
	if err := makeKey(path); err != nil {
		return nil, fmt.Errorf("ledger: make a key of the pseudonyms: %w", err)
	}
	return readKey(path)
}

func readKey(path string) ([]byte, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("ledger: read the key of the pseudonyms: %w", err)
	}
	if line := bytes.TrimSuffix(raw, []byte("\n")); len(line) >= minKey { // of random bytes the last may look like the end of a line
		raw = line
	}
	return checkKey(path, raw)
}

func checkKey(name string, key []byte) ([]byte, error) {
	if len(key) < minKey {
		return nil, fmt.Errorf("ledger: key of the pseudonyms in %s: expected %d bytes or more, got %d; openssl rand -hex 32 makes one", name, minKey, len(key))
	}
	return bytes.Clone(key), nil
}

func randomKey() []byte {
	key := make([]byte, minKey)
	_, _ = rand.Read(key) // never fails: crypto/rand
	return []byte(hex.EncodeToString(key))
}

// makeKey makes a key file that is not there yet, whole or not at all.
func makeKey(path string) error {
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if _, err := os.Stat(path[:len(path)-len(".key")]); err == nil {
		return fmt.Errorf("%s is not there, but its database is: put the key back, or the database's rows belong to nobody", path)
	}
	temporary, err := os.CreateTemp(filepath.Dir(path), ".key-*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(temporary.Name()) //nolint:errcheck // its content has another name by then
	_, err = temporary.Write(append(randomKey(), '\n'))
	if err := errors.Join(err, temporary.Sync(), temporary.Close()); err != nil {
		return err
	}
	if err := os.Link(temporary.Name(), path); !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}
