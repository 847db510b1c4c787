// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/ceremony"
)

// Files of a folder with roots.
const (
	rootsFile   = "roots.configmap.yaml"
	rootsSuffix = "-roots" // of the name of the ConfigMap, behind that of the Repository
	secretFile  = "signing.secret.yaml"
	ignoreFile  = ".gitignore"
	maxRoot     = 1 << 20 // bytes
)

var rootName = regexp.MustCompile(`^([1-9][0-9]{0,8})\.root\.json$`)

// roots are those of a folder, by version, without a gap.
type roots struct {
	dir    string
	first  int
	files  [][]byte
	object corev1.ConfigMap // as it was written before; its data is made anew
}

// rootState is what all commands about roots print.
type rootState struct {
	File     string            `json:"file"`
	Version  int64             `json:"version"`
	Expires  time.Time         `json:"expires"`
	Complete bool              `json:"complete"`
	Quorums  []quorum          `json:"quorums"`
	Roles    []rootRole        `json:"roles"`
	Floors   map[string]string `json:"floors,omitempty"`
	Written  []string          `json:"written,omitempty"` // files
}

// quorum tells how many keys of a root have signed the newest one.
type quorum struct {
	Version   int64    `json:"version"`
	Threshold int      `json:"threshold"`
	Signed    []string `json:"signed"`
	Unsigned  []string `json:"unsigned"`
	Missing   int      `json:"missing"`
}

type rootRole struct {
	Name      string   `json:"name"`
	Threshold int      `json:"threshold"`
	Keys      []string `json:"keys"`
}

// openRoots reads the roots of a folder.
func (a *app) openRoots(dir string) (*roots, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("expected a folder that can be read: %w", err)
	}
	var versions []int
	for _, e := range entries {
		if m := rootName.FindStringSubmatch(e.Name()); m != nil {
			v, _ := strconv.Atoi(m[1]) // nine digits
			versions = append(versions, v)
		}
	}
	slices.Sort(versions)
	if len(versions) == 0 {
		return nil, fmt.Errorf("expected a root such as 1.root.json in %s, got none; make one with repository init, or give --dir", dir)
	}
	r := &roots{dir: dir, first: versions[0]}
	for i, v := range versions {
		if v != r.first+i {
			return nil, fmt.Errorf("expected %s, got %s next; get the missing root from Git or from the bucket", rootFile(r.first+i), rootFile(v))
		}
		text, err := a.readFile(filepath.Join(dir, rootFile(v)), maxRoot)
		if err != nil {
			return nil, err
		}
		r.files = append(r.files, text)
	}
	text, err := os.ReadFile(filepath.Join(dir, rootsFile))
	if err == nil {
		err = yaml.Unmarshal(text, &r.object)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: expected a ConfigMap: %w", rootsFile, err)
	}
	return r, nil
}

func rootFile(version int) string { return strconv.Itoa(version) + ".root.json" }

// newest is the last root and the one before, which is nil when there is none.
func (r *roots) newest() (root, previous []byte) {
	n := len(r.files)
	if n > 1 {
		previous = r.files[n-2]
	}
	return r.files[n-1], previous
}

func (r *roots) newestFile() string { return rootFile(r.first + len(r.files) - 1) }

// describe tells the state of the newest root.
func (r *roots) describe() (rootState, error) {
	root, previous := r.newest()
	d, err := ceremony.Describe(root, previous)
	if err != nil {
		return rootState{}, fmt.Errorf("%s: %w", r.newestFile(), err)
	}
	out := rootState{File: r.newestFile(), Version: d.Version, Expires: d.Expires, Complete: d.Complete, Floors: d.Floors}
	if previous == nil && r.first > 1 {
		out.Complete = true // its predecessor is not here: a folder starts with what is published
	}
	for _, q := range d.Quorums {
		out.Complete = out.Complete && q.Missing() == 0
		unsigned := slices.DeleteFunc(slices.Clone(q.Keys), func(id string) bool { return slices.Contains(q.Signed, id) })
		out.Quorums = append(out.Quorums, quorum{q.Version, q.Threshold, q.Signed, unsigned, q.Missing()})
	}
	for _, role := range d.Roles {
		out.Roles = append(out.Roles, rootRole(role))
	}
	return out, nil
}

// succeed writes the next root, unsigned. The newest one must be complete.
func (a *app) succeed(r *roots, life time.Duration, changes ...ceremony.Change) (rootState, error) {
	state, err := r.describe()
	if err != nil {
		return state, err
	}
	if !state.Complete {
		return state, fmt.Errorf("expected %s to be signed completely, got signatures missing (repository show); have it signed, or delete it to start over", state.File)
	}
	if life > 0 {
		changes = append(changes, ceremony.Renew(a.Now().Add(life)))
	}
	root, _ := r.newest()
	next, err := ceremony.Next(root, a.Now(), changes...)
	if err != nil {
		return state, err
	}
	r.files = append(r.files, next)
	return r.save()
}

// save writes the newest root, and the ConfigMap with those that are signed completely.
func (r *roots) save() (rootState, error) {
	state, err := r.describe()
	if err != nil {
		return state, err
	}
	root, _ := r.newest()
	if err := writeFile(filepath.Join(r.dir, state.File), root); err != nil {
		return state, err
	}
	if r.object.Name == "" { // a folder that starts with what is published: nobody ran init
		r.object.Name = otav1alpha1.DefaultRepository + rootsSuffix
	}
	r.object.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"}
	r.object.Data = map[string]string{}
	for i, text := range r.files {
		if i == len(r.files)-1 && !state.Complete {
			break
		}
		r.object.Data[rootFile(r.first+i)] = string(text)
	}
	if err := writeObject(filepath.Join(r.dir, rootsFile), &r.object); err != nil {
		return state, err
	}
	state.Written = []string{state.File, rootsFile}
	return state, nil
}

func writeObject(path string, object any) error {
	text, err := yaml.Marshal(object)
	if err != nil {
		return err
	}
	return writeFile(path, text)
}

func (a *app) printRoot(s rootState) error {
	return a.print(s, func(w io.Writer) {
		state := a.colour(green, "complete")
		if !s.Complete {
			state = a.colour(yellow, "waiting for signatures")
		}
		rows := [][]string{{"root", s.File}, {"state", state}, {"expires", s.Expires.UTC().Format(time.RFC3339)}}
		for _, q := range s.Quorums {
			text := fmt.Sprintf("%d of %d by keys of version %d", len(q.Signed), q.Threshold, q.Version)
			if len(q.Signed) > 0 {
				text += "; signed: " + shortIDs(q.Signed)
			}
			if q.Missing > 0 {
				text += fmt.Sprintf("; missing: %d of %s", q.Missing, shortIDs(q.Unsigned))
			}
			rows = append(rows, []string{"signatures", text})
		}
		for _, role := range s.Roles {
			rows = append(rows, []string{"keys of " + role.Name, fmt.Sprintf("%s (threshold %d)", shortIDs(role.Keys), role.Threshold)})
		}
		for _, name := range sorted(s.Floors) {
			rows = append(rows, []string{"floor", name + " " + s.Floors[name]})
		}
		for _, file := range s.Written {
			rows = append(rows, []string{"written", printable(file)})
		}
		table(w, rows...)
	})
}

// shortIDs are key ids as people read them out.
func shortIDs(ids []string) string {
	var out []string
	for _, id := range ids {
		out = append(out, id[:min(len(id), 8)])
	}
	return strings.Join(out, ", ")
}
