// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
	"github.com/calcom-operator/calcom-operator/internal/quota"
)

var now = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

// scrape serves collectors as the operator does, gets them as Prometheus does, and returns what it understood.
func scrape(t *testing.T, collectors ...prometheus.Collector) map[string]*dto.MetricFamily {
	t.Helper()
	registry := prometheus.NewPedanticRegistry() // It also checks that what is collected is what was described.
	registry.MustRegister(collectors...)
	server := httptest.NewServer(promhttp.HandlerFor(registry, promhttp.HandlerOpts{ErrorHandling: promhttp.HTTPErrorOnError}))
	defer server.Close()
	response, err := http.Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		t.Fatalf("the scrape answers %s", response.Status)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return families
}

// everything is all collectors with something in them.
func everything() []prometheus.Collector {
	return []prometheus.Collector{
		New(), NewBuild("v1.2.3"),
		NewQuotas(func() []quota.Snapshot { return nil }, func() time.Time { return now }),
		NewSweeps(time.Minute, func() []Sweep { return []Sweep{{Since: now, LastSuccess: now}} }),
		NewTokens(func() (TokensOutlook, bool) { return TokensOutlook{Any: true}, true }),
		NewUsers(func() ([]v1alpha1.ManagedUser, bool) { return []v1alpha1.ManagedUser{deleted(object())}, true }, isNotOpen),
	}
}

// values are the lines of some metrics without their common prefix, histograms as the number and the sum of what they
// observed.
func values(families map[string]*dto.MetricFamily, prefixes ...string) []string {
	var lines []string
	for name, family := range families {
		name = strings.TrimPrefix(name, namespace+"_")
		if !slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(name, p) }) {
			continue
		}
		for _, metric := range family.GetMetric() {
			var labels []string
			for _, pair := range metric.GetLabel() {
				labels = append(labels, pair.GetValue())
			}
			value := fmt.Sprint(metric.GetGauge().GetValue() + metric.GetCounter().GetValue())
			if h := metric.GetHistogram(); h != nil {
				value = fmt.Sprintf("%d in %gs", h.GetSampleCount(), h.GetSampleSum())
			}
			lines = append(lines, strings.TrimSuffix(name+" "+strings.Join(labels, ","), " ")+" "+value)
		}
	}
	slices.Sort(lines)
	return lines
}

// withoutZeros leaves out what was not counted.
func withoutZeros(lines []string) []string {
	return slices.DeleteFunc(lines, func(line string) bool { return strings.HasSuffix(line, " 0") || strings.HasSuffix(line, " 0 in 0s") })
}

// The page is what dashboards are made from: it names every metric as it is scraped, and nothing else.
func TestDocumented(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "metrics.md"))
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	for line := range strings.Lines(string(page)) {
		if strings.HasPrefix(line, "| `"+namespace) {
			documented = append(documented, strings.TrimSpace(line))
		}
	}
	families := scrape(t, everything()...)
	var scraped []string
	for _, name := range slices.Sorted(maps.Keys(families)) {
		family := families[name]
		labels := []string{}
		for _, pair := range family.GetMetric()[0].GetLabel() {
			labels = append(labels, "`"+pair.GetName()+"`")
		}
		kind := strings.ToLower(family.GetType().String())
		scraped = append(scraped, fmt.Sprintf("| `%s` | %s | %s | %s |", name, kind, strings.Join(labels, ", "), family.GetHelp()))
	}
	if d := cmp.Diff(scraped, documented); d != "" {
		t.Errorf("docs/metrics.md and the scrape differ (-scrape +page); the scrape has\n%s\n%s", strings.Join(scraped, "\n"), d)
	}
	for _, name := range regexp.MustCompile(namespace+`_\w+`).FindAllString(string(page), -1) {
		base := regexp.MustCompile(`_(bucket|sum|count)$`).ReplaceAllString(name, "")
		if families[name] == nil && families[base] == nil {
			t.Errorf("docs/metrics.md speaks of %s, which is no metric", name)
		}
	}
}

func TestLint(t *testing.T) {
	problems, err := promlint.NewWithMetricFamilies(slices.Collect(maps.Values(scrape(t, everything()...)))).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range problems {
		t.Errorf("%s: %s", problem.Metric, problem.Text)
	}
}

// Two operators in one process count apart.
func TestNothingIsGlobal(t *testing.T) {
	one, two := New(), New()
	one.CreateUnknown()
	if d := cmp.Diff([]string{"create_outcomes_unknown_total 0"}, values(scrape(t, two), "create_outcomes_unknown")); d != "" {
		t.Error(d)
	}
}

// Metrics that nobody asked for are no reason to fail.
func TestNilCountsNothing(*testing.T) {
	var m *Metrics
	m.Called(calcom.OpCreate, 200, time.Second)
	m.Waited(quota.Create, time.Second)
	m.DriftFound(DriftChanged, 1)
	m.DriftCorrected(DriftChanged)
	m.CreateUnknown()
	m.CreateResolved(ResolvedFound)
	m.Ready(time.Second)
	m.Deleted(time.Second)
}

func TestCalled(t *testing.T) {
	m := New()
	for _, status := range []int{200, 201, 302, 401, 404, 429, 500, 503, 0, 99, 101, 600, -1} {
		m.Called(calcom.OpCreate, status, time.Second)
	}
	for _, operation := range []calcom.Operation{
		calcom.OpGet, calcom.OpList, calcom.OpUpdate, calcom.OpDelete, calcom.OpRefresh, calcom.OpForceRefresh,
	} {
		m.Called(operation, 200, 2*time.Second)
	}
	m.Called("alice@example.com", 200, time.Second)
	want := []string{
		"api_request_duration_seconds create 13 in 13s",
		"api_request_duration_seconds delete 1 in 2s",
		"api_request_duration_seconds force_refresh 1 in 2s",
		"api_request_duration_seconds get 1 in 2s",
		"api_request_duration_seconds list 1 in 2s",
		"api_request_duration_seconds refresh 1 in 2s",
		"api_request_duration_seconds update 1 in 2s",
		"api_requests_total 2xx,create 2",
		"api_requests_total 2xx,delete 1",
		"api_requests_total 2xx,force_refresh 1",
		"api_requests_total 2xx,get 1",
		"api_requests_total 2xx,list 1",
		"api_requests_total 2xx,refresh 1",
		"api_requests_total 2xx,update 1",
		"api_requests_total 3xx,create 1",
		"api_requests_total 429,create 1",
		"api_requests_total 4xx,create 2",
		"api_requests_total 5xx,create 2",
		"api_requests_total none,create 5",
	}
	if d := cmp.Diff(want, withoutZeros(values(scrape(t, m), "api_"))); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// Every series of a counter is there before the first event, or its first event would be missed.
func TestCountersBeginAtZero(t *testing.T) {
	counted := len(operations)*len(codes) + 2*len([]Drift{DriftChanged, DriftMissing}) + len([]Resolution{ResolvedFound, ResolvedAbsent}) + 1
	all := values(scrape(t, New()), "api_requests_", "drift_", "create_")
	if len(all) != counted || len(withoutZeros(all)) != 0 {
		t.Errorf("there are %d series, want %d, all zero:\n%s", len(all), counted, strings.Join(all, "\n"))
	}
}

func TestEvents(t *testing.T) {
	m := New()
	m.Waited(quota.Drift, 90*time.Second)
	m.DriftFound(DriftChanged, 3)
	m.DriftCorrected(DriftMissing)
	m.CreateUnknown()
	m.CreateResolved(ResolvedAbsent)
	m.Ready(3 * time.Second)
	m.Ready(-time.Second) // A clock that is behind the API server's.
	m.Deleted(4 * time.Second)
	want := []string{
		"create_outcomes_resolved_total absent 1",
		"create_outcomes_unknown_total 1",
		"drift_corrected_total missing 1",
		"drift_found_total changed 3",
		"quota_wait_seconds drift 1 in 90s",
		"user_deletion_seconds 1 in 4s",
		"user_ready_seconds 2 in 3s",
	}
	if d := cmp.Diff(want, withoutZeros(values(scrape(t, m), ""))); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestSweeps(t *testing.T) {
	minuteAgo := now.Add(-time.Minute)
	first := Sweep{Since: now, LastSuccess: now, Duration: 2 * time.Second, Calls: 3, Members: 600, Drifted: 2, Missing: 1, Leaked: 4}
	second := Sweep{Since: minuteAgo, LastSuccess: minuteAgo, Duration: time.Second, Calls: 1, Members: 10, Drifted: 1, HeldUp: "Unauthorized"}
	resting := Sweep{LastSuccess: now.Add(-time.Hour), Duration: time.Hour, Calls: 9, Members: 9, Drifted: 9, Missing: 9, Leaked: 2, HeldUp: "Forbidden"}
	const at, before = "1.893553445e+09", "1.893553385e+09"
	found := func(last, seconds string, calls, members, drifted, missing, leaked int) []string {
		return []string{
			fmt.Sprint("sweep_calls ", calls), fmt.Sprint("sweep_drifted_users ", drifted), "sweep_duration_seconds " + seconds,
			"sweep_last_success_timestamp_seconds " + last, fmt.Sprint("sweep_leaked_users ", leaked), fmt.Sprint("sweep_members ", members),
			fmt.Sprint("sweep_missing_users ", missing),
		}
	}
	with := func(lines []string, more ...string) []string { return slices.Concat(lines, more) }
	for name, tc := range map[string]struct {
		sweeps []Sweep
		want   []string
	}{
		"NoClient": {nil, []string{"sweep_pending_clients 0"}},
		"NoneYet": {
			[]Sweep{{Since: now, HeldUp: "canary@example.com"}, {Since: minuteAgo, Members: 7}},
			[]string{"sweep_awaited_since_timestamp_seconds " + before, "sweep_held_up_clients Other 1", "sweep_pending_clients 2"},
		},
		"One": {[]Sweep{first}, with(found(at, "2", 3, 600, 2, 1, 4), "sweep_awaited_since_timestamp_seconds "+at, "sweep_pending_clients 0")},
		"OldestOfTwo": {
			[]Sweep{first, second},
			with(found(before, "2", 4, 610, 3, 1, 4), "sweep_awaited_since_timestamp_seconds "+before, "sweep_held_up_clients Unauthorized 1", "sweep_pending_clients 0"),
		},
		"OneOfTwoBehind": {
			[]Sweep{second, {Since: now}},
			with(found(before, "1", 1, 10, 1, 0, 0), "sweep_awaited_since_timestamp_seconds "+before, "sweep_held_up_clients Unauthorized 1", "sweep_pending_clients 1"),
		},
		// Nobody is there to be swept, and nothing of what was found before is awaited or true any more, but for the leaks.
		"Resting":         {[]Sweep{resting, {}}, []string{"sweep_leaked_users 2", "sweep_pending_clients 0"}},
		"RestingAndOther": {[]Sweep{resting, first}, with(found(at, "2", 3, 600, 2, 1, 6), "sweep_awaited_since_timestamp_seconds "+at, "sweep_pending_clients 0")},
		"BackAgain": {
			[]Sweep{{Since: now, LastSuccess: minuteAgo, Members: 1}},
			with(found(before, "0", 0, 1, 0, 0, 0), "sweep_awaited_since_timestamp_seconds "+at, "sweep_pending_clients 0"),
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := values(scrape(t, NewSweeps(90*time.Second, func() []Sweep { return tc.sweeps })), "")
			got = slices.DeleteFunc(got, func(line string) bool {
				return strings.HasPrefix(line, "sweep_held_up_clients") && strings.HasSuffix(line, " 0")
			})
			want := with(tc.want, "resync_interval_seconds 90")
			slices.Sort(want)
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// Each reason is there before it happens, or the step to its first client would not be seen.
func TestEveryReasonToBeHeldUp(t *testing.T) {
	got := values(scrape(t, NewSweeps(time.Minute, func() []Sweep { return nil })), "sweep_held_up")
	if len(got) != len(heldUpReasons) || len(withoutZeros(got)) != 0 {
		t.Errorf("there are %v, want %v, all zero", got, heldUpReasons)
	}
}

func TestQuotas(t *testing.T) {
	one := quota.Snapshot{Limit: 500, Allowed: 400, Used: 100, BlockedUntil: now.Add(time.Second)}
	one.Waiting[quota.Create], one.Admitted[quota.Create], one.Returned[quota.Create] = 7, 120, 20
	two := quota.Snapshot{Limit: 100, Allowed: 80, Used: 76, BlockedUntil: now.Add(-time.Second)}
	two.Waiting[quota.Create], two.Admitted[quota.Drift] = 1, 76
	unlimited := quota.Snapshot{}
	unlimited.Admitted[quota.Drift] = 4
	all := []quota.Snapshot{one, two, unlimited}
	got := values(scrape(t, NewQuotas(func() []quota.Snapshot { return all }, func() time.Time { return now })), "")
	want := []string{
		"quota_admitted_calls_total create 120", "quota_admitted_calls_total drift 80",
		"quota_allowed_calls 480", "quota_blocked_clients 1", "quota_clients 3", "quota_highest_utilization_ratio 0.95",
		"quota_limit_calls 600", "quota_returned_calls_total create 20", "quota_used_calls 176", "quota_waiting_requests create 8",
	}
	if d := cmp.Diff(want, withoutZeros(slices.Clone(got))); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if len(got) != 6+3*quota.Classes {
		t.Errorf("there are %d series, want all classes of each:\n%s", len(got), strings.Join(got, "\n"))
	}
}

// object returns one with conditions, each as "Type=Status/Reason".
func object(conditions ...string) v1alpha1.ManagedUser {
	var mu v1alpha1.ManagedUser
	for _, text := range conditions {
		kind, rest, _ := strings.Cut(text, "=")
		status, reason, _ := strings.Cut(rest, "/")
		mu.Status.Conditions = append(mu.Status.Conditions, metav1.Condition{Type: kind, Status: metav1.ConditionStatus(status), Reason: reason})
	}
	return mu
}

func deleted(mu v1alpha1.ManagedUser) v1alpha1.ManagedUser {
	mu.Finalizers, mu.DeletionTimestamp = []string{v1alpha1.ManagedUserFinalizer}, &metav1.Time{Time: now}
	return mu
}

func isNotOpen(*v1alpha1.ManagedUser) bool { return false }
