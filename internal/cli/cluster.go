// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"sync"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
)

const (
	requestTimeout  = "15s"           // of one request, when --request-timeout does not say otherwise
	completeTimeout = 2 * time.Second // a shell that completes a word does not wait longer
	fieldManager    = "kubectl-windlass"
	nowhere         = "http://localhost:8080" // what client-go asks when it is told nothing
)

// cluster is what a verb has of a cluster: a client that asks the API server each time, and the namespace that was chosen.
type cluster struct {
	client.Client
	config    *rest.Config
	namespace string
}

// clusterVerb is a verb that reaches a cluster, with the flags of kubectl for that. Verbs on files have none of them. It takes -o for
// --output. What went wrong is explained.
func (a *app) clusterVerb(use, short, long, example string, run func(context.Context, *cluster, []string) error) *cobra.Command {
	flags := genericclioptions.NewConfigFlags(true)
	cmd := verb(use, short, long, example, func(ctx context.Context, args []string) error {
		c, err := connect(flags)
		if err != nil {
			return err
		}
		return c.explain(run(ctx, c, args))
	})
	a.connectionFlags(cmd, flags)
	a.outputFlag(cmd)
	cmd.ValidArgsFunction = cobra.NoFileCompletions
	return cmd
}

// connectionFlags are those of kubectl that say which cluster, as whom, and which namespace.
func (a *app) connectionFlags(cmd *cobra.Command, f *genericclioptions.ConfigFlags) {
	f.CacheDir, f.DisableCompression, f.ImpersonateUserExtra = nil, nil, nil // there is nothing to cache, and nothing that is large
	*f.Timeout = requestTimeout
	f.AddFlags(cmd.Flags())
	for _, rare := range []string{
		"as-uid", "certificate-authority", "client-certificate", "client-key", "cluster", "insecure-skip-tls-verify", "proxy-url", "server",
		"tls-server-name", "token", "user",
	} {
		cmd.Flags().Lookup(rare).Hidden = true // they work as with kubectl; --help is about the verb
	}
	if a.connections == nil {
		a.connections = map[*cobra.Command]*genericclioptions.ConfigFlags{}
	}
	a.connections[cmd] = f
	a.offer(cmd, "namespace", func(ctx context.Context, c *cluster) ([]string, error) {
		var all corev1.NamespaceList
		err := c.List(ctx, &all)
		return names(&all), err
	})
}

// connect makes the client. It sends nothing yet.
func connect(f *genericclioptions.ConfigFlags) (*cluster, error) {
	config, err := f.ToRESTConfig()
	if err != nil {
		return nil, noCluster(err)
	}
	namespace, _, err := f.ToRawKubeConfigLoader().Namespace()
	if err != nil {
		return nil, noCluster(err)
	}
	if raw, err := f.ToRawKubeConfigLoader().RawConfig(); err == nil && len(raw.Clusters) == 0 && config.Host == nowhere {
		return nil, noCluster(genericclioptions.ErrEmptyConfig)
	}
	config.UserAgent = fieldManager
	config.QPS, config.Burst = -1, 0 // a person asks; what watches asks once a second
	c, err := client.New(config, client.Options{Scheme: scheme(), Mapper: mapper()})
	if err != nil {
		return nil, noCluster(err)
	}
	return &cluster{Client: c, config: config, namespace: namespace}, nil
}

// scheme knows the kinds that verbs ask for.
var scheme = sync.OnceValue(func() *runtime.Scheme {
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, otav1alpha1.AddToScheme} {
		if err := add(s); err != nil {
			panic(err) // two types of one name: a bug
		}
	}
	return s
})

// mapper knows the few kinds that verbs ask for, so that none of them needs discovery.
func mapper() apimeta.RESTMapper {
	m := apimeta.NewDefaultRESTMapper(nil)
	for _, kind := range []string{"Repository", "Bundle", "Channel", "Rollout"} {
		m.Add(otav1alpha1.SchemeGroupVersion.WithKind(kind), apimeta.RESTScopeNamespace)
	}
	for kind, scope := range map[string]apimeta.RESTScope{
		"Namespace": apimeta.RESTScopeRoot, "Service": apimeta.RESTScopeNamespace, "Secret": apimeta.RESTScopeNamespace,
	} {
		m.Add(corev1.SchemeGroupVersion.WithKind(kind), scope)
	}
	return m
}

// get reads an object of the namespace.
func (c *cluster) get(ctx context.Context, name string, into client.Object) error {
	err := c.Get(ctx, client.ObjectKey{Namespace: c.namespace, Name: name}, into)
	if err != nil {
		return c.missing(ctx, err, name, into)
	}
	return nil
}

// list reads the objects of the namespace, or of all.
func (c *cluster) list(ctx context.Context, into client.ObjectList, all bool) error {
	if all {
		return c.List(ctx, into)
	}
	return c.List(ctx, into, client.InNamespace(c.namespace))
}

// listOf is an empty list of the kind of an object.
func listOf(obj client.Object) client.ObjectList {
	switch obj.(type) {
	case *otav1alpha1.Rollout:
		return &otav1alpha1.RolloutList{}
	case *otav1alpha1.Channel:
		return &otav1alpha1.ChannelList{}
	case *otav1alpha1.Bundle:
		return &otav1alpha1.BundleList{}
	case *otav1alpha1.Repository:
		return &otav1alpha1.RepositoryList{}
	}
	return nil
}

// names of the objects in a list.
func names(list client.ObjectList) []string {
	var out []string
	_ = apimeta.EachListItem(list, func(obj runtime.Object) error { // a list of ours has items
		if o, ok := obj.(client.Object); ok {
			out = append(out, o.GetName())
		}
		return nil
	})
	return out
}

// kindName names a kind as people write it.
func kindName(obj client.Object) string {
	gvk, err := groupVersionKind(obj)
	if err != nil {
		return "object"
	}
	return gvk.Kind
}

func groupVersionKind(obj runtime.Object) (schema.GroupVersionKind, error) {
	kinds, _, err := scheme().ObjectKinds(obj)
	if err != nil {
		return schema.GroupVersionKind{}, err
	}
	return kinds[0], nil
}
