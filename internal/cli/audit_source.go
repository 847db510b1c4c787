// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/theupdateframework/go-tuf/v2/metadata"
	"golang.org/x/sync/errgroup"
	"k8s.io/cli-runtime/pkg/genericclioptions"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/audit"
	"github.com/windlass-dev/windlass/internal/publish"
	"github.com/windlass-dev/windlass/internal/store"
	"github.com/windlass-dev/windlass/internal/tuf"
)

const (
	auditBlock    = 256 // records that are read at once
	auditParallel = 16
	maxRoots      = 1024
)

// logSource says where an audit log is: an exported file, a bucket, or the bucket of a Repository in the cluster.
type logSource struct {
	file       string
	repository string
	bucket     store.Config
	anchors    []string
	firstRoot  string
	flags      *genericclioptions.ConfigFlags
	named      func() bool // the Repository, by whoever typed
}

// logFlags are the flags of verbs that read an audit log.
func (a *app) logFlags(cmd *cobra.Command, s *logSource) {
	f := cmd.Flags()
	f.StringVar(&s.file, "file", "", "exported log, one record a line; - is stdin")
	f.StringVarP(&s.repository, "repository", "r", otav1alpha1.DefaultRepository, "Repository in the cluster whose log it is; its Secret with the bucket's credentials is read, which with --endpoint is not: then only its status is, for what it says of the log's end")
	f.StringVar(&s.bucket.Endpoint, "endpoint", "", "object store without a cluster, such as https://s3.example.com; credentials come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
	f.StringVar(&s.bucket.Bucket, "bucket", "", "bucket, with --endpoint")
	f.StringVar(&s.bucket.Prefix, "prefix", "", "folder of the Repository in the bucket, with --endpoint")
	f.StringVar(&s.bucket.Region, "region", "", "region of the bucket, with --endpoint")
	cmd.MarkFlagsMutuallyExclusive("file", "endpoint")
	cmd.MarkFlagsMutuallyExclusive("file", "repository")
	cmd.MarkFlagsRequiredTogether("endpoint", "bucket")
	s.flags = genericclioptions.NewConfigFlags(true)
	a.connectionFlags(cmd, s.flags)
	s.named = func() bool { return f.Changed("repository") }
	a.outputFlag(cmd)
	a.offer(cmd, "repository", func(ctx context.Context, c *cluster) ([]string, error) {
		var all otav1alpha1.RepositoryList
		err := c.list(ctx, &all, false)
		return names(&all), err
	})
}

// auditLog is a log that was opened, and what others say of its end.
type auditLog struct {
	name    string
	bucket  *store.Bucket // nil: it is a file
	file    io.Reader
	anchors []audit.Anchor
	faults  []audit.Fault // of the anchors themselves
	newest  int64         // version of the metadata that the Repository's status names; zero: nobody does
}

// open finds the log and its anchors.
func (s *logSource) open(ctx context.Context, a *app) (*auditLog, error) {
	l := &auditLog{}
	for _, text := range s.anchors {
		anchor, err := parseAnchor(text)
		if err != nil {
			return nil, err
		}
		l.anchors = append(l.anchors, anchor)
	}
	switch {
	case s.file == "-":
		l.name, l.file = "stdin", a.In
		return l, nil
	case s.file != "":
		raw, err := os.Open(s.file)
		if err != nil {
			return nil, err
		}
		l.name, l.file = s.file, raw
		return l, nil
	case s.bucket.Endpoint == "" || s.named():
		if err := s.fromCluster(ctx, l); err != nil {
			return nil, err
		}
	}
	var err error
	if l.bucket, err = store.Open(s.bucket); err != nil {
		return nil, err
	}
	l.name = strings.TrimSuffix("bucket "+s.bucket.Bucket+", folder "+s.bucket.Prefix, ", folder ")
	return l, l.signedAnchor(ctx, s.firstRoot, a.Now())
}

// parseAnchor reads <sequence>:<hash>.
func parseAnchor(text string) (audit.Anchor, error) {
	number, hash, ok := strings.Cut(text, ":")
	n, err := strconv.ParseInt(number, 10, 64)
	if !ok || err != nil || n < 1 || len(hash) != len("sha256:")+64 || !strings.HasPrefix(hash, "sha256:") {
		return audit.Anchor{}, usage("--anchor: expected a sequence and a hash such as 12:sha256:1f…, got %q", text)
	}
	return audit.Anchor{Head: audit.Head{Sequence: n, Hash: hash}, Source: "--anchor"}, nil
}

// fromCluster finds the bucket of a Repository as the manager does.
func (s *logSource) fromCluster(ctx context.Context, l *auditLog) error {
	c, err := connect(s.flags)
	if err != nil {
		return err
	}
	var repo otav1alpha1.Repository
	if err := c.get(ctx, s.repository, &repo); err != nil {
		return c.explain(err)
	}
	if s.bucket.Endpoint == "" {
		if err := s.storage(ctx, c, &repo); err != nil {
			return err
		}
	}
	if h := repo.Status.Audit; h != nil {
		l.anchors = append(l.anchors, audit.Anchor{Head: audit.Head{Sequence: h.Sequence, Hash: string(h.Hash)}, Source: "status.audit of Repository " + repo.Name})
	}
	if m := repo.Status.Metadata; m != nil {
		l.newest = m.Version
		s.firstRoot = cmp.Or(s.firstRoot, string(m.FirstRootDigest))
	}
	return nil
}

// storage finds the bucket of a Repository, and how to reach it.
func (s *logSource) storage(ctx context.Context, c *cluster, repo *otav1alpha1.Repository) error {
	spec := repo.Spec.Storage
	s.bucket = store.Config{Endpoint: spec.Endpoint, Bucket: spec.Bucket, Prefix: spec.Prefix, Region: spec.Region}
	if ref := spec.CredentialsSecretRef; ref != nil {
		var secret corev1.Secret
		if err := c.get(ctx, ref.Name, &secret); apierrors.IsForbidden(err) {
			return refused("expected to read Secret %s, which has the credentials of the bucket, got: forbidden. No role of Windlass may read it. Use --endpoint and --bucket "+
				"with read-only credentials in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and --repository for what its status says; or ask whoever may read the bucket for an export "+
				"(kubectl windlass audit export) and use --file", ref.Name)
		} else if err != nil {
			return c.explain(err)
		}
		s.bucket.AccessKey, s.bucket.SecretKey = string(secret.Data["accessKeyID"]), string(secret.Data["secretAccessKey"])
		s.bucket.SessionToken = string(secret.Data["sessionToken"])
	}
	if ref := spec.CABundleConfigMapRef; ref != nil {
		var cm corev1.ConfigMap
		if err := c.Get(ctx, client.ObjectKey{Namespace: c.namespace, Name: ref.Name}, &cm); err != nil {
			return c.explain(err)
		}
		s.bucket.CABundle = []byte(cm.Data[ref.Key])
	}
	return nil
}

// signedAnchor reads what the signed timestamp.json says of the log's end. A timestamp that does not verify says nothing, and is a fault.
func (l *auditLog) signedAnchor(ctx context.Context, firstRoot string, now time.Time) error {
	raw, _, err := l.bucket.Get(ctx, "metadata/timestamp.json", tuf.MaxTimestamp)
	if errors.Is(err, store.ErrNotExist) {
		l.faults = append(l.faults, audit.Fault{Message: "metadata/timestamp.json is missing: nothing signed says how long the log is"})
		return nil
	}
	if err != nil {
		return err
	}
	root, err := l.newestRoot(ctx, firstRoot)
	if flaw, ok := errors.AsType[*rootError](err); ok {
		l.faults = append(l.faults, audit.Fault{Message: flaw.Error()})
		return nil
	}
	if err != nil {
		return err
	}
	l.believe(root, raw, now)
	return nil
}

// believe takes the anchor of a timestamp that a root of trust vouches for. One that has expired, or is older than the metadata that the
// Repository's status names, may have been put back together with a log that was cut off: it is a fault, whatever the log is.
func (l *auditLog) believe(root *tuf.Root, raw []byte, now time.Time) {
	timestamp, err := metadata.Timestamp().FromBytes(raw)
	if err == nil {
		err = root.VerifyDelegate(metadata.TIMESTAMP, timestamp)
	}
	if err != nil {
		l.faults = append(l.faults, audit.Fault{Message: "metadata/timestamp.json is not one that the root of trust vouches for: " + err.Error()})
		return
	}
	signed := &timestamp.Signed
	if !now.Before(signed.Expires) {
		l.faults = append(l.faults, audit.Fault{Message: fmt.Sprintf("metadata/timestamp.json version %d expired at %s: an old one may have been put back, or the manager does not sign",
			signed.Version, signed.Expires.UTC().Format(time.RFC3339))})
	}
	if signed.Version < l.newest {
		l.faults = append(l.faults, audit.Fault{Message: fmt.Sprintf("metadata/timestamp.json has version %d, expected at least %d, which status.metadata of the Repository names: an old one was put back",
			signed.Version, l.newest)})
	}
	if head := publish.AnchorOf(&timestamp.Signed); head.Sequence > 0 {
		l.anchors = append(l.anchors, audit.Anchor{Head: head, Source: fmt.Sprintf("signed timestamp.json version %d", timestamp.Signed.Version)})
	}
}

// rootError says why no root of trust in the bucket can be relied on.
type rootError struct{ text string }

func (e *rootError) Error() string { return e.text }

// newestRoot follows the roots of trust from the first one, which has the digest where one is known.
func (l *auditLog) newestRoot(ctx context.Context, firstDigest string) (*tuf.Root, error) {
	var newest *tuf.Root
	for version := 1; version <= maxRoots; version++ {
		name := fmt.Sprintf("metadata/%d.root.json", version)
		raw, _, err := l.bucket.Get(ctx, name, tuf.MaxRoot)
		switch {
		case errors.Is(err, store.ErrNotExist) && newest != nil:
			return newest, nil
		case errors.Is(err, store.ErrNotExist):
			return nil, &rootError{name + " is missing: nothing says whose signatures count"}
		case err != nil:
			return nil, err
		}
		if version == 1 && firstDigest != "" && audit.HashOf(raw) != firstDigest {
			return nil, &rootError{fmt.Sprintf("%s has the digest %s, expected %s", name, audit.HashOf(raw), firstDigest)}
		}
		root, err := tuf.ParseRoot(raw)
		if err == nil && newest == nil {
			err = root.VerifyDelegate(metadata.ROOT, root)
		}
		if err == nil && newest != nil {
			err = errors.Join(newest.VerifyDelegate(metadata.ROOT, root), root.VerifyDelegate(metadata.ROOT, root))
		}
		if err != nil || root.Signed.Version != int64(version) {
			return nil, &rootError{fmt.Sprintf("%s does not follow the root before it: %v", name, err)}
		}
		newest = root
	}
	return newest, nil
}

// each hands over all records as they are stored, in order. named is the sequence in the name of the object; zero in a file.
func (l *auditLog) each(ctx context.Context, do func(named int64, line []byte) error) error {
	if l.bucket == nil {
		return eachLine(l.file, do)
	}
	var block []int64
	for obj, err := range l.bucket.List(ctx, audit.Folder) {
		if err != nil {
			return err
		}
		n, ok := audit.SequenceOf(obj.Key)
		if !ok {
			l.faults = append(l.faults, audit.Fault{Message: printable(obj.Key) + " is no record: somebody else put it there"})
			continue
		}
		if block = append(block, n); len(block) == auditBlock {
			if err := l.readBlock(ctx, block, do); err != nil {
				return err
			}
			block = block[:0]
		}
	}
	return l.readBlock(ctx, block, do)
}

func (l *auditLog) readBlock(ctx context.Context, block []int64, do func(int64, []byte) error) error {
	lines := make([][]byte, len(block))
	group, bounded := errgroup.WithContext(ctx)
	group.SetLimit(auditParallel)
	for i, n := range block {
		group.Go(func() error {
			raw, _, err := l.bucket.Get(bounded, audit.Key(n), audit.MaxRecord)
			if errors.Is(err, store.ErrTooLarge) {
				raw, err = []byte(audit.Oversized), nil // the verification says that it cannot be read
			}
			lines[i] = raw
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for i, n := range block {
		if err := do(n, lines[i]); err != nil {
			return err
		}
	}
	return nil
}

// eachLine hands over the lines of a file, with their line feeds.
func eachLine(from io.Reader, do func(int64, []byte) error) error {
	lines := bufio.NewReaderSize(from, audit.MaxRecord+1)
	for {
		line, err := lines.ReadSlice('\n')
		if len(line) > 0 {
			if err := do(0, line); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			if _, err := lines.ReadString('\n'); err != nil && !errors.Is(err, io.EOF) {
				return err // the rest of a line that is too long
			}
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}
