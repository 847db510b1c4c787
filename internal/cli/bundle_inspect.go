// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/windlass-dev/windlass/internal/author"
	"github.com/windlass-dev/windlass/internal/content"
	"github.com/windlass-dev/windlass/internal/verify"
)

// Names of the subjects of a statement. The operator compares their digests; the names are for people.
const (
	subjectPlain     = "plaintext"
	subjectEncrypted = "ciphertext"
)

// inspection is what inspect prints.
type inspection struct {
	File      string         `json:"file"`
	Digest    string         `json:"digest"`
	Size      int64          `json:"size"` // bytes
	MediaType string         `json:"mediaType"`
	Report    content.Report `json:"report"`
	// Native is what the update needs of the app, as the policy takes it: of the flag, else of the report.
	Native     *content.Native `json:"nativeDependencies,omitempty"`
	Violations []violation     `json:"violations,omitempty"`
	Denied     bool            `json:"denied"`
	Statement  string          `json:"statement,omitempty"` // file
}

// violation is what speaks against a release.
type violation struct {
	Check   string         `json:"check"`
	Action  content.Action `json:"action"`
	Message string         `json:"message"`
}

type inspectOptions struct {
	policy    policyOptions
	stable    string
	first     bool
	native    string
	encrypted string
	key       string
	out       string
	unsigned  string
}

func (a *app) inspectCommand() *cobra.Command {
	var o inspectOptions
	cmd := verb("inspect FILE", "Tell what is in an artifact, and what a channel's policy makes of it", `
Reads FILE as the operator does and prints facts: files, native code, web surfaces, secrets, native dependencies
(docs/content-rules.md has the checks). With a policy it prints violations as well, those that spec.admission.content of a Channel
leads to. Exit code 3 when the policy denies.

Some checks compare with the artifact that the channel serves, which --stable names. Without it they only warn of what the operator will
compare; --first-release says that there is none, so that all of it is new and counts.

The operator cannot look into an artifact that CI encrypts. For that, --encrypted names the encrypted file, FILE being the readable
one, and inspect writes a statement of the facts about both, which goes into spec.attestations of the Bundle: signed with --key to
--out, or unsigned to --statement-out, for cosign attest-blob --statement. Nothing is written when the policy denies.`, `
kubectl windlass bundle inspect shop-2.4.1.zip

# a gate in a pipeline: the rules of the channel that the update is for
kubectl windlass bundle inspect shop-2.4.1.zip --channel channels/production.yaml --stable shop-2.4.0.zip

# the same without the artifact that is out: what compares with it is left to the operator
kubectl windlass bundle inspect shop-2.4.1.zip --channel channels/production.yaml

# rules of one's own
kubectl windlass bundle inspect shop-2.4.1.zip --profile AppStores --check source-map=Deny --stable shop-2.4.0.zip

# a statement about an artifact that is encrypted
kubectl windlass bundle inspect shop-2.4.1.zip --encrypted shop-2.4.1.zip_encrypted.zip --key env://SIGNING_KEY -o statement.sigstore.json

# the same, keyless
kubectl windlass bundle inspect shop-2.4.1.zip --encrypted shop-2.4.1.zip_encrypted.zip --statement-out statement.json
cosign attest-blob --yes --statement statement.json --bundle statement.sigstore.json`,
		func(ctx context.Context, args []string) error { return a.inspect(ctx, args[0], o) })
	o.policy.bind(cmd)
	flags := cmd.Flags()
	flags.StringVar(&o.stable, "stable", "", "artifact that the channel serves now; without it, what compares with it is left to the operator")
	flags.BoolVar(&o.first, "first-release", false, "the channel serves nothing yet: everything is new")
	flags.StringVar(&o.native, "native-dependencies", "", "native dependencies, as bundle manifest takes them (default: those in the archive)")
	flags.StringVar(&o.encrypted, "encrypted", "", "the encrypted FILE: make a statement about it")
	flags.StringVar(&o.key, "key", "", "file with the private key that signs the statement, or env://NAME")
	flags.StringVarP(&o.out, "out", "o", "", "file for the signed statement (default: ENCRYPTED.statement.sigstore.json)")
	flags.StringVar(&o.unsigned, "statement-out", "", "file for the unsigned statement")
	cmd.MarkFlagsMutuallyExclusive("key", "statement-out")
	cmd.MarkFlagsMutuallyExclusive("stable", "first-release")
	return cmd
}

func (o inspectOptions) check() error {
	switch states := o.key != "" || o.unsigned != ""; {
	case o.encrypted != "" && !states:
		return usage("--encrypted: expected --key, to sign the statement, or --statement-out, got none")
	case o.encrypted == "" && states:
		return usage("--key and --statement-out: expected --encrypted with them, got none; a readable artifact needs no statement")
	case o.out != "" && o.key == "":
		return usage("--out: expected --key with it, got none; the result itself goes to stdout")
	}
	return nil
}

func (a *app) inspect(ctx context.Context, path string, o inspectOptions) error {
	if err := o.check(); err != nil {
		return err
	}
	policy, err := a.policy(o.policy)
	if err != nil {
		return err
	}
	found, err := a.inspectFile(ctx, path)
	if err != nil {
		return err
	}
	facts, err := a.facts(ctx, &found.Report, o)
	if err != nil {
		return err
	}
	result := inspection{File: path, Digest: found.Digest, Size: found.Size, MediaType: found.MediaType, Report: found.Report, Native: facts.Native}
	result.judge(policy, facts, o.first)
	if !result.Denied && o.encrypted != "" {
		if err := a.state(ctx, &result, o); err != nil {
			return err
		}
	}
	if err := a.print(result, func(w io.Writer) { a.printInspection(w, result) }); err != nil {
		return err
	}
	if result.Denied {
		return refused("%s: expected what the policy allows, got %d violations that deny, see above; mend the build, or change the policy", path, result.denials())
	}
	return nil
}

// facts are what a policy judges: the report, and what the flags say besides.
func (a *app) facts(ctx context.Context, report *content.Report, o inspectOptions) (content.Facts, error) {
	facts := content.Facts{Report: report, Native: report.Native}
	if o.stable != "" {
		stable, err := a.inspectFile(ctx, o.stable)
		if err != nil {
			return facts, err
		}
		facts.Stable = &stable.Report
	}
	if o.native != "" {
		packages, err := a.nativePackages(o.native)
		if err != nil {
			return facts, err
		}
		facts.Native = packages.needed()
	}
	return facts, nil
}

// judge lists what speaks against the release. What is judged by comparison cannot be when nobody gives the stable artifact: it is
// left to the operator, who has it, unless the release is the first.
func (r *inspection) judge(policy content.Policy, facts content.Facts, first bool) {
	for _, v := range content.Evaluate(policy, facts) {
		if facts.Stable == nil && !first && compared(v.Check) {
			v.Action = content.Warn
			v.Message = fmt.Sprintf("%s: found %d, compared with the stable bundle by the operator; give --stable FILE to compare here, or "+
				"--first-release when there is none", v.Check, r.Report.Finding(v.Check).Count)
		}
		r.Violations = append(r.Violations, violation(v))
	}
	slices.SortStableFunc(r.Violations, func(a, b violation) int {
		return strings.Compare(string(a.Action), string(b.Action)) // Deny is before Warn
	})
	r.Denied = r.denials() > 0
}

// compared tells whether the findings of a check count only beside those of the stable bundle.
func compared(check string) bool {
	return slices.ContainsFunc(content.Checks(), func(c content.Check) bool {
		return c.ID == check && (c.Judged == content.NewValue || c.Judged == content.Increase)
	})
}

func (r *inspection) denials() (n int) {
	for _, v := range r.Violations {
		if v.Action == content.Deny {
			n++
		}
	}
	return n
}

// state writes the statement about the readable and the encrypted file.
func (a *app) state(ctx context.Context, r *inspection, o inspectOptions) error {
	encrypted, err := a.measure(ctx, "read", o.encrypted, nil)
	if err != nil {
		return err
	}
	if encrypted.Digest == r.Digest {
		return fmt.Errorf("--encrypted: expected the encrypted file, got the readable one: %s", o.encrypted)
	}
	statement, err := author.Statement(content.PredicateType, r.Report,
		author.Subject{Name: subjectPlain, Digest: r.Digest}, author.Subject{Name: subjectEncrypted, Digest: encrypted.Digest})
	if err != nil {
		return err
	}
	if o.unsigned != "" {
		r.Statement = o.unsigned
		return writeFile(o.unsigned, append(statement, '\n'))
	}
	key, err := a.signingKey(o.key)
	if err != nil {
		return err
	}
	signed, err := key.Attest(statement)
	if err != nil {
		return err
	}
	by := []verify.Authority{{Name: "key", Key: key.Public()}}
	if _, _, err := verify.VerifyStatement(a.Now(), by, signed); err != nil {
		return fmt.Errorf("expected the statement that was made to verify, got: %w", err)
	}
	r.Statement = o.out
	if r.Statement == "" {
		r.Statement = o.encrypted + ".statement.sigstore.json"
	}
	return writeFile(r.Statement, signed)
}

func (a *app) printInspection(w io.Writer, r inspection) {
	rows := [][]string{
		{"file", printable(r.File)}, {"digest", r.Digest}, {"size", bytesOf(r.Size)}, {"type", r.MediaType},
		{"files", strconv.Itoa(int(r.Report.Files))}, {"unpacked", bytesOf(r.Report.Unpacked)},
		{"rules", "version " + strconv.Itoa(int(r.Report.Ruleset))},
	}
	if r.Statement != "" {
		rows = append(rows, []string{"statement", printable(r.Statement)})
	}
	if n := r.Native; n != nil {
		rows = append(rows, []string{"native", nativeText(n)})
	}
	table(w, rows...)
	if len(r.Report.Findings) > 0 {
		rows = [][]string{{"CHECK", "COUNT", "FOUND"}}
		for _, f := range r.Report.Findings {
			rows = append(rows, []string{f.Check, strconv.Itoa(int(f.Count)), valuesOf(f)})
		}
		fmt.Fprintln(w)
		table(w, rows...)
	}
	if len(r.Violations) > 0 {
		fmt.Fprintln(w)
		for _, v := range r.Violations {
			code := yellow
			if v.Action == content.Deny {
				code = red
			}
			fmt.Fprintf(w, "%s   %s\n", a.colour(code, string(v.Action)), printable(v.Message))
		}
	}
}

func valuesOf(f content.Finding) string {
	values := slices.Clone(f.Values)
	for i, v := range values {
		values[i] = printable(v)
	}
	if f.More {
		values = append(values, "...")
	}
	return strings.Join(values, ", ")
}

func bytesOf(n int64) string { return strconv.FormatInt(n, 10) + " bytes" }
