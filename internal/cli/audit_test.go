// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/audit"
	"github.com/windlass-dev/windlass/internal/publish"
	"github.com/windlass-dev/windlass/internal/store"
	"github.com/windlass-dev/windlass/internal/testkit"
	"github.com/windlass-dev/windlass/internal/tuf"
)

// logged is a bucket with an audit log whose end the signed metadata names.
type logged struct {
	*testkit.Bucket
	store     *store.Bucket
	head      audit.Head
	firstRoot string
}

// newLogged writes the log of one bad release, with the parts that the manager has.
func newLogged(t *testing.T) *logged {
	t.Helper()
	b := &logged{Bucket: testkit.ObjectStore(t)}
	var err error
	b.store, err = store.Open(store.Config{Endpoint: b.Endpoint, Bucket: b.Name, Prefix: "mobile", AccessKey: b.AccessKeyID, SecretKey: b.SecretAccessKey})
	if err != nil {
		t.Fatal(err)
	}
	at := now.Add(-time.Hour)
	recorded := make(chan int, 10)
	log := audit.Open(t.Context(), audit.Config{Bucket: b.store, Now: func() time.Time { return at }, Notify: func(refs []audit.Ref) { recorded <- len(refs) }})
	t.Cleanup(log.Close)
	records := b.records(at)
	log.Submit(records...)
	for n := 0; n < len(records); n += <-recorded {
	}
	b.head = log.Head()
	data, err := publish.GenerateKeys()
	if err != nil {
		t.Fatal(err)
	}
	keys, err := publish.ParseKeys(data)
	if err != nil {
		t.Fatal(err)
	}
	p, err := publish.Open(t.Context(), publish.Config{Bucket: b.store, Keys: keys, Audit: log.Head})
	if err != nil {
		t.Fatal(err)
	}
	p.Close()
	b.firstRoot = p.State().FirstRoot
	if got := p.State().Audit; got.Sequence != b.head.Sequence || got.Hash != b.head.Hash {
		t.Fatalf("the commit names %+v, want %+v", got, b.head)
	}
	return b
}

// records are those of a release that fails at 5 %.
func (*logged) records(at time.Time) []audit.Record {
	of := func(action, weight, message string) audit.Record {
		at = at.Add(time.Minute)
		return audit.Record{
			ID: fmt.Sprint("id.", at.Unix()), At: at, Kind: "Rollout", Namespace: "mobile", Name: "shop", UID: "u", App: testkit.App, Channel: "production", Action: action,
			Message: message, Bundle: "shop-2", Version: "2.0.0", Digest: "sha256:" + strings.Repeat("2", 64), Weight: weight,
		}
	}
	ready := audit.Record{ID: "ready", At: at, Kind: "Bundle", Name: "shop-2", App: testkit.App, Action: "BundleReady", Message: "stored and signed by ci"}
	begin := of("ReleaseStarted", "0", "release of shop-2")
	begin.By, begin.Actor = "dev@example.com", otav1alpha1.ActorVerified
	approval := of("CommandAccepted", "0", "approve by qa@example.com")
	approval.By, approval.Actor = "qa@example.com", otav1alpha1.ActorUnverified
	first := of("Progressing", "5", "shop-2 to 5 %")
	back := of("RollingBack", "0", "shop-2: errors: 9 of 100")
	back.Evidence = []string{"errors Failing: 9 of 100 devices, at most 2 %"}
	back.Candidate = &otav1alpha1.ArmCounts{Devices: 100, Failures: 9}
	return []audit.Record{ready, begin, approval, first, back, of("RolledBack", "0", "shop-2: errors: 9 of 100")}
}

// flags reach the bucket without a cluster.
func (b *logged) flags(t *testing.T) []string {
	t.Helper()
	t.Setenv("AWS_ACCESS_KEY_ID", b.AccessKeyID)
	t.Setenv("AWS_SECRET_ACCESS_KEY", b.SecretAccessKey)
	return []string{"--endpoint", b.Endpoint, "--bucket", b.Name, "--prefix", "mobile"}
}

func TestAuditOfABucket(t *testing.T) {
	b := newLogged(t)
	s, flags := newShell(t), b.flags(t)
	with := func(words ...string) []string { return append(words, flags...) }
	out := s.run(with("audit", "verify", "--first-root", b.firstRoot)...)
	for _, want := range []string{": intact", "records    6, 1 to 6", b.head.Hash, "anchor     record 6 is the one that signed timestamp.json version 1 names; 0 came after it"} {
		if !strings.Contains(out, want) {
			t.Errorf("verify prints %s\nwithout %q", out, want)
		}
	}
	s.run(with("audit", "export", "--out", "audit.jsonl")...)
	lines := s.read("audit.jsonl")
	if got := s.run(with("audit", "export")...); got != lines || strings.Count(got, "\n") != 6 {
		t.Errorf("exported %q, and into a file %q", got, lines)
	}
	s.fails(ExitError, "exists", with("audit", "export", "--out", "audit.jsonl")...)
	s.run("audit", "verify", "--file", "audit.jsonl", "--anchor", "6:"+b.head.Hash)

	s.fails(ExitRefused, "1.root.json has the digest", with("audit", "verify", "--first-root", "sha256:"+strings.Repeat("0", 64))...)
	s.write(map[string]string{"cut.jsonl": lines[:strings.LastIndexByte(lines[:len(lines)-1], '\n')+1], "changed.jsonl": strings.Replace(lines, "dev@", "bob@", 1)})
	for _, words := range [][]string{{"audit", "verify"}, {"report", testkit.App}} { // nobody says how long it was
		if out := s.run(append(words, "--file", "cut.jsonl")...); !strings.Contains(out, unanchored) || strings.Contains(out, "intact") {
			t.Errorf("%v of a log without an anchor prints %s", words, out)
		}
	}
	s.fails(ExitRefused, "record 6: is missing: --anchor names record 6", "audit", "verify", "--file", "cut.jsonl", "--anchor", "6:"+b.head.Hash)
	s.fails(ExitRefused, "record 2: was changed, or record 3 was put after another one", "audit", "verify", "--file", "changed.jsonl")
	s.fails(ExitUsage, "--anchor: expected a sequence and a hash", "audit", "verify", "--file", "audit.jsonl", "--anchor", "6")
	if err := b.store.Delete(t.Context(), audit.Key(6)); err != nil {
		t.Fatal(err)
	}
	s.fails(ExitRefused, "record 6: is missing: signed timestamp.json version 1 names record 6 as the last one", with("audit", "verify")...)
	if err := b.store.PutImmutable(t.Context(), "audit/notes.txt", []byte("hello"), "text/plain"); err != nil {
		t.Fatal(err)
	}
	o := s.try(with("audit", "verify", "-o", "json")...)
	var v logVerdict
	if err := json.Unmarshal([]byte(o.out), &v); err != nil || v.Intact || len(v.Faults) != 2 || v.Last != 5 || o.code != ExitRefused {
		t.Errorf("got %s, exit code %d", o.out, o.code)
	}
}

// A timestamp that has expired says nothing of how long the log is today.
func TestAuditExpired(t *testing.T) {
	b := newLogged(t)
	raw, _, err := b.store.Get(t.Context(), "metadata/timestamp.json", tuf.MaxTimestamp)
	if err != nil {
		t.Fatal(err)
	}
	var l auditLog
	l.bucket = b.store
	root, err := l.newestRoot(t.Context(), b.firstRoot)
	if err != nil {
		t.Fatal(err)
	}
	l.believe(root, raw, time.Now())
	if len(l.faults) != 0 || len(l.anchors) != 1 {
		t.Fatalf("of a fresh one: %v, %v", l.faults, l.anchors)
	}
	l.believe(root, raw, time.Now().AddDate(2, 0, 0))
	if len(l.faults) != 1 || !strings.Contains(l.faults[0].Message, "expired at") {
		t.Errorf("of one that has expired: %v", l.faults)
	}
}

func TestReport(t *testing.T) {
	b := newLogged(t)
	s, flags := newShell(t), b.flags(t)
	with := func(words ...string) []string { return append(words, flags...) }
	out := s.run(with("report", testkit.App, "--since", "2d")...)
	for _, want := range []string{
		"which is intact", "shop-2 2.0.0 on production: RolledBack", "asked for  2026-11-22 09:01:00Z by dev@example.com (Rollout shop)",
		"approved   2026-11-22 09:02:00Z by qa@example.com (not verified)", "signed     stored and signed by ci", "at most 5 % of the devices; 100 reported, 9 of them failures",
		"offered    2026-11-22 09:03:00Z to 2026-11-22 09:05:00Z as candidate, for 2m0s", "ended      2026-11-22 09:05:00Z: shop-2: errors: 9 of 100",
		"evidence   errors Failing: 9 of 100 devices, at most 2 %", "Rollout shop, qa@example.com (not verified): approve by qa@example.com (record 3)",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the report is\n%s\nwithout %q", out, want)
		}
	}
	var r incidentReport
	if err := json.Unmarshal([]byte(s.run(with("report", testkit.App, "--since", "2026-11-22", "--until", "2026-11-22T09:30:00Z", "-o", "json")...)), &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Releases) != 1 || r.Releases[0].Failures != 9 || !r.Log.Intact || r.Log.Records != 6 {
		t.Errorf("got %+v", r)
	}
	if out := s.run(with("report", "com.example.other")...); !strings.Contains(out, "No release.") {
		t.Errorf("of another app: %s", out)
	}
	for flag, text := range map[string]string{"--since": "yesterday", "--until": "2026-13-01"} {
		s.fails(ExitUsage, flag+": expected a time such as", with("report", testkit.App, flag, text)...)
	}
	s.fails(ExitUsage, "is not before", with("report", testkit.App, "--since", "1h", "--until", "2h")...)
}

// The Repository in the cluster says where its log is, how to reach it, and how long it is.
func TestAuditOfARepository(t *testing.T) {
	e, b := testkit.Start(t), newLogged(t)
	repo := e.Repository(b.Bucket, testkit.NewAuthor(t, "ci"))
	e.Create(t, e.Credentials(b.Bucket), repo)
	repo.Status.Audit = &otav1alpha1.AuditStatus{Sequence: b.head.Sequence, Hash: otav1alpha1.Digest(b.head.Hash)}
	repo.Status.Metadata = &otav1alpha1.MetadataStatus{Version: 1, RootVersion: 1, FirstRootDigest: otav1alpha1.Digest(b.firstRoot)}
	if err := e.Client.Status().Update(t.Context(), repo); err != nil {
		t.Fatal(err)
	}
	s := newShell(t)
	cfg := clientcmdapi.NewConfig()
	cfg.Clusters["test"] = &clientcmdapi.Cluster{Server: e.Config.Host, CertificateAuthorityData: e.Config.CAData}
	cfg.AuthInfos["test"] = &clientcmdapi.AuthInfo{ClientCertificateData: e.Config.CertData, ClientKeyData: e.Config.KeyData, Token: e.Config.BearerToken}
	cfg.Contexts["test"] = &clientcmdapi.Context{Cluster: "test", AuthInfo: "test", Namespace: e.Namespace}
	cfg.CurrentContext = "test"
	if err := clientcmd.WriteToFile(*cfg, "kubeconfig"); err != nil {
		t.Fatal(err)
	}
	if out := s.run("audit", "verify", "--kubeconfig", "kubeconfig"); !strings.Contains(out, "status.audit of Repository default names") || !strings.Contains(out, "signed timestamp.json version 1 names") {
		t.Errorf("verify prints %s", out)
	}
	// Without the Secret: status.audit is held against the log all the same.
	if err := e.Client.Delete(t.Context(), e.Credentials(b.Bucket)); err != nil {
		t.Fatal(err)
	}
	without := append([]string{"audit", "verify", "--kubeconfig", "kubeconfig", "-r", "default"}, b.flags(t)...)
	if out := s.run(without...); !strings.Contains(out, "status.audit of Repository default names") {
		t.Errorf("verify with --endpoint prints %s", out)
	}
	repo.Status.Metadata.Version = 7
	if err := e.Client.Status().Update(t.Context(), repo); err != nil {
		t.Fatal(err)
	}
	s.fails(ExitRefused, "timestamp.json has version 1, expected at least 7", without...)
	s.fails(ExitError, "other", "audit", "verify", "--kubeconfig", "kubeconfig", "-r", "other")
}
