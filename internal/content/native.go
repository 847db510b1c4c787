// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package content

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/Masterminds/semver/v3"
)

const (
	// nativeFile is the file in which an update says what it needs of the installed app: at the root of the archive, or one folder
	// down, as in the folder package/ of what npm packs.
	nativeFile = "native-dependencies.json"

	maxNativeFile = 256 << 10 // bytes
	maxPackages   = 256
	maxName       = 214 // bytes, as npm has it
	maxRange      = 128 // bytes
)

func isNativeFile(path string) bool {
	folder, name, nested := strings.Cut(path, "/")
	return path == nativeFile || nested && folder != "" && name == nativeFile
}

// readNative takes what an update needs of the installed app.
func (s *Scanner) readNative(at place, text []byte, size int64) {
	native, err := parseNative(text, size)
	if err != nil {
		s.note(CheckNativeInvalid, at.value(err.Error(), 0))
	}
	s.native = append(s.native, native)
}

// parseNative reads {"nativeDependencies": {"<package>": "<range>"}}, and nothing but that.
func parseNative(text []byte, size int64) (*Native, error) {
	if size > maxNativeFile {
		return nil, fmt.Errorf("%d bytes, expected at most %d", size, maxNativeFile)
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	n := &Native{Packages: map[string]string{}}
	for _, want := range []json.Token{json.Delim('{'), "nativeDependencies", json.Delim('{')} {
		if t, err := dec.Token(); err != nil || t != want {
			return nil, errNative
		}
	}
	for dec.More() {
		if err := n.parsePackage(dec); err != nil {
			return nil, err
		}
	}
	for range 2 {
		if t, err := dec.Token(); err != nil || t != json.Delim('}') {
			return nil, errNative
		}
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errNative
	}
	return n, nil
}

var errNative = errors.New(`expected {"nativeDependencies": {"<package>": "<range>"}} and no more`)

func (n *Native) parsePackage(dec *json.Decoder) error {
	key, err := dec.Token()
	if err != nil {
		return errNative
	}
	value, err := dec.Token()
	if err != nil {
		return errNative
	}
	name, _ := key.(string)
	version, ok := value.(string)
	switch _, twice := n.Packages[name]; {
	case !ok:
		return errNative
	case twice:
		return errors.New("a package is there twice")
	case len(n.Packages) == maxPackages:
		return fmt.Errorf("more than %d packages", maxPackages)
	case name == "" || len(name) > maxName || !isPlain(name):
		return fmt.Errorf("a package has no name, one of more than %d bytes, or one that cannot be printed", maxName)
	case len(version) > maxRange || !isPlain(version):
		return fmt.Errorf("a range has more than %d bytes, or cannot be printed", maxRange)
	}
	n.Packages[name] = version
	return nil
}

// isPlain tells whether a text can be printed as it is. What is no UTF-8 comes from the decoder as the replacement character.
func isPlain(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r == unicode.ReplacementChar || !unicode.IsPrint(r) })
}

// unmet says what the installed app lacks; empty: nothing. What cannot be compared is lacking.
func (n *Native) unmet(installed map[string]string) []string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(n.Packages)) {
		have, there := installed[name]
		need := n.Packages[name]
		if !there {
			list = append(list, name+" is not installed")
			continue
		}
		if need == "" {
			continue
		}
		if err := satisfies(have, need); err != nil {
			list = append(list, fmt.Sprintf("%s %v", name, err))
		}
	}
	return list
}

// satisfies tells what speaks against an installed version.
func satisfies(have, need string) error {
	version, err := semver.StrictNewVersion(have)
	if err != nil {
		return fmt.Errorf("is installed as %q, which is no version", cut(have, 40))
	}
	accepts, err := parseRange(need)
	if err != nil {
		return err
	}
	// A prerelease is meant only by ranges that name one of the same version, as with npm.
	named := version.Prerelease() == "" || strings.Contains(need, fmt.Sprintf("%d.%d.%d-", version.Major(), version.Minor(), version.Patch()))
	if !named || !accepts.Check(version) {
		return fmt.Errorf("%s is installed, %s is needed", have, need)
	}
	return nil
}

// rangeForm are ranges as npm has them: comparators, which may have blanks before their version, next to each other, or two versions
// with a dash; several with ||. It leaves out what else the library takes (commas, !=, =>), and what names no version: tags, files,
// links, repositories, aliases.
var rangeForm = func() *regexp.Regexp {
	const (
		number     = `(?:0|[1-9][0-9]{0,15})`
		patch      = number + `(?:-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?`
		version    = `v?` + number + `(?:\.` + number + `(?:\.` + patch + `|\.[xX*])?|\.[xX*](?:\.[xX*])?)?`
		comparator = `(?:(?:\^|~|>=?|<=?|=)\s*)?` + version
		alternate  = `(?:[xX*]|` + version + `\s+-\s+` + version + `|` + comparator + `(?:\s+` + comparator + `)*)`
	)
	return regexp.MustCompile(`^\s*` + alternate + `(?:\s*\|\|\s*` + alternate + `)*\s*$`)
}()

// parseRange reads a range of versions as npm has it.
func parseRange(text string) (*semver.Constraints, error) {
	if !rangeForm.MatchString(text) {
		return nil, fmt.Errorf("is needed as %q, which is no range of versions that can be compared (such as ^6.1.0)", cut(text, 60))
	}
	accepts, err := semver.NewConstraint(text)
	if err != nil {
		return nil, fmt.Errorf("is needed as %q, which is no range of versions", cut(text, 60))
	}
	return accepts, nil
}
