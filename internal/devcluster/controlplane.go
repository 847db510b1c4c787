// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package devcluster

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// controlPlaneTimeout is how long etcd and kube-apiserver may each take to start or to stop. They take 3 s on an idle machine.
const controlPlaneTimeout = time.Minute

// ControlPlaneOptions says how to start a ControlPlane.
type ControlPlaneOptions struct {
	// Assets is the folder with the programs kube-apiserver and etcd.
	Assets string
	// CRDs are folders or files with resource definitions to install.
	CRDs []string
	// Dir is an existing folder for the kubeconfig file. Empty: none is written.
	Dir string
	// Log takes the output of both programs. Nil: it is dropped.
	Log io.Writer
}

// ControlPlane is a real etcd and kube-apiserver on loopback, without kubelet or controllers of Kubernetes.
type ControlPlane struct {
	// Config is that of a cluster administrator.
	Config *rest.Config
	// Kubeconfig is the path of a file with the same rights.
	Kubeconfig string

	env *envtest.Environment
}

// StartControlPlane starts etcd and kube-apiserver, waits until they serve, and installs the resource definitions.
func StartControlPlane(opts ControlPlaneOptions) (*ControlPlane, error) {
	env := &envtest.Environment{
		BinaryAssetsDirectory:    opts.Assets,
		CRDDirectoryPaths:        opts.CRDs,
		ErrorIfCRDPathMissing:    true,
		ControlPlaneStartTimeout: controlPlaneTimeout,
		ControlPlaneStopTimeout:  controlPlaneTimeout,
	}
	apiServer := env.ControlPlane.GetAPIServer()
	apiServer.Path = filepath.Join(opts.Assets, "kube-apiserver")
	apiServer.Out, apiServer.Err = opts.Log, opts.Log
	env.ControlPlane.Etcd = &envtest.Etcd{Path: filepath.Join(opts.Assets, "etcd"), Out: opts.Log, Err: opts.Log}
	config, err := env.Start()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start the control plane from %s: %w", opts.Assets, err), env.Stop())
	}
	c := &ControlPlane{Config: config, env: env}
	if opts.Dir == "" {
		return c, nil
	}
	c.Kubeconfig = filepath.Join(opts.Dir, "kubeconfig")
	if err := os.WriteFile(c.Kubeconfig, env.KubeConfig, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("write the kubeconfig file: %w", err), env.Stop())
	}
	return c, nil
}

// Stop ends both programs and removes their data.
func (c *ControlPlane) Stop() error {
	if err := c.env.Stop(); err != nil {
		return fmt.Errorf("stop the control plane: %w", err)
	}
	return nil
}
