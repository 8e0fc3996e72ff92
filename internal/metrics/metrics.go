// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package metrics tells in numbers what the operator does. docs/metrics.md lists every metric.
//
// No label ever holds a name, a namespace, an id, a URL or an address: there would be too many values, and they belong
// to people. The values of every label are known beforehand, so that each counter is there, as zero, before its first
// event.
//
// Nothing here is global. Whoever makes a collector registers it, with a registry of its own if need be.
package metrics

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/calcom-operator/calcom-operator/internal/calcom"
	"github.com/calcom-operator/calcom-operator/internal/quota"
)

// namespace begins the name of every metric.
const namespace = "calcom_operator"

// Drift is how a user in Cal.com differed from its object.
type Drift string

// The ways to differ.
const (
	DriftChanged Drift = "changed" // Somebody changed it there.
	DriftMissing Drift = "missing" // Somebody deleted it there.
)

// Resolution is what became of a create call whose outcome was unknown.
type Resolution string

// The resolutions.
const (
	ResolvedFound  Resolution = "found"  // The user was there after all.
	ResolvedAbsent Resolution = "absent" // Nobody came, and the user was created later, or its object deleted.
)

// RefreshKind is a way to get new tokens.
type RefreshKind string

// The kinds.
const (
	RefreshOrdinary RefreshKind = "ordinary" // By the refresh token; the old access token stays valid to its end.
	RefreshForced   RefreshKind = "forced"   // All tokens of the user ended at once.
)

// RefreshResult is what became of a call for new tokens.
type RefreshResult string

// The results.
const (
	RefreshSucceeded RefreshResult = "success"
	RefreshInvalid   RefreshResult = "invalid" // The refresh token had been used, or ended.
	RefreshErred     RefreshResult = "error"   // Anything else; it is tried again.
)

// operations are the labels of the calls to Cal.com.
var operations = map[calcom.Operation]string{
	calcom.OpCreate: "create", calcom.OpGet: "get", calcom.OpList: "list", calcom.OpUpdate: "update", calcom.OpDelete: "delete",
	calcom.OpRefresh: "refresh", calcom.OpForceRefresh: "force_refresh",
}

// codes are the labels of the answers.
var codes = []string{"2xx", "3xx", "4xx", "429", "5xx", "none"}

// Metrics counts what happens. It is a collector, to be registered once. A nil one counts nothing.
type Metrics struct {
	requests        *prometheus.CounterVec
	requestDuration *prometheus.HistogramVec
	quotaWait       *prometheus.HistogramVec
	driftFound      *prometheus.CounterVec
	driftCorrected  *prometheus.CounterVec
	createUnknown   prometheus.Counter
	createResolved  *prometheus.CounterVec
	tokenRefreshes  *prometheus.CounterVec
	ready           prometheus.Histogram
	deleted         prometheus.Histogram
}

var _ prometheus.Collector = (*Metrics)(nil)

// New returns metrics that have counted nothing.
func New() *Metrics {
	m := &Metrics{
		requests: counters("api_requests_total",
			"Calls to Cal.com, by operation and by class of the HTTP status: 429 is apart from the others of 4xx, and none is no answer at all.",
			"operation", "code"),
		requestDuration: histograms("api_request_duration_seconds",
			"Time from the beginning of a call to Cal.com to the end of its answer.",
			[]float64{0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30}, "operation"),
		quotaWait: histograms("quota_wait_seconds",
			"Time from when calls were first asked for until the quota admitted them, by class; 0 for those that did not have to wait.",
			[]float64{0.1, 1, 5, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600}, "class"),
		driftFound: counters("drift_found_total",
			"Users that a sweep found to differ from their spec, or missing in Cal.com.", "kind"),
		driftCorrected: counters("drift_corrected_total",
			"Users that were set back to their spec: changed in Cal.com by others, or missing there and created anew.", "kind"),
		createUnknown: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: namespace, Name: "create_outcomes_unknown_total",
			Help: "Create calls whose outcome was unknown: no answer, or one that does not tell. Those of an operator that was killed are not among them.",
		}),
		createResolved: counters("create_outcomes_resolved_total",
			"Create calls of unknown outcome, those of an operator that was killed included, whose outcome became known: the user was found, or absent.",
			"resolution"),
		tokenRefreshes: counters("token_refreshes_total",
			"Calls for new tokens of users, by kind and result: ordinary, before the old ones end, or forced, which ends all others at once.",
			"kind", "result"),
		ready: histogram("user_ready_seconds",
			"Time from an object's creation until its user was Ready for the first time."),
		deleted: histogram("user_deletion_seconds",
			"Time from the request to delete an object until it lost its finalizer."),
	}
	m.initialize()
	return m
}

// initialize makes every counter appear, so that the step from nothing to the first event is seen as one.
func (m *Metrics) initialize() {
	for _, operation := range operations {
		for _, code := range codes {
			m.requests.WithLabelValues(operation, code)
		}
		m.requestDuration.WithLabelValues(operation)
	}
	for class := range quota.Class(quota.Classes) {
		m.quotaWait.WithLabelValues(class.String())
	}
	for _, kind := range []Drift{DriftChanged, DriftMissing} {
		m.driftFound.WithLabelValues(string(kind))
		m.driftCorrected.WithLabelValues(string(kind))
	}
	for _, resolution := range []Resolution{ResolvedFound, ResolvedAbsent} {
		m.createResolved.WithLabelValues(string(resolution))
	}
	for _, kind := range []RefreshKind{RefreshOrdinary, RefreshForced} {
		for _, result := range []RefreshResult{RefreshSucceeded, RefreshInvalid, RefreshErred} {
			if kind == RefreshOrdinary || result != RefreshInvalid {
				m.tokenRefreshes.WithLabelValues(string(kind), string(result))
			}
		}
	}
}

func (m *Metrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{
		m.requests, m.requestDuration, m.quotaWait, m.driftFound, m.driftCorrected, m.createUnknown, m.createResolved, m.tokenRefreshes, m.ready, m.deleted,
	}
}

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(to chan<- *prometheus.Desc) {
	for _, c := range m.collectors() {
		c.Describe(to)
	}
}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(to chan<- prometheus.Metric) {
	for _, c := range m.collectors() {
		c.Collect(to)
	}
}

// Called counts a call to Cal.com. Status 0 is no answer. Calls of an operation that is not known here are not counted.
func (m *Metrics) Called(operation calcom.Operation, status int, took time.Duration) {
	label, ok := operations[operation]
	if m == nil || !ok {
		return
	}
	m.requests.WithLabelValues(label, code(status)).Inc()
	m.requestDuration.WithLabelValues(label).Observe(took.Seconds())
}

// code returns the label of an HTTP status.
func code(status int) string {
	switch class := status / 100; {
	case status == http.StatusTooManyRequests:
		return "429"
	case class >= 2 && class <= 5:
		return strconv.Itoa(class) + "xx"
	}
	return "none" // A status out of range is as good as no answer.
}

// Waited counts the wait of calls that the quota admitted.
func (m *Metrics) Waited(class quota.Class, wait time.Duration) {
	if m != nil {
		m.quotaWait.WithLabelValues(class.String()).Observe(wait.Seconds())
	}
}

// DriftFound counts users that a sweep found to differ.
func (m *Metrics) DriftFound(kind Drift, users int) {
	if m != nil {
		m.driftFound.WithLabelValues(string(kind)).Add(float64(users))
	}
}

// DriftCorrected counts a user that was set back to its spec.
func (m *Metrics) DriftCorrected(kind Drift) {
	if m != nil {
		m.driftCorrected.WithLabelValues(string(kind)).Inc()
	}
}

// CreateUnknown counts a create call whose outcome is unknown.
func (m *Metrics) CreateUnknown() {
	if m != nil {
		m.createUnknown.Inc()
	}
}

// CreateResolved counts a create call of unknown outcome whose outcome became known.
func (m *Metrics) CreateResolved(resolution Resolution) {
	if m != nil {
		m.createResolved.WithLabelValues(string(resolution)).Inc()
	}
}

// TokensRefreshed counts a call for new tokens.
func (m *Metrics) TokensRefreshed(kind RefreshKind, result RefreshResult) {
	if m != nil {
		m.tokenRefreshes.WithLabelValues(string(kind), string(result)).Inc()
	}
}

// Ready counts a user that became Ready for the first time.
func (m *Metrics) Ready(after time.Duration) {
	if m != nil {
		m.ready.Observe(max(0, after).Seconds())
	}
}

// Deleted counts an object that was let go.
func (m *Metrics) Deleted(after time.Duration) {
	if m != nil {
		m.deleted.Observe(max(0, after).Seconds())
	}
}

func counters(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
}

func histograms(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: namespace, Name: name, Help: help, Buckets: buckets}, labels)
}

// histogram is of times that begin with a timestamp of an object, which has whole seconds.
func histogram(name, help string) prometheus.Histogram {
	return prometheus.NewHistogram(prometheus.HistogramOpts{
		Namespace: namespace, Name: name, Help: help, Buckets: []float64{1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 21600},
	})
}
