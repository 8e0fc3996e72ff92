// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/metrics"
	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

// measured is a story whose metrics are looked at, as Prometheus would.
type measured struct {
	*story

	metrics *metrics.Metrics
	leading bool
	before  map[string]float64
}

func newMeasured(t *testing.T) *measured {
	t.Helper()
	s := &measured{story: newStory(t), metrics: metrics.New(), leading: true}
	s.config.Metrics = s.metrics
	s.restart()
	s.before = s.series()
	return s
}

// look has somebody ask for a look at the user a good while later.
func (s *measured) look(mu *v1alpha1.ManagedUser) {
	s.Helper()
	s.advance(resync)
	s.request(mu, s.clock.Now().String())
	s.reconcile(mu)
}

// scrape returns the metrics as they are served. A restart keeps those that count and asks the new reconciler for the
// others.
func (s *measured) scrape() map[string]*dto.MetricFamily {
	s.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(append(s.reconciler.Collectors(s.Context(), func() bool { return s.leading }), s.metrics)...)
	answer := httptest.NewRecorder()
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/metrics", http.NoBody))
	if answer.Code != http.StatusOK {
		s.Fatalf("the scrape answers %d: %s", answer.Code, answer.Body)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(answer.Body)
	s.must(err)
	return families
}

// series returns the value of each series, and of histograms what they observed, in number and in sum.
func (s *measured) series() map[string]float64 {
	s.Helper()
	all := make(map[string]float64)
	for name, family := range s.scrape() {
		name = strings.TrimPrefix(name, "calcom_operator_")
		for _, metric := range family.GetMetric() {
			labels := ""
			for _, pair := range metric.GetLabel() {
				labels += " " + pair.GetValue()
			}
			if h := metric.GetHistogram(); h != nil {
				all[name+"_count"+labels], all[name+"_sum"+labels] = float64(h.GetSampleCount()), h.GetSampleSum()
				continue
			}
			all[name+labels] = metric.GetCounter().GetValue() + metric.GetGauge().GetValue()
		}
	}
	return all
}

// wantSteps compares by how much the series of some metrics changed since the last look at them.
func (s *measured) wantSteps(of string, want map[string]float64) {
	s.Helper()
	got, now := make(map[string]float64), s.series()
	pattern := regexp.MustCompile("^(" + of + ")")
	for _, series := range slices.Sorted(maps.Keys(now)) {
		if step := now[series] - s.before[series]; step != 0 && pattern.MatchString(series) {
			got[series] = step
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		s.Errorf("steps of the metrics (-want +got):\n%s", d)
	}
	s.before = now
}

type steps = map[string]float64

const happenings = "create_.*_total|drift_|user_.*_count|api_requests"

func TestMetricsOfALife(t *testing.T) {
	s := newMeasured(t)
	mu := s.create()
	s.wantSteps(happenings+"|quota_wait_seconds_count|quota_admitted", steps{
		"api_requests_total 2xx create": 1, "user_ready_seconds_count": 1, "quota_wait_seconds_count create": 1, "quota_admitted_calls_total create": 1,
	})
	s.edit(mu, func(spec *v1alpha1.ManagedUserSpec) { spec.Name = "Alicia" })
	s.reconcile(mu)
	s.wantSteps(happenings, steps{"api_requests_total 2xx get": 1, "api_requests_total 2xx update": 1})

	s.sandbox.UpdateUser(s.clientID(), mu.Status.User.ID, func(u *calcomtest.User) { u.Name = new("Drifted") })
	s.look(mu)
	s.wantSteps(happenings, steps{
		"api_requests_total 2xx get": 1, "api_requests_total 2xx update": 1, "drift_corrected_total changed": 1,
	})
	s.sandbox.RemoveUser(s.clientID(), mu.Status.User.ID)
	s.look(mu)
	s.wantReady(mu, "Created")
	s.wantSteps(happenings, steps{
		"api_requests_total 4xx get": 2, "api_requests_total 2xx list": 1, "api_requests_total 2xx create": 1, "drift_corrected_total missing": 1,
	})
	s.delete(mu)
	s.wantGone(mu)
	s.wantSteps(happenings, steps{"api_requests_total 2xx get": 1, "api_requests_total 2xx delete": 1, "user_deletion_seconds_count": 1})
}

// A user is Ready for the first time once, however long that takes and whatever comes after.
func TestMetricsOfTheTimeToReady(t *testing.T) {
	s := newMeasured(t)
	s.deleteSecret()
	mu := s.create()
	s.wantSteps("user_", steps{})
	s.advance(time.Minute - s.clock.Since(mu.CreationTimestamp.Time))
	s.createSecret(calcomtest.DefaultClient().Secret)
	s.reconcile(mu)
	s.wantSteps("user_", steps{"user_ready_seconds_count": 1, "user_ready_seconds_sum": 60})

	s.sandbox.UpdateUser(s.clientID(), mu.Status.User.ID, func(u *calcomtest.User) { u.Name = new("Drifted") })
	s.sandbox.Inject(calcomtest.Fault{Op: calcomtest.OpUpdate, Status: 422})
	s.look(mu)
	s.wantMessage(mu, "Cal.com")
	if isAvailable(mu) {
		t.Fatalf("the user is Ready:\n%s", show(mu))
	}
	s.look(mu)
	if !isAvailable(mu) {
		t.Fatalf("the user is not Ready:\n%s", show(mu))
	}
	s.wantSteps("user_|drift_", steps{"drift_corrected_total changed": 1})
}

// The first step was taken in Cal.com and the status could not be written: it counts when it is.
func TestMetricsOfAStatusThatIsNotWritten(t *testing.T) {
	s := newMeasured(t)
	s.writes.fail = func(write string) error {
		if write == "patch status" {
			return http.ErrServerClosed
		}
		return nil
	}
	mu := s.create()
	s.wantSteps(happenings, steps{"api_requests_total 2xx create": 1})
	s.writes.fail = nil
	s.reconcile(mu)
	s.wantReady(mu, "InSync")
	s.wantSteps(happenings, steps{"api_requests_total 2xx list": 1, "user_ready_seconds_count": 1, "create_outcomes_resolved_total found": 1})
}

func TestMetricsOfUnknownOutcomes(t *testing.T) {
	lost := calcomtest.Fault{Op: calcomtest.OpCreate, Cut: true, After: true}
	never := calcomtest.Fault{Op: calcomtest.OpCreate, Cut: true}
	const unknown, found, absent = "create_outcomes_unknown_total", "create_outcomes_resolved_total found", "create_outcomes_resolved_total absent"
	later := func(s *measured, mu *v1alpha1.ManagedUser) {
		s.advance(3 * time.Minute)
		s.reconcile(mu)
	}
	for name, tc := range map[string]struct {
		faults []calcomtest.Fault
		then   func(s *measured, mu *v1alpha1.ManagedUser)
		want   steps
	}{
		"Unresolved": {[]calcomtest.Fault{lost}, func(*measured, *v1alpha1.ManagedUser) {}, steps{unknown: 1}},
		"Found":      {[]calcomtest.Fault{lost}, later, steps{unknown: 1, found: 1}},
		"FoundOnce": {[]calcomtest.Fault{lost}, func(s *measured, mu *v1alpha1.ManagedUser) {
			later(s, mu)
			s.look(mu)
			s.request(mu, "now")
			s.reconcile(mu)
		}, steps{unknown: 1, found: 1}},
		"FoundByTheNextProcess": {[]calcomtest.Fault{lost}, func(s *measured, mu *v1alpha1.ManagedUser) {
			s.restart()
			later(s, mu)
		}, steps{unknown: 1, found: 1}},
		"FoundAndDeleted": {[]calcomtest.Fault{lost}, func(s *measured, mu *v1alpha1.ManagedUser) {
			s.must(s.client.Delete(s.Context(), mu))
			later(s, mu)
			s.wantGone(mu)
		}, steps{unknown: 1, found: 1}},
		"CreatedLater": {[]calcomtest.Fault{never}, later, steps{unknown: 1, absent: 1}},
		"NobodyCameAndDeleted": {[]calcomtest.Fault{never}, func(s *measured, mu *v1alpha1.ManagedUser) {
			s.must(s.client.Delete(s.Context(), mu))
			later(s, mu)
			s.wantGone(mu)
		}, steps{unknown: 1, absent: 1}},
		"UnknownTwice": {[]calcomtest.Fault{never, lost}, func(s *measured, mu *v1alpha1.ManagedUser) {
			later(s, mu)
			later(s, mu)
		}, steps{unknown: 2, absent: 1, found: 1}},
		"RefusedInBetween": {[]calcomtest.Fault{never, {Op: calcomtest.OpCreate, Status: 403}}, func(s *measured, mu *v1alpha1.ManagedUser) {
			later(s, mu)
			s.request(mu, "now")
			later(s, mu)
			s.wantReady(mu, "Created")
		}, steps{unknown: 1, absent: 1}},
		"Refused": {[]calcomtest.Fault{{Op: calcomtest.OpCreate, Status: 403}}, func(s *measured, mu *v1alpha1.ManagedUser) {
			s.request(mu, "now")
			later(s, mu)
			s.wantReady(mu, "Created")
		}, steps{}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newMeasured(t)
			s.sandbox.Inject(tc.faults...)
			mu := s.create()
			tc.then(s, mu)
			s.wantSteps("create_.*_total", tc.want)
		})
	}
}

// An outcome that should be known by now is seen on the object itself, so also after a restart, until it is known.
func TestMetricsOfOpenCreates(t *testing.T) {
	s := newMeasured(t)
	wantOpen := func(mu *v1alpha1.ManagedUser, want bool) {
		t.Helper()
		s.reload(mu)
		if s.reconciler.isOpen(mu) != want {
			t.Errorf("the create call is open: %t, want %t", !want, want)
		}
	}
	s.sandbox.Inject(calcomtest.Fault{Op: calcomtest.OpCreate, Cut: true, After: true}, calcomtest.Fault{Op: calcomtest.OpList, Status: 503, Times: -1})
	mu := s.create()
	s.reconcile(mu)
	wantOpen(mu, false)
	s.advance(3 * time.Minute)
	s.restart()
	s.reconcile(mu)
	wantOpen(mu, true)
	suspended := mu.DeepCopy()
	suspended.Spec.ReconcilePolicy = v1alpha1.ReconcilePolicySuspend
	if s.reconciler.isOpen(suspended) {
		t.Error("a suspended object's create call is open, and nobody works on it")
	}
	s.sandbox.ClearFaults()
	s.advance(5 * time.Minute)
	s.reconcile(mu)
	s.wantReady(mu, "InSync")
	wantOpen(mu, false)
}

// After a refusal nobody is let through for a while, and who waits is counted, and for how long.
func TestMetricsOfTheQuota(t *testing.T) {
	s := newMeasured(t)
	s.sandbox.Inject(calcomtest.Fault{Op: calcomtest.OpCreate, Status: 429})
	mu := s.create()
	s.wantSteps("quota_(waiting|blocked|clients)|api_requests", steps{
		"api_requests_total 429 create": 1, "quota_blocked_clients": 1, "quota_clients": 1,
	})
	s.reconcile(mu)
	s.wantSteps("quota_waiting", steps{"quota_waiting_requests create": 1})
	promised := s.reconcile(mu).result.RequeueAfter
	s.advance(promised)
	s.reconcile(mu)
	s.wantReady(mu, "Created")
	s.wantSteps("quota_(waiting|blocked|clients|wait_)", steps{
		"quota_waiting_requests create": -1, "quota_blocked_clients": -1,
		"quota_wait_seconds_count create": 1, "quota_wait_seconds_sum create": promised.Seconds(),
	})
	now := s.series()
	if used, allowed := now["quota_used_calls"], now["quota_allowed_calls"]; used == 0 || now["quota_highest_utilization_ratio"] != used/allowed {
		t.Errorf("the utilization is %v with %v of %v calls used", now["quota_highest_utilization_ratio"], used, allowed)
	}
}

// A replica that does not lead leaves the objects to the one that does.
func TestMetricsOfAStandby(t *testing.T) {
	s := newMeasured(t)
	if _, counted := s.series()["managed_users Ready Available True"]; !counted {
		t.Fatal("the leader does not count users")
	}
	s.leading = false
	for series := range s.series() {
		if strings.HasPrefix(series, "managed_users") {
			t.Errorf("a standby counts %s", series)
		}
	}
}

// Nothing of a user, of a Secret or of the cluster gets into a metric, whatever goes wrong.
func TestMetricsShowNothing(t *testing.T) {
	s := newMeasured(t)
	canary := func(spec *v1alpha1.ManagedUserSpec) {
		spec.Email, spec.Name, spec.Bio = "canary@example.com", "canary", new("canary")
		spec.Metadata = map[string]string{"canary": "canary"}
	}
	s.sandbox.Inject(
		calcomtest.Fault{Op: calcomtest.OpCreate, Cut: true, After: true},
		calcomtest.Fault{Op: calcomtest.OpList, Status: 500, Body: "canary"},
		calcomtest.Fault{Op: calcomtest.OpList, Status: 302, Header: http.Header{"Location": {"https://canary.example"}}},
		calcomtest.Fault{Op: calcomtest.OpGet, Status: 418, Body: "canary"},
	)
	mu := s.create(canary)
	for range 3 {
		s.advance(10 * time.Minute)
		s.reconcile(mu)
	}
	s.look(mu)
	s.look(mu)
	s.wantReady(mu, "InSync")
	others := []string{
		"canar", "@", "example", "://", "127.0.0.1", s.namespace, "alice", s.clientID(), string(mu.UID), calcomtest.DefaultClient().Secret,
		fmt.Sprint(mu.Status.User.ID),
	}
	series := 0
	for name, family := range s.scrape() {
		for _, metric := range family.GetMetric() {
			series++
			for _, pair := range metric.GetLabel() {
				for _, secret := range others {
					if strings.Contains(strings.ToLower(pair.GetName()+" "+pair.GetValue()), strings.ToLower(secret)) {
						t.Errorf("%s shows %q in a label: %s=%s", name, secret, pair.GetName(), pair.GetValue())
					}
				}
			}
		}
	}
	if series < 80 {
		t.Errorf("only %d series were looked at", series)
	}
}
