// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/ceremony"
	"github.com/windlass-dev/windlass/internal/tuf"
)

// yearly is how long a root holds unless somebody says otherwise.
const yearly = 8760 * time.Hour

type initOptions struct {
	dir, name, namespace string
	publicKeys           []string
	generate, threshold  int
	life                 time.Duration
	onlineRoot           bool
}

func (a *app) repositoryInitCommand() *cobra.Command {
	var o initOptions
	cmd := verb("init", "Make the first root of trust", `
Makes the first root of trust and the keys that it names. Root keys are made here (--root-keys), or people bring the public halves of
theirs (--public-key). Files that hold private keys can be read by their owner only, and none is ever replaced. A .gitignore in the folder
keeps them out of Git.

--online-root makes all keys for a Secret, the root key included, and no root: the operator makes and signs it. Whoever can read that
Secret can then change the root of trust.`, `
# three root keys, any two of which sign
kubectl windlass repository init --name default --namespace mobile --dir roots

# two people who have keys already: openssl genpkey -algorithm ed25519 -out me.key; openssl pkey -in me.key -pubout -out me.pub
kubectl windlass repository init --name default --dir roots --public-key anna.pub --public-key ben.pub --threshold 2`,
		func(context.Context, []string) error { return a.repositoryInit(o) })
	addDir(cmd, &o.dir)
	flags := cmd.Flags()
	flags.StringVar(&o.name, "name", otav1alpha1.DefaultRepository, "name of the Repository")
	flags.StringVarP(&o.namespace, "namespace", "n", "", "namespace of the Repository (default: none, as kubectl or Git tools choose)")
	flags.StringArrayVar(&o.publicKeys, "public-key", nil, "public root key that somebody holds, Ed25519 in PEM; may be repeated")
	flags.IntVar(&o.generate, "root-keys", 3, "root keys to make (default 0 with --public-key)")
	flags.IntVar(&o.threshold, "threshold", 0, "how many root keys have to sign (default: the majority)")
	flags.DurationVar(&o.life, "life", yearly, "how long the root holds")
	flags.BoolVar(&o.onlineRoot, "online-root", false, "put the root key into the Secret, and let the operator make the root")
	cmd.MarkFlagsMutuallyExclusive("online-root", "public-key")
	cmd.MarkFlagsMutuallyExclusive("online-root", "root-keys")
	cmd.MarkFlagsMutuallyExclusive("online-root", "threshold")
	cmd.PreRun = func(cmd *cobra.Command, _ []string) {
		if len(o.publicKeys) > 0 && !cmd.Flags().Changed("root-keys") {
			o.generate = 0
		}
	}
	return cmd
}

func (a *app) repositoryInit(o initOptions) error {
	if o.onlineRoot {
		o.generate = 1
	}
	if o.threshold == 0 {
		o.threshold = (o.generate+len(o.publicKeys))/2 + 1
	}
	params := ceremony.Params{Generate: o.generate, Threshold: o.threshold, Life: o.life, Now: a.Now()}
	for _, path := range o.publicKeys {
		text, err := a.readFile(path, maxKeyFile)
		if err != nil {
			return err
		}
		params.PublicKeys = append(params.PublicKeys, text)
	}
	made, err := ceremony.Init(params)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(o.dir, 0o700); err != nil {
		return err
	}
	for _, name := range []string{rootFile(1), rootsFile} {
		if _, err := os.Lstat(filepath.Join(o.dir, name)); err == nil {
			return fmt.Errorf("expected no %s in %s, got one: %w; a root of trust is made once, so choose another folder", name, o.dir, fs.ErrExist)
		}
	}
	if err := ignoreSecrets(o.dir); err != nil {
		return err
	}
	if o.onlineRoot {
		return a.initOnline(o, made)
	}
	secrets := map[string][]byte{}
	for _, key := range made.RootKeys {
		secrets[rootKeyFile(key.ID)] = key.PEM
	}
	written, err := writeKeys(o, made.Online, secrets)
	if err != nil {
		return err
	}
	r := &roots{dir: o.dir, first: 1, files: [][]byte{made.Root}}
	r.object.ObjectMeta = metav1.ObjectMeta{Name: o.name + rootsSuffix, Namespace: o.namespace}
	state, err := r.save()
	if err != nil {
		return err
	}
	state.Written = append(state.Written, written...)
	return a.printRoot(state)
}

// initOnline writes the Secret alone.
func (a *app) initOnline(o initOptions, made *ceremony.Result) error {
	made.Online["root"+tuf.KeySuffix] = made.RootKeys[0].PEM
	written, err := writeKeys(o, made.Online, nil)
	if err != nil {
		return err
	}
	result := struct {
		Written []string `json:"written"`
	}{written}
	return a.print(result, func(w io.Writer) {
		for _, file := range written {
			table(w, []string{"written", file})
		}
	})
}

// ignored are lines of a .gitignore that leave out files with private keys.
const ignored = "# private keys: kubectl windlass repository init\n*.key\n*.secret.yaml\n"

// ignoreSecrets makes Git leave out files with private keys, before there are any. What the file says already stays.
func ignoreSecrets(dir string) error {
	path := filepath.Join(dir, ignoreFile)
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("expected a file that can be read: %w", err)
	}
	if bytes.HasSuffix(text, []byte(ignored)) {
		return nil
	}
	if len(text) > 0 && !bytes.HasSuffix(text, []byte("\n")) {
		text = append(text, '\n')
	}
	// behind everything else: in Git the last word counts
	return writeFile(path, append(text, ignored...))
}

func rootKeyFile(id string) string { return "root-" + id[:8] + ".key" }

// writeKeys writes the Secret of the online keys, and key files. What it lists begins with the .gitignore, which is there for them.
func writeKeys(o initOptions, online, files map[string][]byte) ([]string, error) {
	secret := corev1.Secret{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{Name: o.name + "-signing", Namespace: o.namespace},
		Type:       corev1.SecretTypeOpaque,
		Data:       online,
	}
	text, err := yaml.Marshal(secret)
	if err != nil {
		return nil, err
	}
	if err := createSecret(filepath.Join(o.dir, secretFile), text); err != nil {
		return nil, err
	}
	written := []string{ignoreFile, secretFile}
	for _, name := range sorted(files) {
		if err := createSecret(filepath.Join(o.dir, name), files[name]); err != nil {
			return nil, err
		}
		written = append(written, name)
	}
	return written, nil
}
