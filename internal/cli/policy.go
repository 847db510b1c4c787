// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"strings"

	"github.com/spf13/cobra"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/content"
)

// policyOptions are spec.admission.content of a Channel, as flags.
type policyOptions struct {
	profile    string
	checks     []string
	nativeCode string
	baseline   string
}

func (o *policyOptions) bind(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&o.profile, "profile", "", "rules to start from: AppStores or None")
	flags.StringArrayVar(&o.checks, "check", nil, "what findings of a check lead to: NAME=Deny, Warn or Allow; may be repeated")
	flags.StringVar(&o.nativeCode, "native-code", "", "Denied or Allowed (default: as the profile says)")
	flags.StringVar(&o.baseline, "native-baseline", "", "what the installed app contains: package.json with its node_modules, or a list of packages")
	complete(cmd, "profile", string(otav1alpha1.ContentProfileAppStores), string(otav1alpha1.ContentProfileNone))
	complete(cmd, "native-code", string(otav1alpha1.NativeCodeDenied), string(otav1alpha1.NativeCodeAllowed))
}

func (a *app) policy(o policyOptions) (content.Policy, error) {
	p := content.Policy{Checks: map[string]content.Action{}}
	switch otav1alpha1.ContentProfile(o.profile) {
	case otav1alpha1.ContentProfileAppStores:
		p.AppStores = true
	case otav1alpha1.ContentProfileNone, "":
	default:
		return p, usage("--profile: expected AppStores or None, got %q", o.profile)
	}
	switch otav1alpha1.NativeCode(o.nativeCode) {
	case otav1alpha1.NativeCodeDenied:
		p.NativeCode = content.Deny
	case otav1alpha1.NativeCodeAllowed:
		p.NativeCode = content.Allow
	case "":
	default:
		return p, usage("--native-code: expected Denied or Allowed, got %q", o.nativeCode)
	}
	for _, text := range o.checks {
		name, action, _ := strings.Cut(text, "=")
		switch {
		case !content.Known(name):
			return p, usage("--check: expected the name of a check, got %q; docs/content-rules.md lists them", name)
		case action != string(content.Deny) && action != string(content.Warn) && action != string(content.Allow):
			return p, usage("--check %s: expected Deny, Warn or Allow, got %q", name, action)
		}
		p.Checks[name] = content.Action(action)
	}
	if o.baseline != "" {
		packages, err := a.nativePackages(o.baseline)
		if err != nil {
			return p, err
		}
		p.Baseline = packages.installed()
	}
	return p, nil
}
