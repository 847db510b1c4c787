// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/windlass-dev/windlass/internal/audit"
)

func (a *app) auditCommand() *cobra.Command {
	return group("audit", "Export and verify the audit log of a Repository", `
Reads the audit log: every decision and every command, one record each, in the bucket of a Repository (docs/audit.md).`,
		a.auditExportCommand(), a.auditVerifyCommand())
}

func (a *app) auditExportCommand() *cobra.Command {
	var s logSource
	var out string
	cmd := verb("export", "Write the audit log as lines of JSON", `
Writes all records as they are stored, one a line, oldest first. Nothing is checked: verify does that, also with the file.`, `
kubectl windlass audit export --out audit.jsonl
kubectl windlass audit export | jq -r 'select(.by) | [.at, .by, .action, .message] | @tsv'
kubectl windlass audit export --endpoint https://s3.example.com --bucket updates --prefix mobile`,
		func(ctx context.Context, _ []string) error { return a.exportLog(ctx, &s, out) })
	a.logFlags(cmd, &s)
	cmd.Flags().StringVar(&out, "out", "", "file to write; without it, stdout")
	setForms(cmd, []string{formatText, formatJSON})
	return cmd
}

func (a *app) exportLog(ctx context.Context, s *logSource, out string) (err error) {
	l, err := s.open(ctx, a)
	if err != nil {
		return err
	}
	to := a.Out
	if out != "" {
		f, err := os.OpenFile(out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		defer func() {
			if closed := f.Close(); err == nil {
				err = closed
			}
		}()
		to = f
	}
	w := bufio.NewWriter(to)
	records := 0
	if err := l.each(ctx, func(_ int64, line []byte) error {
		records++
		_, err := w.Write(line)
		return err
	}); err != nil {
		return err
	}
	if !a.quiet && out != "" {
		fmt.Fprintf(a.Err, "%d records of %s are in %s\n", records, l.name, out)
	}
	return w.Flush()
}

// logVerdict is the result of a verification.
type logVerdict struct {
	Log     string        `json:"log"`
	Intact  bool          `json:"intact"`
	Records int64         `json:"records"`
	First   int64         `json:"first,omitempty"`
	Last    int64         `json:"last,omitempty"`
	Hash    string        `json:"hash,omitempty"` // of the last record
	At      time.Time     `json:"at,omitzero"`    // when it was appended
	Anchors []anchored    `json:"anchors"`
	Faults  []audit.Fault `json:"faults,omitempty"`
}

type anchored struct {
	Source   string `json:"source"`
	Sequence int64  `json:"sequence"`
}

func (a *app) auditVerifyCommand() *cobra.Command {
	var s logSource
	cmd := verb("verify", "Check that no record was changed, removed, inserted or put elsewhere", `
Checks the audit log: each record names the hash of the one before it, and the signed metadata names the hash of the last one, as does
the status of the Repository. Exit code 3 means that something is wrong; the first bad record is named. What was appended after the
last anchor is covered by the next commit only.`, `
kubectl windlass audit verify
kubectl windlass audit verify --file audit.jsonl --anchor 124:sha256:9f2c…
kubectl windlass audit verify --endpoint https://s3.example.com --bucket updates --prefix mobile --first-root sha256:77aa…
kubectl windlass audit verify --repository default --endpoint https://s3.example.com --bucket updates --prefix mobile`,
		func(ctx context.Context, _ []string) error {
			v, _, err := a.verifyLog(ctx, &s)
			if err != nil {
				return err
			}
			if err := a.print(v, func(w io.Writer) { a.printVerified(w, v) }); err != nil {
				return err
			}
			return v.verdict()
		})
	a.logFlags(cmd, &s)
	cmd.Flags().StringArrayVar(&s.anchors, "anchor", nil, "sequence and hash of a record that was kept elsewhere, as 12:sha256:…; may be repeated")
	cmd.Flags().StringVar(&s.firstRoot, "first-root", "", "digest of the first root of trust, which status.metadata.firstRootDigest of the Repository tells; without it and without a cluster, the one in the bucket is believed")
	return cmd
}

// unanchored is all that can be said of a log whose end nobody names.
const unanchored = "the chain holds; nothing says that its end is not cut off"

func (v *logVerdict) verdict() error {
	if v.Intact {
		return nil
	}
	return refused("the log is not intact: %s", v.Faults[0])
}

// verifyLog checks a log, and gives its records.
func (a *app) verifyLog(ctx context.Context, s *logSource) (*logVerdict, []audit.Record, error) {
	l, err := s.open(ctx, a)
	if err != nil {
		return nil, nil, err
	}
	var records []audit.Record
	check := audit.NewVerifier(1, l.anchors...)
	if err := l.each(ctx, func(named int64, line []byte) error {
		if r, ok := check.Add(named, line); ok {
			records = append(records, r)
		}
		return nil
	}); err != nil {
		return nil, nil, err
	}
	report := check.Report()
	v := &logVerdict{
		Log: l.name, Records: report.Records, First: report.First, Last: report.Head.Sequence, Hash: report.Head.Hash, At: report.Head.At,
		Anchors: []anchored{}, Faults: append(report.Faults, l.faults...),
	}
	for _, anchor := range report.Anchors {
		v.Anchors = append(v.Anchors, anchored{anchor.Source, anchor.Sequence})
	}
	v.Intact = len(v.Faults) == 0
	return v, records, nil
}

func (a *app) printVerified(w io.Writer, v *logVerdict) {
	state := a.colour(green, "intact")
	if v.Intact && len(v.Anchors) == 0 {
		state = a.colour(yellow, unanchored)
	}
	if !v.Intact {
		state = a.colour(red, "NOT INTACT")
	}
	fmt.Fprintf(w, "%s: %s\n\n", v.Log, state)
	fmt.Fprintf(w, "records    %d", v.Records)
	if v.Last > 0 {
		fmt.Fprintf(w, ", %d to %d; the last one was appended at %s\nhash       %s", v.First, v.Last, v.At.UTC().Format(time.RFC3339), v.Hash)
	}
	fmt.Fprintln(w)
	for _, x := range v.Anchors {
		fmt.Fprintf(w, "anchor     record %d is the one that %s names; %d came after it\n", x.Sequence, x.Source, v.Last-x.Sequence)
	}
	if len(v.Anchors) == 0 {
		fmt.Fprintln(w, "anchor     none: give one with --anchor, or read the bucket, whose signed metadata names the last record")
	}
	for _, f := range v.Faults {
		fmt.Fprintln(w, a.colour(red, "wrong      ")+printable(f.String()))
	}
}
