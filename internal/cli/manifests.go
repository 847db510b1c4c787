// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"k8s.io/apimachinery/pkg/util/json"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/policy"
)

// manifests are what a policy is read from.
type manifests struct {
	rollout *otav1alpha1.Rollout
	channel *otav1alpha1.Channel // nil: not given
	bundle  *otav1alpha1.Bundle  // nil: not given
}

// readManifests reads a file with a Rollout, and with the Channel and the Bundle that it names if they are there or in the file for the
// channel. Objects that the Rollout does not name are left out.
func (a *app) readManifests(ctx context.Context, file, channelFile string) (manifests, error) {
	var m manifests
	if file == "" {
		return m, usage("--filename: expected the manifest of a Rollout, got none")
	}
	all, err := a.readObjects(ctx, file)
	if err != nil {
		return m, err
	}
	for _, o := range all {
		if r, ok := o.(*otav1alpha1.Rollout); ok {
			if m.rollout != nil {
				return m, fmt.Errorf("%s: expected one Rollout, got %s and %s; give each a file of its own", file, m.rollout.Name, r.Name)
			}
			m.rollout = r
		}
	}
	if m.rollout == nil {
		return m, fmt.Errorf("%s: expected a Rollout, got none; is it the right file?", file)
	}
	m.adopt(all)
	if channelFile == "" {
		return m, nil
	}
	if all, err = a.readObjects(ctx, channelFile); err != nil {
		return m, err
	}
	if m.adopt(all); m.channel == nil {
		return m, fmt.Errorf("%s: expected the Channel %s, which the Rollout names, got none", channelFile, m.rollout.Spec.ChannelRef.Name)
	}
	return m, nil
}

// adopt takes the objects that the Rollout names.
func (m *manifests) adopt(all []any) {
	for _, o := range all {
		switch o := o.(type) {
		case *otav1alpha1.Channel:
			if o.Name == m.rollout.Spec.ChannelRef.Name {
				m.channel = o
			}
		case *otav1alpha1.Bundle:
			if o.Name == m.rollout.Spec.BundleRef.Name {
				m.bundle = o
			}
		}
	}
}

// policy is the Rollout as the operator reads it.
func (m manifests) policy() (policy.Policy, error) {
	p, err := policy.Parse(m.rollout)
	if err != nil {
		return p, fmt.Errorf("the Rollout %s: %w", m.rollout.Name, err)
	}
	return p, nil
}

// readObjects reads the Rollouts, Channels and Bundles of a file, which may have many documents. Those that the API server would refuse
// are errors.
func (a *app) readObjects(ctx context.Context, path string) ([]any, error) {
	text, err := a.readFile(path, maxTextFile)
	if err != nil {
		return nil, err
	}
	var out []any
	for docs := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text))); ; {
		doc, err := docs.Read()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		var object map[string]any
		if err == nil {
			doc, err = yaml.YAMLToJSON(doc)
		}
		if err == nil {
			err = json.Unmarshal(doc, &object) // whole numbers stay whole
		}
		if err != nil {
			return nil, fmt.Errorf("%s: expected manifests in YAML or JSON, got something else: %w", path, err)
		}
		typed, err := readObject(ctx, doc, object)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		if typed != nil {
			out = append(out, typed)
		}
	}
}

// readObject gives a Rollout, Channel or Bundle; nil when a document is none of them.
func readObject(ctx context.Context, doc []byte, object map[string]any) (any, error) {
	if object["apiVersion"] != otav1alpha1.SchemeGroupVersion.String() {
		return nil, nil
	}
	kind, _ := object["kind"].(string)
	var typed any
	switch kind {
	case "Rollout":
		typed = &otav1alpha1.Rollout{}
	case "Channel":
		typed = &otav1alpha1.Channel{}
	case "Bundle":
		typed = &otav1alpha1.Bundle{}
	default:
		return nil, nil
	}
	if err := yaml.UnmarshalStrict(doc, typed); err != nil {
		return nil, fmt.Errorf("expected a %s, got something that is none: %w", kind, err)
	}
	problems, err := validate(ctx, kind, object)
	if err != nil {
		return nil, err
	}
	if len(problems) > 0 {
		return nil, fmt.Errorf("expected a %s that the API server takes, got one that it refuses: %s; mend the manifest", kind, refusals(problems))
	}
	return typed, nil
}
