// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/internal/command"
)

// noCluster says why there is no cluster to ask.
func noCluster(err error) error {
	if clientcmd.IsEmptyConfig(err) {
		return errors.New("expected a cluster, got no configuration of one: set --kubeconfig, KUBECONFIG, or ~/.kube/config with a current context")
	}
	return fmt.Errorf("expected a cluster: %w; see --kubeconfig and --context", err)
}

// explain says what an error of the API server means and what to do about it. Errors of others stay as they are.
func (c *cluster) explain(err error) error {
	var own *failure
	var answer apierrors.APIStatus
	var unreached *url.Error
	switch {
	case err == nil || errors.As(err, &own):
		return err
	case errors.As(err, &answer):
		return c.answered(answer.Status(), err)
	case errors.As(err, &unreached) || errors.Is(err, context.DeadlineExceeded):
		return c.unreached(err)
	}
	return err
}

// answered explains an answer of the API server.
func (c *cluster) answered(status metav1.Status, err error) error {
	switch {
	case status.Reason == metav1.StatusReasonUnauthorized:
		return errors.New("expected to be known to the API server, got Unauthorized: log in again, or choose a user with --user or --context")
	case noKind(status):
		return errors.New("expected a cluster with Windlass, got one that does not know ota.windlass.dev/v1alpha1: install it (docs/install.md), or choose another one with --context")
	}
	if what, ok := denied(status); ok {
		return refused("%s", what)
	}
	return err
}

// noKind tells whether the API server has no such kind at all.
func noKind(status metav1.Status) bool {
	return status.Reason == metav1.StatusReasonNotFound && (status.Details == nil || status.Details.Name == "")
}

var (
	byPolicy = regexp.MustCompile(`(?s)ValidatingAdmissionPolicy '[^']*' with binding '[^']*' denied request: (.*)`)
	byRBAC   = regexp.MustCompile(`User "([^"]*)" cannot ([a-z]+) resource "([a-z/]+)" in API group "[^"]*"(?: in the namespace "([^"]*)")?`)
)

// denied says what a person is not allowed to do. An admission policy says itself which verb on which Channel is missing; RBAC
// names what it was asked.
func denied(status metav1.Status) (string, bool) {
	if m := byPolicy.FindStringSubmatch(status.Message); m != nil {
		return m[1], true
	}
	if status.Reason != metav1.StatusReasonForbidden {
		return "", false
	}
	if m := byRBAC.FindStringSubmatch(status.Message); m != nil {
		where := "in namespace " + m[4]
		if m[4] == "" {
			where = "in all namespaces"
		}
		return fmt.Sprintf("%s may not %s %s %s: ask an administrator for one of the roles of Windlass (docs/roles.md)", m[1], m[2], m[3], where), true
	}
	return status.Message, true
}

// lacks says which verb who gives a command would need, when RBAC refuses already that the object is read or written: with the words of
// the policy, which was not asked then.
func (c *cluster) lacks(ctx context.Context, g order, err error) error {
	if g.to == nil || !apierrors.IsForbidden(err) || byPolicy.MatchString(err.Error()) {
		return err
	}
	m := byRBAC.FindStringSubmatch(err.Error())
	kind := kindName(g.to)
	verb := command.Verb(kind, g.Name)
	if m == nil || verb == "" {
		return err
	}
	on := kind + " " + g.to.GetName()
	if r, ok := g.to.(*otav1alpha1.Rollout); ok {
		on = "the Channel of " + on
		if c.Get(ctx, client.ObjectKey{Namespace: c.namespace, Name: r.Name}, r) == nil && r.Spec.ChannelRef.Name != "" {
			on = "Channel " + r.Spec.ChannelRef.Name
		}
	}
	return refused("this needs the verb %s on %s, and %s of %s with it, which %s does not have: ask for a role that has it there, or ask who has "+
		"such a role to do it (docs/roles.md)", verb, on, m[2], m[3], m[1])
}

// unreached says that the API server did not answer.
func (c *cluster) unreached(err error) error {
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("expected an answer of the API server %s in time, got none: is it there? --request-timeout gives it longer", c.config.Host)
	}
	if cause := (*url.Error)(nil); errors.As(err, &cause) {
		err = cause.Err // without the path, which tells nothing
	}
	return fmt.Errorf("expected to reach the API server %s: %w; is it the right cluster? see --context", c.config.Host, err)
}

// missing says which objects there are when one is not found.
func (c *cluster) missing(ctx context.Context, err error, name string, obj client.Object) error {
	var answer apierrors.APIStatus
	if !apierrors.IsNotFound(err) || !errors.As(err, &answer) || noKind(answer.Status()) {
		return err
	}
	list := listOf(obj)
	there := "none is there"
	if list != nil && c.list(ctx, list, false) == nil {
		if all := names(list); len(all) > 0 {
			there = "there are " + some(all)
		}
	}
	return fmt.Errorf("expected a %s %s in namespace %s: %s; --namespace chooses another one", kindName(obj), name, c.namespace, there)
}

// some lists at most a few names.
func some(all []string) string {
	const most = 12
	if len(all) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(all[:most], ", "), len(all)-most)
	}
	return strings.Join(all, ", ")
}
