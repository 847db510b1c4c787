// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/gateway"
	"github.com/windlass-dev/windlass/internal/resolve"
)

// server answers as an API server that has the objects of a side, and notes what it was sent.
type server struct {
	*httptest.Server
	t       *testing.T
	objects map[string]any // by path

	mu      sync.Mutex
	patches []string
	answer  func(w http.ResponseWriter, r *http.Request) bool // true: it has answered
}

const base = "/apis/ota.windlass.dev/v1alpha1/namespaces/mobile/"

func newServer(t *testing.T, s side) *server {
	t.Helper()
	out := &server{t: t, objects: map[string]any{
		base + "rollouts": &otav1alpha1.RolloutList{Items: s.rollouts}, base + "channels": &otav1alpha1.ChannelList{Items: []otav1alpha1.Channel{*s.channel}},
		base + "channels/production": s.channel, base + "rollouts/shop": s.rollout(), base + "repositories/default": s.repository,
	}}
	for name, b := range s.bundles {
		out.objects[base+"bundles/"+name] = b
	}
	out.Server = httptest.NewServer(http.HandlerFunc(out.serve))
	t.Cleanup(out.Close)
	return out
}

func (s *server) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	if s.answer != nil && s.answer(w, r) {
		return
	}
	obj, ok := s.objects[r.URL.Path]
	if !ok {
		words := strings.Split(r.URL.Path, "/")
		status := apierrors.NewNotFound(schema.GroupResource{Group: otav1alpha1.Group, Resource: words[len(words)-2]}, words[len(words)-1])
		status.ErrStatus.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}
		w.WriteHeader(http.StatusNotFound)
		_ = json.NewEncoder(w).Encode(status.ErrStatus)
		return
	}
	if r.Method == http.MethodPatch {
		var body bytes.Buffer
		_, _ = body.ReadFrom(r.Body)
		s.patches = append(s.patches, body.String())
		var patch struct {
			Metadata struct{ Annotations map[string]string }
		}
		if err := json.Unmarshal(body.Bytes(), &patch); err != nil {
			s.t.Error(err)
		}
		o := obj.(client.Object)
		o.SetAnnotations(patch.Metadata.Annotations)
		if ro, ok := obj.(*otav1alpha1.Rollout); ok { // it plays the manager, too
			ro.Status.LastCommand = &otav1alpha1.CommandStatus{
				ID: o.GetAnnotations()[otav1alpha1.CommandIDAnnotation], Name: o.GetAnnotations()[otav1alpha1.CommandAnnotation], By: "jane", Result: otav1alpha1.CommandAccepted,
			}
		}
	}
	_ = json.NewEncoder(w).Encode(obj)
}

// on are the arguments that lead to a server.
func (s *server) on(args ...string) []string {
	return append(args, "--server", s.URL, "-n", "mobile", "--kubeconfig", "")
}

// fail answers everything with a status.
func (s *server) fail(status metav1.Status) {
	status.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(int(status.Code))
		_ = json.NewEncoder(w).Encode(status)
		return true
	}
}

// What goes wrong between a person and a cluster says what was expected, and what to do.
func TestCluster_errors(t *testing.T) {
	s := newShell(t)
	api := newServer(t, underWay())
	s.fails(ExitError, "there are production; --namespace", api.on("diff", "prod")...)
	s.fails(ExitError, "none is there", append(api.on("status", "shop"), "-n", "empty")...)
	for want, tc := range map[string]struct {
		status *apierrors.StatusError
		code   int
	}{
		"log in again": {apierrors.NewUnauthorized("x"), ExitError},
		"install it":   {apierrors.NewGenericServerResponse(404, "get", schema.GroupResource{}, "", "404 page not found", 0, true), ExitError},
		"jane may not list rollouts in all namespaces: ask an administrator": {apierrors.NewForbidden(schema.GroupResource{Group: otav1alpha1.Group, Resource: "rollouts"}, "",
			errors.New(`User "jane" cannot list resource "rollouts" in API group "ota.windlass.dev" at the cluster scope`)), ExitRefused},
		"error: this needs the verb promote on Channel production\n": {apierrors.NewForbidden(schema.GroupResource{Group: otav1alpha1.Group, Resource: "rollouts"}, "shop",
			errors.New(`ValidatingAdmissionPolicy 'windlass-authority' with binding 'windlass-authority' denied request: this needs the verb promote on Channel production`)), ExitRefused},
		"exceeded quota": {apierrors.NewForbidden(schema.GroupResource{}, "", errors.New("exceeded quota")), ExitRefused},
	} {
		api.fail(tc.status.ErrStatus)
		s.fails(tc.code, want, api.on("list", "-A")...)
	}
	api.Close()
	s.fails(ExitError, "expected to reach the API server "+api.URL, api.on("list")...)
	s.fails(ExitError, "no configuration of one", "list", "--kubeconfig", os.DevNull)
	s.fails(ExitError, "expected a cluster: stat nothing", "list", "--kubeconfig", "nothing")
	s.fails(ExitUsage, "expected rollouts or channels", api.on("list", "bundles")...)
	s.fails(ExitUsage, "text, wide, json, yaml or name", api.on("list", "-o", "xml")...)
	s.fails(ExitUsage, "text, wide, json or yaml", api.on("diff", "production", "-o", "name")...)
	s.fails(ExitUsage, "expected --output text or wide", api.on("get", "rollout", "shop", "--watch", "-o", "json")...)
	c := &cluster{config: &rest.Config{Host: "https://api"}}
	if err := c.explain(context.DeadlineExceeded); !strings.Contains(err.Error(), "in time") {
		t.Error(err)
	}
	if err := c.explain(&url.Error{Err: &net.DNSError{Err: "no such host", Name: "api"}}); !strings.Contains(err.Error(), "right cluster") {
		t.Error(err)
	}
}

// What is printed for programs is what kubectl would print, and has all that is shown.
func TestCluster_forms(t *testing.T) {
	s := newShell(t)
	api := newServer(t, underWay())
	for _, form := range []string{formatJSON, formatYAML} {
		var list struct {
			Kind  string
			Items []struct {
				APIVersion, Kind string
				Metadata         metav1.ObjectMeta
			}
		}
		if err := yaml.Unmarshal([]byte(s.run(api.on("get", "rollout", "shop", "-o", form)...)), &list); err != nil {
			t.Fatal(err)
		}
		var kinds []string
		for _, item := range list.Items {
			kinds = append(kinds, item.APIVersion+" "+item.Kind+" "+item.Metadata.Name)
		}
		const version = "ota.windlass.dev/v1alpha1 "
		if got, want := strings.Join(kinds, ","), version+"Rollout shop,"+version+"Channel production,"+version+"Bundle shop-2.4.1,"+version+"Bundle shop-2.4.0"; got != want || list.Kind != "List" {
			t.Errorf("%s: %s of %s, want %s", form, list.Kind, got, want)
		}
	}
	if got := s.run(api.on("list", "-o", "name")...); got != "rollout.ota.windlass.dev/shop\nchannel.ota.windlass.dev/production\n" {
		t.Errorf("names: %q", got)
	}
	var d difference
	if err := json.Unmarshal([]byte(s.run(api.on("diff", "production", "-o", "json")...)), &d); err != nil || d.Same || d.Asks[0].Version != "2.4.1" || d.Serving.Stable.Version != "2.4.0" {
		t.Errorf("diff: %+v, %v", d, err)
	}
	var h channelHistory
	if err := json.Unmarshal([]byte(s.run(api.on("history", "production", "-o", "json")...)), &h); err != nil || len(h.Served) != 4 || len(h.Releases) != 3 {
		t.Errorf("history: %+v, %v", h, err)
	}
	o := s.try(api.on("status", "shop", "-o", "json")...)
	var state releaseState
	if err := json.Unmarshal([]byte(o.out), &state); err != nil || o.code != ExitUnderWay || state.ExitCode != o.code || state.Revision != 7 || o.err != "" {
		t.Errorf("status: %+v, %v", o, err)
	}
}

// A command is one patch of all its annotations, with an id that nobody has used, and is given once.
func TestOrder(t *testing.T) {
	s := newShell(t)
	api := newServer(t, underWay())
	seen := map[string]bool{}
	for range 3 {
		if got := s.run(api.on("promote", "shop", "--full")...); got != "promote-full of rollout/shop: accepted, by jane\n" {
			t.Errorf("%q", got)
		}
	}
	s.run(api.on("pause", "rollout/shop", "--reason", " it is slow ")...)
	for i, text := range api.patches {
		var patch struct {
			Metadata struct{ Annotations map[string]string }
		}
		if err := json.Unmarshal([]byte(text), &patch); err != nil {
			t.Fatal(err)
		}
		a := patch.Metadata.Annotations
		want := map[bool]string{true: "promote-full|", false: "pause|it is slow"}[i < 3]
		id := a[otav1alpha1.CommandIDAnnotation]
		if got := a[otav1alpha1.CommandAnnotation] + "|" + a[otav1alpha1.CommandArgsAnnotation]; got != want || len(a) != 3 || len(id) < 20 || seen[id] {
			t.Errorf("%d: %v, want %s", i, a, want)
		}
		seen[id] = true
	}
	s.fails(ExitUsage, "expected NAME or rollout/NAME", api.on("promote", "channel/production")...)
	s.fails(ExitUsage, "expected NAME or channel/NAME or repository/NAME", api.on("halt", "rollout/shop", "--reason", "x")...)
	s.fails(ExitUsage, "one line", api.on("pause", "shop", "--reason", "a\nb")...)
	s.fails(ExitUsage, "none or server", api.on("pause", "shop", "--dry-run", "client")...)
	s.fails(ExitUsage, "which content checks", api.on("override", "production", string(newDigest), "--reason", "x")...)
	s.fails(ExitUsage, `there is no check "magic"`, api.on("override", "production", string(newDigest), "--check", "magic", "--reason", "x")...)
	s.fails(ExitUsage, "the first word must be", api.on("rollback", "production", "--to", "Shop 1", "--reason", "x")...)
	s.fails(ExitError, "expected a release that waits for approval", api.on("approve", "shop")...)
	if len(api.patches) != 4 {
		t.Errorf("%d patches, want 4", len(api.patches))
	}
}

// What passes by itself does not end the wait for the manager; what does not says that the command was given.
func TestOrder_answer(t *testing.T) {
	s := newShell(t)
	api := newServer(t, underWay())
	answers := map[string]func(http.ResponseWriter){
		"too many": func(w http.ResponseWriter) { w.WriteHeader(http.StatusTooManyRequests) },
		"reset":    func(http.ResponseWriter) { panic(http.ErrAbortHandler) },
		"cut": func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", "99")
			_, _ = w.Write([]byte("{"))
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		},
	}
	for name, fails := range answers {
		given, looks := "", 0
		api.answer = func(w http.ResponseWriter, r *http.Request) bool {
			ch := underWay().channel
			if r.Method == http.MethodPatch {
				given = commandID(t, r)
			} else if looks++; looks == 1 {
				fails(w)
				return true
			} else {
				ch.Status.LastCommand = &otav1alpha1.CommandStatus{ID: given, Result: otav1alpha1.CommandAccepted}
			}
			ch.Annotations = map[string]string{otav1alpha1.CommandIDAnnotation: given}
			_ = json.NewEncoder(w).Encode(ch)
			return true
		}
		if got := s.run(api.on("halt", "production", "--reason", "x")...); !strings.Contains(got, "accepted") || looks != 2 {
			t.Errorf("%s: %d looks: %s", name, looks, got)
		}
	}
}

// commandID of a patch.
func commandID(t *testing.T, r *http.Request) string {
	t.Helper()
	var patch struct {
		Metadata struct{ Annotations map[string]string }
	}
	if err := json.NewDecoder(r.Body).Decode(&patch); err != nil {
		t.Error(err)
	}
	return patch.Metadata.Annotations[otav1alpha1.CommandIDAnnotation]
}

// RBAC refuses before the policy is asked: what is missing is said all the same, as the policy would say it.
func TestOrder_forbidden(t *testing.T) {
	s := newShell(t)
	api := newServer(t, underWay())
	refuse := http.MethodPatch
	api.answer = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != refuse {
			return false
		}
		words := strings.Split(r.URL.Path, "/")
		resource := words[len(words)-2]
		status := apierrors.NewForbidden(schema.GroupResource{Group: otav1alpha1.Group, Resource: resource}, "x", fmt.Errorf(
			"User %q cannot %s resource %q in API group %q in the namespace %q", "qa", strings.ToLower(r.Method), resource, otav1alpha1.Group, "mobile")).ErrStatus
		status.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}
		w.WriteHeader(http.StatusForbidden)
		_ = json.NewEncoder(w).Encode(status)
		return true
	}
	for want, args := range map[string][]string{
		"the verb halt on Channel production, and patch of rollouts with it, which qa does not have: ask for a role": {"pause", "shop"},
		"the verb rollback on Channel production": {"abort", "shop"},
		"the verb unhalt on Repository default":   {"unhalt", "repository/default", "--reason", "x"},
	} {
		s.fails(ExitRefused, want, api.on(args...)...)
	}
	refuse = http.MethodGet
	s.fails(ExitRefused, "the verb approve on the Channel of Rollout shop, and get of rollouts", api.on("approve", "shop")...)
	s.fails(ExitRefused, "qa may not get rollouts", api.on("status", "shop")...)
	s.fails(ExitError, "the command was given, and what became of it is unknown", api.on("halt", "production", "--reason", "x")...)
}

// Another command that comes before the manager has looked ends the wait. Nobody knows what became of the first.
func TestOrder_overtaken(t *testing.T) {
	s := newShell(t)
	api := newServer(t, underWay())
	api.answer = func(w http.ResponseWriter, r *http.Request) bool {
		ch := *underWay().channel
		ch.Annotations = map[string]string{otav1alpha1.CommandIDAnnotation: "another", otav1alpha1.RequestedByAnnotation: "amy"}
		_ = json.NewEncoder(w).Encode(ch)
		return r.URL.Path == base+"channels/production"
	}
	s.fails(ExitError, "amy gave another one first: yours may or may not have been carried out", api.on("halt", "production", "--reason", "x")...)
}

// Who sits at a terminal is asked for a reason that is needed; others are told how to give it.
func TestOrder_reason(t *testing.T) {
	s := newShell(t)
	api := newServer(t, underWay())
	var out, errs bytes.Buffer
	streams := Streams{
		In: strings.NewReader("crashes after login\n"), Out: &out, Err: &errs, Getenv: func(string) string { return "" }, Now: func() time.Time { return now }, Interactive: true,
	}
	code := Run(t.Context(), streams, api.on("rollback", "production", "--wait=false"))
	if code != ExitOK || !strings.Contains(errs.String(), "Why do you take it back? ") || !strings.Contains(strings.Join(api.patches, ""), `"Stable crashes after login"`) {
		t.Errorf("exit code %d: %s%s", code, errs.String(), api.patches)
	}
	s.fails(ExitUsage, "why do you take it back?", api.on("rollback", "production")...)
	streams.In = strings.NewReader("\n")
	if code := Run(t.Context(), streams, api.on("rollback", "production")); code != ExitUsage {
		t.Errorf("exit code %d without an answer", code)
	}
}

// A watch goes on through what passes by itself, tells it once, and ends with what does not.
func TestEach(t *testing.T) {
	c := &cluster{config: &rest.Config{Host: "https://api"}}
	gone := &url.Error{Op: "Get", URL: "https://api/x", Err: errors.New("connection refused")}
	for name, tc := range map[string]struct {
		answers []error
		looks   int
		tells   int
		err     error
	}{
		"seen at once":           {[]error{nil}, 1, 0, nil},
		"no cluster at all":      {[]error{gone}, 1, 0, gone},
		"an outage":              {[]error{context.Canceled, gone, gone, nil}, 4, 1, nil},
		"what does not pass":     {[]error{context.Canceled, errBroken}, 2, 0, errBroken},
		"an answer between them": {[]error{context.Canceled, gone, context.Canceled, gone, nil}, 5, 2, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var tells bytes.Buffer
			looks := 0
			err := c.each(t.Context(), &tells, time.Millisecond, func() (bool, error) {
				answer := tc.answers[looks]
				looks++
				if errors.Is(answer, context.Canceled) {
					return false, nil // it is not over
				}
				return answer == nil, answer
			})
			if !errors.Is(err, tc.err) || looks != tc.looks || strings.Count(tells.String(), "trying again") != tc.tells {
				t.Errorf("%v after %d looks, want %v after %d; it told %q", err, looks, tc.err, tc.looks, tells.String())
			}
		})
	}
}

var errBroken = errors.New("broken")

// Ctrl-C ends a watch; what was seen stays.
func TestWatch(t *testing.T) {
	api := newServer(t, underWay())
	ctx, stop := context.WithCancel(t.Context())
	api.mu.Lock()
	api.answer = func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "shop-2.4.0") {
			stop() // after the first look
		}
		return false
	}
	api.mu.Unlock()
	var out, errs bytes.Buffer
	streams := Streams{Out: &out, Err: &errs, Getenv: func(string) string { return "" }, Now: func() time.Time { return now }, Width: func() int { return 60 }, Height: func() int { return 10 }}
	code := Run(ctx, streams, api.on("get", "rollout", "shop", "--watch"))
	if code != ExitOK || errs.Len() > 0 {
		t.Errorf("exit code %d: %s", code, errs.String())
	}
	// A release that does not end in time is an error that says where it is.
	s := newShell(t)
	s.fails(ExitError, "expected the release to end within 10ms", newServer(t, underWay()).on("status", "shop", "--watch", "--timeout", "10ms", "-q")...)
}

// Holding may pass by itself: a single look says that it needs a person, and a watch says so only when the time is up.
func TestStatus_holding(t *testing.T) {
	s := newShell(t)
	holding, done := underWay(), underWay()
	sides["holding"].make(&holding)
	sides["completed"].make(&done)
	api := newServer(t, holding)
	for _, args := range [][]string{{"status", "shop"}, {"status", "shop", "--watch", "--timeout", "500ms"}} {
		if o := s.try(api.on(args...)...); o.code != ExitNeedsPerson || !strings.Contains(o.out, "Holding: 1 %") {
			t.Errorf("%q: %+v", args, o)
		}
	}
	looks := 0
	api.answer = func(http.ResponseWriter, *http.Request) bool {
		if looks++; looks == 2 {
			api.objects[base+"rollouts/shop"] = done.rollout()
		}
		return false
	}
	if got := s.run(api.on("status", "shop", "--watch", "-o", "wide")...); !strings.Contains(got, "Completed: ") || looks != 2 {
		t.Errorf("%d looks: %s", looks, got)
	}
}

// A gateway that is asked gets the token and nothing else does; its answer is shown as the contract has it.
func TestExplain(t *testing.T) {
	answer := gateway.Explanation{
		App: "com.example.shop", Channel: "production", Action: resolve.Update, Reason: resolve.ReasonCandidate, Arm: "candidate", Slot: new(int32(42)),
		Bundle: &gateway.BundleName{Version: "2.4.1", Digest: string(newDigest)}, MetadataVersion: 42,
		Trial: &gateway.TrialState{Candidate: gateway.BundleName{Version: "2.4.1"}, Rollout: "shop", Weight: 100},
		Steps: []resolve.Step{{Rule: resolve.RuleWish, Detail: "channel production"}, {Rule: "trial", Reason: resolve.ReasonCandidate, Detail: "slot 0.42 % is below 1 %"}},
		Ledger: gateway.DeviceLedger{Reachable: true, History: []gateway.History{
			{Channel: "production", Version: "2.4.0", Arm: "control", Vote: "confirmed", UpdatedAt: now.Add(-time.Hour)},
		}},
	}
	status := http.StatusOK
	var asked *http.Request
	gate := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(answer)
	}))
	defer gate.Close()
	root, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	s := newShell(t)
	s.write(map[string]string{"token": "secret\n"})
	args := []string{"explain", "device", "com.example.shop", "device-1", "--gateway", gate.URL, "--token-file", "token"}
	golden(t, root, "explain.txt", s.run(append(args, "--platform", "ios", "--native-version", "4.2.0")...))
	query := asked.URL.Query()
	if asked.Header.Get("Authorization") != "Bearer secret" || asked.URL.Path != gateway.ExplainPath || query.Get("device") != "device-1" || query.Get("nativeVersion") != "4.2.0" || len(query) != 4 {
		t.Errorf("asked %s with %s", asked.URL, asked.Header.Get("Authorization"))
	}
	var all gateway.Explanation
	if err := json.Unmarshal([]byte(s.run(append(args, "-o", "json")...)), &all); err != nil || all.Ledger.History[0].Vote != "confirmed" {
		t.Errorf("json: %+v, %v", all, err)
	}
	for code, want := range map[int]string{401: "--counts-token-file", 404: "--native-version", 503: "ledger", 500: "expected status 200", 307: "expected status 200"} {
		status = code
		s.fails(ExitError, want, args...)
	}
	status = 400
	s.fails(ExitUsage, "expected versions", args...)
	s.fails(ExitUsage, "expected --token-file", args[:6]...)
	s.fails(ExitUsage, "expected a URL", append(args, "--gateway", "localhost")...)
	gate.Close()
	o := s.try(args...)
	if o.code != ExitError || strings.Contains(o.err, "device-1") {
		t.Errorf("the device is named: %+v", o)
	}
}

// Without --gateway, kubectl brings the question to one in the cluster, with the flags that say which cluster that is.
func TestExplain_forward(t *testing.T) {
	gate := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer of-the-secret" {
			w.WriteHeader(http.StatusUnauthorized)
		}
		_ = json.NewEncoder(w).Encode(gateway.Explanation{App: "com.example.shop", Reason: "notFound"})
	}))
	defer gate.Close()
	api := newServer(t, underWay())
	api.objects["/api/v1/namespaces/ota/secrets/windlass-gateway-token"] = map[string]any{
		"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"name": "windlass-gateway-token"}, "data": map[string]any{"token": "b2YtdGhlLXNlY3JldA=="},
	}
	s := newShell(t)
	port := gate.URL[strings.LastIndex(gate.URL, ":")+1:]
	s.write(map[string]string{"bin/kubectl": fmt.Sprintf("#!/bin/sh\necho \"$@\" >> asked\necho 'Forwarding from 127.0.0.1:%s -> 8081'\nexec sleep 60\n", port)})
	if err := os.Chmod("bin/kubectl", 0o700); err != nil {
		t.Fatal(err)
	}
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+"/bin:"+os.Getenv("PATH"))
	args := api.on("explain", "device", "com.example.shop", "device-1", "--service", "ota/gateway", "--as", "jane")
	if got := s.run(args...); !strings.Contains(got, "notFound") {
		t.Error(got)
	}
	const want = "port-forward --address=127.0.0.1 --namespace=ota service/gateway :8081 --as=jane "
	if got := s.read("asked"); !strings.HasPrefix(got, want) || !strings.Contains(got, "--server="+api.URL) || strings.Contains(got, "mobile") {
		t.Errorf("kubectl was asked %q, want %q and the server", got, want)
	}
	s.write(map[string]string{"bin/kubectl": "#!/bin/sh\necho no pods >&2\nexit 1\n"})
	s.fails(ExitError, "and it did not: no pods", args...)
	s.fails(ExitError, "--token-file takes it from a file", append(args, "--service", "other/gateway")...)
	s.fails(ExitUsage, "NAMESPACE/NAME", append(args, "--service", "gateway", "--token-file", "asked")...)
}

func TestVersion(t *testing.T) {
	s := newShell(t)
	var b build
	if err := json.Unmarshal([]byte(s.run("version", "-o", "json")), &b); err != nil || b.API != "ota.windlass.dev/v1alpha1" || b.Version == "" || !strings.HasPrefix(b.Go, "go1.") {
		t.Errorf("%+v, %v", b, err)
	}
	if got := s.run("version"); !strings.HasPrefix(got, "kubectl-windlass "+b.Version+", commit ") {
		t.Error(got)
	}
}
