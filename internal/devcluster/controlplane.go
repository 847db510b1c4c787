// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package devcluster

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// ControlPlane is a real etcd and kube-apiserver on loopback, without kubelet or controllers of Kubernetes. Unlike those that
// envtest starts, they die with this process on Linux, also when a test times out, and a test can end them one by one.
type ControlPlane struct {
	// Config is that of a cluster administrator.
	Config *rest.Config
	// Kubeconfig is the path of a file with the same rights.
	Kubeconfig string
	// Etcd and APIServer are the two programs.
	Etcd, APIServer *Process

	dir, assets string
	etcdURL     string
	port        int    // of the API server
	token       string // of the administrator
}

// Files below the folder of a control plane.
const (
	tokensFile     = "tokens.csv"
	serviceKeyFile = "service-accounts.key"
	certsFolder    = "certs"
)

// StartControlPlane starts etcd and kube-apiserver, waits until they serve, and installs the resource definitions of some
// folders or files. Data and logs are below dir.
func StartControlPlane(ctx context.Context, dir string, crds ...string) (*ControlPlane, error) {
	assets, err := Binary(ctx, "assets")
	if err != nil {
		return nil, err
	}
	c := &ControlPlane{dir: dir, assets: assets, token: rand.Text()}
	if err := c.start(ctx); err != nil {
		c.Stop()
		return nil, err
	}
	if len(crds) == 0 {
		return c, nil
	}
	if _, err := envtest.InstallCRDs(c.Config, envtest.CRDInstallOptions{Paths: crds, ErrorIfPathMissing: true}); err != nil {
		c.Stop()
		return nil, fmt.Errorf("install resource definitions: %w", err)
	}
	return c, nil
}

func (c *ControlPlane) start(ctx context.Context) error {
	if err := c.writeSecrets(); err != nil {
		return err
	}
	if err := c.startEtcd(ctx); err != nil {
		return err
	}
	for attempt := 1; ; attempt++ {
		port, err := FreePort()
		if err != nil {
			return err
		}
		c.port = port
		if err = c.StartAPIServer(ctx); err == nil {
			break
		}
		if attempt == startAttempts || ctx.Err() != nil {
			return err
		}
	}
	return c.writeKubeconfig()
}

// writeSecrets writes the administrator's token and the key that signs tokens of service accounts.
func (c *ControlPlane) writeSecrets() error {
	if err := os.MkdirAll(c.dir, 0o750); err != nil {
		return fmt.Errorf("start the control plane: %w", err)
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return fmt.Errorf("start the control plane: %w", err)
	}
	private := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	if err := os.WriteFile(c.path(serviceKeyFile), private, 0o600); err != nil {
		return fmt.Errorf("start the control plane: %w", err)
	}
	tokens := c.token + `,admin,admin,"system:masters"` + "\n"
	if err := os.WriteFile(c.path(tokensFile), []byte(tokens), 0o600); err != nil {
		return fmt.Errorf("start the control plane: %w", err)
	}
	return nil
}

func (c *ControlPlane) path(name string) string { return filepath.Join(c.dir, name) }

func (c *ControlPlane) startEtcd(ctx context.Context) error {
	for attempt := 1; ; attempt++ {
		client, err := FreePort()
		if err != nil {
			return err
		}
		peer, err := FreePort()
		if err != nil {
			return err
		}
		c.etcdURL = "http://127.0.0.1:" + strconv.Itoa(client)
		peerURL := "http://127.0.0.1:" + strconv.Itoa(peer)
		c.Etcd, err = StartProcess(ctx, Command{
			Name: "etcd", Path: filepath.Join(c.assets, "etcd"), Dir: c.dir,
			Args: []string{
				"--data-dir=" + c.path("etcd"), "--log-level=warn",
				"--unsafe-no-fsync", // the data live no longer than this process
				"--listen-client-urls=" + c.etcdURL, "--advertise-client-urls=" + c.etcdURL,
				"--listen-peer-urls=" + peerURL, "--initial-advertise-peer-urls=" + peerURL, "--initial-cluster=default=" + peerURL,
			},
			Ready: func(ctx context.Context) error { return answersOK(ctx, probeClient, c.etcdURL+"/health") },
		})
		if err == nil || attempt == startAttempts || ctx.Err() != nil {
			return err
		}
	}
}

// StartAPIServer starts the API server, again after it was stopped: where it was, with what it knew.
func (c *ControlPlane) StartAPIServer(ctx context.Context) error {
	address := "https://127.0.0.1:" + strconv.Itoa(c.port)
	probe := &http.Client{Timeout: probeClient.Timeout, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // it asks for readiness only, before the certificate is there
	}}
	defer probe.CloseIdleConnections()
	var err error
	c.APIServer, err = StartProcess(ctx, Command{
		Name: "kube-apiserver", Path: filepath.Join(c.assets, "kube-apiserver"), Dir: c.dir,
		Args: []string{
			"--etcd-servers=" + c.etcdURL, "--bind-address=127.0.0.1", "--secure-port=" + strconv.Itoa(c.port),
			"--cert-dir=" + c.path(certsFolder), "--token-auth-file=" + c.path(tokensFile), "--authorization-mode=RBAC",
			"--service-account-issuer=" + address, "--service-account-key-file=" + c.path(serviceKeyFile),
			"--service-account-signing-key-file=" + c.path(serviceKeyFile), "--service-cluster-ip-range=10.0.0.0/24",
			"--disable-admission-plugins=ServiceAccount", // its accounts are made by a controller that does not run here
			"--shutdown-delay-duration=0s",
		},
		Ready: func(ctx context.Context) error { return answersOK(ctx, probe, address+"/readyz") },
	})
	return err
}

// writeKubeconfig makes the administrator's client configuration, in memory and as a file.
func (c *ControlPlane) writeKubeconfig() error {
	ca, err := os.ReadFile(filepath.Join(c.path(certsFolder), "apiserver.crt"))
	if err != nil {
		return fmt.Errorf("read the API server's certificate: %w", err)
	}
	c.Config = &rest.Config{
		Host: "https://127.0.0.1:" + strconv.Itoa(c.port), BearerToken: c.token,
		TLSClientConfig: rest.TLSClientConfig{CAData: ca},
		QPS:             1000, Burst: 2000, // tests wait for nothing but the server
	}
	const name = "windlass"
	file := clientcmdapi.NewConfig()
	file.Clusters[name] = &clientcmdapi.Cluster{Server: c.Config.Host, CertificateAuthorityData: ca}
	file.AuthInfos[name] = &clientcmdapi.AuthInfo{Token: c.token}
	file.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name}
	file.CurrentContext = name
	c.Kubeconfig = c.path("kubeconfig")
	if err := clientcmd.WriteToFile(*file, c.Kubeconfig); err != nil {
		return fmt.Errorf("write the kubeconfig file: %w", err)
	}
	return nil
}

// Stop ends both programs. It may be called more than once.
func (c *ControlPlane) Stop() {
	if c.APIServer != nil {
		c.APIServer.Stop()
	}
	if c.Etcd != nil {
		c.Etcd.Stop()
	}
}
