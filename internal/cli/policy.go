// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/content"
	"github.com/windlass-dev/windlass/internal/serve"
)

// policyOptions are spec.admission.content of a Channel, as flags or as the Channel itself.
type policyOptions struct {
	channel    string
	profile    string
	checks     []string
	nativeCode string
	baseline   string
}

func (o *policyOptions) bind(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&o.channel, "channel", "", "manifest of a Channel, whose content rules apply")
	flags.StringVar(&o.profile, "profile", "", "rules to start from: AppStores or None")
	flags.StringArrayVar(&o.checks, "check", nil, "what findings of a check lead to: NAME=Deny, Warn or Allow; may be repeated")
	flags.StringVar(&o.nativeCode, "native-code", "", "Denied or Allowed (default: as the profile says)")
	flags.StringVar(&o.baseline, "native-baseline", "", "what the installed app contains: package.json with its node_modules, or a list of packages")
	for _, flag := range []string{"profile", "check", "native-code", "native-baseline"} {
		cmd.MarkFlagsMutuallyExclusive("channel", flag)
	}
	complete(cmd, "profile", string(otav1alpha1.ContentProfileAppStores), string(otav1alpha1.ContentProfileNone))
	complete(cmd, "native-code", string(otav1alpha1.NativeCodeDenied), string(otav1alpha1.NativeCodeAllowed))
}

func (a *app) policy(o policyOptions) (content.Policy, error) {
	rules, err := o.rules()
	if err == nil && o.channel != "" {
		rules, err = a.channelRules(o.channel)
	}
	if err != nil {
		return content.Policy{}, err
	}
	for _, c := range rules.Checks {
		if !content.Known(c.Name) {
			return content.Policy{}, usage("expected the name of a check, got %q; docs/content-rules.md lists them", c.Name)
		}
	}
	policy := serve.ContentPolicy(rules)
	if o.baseline != "" {
		packages, err := a.nativePackages(o.baseline)
		if err != nil {
			return policy, err
		}
		policy.Baseline = packages.installed()
	}
	return policy, nil
}

// rules are those of the flags.
func (o policyOptions) rules() (otav1alpha1.ContentPolicy, error) {
	out := otav1alpha1.ContentPolicy{Profile: otav1alpha1.ContentProfile(o.profile), NativeCode: otav1alpha1.NativeCode(o.nativeCode)}
	switch out.Profile {
	case "", otav1alpha1.ContentProfileAppStores, otav1alpha1.ContentProfileNone:
	default:
		return out, usage("--profile: expected AppStores or None, got %q", o.profile)
	}
	switch out.NativeCode {
	case "", otav1alpha1.NativeCodeDenied, otav1alpha1.NativeCodeAllowed:
	default:
		return out, usage("--native-code: expected Denied or Allowed, got %q", o.nativeCode)
	}
	for _, text := range o.checks {
		name, action, _ := strings.Cut(text, "=")
		switch check := otav1alpha1.CheckAction(action); check {
		case otav1alpha1.CheckDeny, otav1alpha1.CheckWarn, otav1alpha1.CheckAllow:
			out.Checks = append(out.Checks, otav1alpha1.ContentCheck{Name: name, Action: check})
		default:
			return out, usage("--check %s: expected Deny, Warn or Allow, got %q", name, action)
		}
	}
	return out, nil
}

// channelRules are those of a Channel in Git.
func (a *app) channelRules(path string) (otav1alpha1.ContentPolicy, error) {
	text, err := a.readFile(path, maxTextFile)
	if err != nil {
		return otav1alpha1.ContentPolicy{}, err
	}
	var channel otav1alpha1.Channel
	if err := yaml.UnmarshalStrict(text, &channel); err != nil || channel.Kind != "Channel" {
		return otav1alpha1.ContentPolicy{}, fmt.Errorf("%s: expected the manifest of one Channel, got something else", path)
	}
	if channel.Spec.Admission == nil || channel.Spec.Admission.Content == nil {
		return otav1alpha1.ContentPolicy{}, fmt.Errorf("%s: expected spec.admission.content, got none; without it everything is allowed", path)
	}
	return *channel.Spec.Admission.Content, nil
}
