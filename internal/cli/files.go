// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/windlass-dev/windlass/internal/author"
)

// Limits in bytes of files that are read as a whole.
const (
	maxKeyFile  = 64 << 10
	maxTextFile = 4 << 20
)

const (
	publicMode = 0o644
	secretMode = 0o600
)

// readFile reads a small file. A dash is stdin.
func (a *app) readFile(path string, limit int64) ([]byte, error) {
	r := a.In
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("expected a file that can be read: %w", err)
		}
		defer f.Close() //nolint:errcheck // only read
		r = f
	}
	content, err := io.ReadAll(io.LimitReader(r, limit+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read %s: %w", path, err)
	case int64(len(content)) > limit:
		return nil, fmt.Errorf("%s: expected at most %d KiB, got more; is it the right file?", path, limit>>10)
	}
	return content, nil
}

// readSecret reads what a flag names: a file, or env://NAME for a variable of the environment.
func (a *app) readSecret(from string) ([]byte, error) {
	name, ok := strings.CutPrefix(from, "env://")
	if !ok {
		return a.readFile(from, maxKeyFile)
	}
	value := a.Getenv(name)
	if value == "" {
		return nil, fmt.Errorf("expected a secret in the environment variable %s, got nothing; set it where CI keeps its secrets", name)
	}
	return []byte(value), nil
}

// signingKey reads the private key that --key names.
func (a *app) signingKey(from string) (author.Key, error) {
	text, err := a.readSecret(from)
	if err != nil {
		return author.Key{}, err
	}
	key, err := author.ParsePrivateKey(text)
	if err != nil {
		return author.Key{}, fmt.Errorf("--key: %w", err)
	}
	return key, nil
}

// regular opens a file that is read more than once.
func regular(path string) (*os.File, int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, fmt.Errorf("expected a file that can be read: %w", err)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("expected a file, got %s: %s", kindOf(info), path)
	}
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, info.Size(), nil
}

func kindOf(info fs.FileInfo) string {
	if info.IsDir() {
		return "a folder"
	}
	return "something special"
}

// measured is a file whose bytes were read once.
type measured struct {
	Digest string
	Size   int64
}

// measure reads a file once and gives it to w, which may be nil.
func (a *app) measure(ctx context.Context, what, path string, w io.Writer) (measured, error) {
	f, size, err := regular(path)
	if err != nil {
		return measured{}, err
	}
	defer f.Close() //nolint:errcheck // only read
	sum := sha256.New()
	to := io.Writer(sum)
	if w != nil {
		to = io.MultiWriter(sum, w)
	}
	n, err := io.Copy(to, a.reader(ctx, what, f, size))
	if err != nil {
		return measured{}, fmt.Errorf("read %s: %w", path, err)
	}
	return measured{Digest: digestOf(sum.Sum(nil)), Size: n}, nil
}

func digestOf(sum []byte) string { return "sha256:" + hex.EncodeToString(sum) }

// writeFile writes a file as a whole or not at all.
func writeFile(path string, content []byte) error {
	return replaceFile(path, publicMode, func(f *os.File) error {
		_, err := f.Write(content)
		return err
	})
}

// replaceSecret is writeFile for a file that only its owner can read.
func replaceSecret(path string, content []byte) error {
	return replaceFile(path, secretMode, func(f *os.File) error {
		_, err := f.Write(content)
		return err
	})
}

// replaceFile lets fill write a new file, and puts it in the place of path once that succeeded.
func replaceFile(path string, mode fs.FileMode, fill func(*os.File) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("expected a folder that can be written to: %w", err)
	}
	err = errors.Join(fill(f), f.Chmod(mode), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// createSecret writes a new file that only its owner can read. It never replaces one.
func createSecret(path string, content []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, secretMode)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("expected no file %s, got one that may hold a key; move it away, or choose another folder", path)
	}
	if err != nil {
		return fmt.Errorf("expected a folder that can be written to: %w", err)
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Close())
}
