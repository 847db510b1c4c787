// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package clients

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/windlass-dev/windlass/internal/gateway/ledger"
	"github.com/windlass-dev/windlass/internal/release"
	"github.com/windlass-dev/windlass/internal/testkit"
)

// What the updater gives a new bundle to call notifyAppReady, in milliseconds: much time, as machines are busy, but for the bundle
// that never calls it.
const (
	patient   = 10_000
	impatient = 300
)

// desktop is one installation of an Electron app, whose data outlive its process.
type desktop struct {
	*testing.T
	base, data string
	modules    string // where node finds the updater and the stub of Electron
	patience   int    // of the next launch: patient or impatient

	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Scanner
	events []said // since the last call
}

// said is a line of the driver.
type said struct {
	Event  string
	Data   struct{ Bundle bundleInfo }
	Result json.RawMessage
	Error  string
}

type bundleInfo struct{ ID, Version string }

func newDesktop(t *testing.T, base string) *desktop {
	t.Helper()
	client := filepath.Join(electronPackage.Folder(t, "node"), "node_modules", "@capgo", "electron-updater")
	here, err := filepath.Abs("testdata/electron")
	if err != nil {
		t.Fatal(err)
	}
	d := &desktop{T: t, base: base, data: t.TempDir(), patience: patient}
	linked := filepath.Join(t.TempDir(), "@capgo")
	if err := os.Mkdir(linked, 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(client, filepath.Join(linked, "electron-updater")); err != nil {
		t.Fatal(err)
	}
	d.modules = filepath.Dir(linked) + string(os.PathListSeparator) + filepath.Join(here, "stubs")
	t.Cleanup(d.quit)
	d.launch()
	return d
}

// launch starts the app; a bundle that waits is applied with that.
func (d *desktop) launch() {
	d.Helper()
	config, err := json.Marshal(map[string]any{
		"appId": app, "defaultChannel": channel, "appReadyTimeout": d.patience,
		"updateUrl": d.base + "/updates", "statsUrl": d.base + "/stats", "channelUrl": d.base + "/channel_self",
	})
	if err != nil {
		d.Fatal(err)
	}
	d.cmd = exec.Command("node", "testdata/electron/driver.js", string(config)) // ends with quit
	d.cmd.Env = append(os.Environ(), "USER_DATA="+d.data, "APP_VERSION=1.0.0", "NODE_PATH="+d.modules)
	d.cmd.Stderr = d.Output()
	if d.in, err = d.cmd.StdinPipe(); err != nil {
		d.Fatal(err)
	}
	out, err := d.cmd.StdoutPipe()
	if err != nil {
		d.Fatal(err)
	}
	d.out = bufio.NewScanner(out)
	if err := d.cmd.Start(); err != nil {
		d.Fatal(err)
	}
	d.events = nil
	d.answer()
}

// quit ends the app's process.
func (d *desktop) quit() {
	if d.cmd == nil {
		return
	}
	_ = d.in.Close()
	stuck := time.AfterFunc(testkit.Timeout, func() { _ = d.cmd.Process.Kill() })
	defer stuck.Stop()
	for d.out.Scan() { // until the driver has ended
	}
	if err := d.cmd.Wait(); err != nil {
		d.Errorf("the updater's process: %v", err)
	}
	d.cmd = nil
}

func (d *desktop) relaunch() {
	d.Helper()
	d.quit()
	d.launch()
}

// next reads a line.
func (d *desktop) next() said {
	d.Helper()
	stuck := time.AfterFunc(testkit.Timeout, func() { _ = d.cmd.Process.Kill() })
	defer stuck.Stop()
	var s said
	if !d.out.Scan() {
		d.Fatalf("the updater's process ended: %v", d.out.Err())
	}
	if err := json.Unmarshal(d.out.Bytes(), &s); err != nil {
		d.Fatalf("the driver printed %q: %v", d.out.Text(), err)
	}
	if s.Event != "" {
		d.events = append(d.events, s)
	}
	return s
}

// answer reads until a call is done.
func (d *desktop) answer() said {
	d.Helper()
	for {
		if s := d.next(); s.Event == "" {
			return s
		}
	}
}

// call calls a method of the updater.
func (d *desktop) call(method string, args ...any) said {
	d.Helper()
	line, err := json.Marshal(append([]any{method}, args...))
	if err != nil {
		d.Fatal(err)
	}
	d.events = nil
	if _, err := d.in.Write(append(line, '\n')); err != nil {
		d.Fatal(err)
	}
	return d.answer()
}

// told gives the version that an event since the last call was about.
func (d *desktop) told(event string) (version string, ok bool) {
	for _, s := range d.events {
		if s.Event == event {
			return s.Data.Bundle.Version, true
		}
	}
	return "", false
}

// wait reads until the updater tells an event.
func (d *desktop) wait(event string) {
	d.Helper()
	for _, ok := d.told(event); !ok; _, ok = d.told(event) {
		d.next()
	}
}

// current is the version that the app runs.
func (d *desktop) current() string {
	d.Helper()
	var out struct{ Bundle bundleInfo }
	if err := json.Unmarshal(d.call("current").Result, &out); err != nil {
		d.Fatal(err)
	}
	return out.Bundle.Version
}

// update lets the app check, download and start what it is offered.
func (d *desktop) update(version string) {
	d.Helper()
	d.call("checkForUpdates")
	if got, ok := d.told("downloadComplete"); !ok || got != version {
		d.Fatalf("the updater downloaded %q, want %s; it told %+v", got, version, d.events)
	}
	d.relaunch()
	if got := d.current(); got != version {
		d.Fatalf("the app runs %s, want %s", got, version)
	}
}

// website is an archive that the updater takes.
func website(t *testing.T, version string) []byte {
	t.Helper()
	return testkit.Zip(t, map[string]string{"index.html": "<h1>" + version + "</h1>", "app.js": strings.Repeat(version+" ", 2000)})
}

// An app checks, downloads, starts and confirms an update. However often it does so, it has one vote. Then the channel goes back
// to the bundle of the store, and so is the app told.
func TestElectron_updates(t *testing.T) {
	r := newRig(t)
	d := newDesktop(t, r.public)
	b := r.put("1.1.0", website(t, "1.1.0"))
	r.stable(b)
	d.update("1.1.0")
	for range 3 {
		d.call("notifyAppReady")
		d.call("checkForUpdates")
		if _, ok := d.told("noNeedUpdate"); !ok {
			t.Fatalf("the updater told %+v after a check, want noNeedUpdate", d.events)
		}
		d.relaunch()
	}
	r.eventually("the vote is counted", func() bool { d.call("checkForUpdates"); return r.row(b).Confirmed > 0 })
	if got, want := r.row(b), (ledger.Row{Devices: 1, Downloaded: 1, Confirmed: 1}); got != want {
		t.Errorf("the ledger has %+v, want one device with one vote: %+v", got, want)
	}

	r.publish(func(*release.Document) {})
	if got := string(d.call("getLatest").Result); got != `{"version":"builtin"}` {
		t.Errorf("without a bundle on the channel the updater gets %s, want the instruction to go back", got)
	}
	d.call("reset")
	var got struct{ Kind, Error string }
	if err := json.Unmarshal(d.call("getLatest").Result, &got); err != nil || got.Kind != "up_to_date" {
		t.Errorf("back on the store's bundle the updater gets %+v (%v), want kind up_to_date", got, err)
	}
}

// A device chooses a channel that lets it, and follows it until it takes that back.
func TestElectron_channels(t *testing.T) {
	r := newRig(t)
	d := newDesktop(t, r.public)
	r.stable(r.put("1.1.0", website(t, "1.1.0")))
	r.publish(func(doc *release.Document) {
		doc.Channel, doc.Stable = "beta", r.put("1.2.0-beta.1", website(t, "1.2.0-beta.1"))
		doc.Follow = release.Follow{Visibility: "Private", SelfAssignment: "Allowed"}
	})
	ask := func(method string, args ...any) string { return string(d.call(method, args...).Result) }
	if got := ask("listChannels"); !strings.Contains(got, `"name":"beta"`) || !strings.Contains(got, `"name":"production"`) {
		t.Errorf("the updater lists %s, want beta and production", got)
	}
	if got := ask("setChannel", map[string]string{"channel": "production"}); !strings.Contains(got, "self_set_not_allowed") {
		t.Errorf("setting a channel that lets no device choose it gives %s", got)
	}
	if got := ask("setChannel", map[string]string{"channel": "beta"}); !strings.Contains(got, `"status":"ok"`) {
		t.Fatalf("setting the channel gives %s", got)
	}
	if got := ask("getLatest"); !strings.Contains(got, `"version":"1.2.0-beta.1"`) {
		t.Errorf("on beta the updater gets %s", got)
	}
	ask("unsetChannel", map[string]string{})
	if got := ask("getLatest"); !strings.Contains(got, `"version":"1.1.0"`) {
		t.Errorf("back on production the updater gets %s", got)
	}
	if got := ask("getChannel"); !strings.Contains(got, `"channel":"production"`) {
		t.Errorf("back on production the updater's channel is %s", got)
	}
}

// What was changed on the way is not installed; it says nothing of the bundle, and the same update works later.
func TestElectron_refuses(t *testing.T) {
	r := newRig(t)
	content := website(t, "1.1.0")
	b := r.put("1.1.0", content)
	r.stable(b)
	for name, change := range map[string]func(path string, body []byte) []byte{
		"artifact": func(path string, body []byte) []byte {
			if path == "/updates" || path == "/stats" {
				return body
			}
			return flip(body)
		},
		"checksum": func(_ string, body []byte) []byte {
			sum := sha256Hex(content)
			return bytes.Replace(body, []byte(sum), []byte(swap(sum, 20)), 1)
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesktop(t, r.meddler(change))
			d.call("checkForUpdates")
			if got, ok := d.told("downloadFailed"); !ok {
				t.Errorf("the updater told %s %+v, want a failed download", got, d.events)
			}
			d.relaunch()
			if got := d.current(); got != "1.0.0" {
				t.Errorf("the app runs %s, want that of the store", got)
			}
			d.quit()
			d.base = r.public
			d.launch()
			d.update("1.1.0")
		})
	}
	r.eventually("both devices are counted", func() bool { return r.row(b).DeliveryFailed == 2 })
	if got := r.row(b); got.Failed != 0 {
		t.Errorf("the ledger has %+v, want no failure of the bundle", got)
	}
}

// A bundle that does not start is not offered to that device again, which would try it for ever, but to others it is.
func TestElectron_doesNotLoop(t *testing.T) {
	r := newRig(t)
	good, bad := r.put("1.1.0", website(t, "1.1.0")), r.put("1.2.0", website(t, "1.2.0"))
	r.stable(good)
	d, other := newDesktop(t, r.public), newDesktop(t, r.public)
	d.update("1.1.0")
	d.call("notifyAppReady")

	r.publish(func(doc *release.Document) {
		doc.Stable = good
		doc.Candidate = &release.Candidate{
			Bundle: *bad, Weight: release.FullWeight, Salt: "salt", Rollout: "shop", Release: 1, LeaseExpires: time.Now().Add(time.Hour).Unix(), OnLoss: "StopOffering",
		}
	})
	d.call("checkForUpdates")
	if got, _ := d.told("downloadComplete"); got != "1.2.0" {
		t.Fatalf("the updater downloaded %q, want 1.2.0", got)
	}
	d.patience = impatient
	d.relaunch()
	d.wait("updateFailed") // nobody calls notifyAppReady
	d.patience = patient
	r.eventually("the failure is counted", func() bool { return r.row(bad).Failed == 1 })
	d.call("reset") // this client does not go back by itself

	for check := range 4 {
		d.relaunch()
		d.call("notifyAppReady")
		d.call("checkForUpdates")
		if version, ok := d.told("updateAvailable"); ok && version == "1.2.0" {
			t.Fatalf("check %d after the failure offers 1.2.0 again", check)
		}
	}
	var got map[string]any
	if err := json.Unmarshal(d.call("getLatest").Result, &got); err != nil || got["version"] == "1.2.0" || got["kind"] == "failed" {
		t.Errorf("a device that failed is told %v (%v), want no failure and not 1.2.0", got, err)
	}
	other.update("1.2.0")
	other.call("notifyAppReady")
	r.eventually("two votes", func() bool {
		other.call("checkForUpdates")
		row := r.row(bad)
		return row.Confirmed == 1 && row.Failed == 1
	})
	if got := r.row(bad); got.Devices != 2 {
		t.Errorf("the ledger has %s, want two devices with one vote each", fmt.Sprint(got))
	}
}
