// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package artifact

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

const (
	maxPath  = 240 // bytes: Windows stops at 260 characters, with the folder that the update is unpacked to
	maxDepth = 32  // segments of a path
)

// names are the paths of an archive as a tree, as it would be on a disk that does not tell upper from lower case.
type names struct {
	limit int
	nodes map[string]node // by folded path
}

type node struct {
	spelling string
	folder   bool
	implied  bool // only part of other paths so far
}

func newNames(limit int) *names { return &names{limit: limit, nodes: map[string]node{}} }

// add takes in a path without a slash at its end, or refuses it.
func (n *names) add(name string, folder bool) error {
	if why := unsafeName(name); why != "" {
		return badEntry(name, "%s", why)
	}
	folded := fold(name)
	known, there := n.nodes[folded]
	switch {
	case there && known.spelling != name:
		return badEntry(name, "differs from %.200q in case only: expected names that differ on every disk", known.spelling)
	case there && known.folder != folder:
		return badEntry(name, "is a file and a folder: expected one of them")
	case there && !known.implied:
		return badEntry(name, "is there twice: expected each name once")
	}
	n.nodes[folded] = node{spelling: name, folder: folder}
	if there {
		return nil
	}
	if err := n.addParents(name, folded); err != nil {
		return err
	}
	if len(n.nodes) > n.limit {
		return invalid("it has more than %d files and folders, which is the limit", n.limit)
	}
	return nil
}

// addParents adds the folders that a path leads through, up to the first that is known.
func (n *names) addParents(name, folded string) error {
	for at := name; ; {
		i, j := strings.LastIndexByte(at, '/'), strings.LastIndexByte(folded, '/')
		if i < 0 {
			return nil
		}
		at, folded = at[:i], folded[:j]
		known, there := n.nodes[folded]
		switch {
		case !there:
			n.nodes[folded] = node{spelling: at, folder: true, implied: true}
		case known.spelling != at:
			return badEntry(name, "is in a folder whose name differs from %.200q in case only: expected names that differ on every disk", known.spelling)
		case !known.folder:
			return badEntry(name, "is in the folder %.200q, which is also a file: expected one of them", at)
		default:
			return nil
		}
	}
}

// fold makes names equal that any disk takes for the same. It does so as the most tolerant one: what is told apart by few is
// refused here.
func fold(name string) string {
	if isASCII(name) {
		return strings.ToLower(name)
	}
	folded := strings.Map(foldMore, cases.Fold().String(name))
	return norm.NFC.String(folded)
}

// foldMore goes beyond Unicode's case folding: what is equal in upper case, as on Windows, and what Android's folding leaves
// out (Linux, fs/unicode).
func foldMore(r rune) rune {
	switch {
	case r == 'ı':
		return 'i'
	case unicode.In(r, unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point):
		return -1
	}
	return r
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// unsafeName tells why a path would mean something else, or nothing, on one of the systems that devices run.
func unsafeName(name string) string {
	switch {
	case name == "":
		return "has no name: expected a relative path"
	case len(name) > maxPath:
		return "has a path that is too long: expected at most 240 bytes"
	case strings.HasPrefix(name, "/"):
		return "has an absolute path: expected a relative one"
	}
	if why := unsafeText(name); why != "" {
		return why
	}
	depth := 0
	for segment := range strings.SplitSeq(name, "/") {
		if why := unsafeSegment(segment); why != "" {
			return why
		}
		if depth++; depth > maxDepth {
			return "is too deep: expected at most 32 folders and file names in a path"
		}
	}
	return ""
}

func unsafeText(name string) string {
	for i := range len(name) {
		switch c := name[i]; {
		case c < ' ', c == 0x7f:
			return "has a NUL or control character in its name: expected none"
		case c == '\\':
			return "has a backslash in its name: expected / between folders"
		case c == ':':
			return "has a colon in its name: expected none, it stands for drives and streams on Windows"
		case c == ';':
			return "has a semicolon in its name: expected none, unzip takes it and what follows for the version of a file"
		case strings.IndexByte(`<>"|?*`, c) >= 0:
			return `has one of <>"|?* in its name: expected none, files cannot have them on Windows`
		}
	}
	if isASCII(name) {
		return ""
	}
	switch {
	case !utf8.ValidString(name):
		return "has a name that is not UTF-8: expected UTF-8"
	case strings.ContainsFunc(name, invisible):
		return "has an invisible or replacement character in its name: expected none"
	case !norm.NFC.IsNormalString(name):
		return "has a name that is not in Unicode's normal form C: expected composed letters, as most systems but macOS write them"
	}
	return ""
}

// invisible characters make two names look, or even be, the same; the replacement character is what is left of a name that
// was in another encoding.
func invisible(r rune) bool {
	return r == utf8.RuneError || unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Noncharacter_Code_Point)
}

func unsafeSegment(segment string) string {
	switch {
	case segment == "":
		return "has an empty folder name in its path: expected single slashes, and none at the end of a file"
	case segment == "..":
		return "leads out of its folder with ..: expected a path without it"
	case segment == ".":
		return "has a folder . in its path: expected a path without it"
	case strings.HasSuffix(segment, "."), strings.HasSuffix(segment, " "):
		return "has a dot or blank at the end of a name, which Windows drops: expected none"
	case isDevice(segment):
		return "has the name of a Windows device, such as CON, AUX or NUL: expected another"
	case segment == "__proto__":
		return "has the name __proto__, which programs in JavaScript lose: expected another"
	case shortName.MatchString(segment):
		return "has a name such as PROGRA~1, which Windows may give to a file with a longer one: expected another"
	}
	return ""
}

// shortName is what Windows makes of long names for old programs: at most eight letters with a number behind a tilde, and three more.
var shortName = regexp.MustCompile(`^[^.]{1,6}~[0-9]{1,6}(\.[^.]{1,3})?$`)

var devices = []string{"CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"}

// isDevice follows "Naming Files, Paths, and Namespaces" of the Windows documentation: an extension changes nothing.
func isDevice(segment string) bool {
	base, _, _ := strings.Cut(segment, ".")
	base = strings.ToUpper(strings.TrimRight(base, " "))
	if slices.Contains(devices, base) {
		return true
	}
	digit, found := strings.CutPrefix(base, "COM")
	if !found {
		digit, found = strings.CutPrefix(base, "LPT")
	}
	return found && slices.Contains([]string{"1", "2", "3", "4", "5", "6", "7", "8", "9", "¹", "²", "³"}, digit)
}
