// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package capgo

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/windlass-dev/windlass/internal/gateway/ledger"
)

// naming says which bundle the version_name of a statistic is.
type naming int

const (
	target     naming = iota // the one that the statistic is about
	lastOffer                // the running one, or nothing, although it is about the one that was offered last
	byPlatform               // target on iOS, lastOffer on Android
	onElectron               // target with electron, lastOffer otherwise
)

// names tells whether version_name is the bundle that the statistic is about.
func (n naming) names(platform string) bool {
	switch n {
	case target:
		return true
	case byPlatform:
		return platform != android
	case onElectron:
		return platform == electron
	}
	return false
}

// meaning is what a statistic says of a bundle.
type meaning struct {
	counts  bool // false: it is taken, and says nothing
	outcome ledger.Outcome
	kind    ledger.Kind // with a failure
	naming  naming

	afterOffer bool             // unless it names its bundle, it counts only if the last check was answered with an offer
	confirmed  func(*info) bool // by its metadata, without which it says nothing; nil: there is no need
}

func reached(o ledger.Outcome) meaning { return meaning{counts: true, outcome: o} }

func broke(k ledger.Kind, n naming) meaning {
	return meaning{counts: true, outcome: ledger.Failed, kind: k, naming: n}
}

func undelivered(k ledger.Kind, n naming) meaning {
	return meaning{counts: true, outcome: ledger.DeliveryFailed, kind: k, naming: n}
}

// bars tells whether the device is not offered the bundle again. One that crashed may do so once, and run well.
func (m *meaning) bars() bool { return m.outcome == ledger.Failed && m.kind != ledger.KindCrash }

// crashed tells a process that crashed by Android's word for its end. On iOS app_crash is any process that ended while it was
// in front of the user, also by the system or by a debugger, and says unclean_foreground_exit.
func crashed(in *info) bool { return in.exitReason == "crash" }

// didCrash tells a renderer that crashed from one that Android ended for want of memory.
func didCrash(in *info) bool { return in.didCrash == "true" }

func crash(confirmed func(*info) bool) meaning {
	m := broke(ledger.KindCrash, target)
	m.confirmed = confirmed
	return m
}

// afterOffer marks what clients also send when no download failed: if they could not reach the server, for each answer of the kind
// failed, and before 7.17.0 and 6.14.25 for each that was no update.
func afterOffer(m meaning) meaning {
	m.afterOffer = true
	return m
}

// actions has the meaning of each statistic that clients are known to send; of others there is none. Only app_launch_ready is
// proof of health: set means that the bundle was activated, and electron's client sends it at each start.
var actions = map[string]meaning{
	"download_complete": reached(ledger.Downloaded),
	"set":               reached(ledger.Installed),
	"app_launch_ready":  reached(ledger.Confirmed),

	"update_fail":        broke(ledger.KindRollback, target),
	"app_launch_timeout": broke(ledger.KindRollback, target),
	"set_fail":           broke(ledger.KindRollback, target),

	"app_crash":                   crash(crashed),
	"app_crash_native":            crash(nil),
	"webview_render_process_gone": crash(didCrash),

	"finish_download_fail":            broke(ledger.KindVerification, target),
	"manifest_path_fail":              broke(ledger.KindVerification, target),
	"download_manifest_checksum_fail": broke(ledger.KindVerification, target),
	"download_manifest_brotli_fail":   broke(ledger.KindVerification, target),
	"checksum_fail":                   broke(ledger.KindVerification, byPlatform),
	"checksum_required":               broke(ledger.KindVerification, byPlatform),
	"session_key_required":            broke(ledger.KindVerification, byPlatform),
	"decrypt_fail":                    broke(ledger.KindVerification, byPlatform),
	"unzip_fail":                      broke(ledger.KindVerification, lastOffer),
	"windows_path_fail":               broke(ledger.KindVerification, lastOffer),
	"canonical_path_fail":             broke(ledger.KindVerification, lastOffer),
	"directory_path_fail":             broke(ledger.KindVerification, lastOffer),

	"download_fail":               afterOffer(undelivered(ledger.KindNetwork, onElectron)),
	"download_manifest_file_fail": undelivered(ledger.KindNetwork, target),
	"low_mem_fail":                undelivered(ledger.KindDisk, lastOffer),
	"insufficient_disk_space":     undelivered(ledger.KindDisk, lastOffer),

	"download_manifest_start": {}, "download_manifest_complete": {}, "download_zip_start": {}, "download_zip_complete": {},
	"download_0": {}, "download_10": {}, "download_20": {}, "download_30": {}, "download_40": {}, "download_50": {},
	"download_60": {}, "download_70": {}, "download_80": {}, "download_90": {},
	"set_next": {}, "reset": {}, "delete": {},
	"app_anr": {}, "app_killed_low_memory": {}, "app_killed_excessive_resource_usage": {}, "app_initialization_failure": {},
	"app_memory_warning": {}, "webview_javascript_error": {}, "webview_unhandled_rejection": {}, "webview_resource_error": {},
	"webview_security_policy_violation": {}, "webview_unclean_restart": {}, "webview_content_process_terminated": {},
	"webview_dom_content_loaded": {}, "webview_page_loaded": {},
	"ping": {}, "app_launch_start": {}, "app_moved_to_foreground": {}, "app_moved_to_background": {}, "os_version_changed": {},
	"native_app_version_changed": {}, "blocked_by_server_url": {}, "rate_limit_reached": {}, "backend_refusal": {},
}

// otherAction is the label of statistics that are not known.
const otherAction = "other"

func newEventCounters(r prometheus.Registerer) map[string]prometheus.Counter {
	vector := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "windlass_gateway_capgo_events_total", Help: "Statistics that Capgo clients sent, by action; each as often as it was sent.",
	}, []string{"action"})
	r.MustRegister(vector)
	counters := map[string]prometheus.Counter{otherAction: vector.WithLabelValues(otherAction)}
	for action := range actions {
		counters[action] = vector.WithLabelValues(action)
	}
	return counters
}

// count counts a statistic.
func (h *Handler) count(action string) {
	counter := h.events[action]
	if counter == nil {
		counter = h.events[otherAction]
	}
	counter.Inc()
}
