// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/windlass-dev/windlass/internal/ceremony"
	"github.com/windlass-dev/windlass/internal/tuf"
)

const roleRoot = "root"

type rotateOptions struct {
	dir       string
	role      string
	old       string
	publicKey string
	secret    string
	life      time.Duration
}

func (a *app) rotateKeyCommand() *cobra.Command {
	var o rotateOptions
	cmd := verb("rotate-key", "Replace a key of a role", `
Replaces a key. Of role root, a root key: its holder brings the public half of another one (--public-key), or one is made. Of targets,
snapshot and timestamp, the key in the Secret: a new one is put beside the old one, and the operator takes it once the next root,
which names it, is published. Both need the next root to be signed (repository sign).

The key of channels is named by metadata that the operator signs itself: applying the Secret is all.`, `
# the timestamp key leaked
kubectl -n mobile get secret default-signing -o yaml > roots/signing.secret.yaml
kubectl windlass repository rotate-key --dir roots --role timestamp

# a holder of a root key leaves
kubectl windlass repository rotate-key --dir roots --role root --old 1a2b3c4d --public-key clara.pub`,
		func(context.Context, []string) error { return a.rotateKey(o) })
	addDir(cmd, &o.dir)
	addLife(cmd, &o.life, 0)
	flags := cmd.Flags()
	flags.StringVar(&o.role, "role", "", "root, targets, snapshot, timestamp or channels (required)")
	flags.StringVar(&o.old, "old", "", "id of the root key to replace, or how it begins")
	flags.StringVar(&o.publicKey, "public-key", "", "the new public root key, Ed25519 in PEM (default: a key is made)")
	flags.StringVar(&o.secret, "secret", "", "manifest of the Secret with the keys (default: "+secretFile+" in the folder)")
	complete(cmd, "role", tuf.KeyRoles...)
	return cmd
}

func (a *app) rotateKey(o rotateOptions) error {
	if !slices.Contains(tuf.KeyRoles, o.role) {
		return usage("--role: expected one of %v, got %q", tuf.KeyRoles, o.role)
	}
	if o.role != roleRoot && (o.old != "" || o.publicKey != "") {
		return usage("--old and --public-key: expected --role root with them, got %s: its key is in the Secret", o.role)
	}
	r, err := a.openRoots(o.dir)
	if err != nil {
		return err
	}
	if o.role == roleRoot {
		return a.rotateRoot(r, o)
	}
	return a.rotateOnline(r, o)
}

func (a *app) rotateRoot(r *roots, o rotateOptions) error {
	if o.publicKey != "" {
		public, err := a.readFile(o.publicKey, maxKeyFile)
		if err != nil {
			return err
		}
		return a.nextRoot(r, o, nil, ceremony.RotateKey(roleRoot, o.old, public))
	}
	private, err := tuf.GenerateKey()
	if err != nil {
		return err
	}
	public, err := ceremony.PublicKey(private)
	if err != nil {
		return err
	}
	id, err := ceremony.KeyID(private)
	if err != nil {
		return err
	}
	file := filepath.Join(o.dir, rootKeyFile(id))
	if err := createSecret(file, private); err != nil {
		return err
	}
	if err := a.nextRoot(r, o, []string{rootKeyFile(id)}, ceremony.RotateKey(roleRoot, o.old, public)); err != nil {
		return errors.Join(err, os.Remove(file)) // a key that no root names
	}
	return nil
}

// nextRoot writes the next root and prints it. written are files that were written before.
func (a *app) nextRoot(r *roots, o rotateOptions, written []string, change ceremony.Change) error {
	state, err := a.succeed(r, o.life, change)
	if err != nil {
		return err
	}
	state.Written = append(state.Written, written...)
	return a.printRoot(state)
}

// rotateOnline writes the Secret before the root: a key in the Secret that no root names does no harm, and the next attempt
// replaces it; a root that names a lost key would do.
func (a *app) rotateOnline(r *roots, o rotateOptions) error {
	path := o.secret
	if path == "" {
		path = filepath.Join(o.dir, secretFile)
	}
	secret, err := a.readSecretManifest(path)
	if err != nil {
		return err
	}
	root, _ := r.newest()
	next, public, err := ceremony.NextKey(secret.Data, root, o.role)
	if err != nil {
		return err
	}
	secret.Data = next
	text, err := yaml.Marshal(secret)
	if err != nil {
		return err
	}
	if err := replaceSecret(path, text); err != nil {
		return err
	}
	if o.role != tuf.ChannelsRole {
		return a.nextRoot(r, o, []string{path}, ceremony.RotateKey(o.role, "", public))
	}
	result := map[string][]string{"written": {path}}
	return a.print(result, func(w io.Writer) { table(w, []string{"written", printable(path)}) })
}

func (a *app) readSecretManifest(path string) (*corev1.Secret, error) {
	text, err := a.readFile(path, maxTextFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w; get the Secret that spec.signing.keysSecretRef names: kubectl get secret NAME -o yaml > %s", err, path)
	}
	if err != nil {
		return nil, err
	}
	var secret corev1.Secret
	if err := yaml.Unmarshal(text, &secret); err != nil || secret.Kind != "Secret" {
		return nil, fmt.Errorf("%s: expected the manifest of a Secret, got something else", path) // err may quote it
	}
	kept := corev1.Secret{TypeMeta: secret.TypeMeta, Type: secret.Type, Data: secret.Data}
	kept.Name, kept.Namespace, kept.Labels = secret.Name, secret.Namespace, secret.Labels
	return &kept, nil
}

// sorted are the keys of a map in order.
func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
