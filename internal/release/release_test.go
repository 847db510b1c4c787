// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package release_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/windlass-dev/windlass/internal/release"
)

// Documents as they are signed: a gateway compares their bytes, so a release without stages and exclusions is written as it was
// before there were any.
func TestGolden(t *testing.T) {
	t.Parallel()
	const head = `{"schema":1,"app":"shop","channel":"production","revision":3,"serving":"Active",`
	const bundle = `{"name":"shop-2","version":"2.0.0","digest":"sha256:bb","size":2,"path":"bundles/shop/2.0.0.zip"`
	const rest = `"weight":1000,"salt":"s","rollout":"shop","release":1,"leaseExpires":9,"onLoss":"Retract"`
	two := release.Bundle{Name: "shop-2", Version: "2.0.0", Digest: "sha256:bb", Size: 2, Path: "bundles/shop/2.0.0.zip"}
	candidate := release.Candidate{Bundle: two, Weight: 1000, Salt: "s", Rollout: "shop", Release: 1, LeaseExpires: 9, OnLoss: "Retract"}
	staged := candidate
	staged.Stage = 3
	staged.Exclude = []release.Slice{{Platform: "android", NativeVersion: "<4.3.0"}, {OSVersion: "<13.0.0", Region: "FR"}}
	kept := two
	kept.Exclude = staged.Exclude
	const exclude = `"exclude":[{"platform":"android","nativeVersion":"\u003c4.3.0"},{"osVersion":"\u003c13.0.0","region":"FR"}]`
	for want, doc := range map[string]release.Document{
		head + `"stable":` + bundle + `}}`:                                                      {Stable: &two},
		head + `"candidate":{"bundle":` + bundle + `},` + rest + `}}`:                           {Candidate: &candidate},
		head + `"candidate":{"bundle":` + bundle + `},` + rest + `,"stage":3,` + exclude + `}}`: {Candidate: &staged},
		head + `"stable":` + bundle + `,` + exclude + `}}`:                                      {Stable: &kept},
	} {
		doc.Schema, doc.App, doc.Channel, doc.Revision, doc.Serving = release.Schema, "shop", "production", 3, release.Active
		raw, err := doc.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, string(raw)); diff != "" {
			t.Error(diff)
		}
		back, err := release.Decode(raw)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(&doc, back); diff != "" {
			t.Error(diff)
		}
	}
	if _, err := release.Decode([]byte(strings.Replace(head, `"schema":1`, `"schema":2`, 1) + `"stable":null}`)); err == nil {
		t.Error("took a schema of the future")
	}
}
