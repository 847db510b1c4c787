// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

const (
	explainPath    = "/internal/v1/explain" // docs/api/gateway-internal-v1.yaml
	explainTimeout = 15 * time.Second
	maxExplanation = 1 << 20 // bytes
)

// explainFlags say which gateway to ask, as whom, and what of the device the gateway cannot know.
type explainFlags struct {
	gateway   string
	tokenFile string
	service   string // NAMESPACE/NAME, behind which the gateways are
	facts     map[string]*string
}

// deviceFacts are parameters of the question, by the flags that give them.
var deviceFacts = []struct{ flag, parameter, usage string }{
	{"channel", "channel", "channel that the device asks for"},
	{"platform", "platform", "ios, android, electron, linux, windows, macos or web"},
	{"native-version", "nativeVersion", "version of the installed app"},
	{"os-version", "osVersion", "version of the operating system"},
	{"runtime-version", "runtimeVersion", "runtime version of the installed app"},
	{"region", "region", "where the device is"},
	{"version", "version", "version of the bundle that the device runs"},
	{"protocol", "protocol", "native or capgo"},
}

func (a *app) explainCommand() *cobra.Command {
	return group("explain", "Say why a device gets what it gets", "Says why something is as it is.", a.explainDeviceCommand())
}

func (a *app) explainDeviceCommand() *cobra.Command {
	o := explainFlags{facts: map[string]*string{}}
	cmd := a.clusterVerb("device APP DEVICE", "Say why a device gets what it gets", `
Asks a gateway what it would tell a device now, rule by rule, and what it remembers of the device. APP is the id of the app, DEVICE what
the device calls itself. What the gateway does not know of the device can be told with flags: what would such a device get?

Without --gateway, kubectl port-forward brings the question to a gateway in the cluster, behind --service, and the token is read from
the Secret windlass-gateway-token beside it. With --gateway no cluster is asked, and --token-file is needed.`, `
kubectl windlass explain device com.example.shop 3f2c8a1e-0000-4000-8000-000000000001
kubectl windlass explain device com.example.shop anyone --channel production --platform ios --native-version 4.2.0
kubectl windlass explain device com.example.shop 3f2c8a1e-0000-4000-8000-000000000001 \
  --gateway http://localhost:8081 --token-file token -o json | jq -r .reason`, nil)
	flags := cmd.Flags()
	flags.StringVar(&o.gateway, "gateway", "", "URL of a gateway's internal listener, such as http://localhost:8081")
	flags.StringVar(&o.tokenFile, "token-file", "", "file with the token of --counts-token-file; - is stdin, env://NAME a variable")
	flags.StringVar(&o.service, "service", "windlass-system/windlass-gateway-internal", "NAMESPACE/NAME of the gateways' Service")
	for _, f := range deviceFacts {
		o.facts[f.parameter] = flags.String(f.flag, "", f.usage)
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		question := url.Values{"app": {args[0]}, "device": {args[1]}}
		for name, value := range o.facts {
			if *value != "" {
				question.Set(name, *value)
			}
		}
		answer, err := a.askGateway(cmd, o, question)
		if err != nil {
			return err
		}
		return a.printExplanation(answer)
	}
	return cmd
}

// askGateway asks the gateway that was named, or one in the cluster.
func (a *app) askGateway(cmd *cobra.Command, o explainFlags, question url.Values) ([]byte, error) {
	ctx, cancel := context.WithTimeout(cmd.Context(), explainTimeout)
	defer cancel()
	if o.gateway != "" {
		if o.tokenFile == "" {
			return nil, usage("expected --token-file with --gateway: the gateway answers nobody without its token")
		}
		token, err := a.readSecret(o.tokenFile)
		if err != nil {
			return nil, err
		}
		return explain(ctx, o.gateway, token, question)
	}
	c, err := connect(a.connections[cmd])
	if err != nil {
		return nil, err
	}
	token, err := a.gatewayToken(ctx, c, o)
	if err != nil {
		return nil, c.explain(err)
	}
	gateway, stop, err := a.forward(ctx, cmd, o.service)
	if err != nil {
		return nil, err
	}
	defer stop()
	return explain(ctx, gateway, token, question)
}

// explain asks a gateway.
func explain(ctx context.Context, gateway string, token []byte, question url.Values) ([]byte, error) {
	base, err := url.Parse(gateway)
	if err != nil || base.Host == "" || (base.Scheme != "http" && base.Scheme != "https") {
		return nil, usage("--gateway: expected a URL such as http://localhost:8081, got %q", gateway)
	}
	base.Path, base.RawQuery = strings.TrimSuffix(base.Path, "/")+explainPath, question.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base.String(), http.NoBody)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+string(bytes.TrimSpace(token)))
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }} // the token is for this one
	res, err := client.Do(req)
	if err != nil {
		if full, ok := errors.AsType[*url.Error](err); ok {
			err = full.Err // without the URL: it names the device
		}
		return nil, fmt.Errorf("expected an answer of the gateway %s: %w", base.Host, err)
	}
	defer res.Body.Close()
	if err := refusedBy(base.Host, res.StatusCode); err != nil {
		return nil, err
	}
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxExplanation+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read the answer of the gateway %s: %w", base.Host, err)
	case len(answer) > maxExplanation:
		return nil, fmt.Errorf("expected an answer of at most %d KiB from the gateway %s, got more", maxExplanation>>10, base.Host)
	}
	return answer, nil
}

// refusedBy says what a status of a gateway means.
func refusedBy(host string, status int) error {
	switch status {
	case http.StatusOK:
		return nil
	case http.StatusUnauthorized:
		return fmt.Errorf("expected the gateway %s to take the token, and it does not: is it that of its --counts-token-file?", host)
	case http.StatusNotFound:
		return fmt.Errorf("the gateway %s knows nothing of this device: give --platform and --native-version, to learn what such a device would get", host)
	case http.StatusBadRequest:
		return usage("the gateway %s does not take what the flags say of the device: expected versions such as 4.2.0, and a platform and protocol as --help lists them", host)
	case http.StatusServiceUnavailable:
		return fmt.Errorf("the gateway %s cannot reach its ledger: give --platform and --native-version, to learn what such a device would get as far as it is known", host)
	}
	return fmt.Errorf("expected status 200 of the gateway %s, got %d: is this its internal listener?", host, status)
}

// explanation is what is shown of an answer; docs/api/gateway-internal-v1.yaml has all of it.
type explanation struct {
	App     string       `json:"app"`
	Channel string       `json:"channel"`
	Action  string       `json:"action"`
	Reason  string       `json:"reason"`
	Arm     string       `json:"arm"`
	Slot    *int32       `json:"slot"`
	Bundle  *namedBundle `json:"bundle"`
	Trial   *struct {
		Candidate namedBundle `json:"candidate"`
		Rollout   string      `json:"rollout"`
		Weight    int32       `json:"weight"` // basis points
	} `json:"trial"`
	Steps []struct {
		Rule   string `json:"rule"`
		Reason string `json:"reason"`
		Detail string `json:"detail"`
	} `json:"steps"`
	Ledger struct {
		Reachable bool   `json:"reachable"`
		Override  string `json:"override"`
		History   []struct {
			Channel   string    `json:"channel"`
			Version   string    `json:"version"`
			Arm       string    `json:"arm"`
			Vote      string    `json:"vote"`
			UpdatedAt time.Time `json:"updatedAt"`
		} `json:"history"`
	} `json:"ledger"`
	MetadataVersion int64 `json:"metadataVersion"`
}

type namedBundle struct {
	Version string `json:"version"`
	Digest  string `json:"digest"`
}

// printExplanation shows the answer of a gateway; as JSON or YAML, as it is.
func (a *app) printExplanation(answer []byte) error {
	var e explanation
	var all any
	for _, into := range []any{&e, &all} {
		if err := json.Unmarshal(answer, into); err != nil {
			return fmt.Errorf("expected JSON as docs/api/gateway-internal-v1.yaml has it from the gateway: %w", err)
		}
	}
	return a.print(all, func(w io.Writer) { a.view(false).printExplanation(w, &e) })
}

func (v view) printExplanation(w io.Writer, e *explanation) {
	table(w, explanationHead(e)...)
	fmt.Fprintln(w)
	steps := [][]string{{"RULE", "FOUND", "BECAUSE"}}
	for _, s := range e.Steps {
		found := v.paint(green, "✔ passes")
		if s.Reason != "" {
			found = v.paint(yellow, "• "+printable(s.Reason))
		}
		steps = append(steps, []string{printable(s.Rule), found, printable(s.Detail)})
	}
	table(w, steps...)
	switch {
	case !e.Ledger.Reachable:
		fmt.Fprint(w, "\nThe ledger does not answer: there may be a history.\n")
	case len(e.Ledger.History) == 0:
		fmt.Fprint(w, "\nThe gateway has not seen this device yet.\n")
	default:
		fmt.Fprintln(w)
		history := [][]string{{"CHANNEL", "VERSION", "ARM", "OUTCOME", "LAST CHANGE"}}
		for _, h := range e.Ledger.History {
			history = append(history, []string{printable(h.Channel), printable(h.Version), h.Arm, dash(h.Vote), v.age(h.UpdatedAt) + " ago"})
		}
		table(w, history...)
	}
}

// explanationHead is the decision.
func explanationHead(e *explanation) [][]string {
	rows := [][]string{{"App:", e.App}, {"Channel:", dash(e.Channel)}, {"Decision:", e.Action + ", " + e.Reason}}
	if e.Bundle != nil {
		rows = append(rows, []string{"Bundle:", e.Bundle.Version + " " + e.Bundle.Digest})
	}
	if t := e.Trial; t != nil {
		place := ""
		if e.Slot != nil {
			place = fmt.Sprintf("; the device is at %g %%: %s", float64(*e.Slot)/100, e.Arm)
		}
		rows = append(rows, []string{"Rollout:", fmt.Sprintf("%s, of %s to the first %g %% of the devices%s", t.Rollout, t.Candidate.Version, float64(t.Weight)/100, place)})
	}
	if e.Ledger.Override != "" {
		rows = append(rows, []string{"Put on:", e.Ledger.Override})
	}
	rows = append(rows, []string{"Metadata:", fmt.Sprintf("version %d", e.MetadataVersion)})
	for _, row := range rows {
		row[1] = printable(row[1])
	}
	return rows
}
