// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"
)

const (
	formatText = "text"
	formatJSON = "json"
	formatYAML = "yaml"
	formatWide = "wide" // more columns
	formatName = "name" // kind and name of each object, a line each
)

var (
	formats       = []string{formatText, formatJSON, formatYAML}
	resultFormats = []string{formatText, formatWide, formatJSON, formatYAML} // wide is text: there is nothing more to show
	objectFormats = []string{formatText, formatWide, formatJSON, formatYAML, formatName}
)

// outputFlag is --output with the shorthand -o, for verbs that have no file to write: there -o is --out. It takes the place of the one
// that all commands have.
func (a *app) outputFlag(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&a.output, "output", "o", formatText, "")
	err := cmd.RegisterFlagCompletionFunc("output", func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		return formsOf(cmd), cobra.ShellCompDirectiveNoFileComp
	})
	if err != nil {
		panic(err) // there is no such flag: a bug
	}
	setForms(cmd, resultFormats)
}

// setForms says which forms the result of a command has.
func setForms(cmd *cobra.Command, forms []string) {
	cmd.Annotations = map[string]string{formsAnnotation: strings.Join(forms, " ")}
	cmd.Flags().Lookup("output").Usage = "form of the result on stdout: " + either(forms)
}

// formsAnnotation of a command are the forms of its result.
const formsAnnotation = "forms"

func formsOf(cmd *cobra.Command) []string {
	if own, ok := cmd.Annotations[formsAnnotation]; ok {
		return strings.Fields(own)
	}
	return formats
}

func (a *app) checkOutput(cmd *cobra.Command) error {
	forms := formsOf(cmd)
	if !slices.Contains(forms, a.output) {
		return usage("--output: expected %s, got %q", either(forms), a.output)
	}
	return nil
}

// either lists what may be chosen: text, json or yaml.
func either(words []string) string {
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// print writes a result in the form that was asked for. text is the form for people.
func (a *app) print(result any, text func(w io.Writer)) error {
	switch a.output {
	case formatJSON:
		return writeJSON(a.Out, result)
	case formatYAML:
		out, err := yaml.Marshal(result)
		if err != nil {
			return err
		}
		_, err = a.Out.Write(out)
		return err
	}
	text(a.Out)
	return nil
}

// writeJSON writes what people can read, too: < and > as they are.
func writeJSON(w io.Writer, value any) error {
	to := json.NewEncoder(w)
	to.SetEscapeHTML(false)
	to.SetIndent("", "  ")
	return to.Encode(value)
}

// table writes rows in columns that are as wide as they have to be. The last column may hold anything.
func table(w io.Writer, rows ...[]string) {
	var widths []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], width(cell))
		}
	}
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			line.WriteString(cell + strings.Repeat(" ", widths[i]-width(cell)+3))
		}
		fmt.Fprintln(w, strings.TrimRight(line.String(), " "))
	}
}

var painted = regexp.MustCompile("\x1b\\[[0-9;]*m")

// width is how many characters of a text are seen.
func width(text string) int { return utf8.RuneCountInString(painted.ReplaceAllLiteralString(text, "")) }

// printable keeps names of files and the like from steering a terminal, or from looking like a line of their own.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return utf8.RuneError
		}
		return r
	}, s)
}

// Colours of a terminal.
const (
	red    = "31"
	yellow = "33"
	green  = "32"
)

func (a *app) colour(code, text string) string {
	if !a.Colour {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// trim takes the line breaks around a text of the source away.
func trim(text string) string { return strings.Trim(text, "\n") }

// indent moves a text to the right, as examples are shown.
func indent(text string) string {
	return strings.ReplaceAll("  "+strings.ReplaceAll(trim(text), "\n", "\n  "), "\n  \n", "\n\n")
}

// arguments are the words of a usage line that the caller has to give.
func arguments(use string) []string {
	return strings.Fields(use)[1:]
}
