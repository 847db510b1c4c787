// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bufio"
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	gatewaySecret = "windlass-gateway-token"
	gatewayPort   = "8081"
)

// forwarding is how kubectl says which port it chose.
var forwarding = regexp.MustCompile(`^Forwarding from 127\.0\.0\.1:([0-9]+) ->`)

// forward lets kubectl bring a local port to a gateway behind a Service, until stop is called.
func (a *app) forward(ctx context.Context, cmd *cobra.Command, service string) (gateway string, stop func(), err error) {
	namespace, name, ok := strings.Cut(service, "/")
	if !ok || name == "" {
		return "", nil, usage("--service: expected NAMESPACE/NAME, got %q", service)
	}
	args := []string{"port-forward", "--address=127.0.0.1", "--namespace=" + namespace, "service/" + name, ":" + gatewayPort}
	args = append(args, a.connectionArgs(cmd)...)
	ctx, cancel := context.WithCancel(ctx)
	process := exec.CommandContext(ctx, "kubectl", args...) //nolint:gosec // the arguments are flags of kubectl that were given to this command
	out, err := process.StdoutPipe()
	if err != nil {
		cancel()
		return "", nil, err
	}
	var said strings.Builder
	process.Stderr = &said
	if err := process.Start(); err != nil {
		cancel()
		return "", nil, fmt.Errorf("expected kubectl on the PATH, to reach a gateway in the cluster: %w; or name one with --gateway", err)
	}
	stop = func() {
		cancel()
		_ = process.Wait() // it was ended
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if m := forwarding.FindStringSubmatch(lines.Text()); m != nil {
			return "http://127.0.0.1:" + m[1], stop, nil
		}
	}
	stop()
	return "", nil, fmt.Errorf("expected kubectl port-forward to reach a gateway behind Service %s, and it did not: %s; see --service and --gateway",
		service, printable(strings.TrimSpace(said.String())))
}

// connectionArgs are the flags that say which cluster and as whom, as they were given, for kubectl.
func (a *app) connectionArgs(cmd *cobra.Command) []string {
	var out []string
	known := pflag.NewFlagSet("", pflag.ContinueOnError)
	a.connections[cmd].AddFlags(known)
	known.VisitAll(func(f *pflag.Flag) {
		if f.Name == "namespace" || !cmd.Flags().Changed(f.Name) {
			return
		}
		if many, ok := f.Value.(pflag.SliceValue); ok {
			for _, value := range many.GetSlice() {
				out = append(out, "--"+f.Name+"="+value)
			}
			return
		}
		out = append(out, "--"+f.Name+"="+f.Value.String())
	})
	return out
}

// gatewayToken reads the token of the gateways: from a file, or from the Secret beside them.
func (a *app) gatewayToken(ctx context.Context, c *cluster, o explainFlags) ([]byte, error) {
	if o.tokenFile != "" {
		return a.readSecret(o.tokenFile)
	}
	namespace, _, _ := strings.Cut(o.service, "/")
	var secret corev1.Secret
	if err := c.Get(ctx, client.ObjectKey{Namespace: namespace, Name: gatewaySecret}, &secret); err != nil {
		return nil, fmt.Errorf("read the token of the gateways: %w; --token-file takes it from a file", err)
	}
	token := secret.Data["token"]
	if len(token) == 0 {
		return nil, fmt.Errorf("expected a key token in Secret %s of namespace %s, got none: --token-file takes it from a file", gatewaySecret, namespace)
	}
	return token, nil
}
