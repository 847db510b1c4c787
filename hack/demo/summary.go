// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"text/tabwriter"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/hack/fleet/device"
)

// printTables prints what kubectl get ota would: the API server itself renders the tables.
func (s *stack) printTables(ctx context.Context) error {
	c, err := rest.HTTPClientFor(s.controlPlane.Config)
	if err != nil {
		return fmt.Errorf("make a client: %w", err)
	}
	s.screen.print("\nkubectl -n %s get ota\n\n", namespace)
	for _, kind := range []string{"repositories", "bundles", "channels", "rollouts"} {
		table, err := getTable(ctx, c, s.controlPlane.Config.Host, kind)
		if err != nil {
			return err
		}
		s.screen.print("%s", formatTable(table, kind))
	}
	return nil
}

// getTable asks for the printed columns of a kind (kubernetes.io/docs/reference/using-api/api-concepts, Receiving resources as Tables).
func getTable(ctx context.Context, c *http.Client, host, kind string) (*metav1.Table, error) {
	url := strings.Join([]string{host, "apis", otav1alpha1.Group, "v1alpha1", "namespaces", namespace, kind}, "/")
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", kind, err)
	}
	req.Header.Set("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io")
	res, err := c.Do(req)
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", kind, err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("list %s: status %d, want 200", kind, res.StatusCode)
	}
	var table metav1.Table
	if err := json.NewDecoder(io.LimitReader(res.Body, 4<<20)).Decode(&table); err != nil {
		return nil, fmt.Errorf("list %s: %w", kind, err)
	}
	return &table, nil
}

func formatTable(t *metav1.Table, kind string) string {
	var out strings.Builder
	w := tabwriter.NewWriter(&out, 0, 0, 3, ' ', 0)
	var columns []int
	var header []string
	for i, c := range t.ColumnDefinitions {
		if c.Priority == 0 {
			columns, header = append(columns, i), append(header, strings.ToUpper(c.Name))
		}
	}
	header[0] = strings.ToUpper(kind) // kubectl repeats kind and group in each row instead
	fmt.Fprintln(w, strings.Join(header, "\t"))
	for _, row := range t.Rows {
		cells := make([]string, 0, len(columns))
		for _, i := range columns {
			cells = append(cells, cell(row.Cells[i]))
		}
		fmt.Fprintln(w, strings.Join(cells, "\t"))
	}
	_ = w.Flush() // into memory
	fmt.Fprintln(&out)
	return out.String()
}

func cell(v any) string {
	if v == nil {
		return ""
	}
	return fmt.Sprint(v)
}

// printSummary tells what the bad release did to whom, and for how long.
func (s *stack) printSummary(bad *act, total time.Duration) {
	d := bad.last.devices
	b := d.Bundles[third]
	home := b.LastLeft.Sub(bad.breach)
	rows := [][2]string{
		{"devices that got the bad release", fmt.Sprintf("%d of %d (%.1f %%), it failed on %d", b.Exposed, d.Devices, 100*float64(b.Exposed)/float64(d.Devices), b.Failed)},
		{"first breach to committed rollback", millis(bad.commit.Sub(bad.breach))},
		{"first breach to last device home", millis(home) + ", devices ask every " + s.poll.String()},
		{"devices of the native protocol", did(d.Protocols[device.Native])},
		{"devices of the Capgo protocol", did(d.Protocols[device.Capgo])},
		{"artifacts that devices rejected", fmt.Sprintf("%d: digests and signatures were right each time", rejects(d))},
		{"failed bundles offered again", fmt.Sprintf("%d: the gateway remembers for devices that do not", d.OfferedAgain)},
		{"three releases took", seconds(total)},
	}
	s.screen.print("Summary\n")
	for _, r := range rows {
		s.screen.print("  %-36s %s\n", r[0], r[1])
	}
	s.screen.print("\n")
}

func did(p device.Protocol) string {
	return fmt.Sprintf("%d: %d checks, %d downloads, %d reports", p.Devices, p.Checks, p.Downloads, p.Reports)
}

func rejects(d device.Status) int64 {
	var n int64
	for check, k := range d.Rejected {
		if check != "network" {
			n += k
		}
	}
	return n
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }

func millis(d time.Duration) string {
	if d < 10*time.Second {
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return seconds(d)
}
