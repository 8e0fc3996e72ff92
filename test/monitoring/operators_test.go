// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package monitoring

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/labels"
)

// Where several operators are chosen, what they count is added up; the pods of one are not, since those that wait serve
// the same, or zero.
func TestPanelsAddUpOperators(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	r, err := newRecording(1, now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	appender := r.storage.Appender(t.Context())
	serve := func(value float64, name string, pairs ...string) {
		for _, namespace := range []string{"team-a", "team-b"} {
			for pod, value := range map[string]float64{"leader": value, "standby": 0} {
				pairs := append([]string{"__name__", "calcom_operator_" + name, "namespace", namespace, "job", "metrics", "instance", pod}, pairs...)
				if _, err := appender.Append(0, labels.FromStrings(pairs...), now.UnixMilli(), value); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	serve(3, "managed_users", "condition", "Ready", "status", "True", "reason", "Available")
	serve(1, "managed_users", "condition", "Ready", "status", "False", "reason", "DeletionBlocked")
	serve(1, "managed_users", "condition", "Stalled", "status", "True", "reason", "DeletionBlocked")
	for _, name := range []string{
		"sweep_leaked_users", "deletions_held", "create_outcomes_open", "quota_limit_calls", "quota_allowed_calls", "quota_used_calls",
		"quota_blocked_clients", "token_renewals_late",
	} {
		serve(2, name)
	}
	serve(2, "quota_waiting_requests", "class", "create")
	serve(2, "sweep_held_up_clients", "reason", "RateLimited")
	serve(0.5, "quota_highest_utilization_ratio")
	if err := appender.Commit(); err != nil {
		t.Fatal(err)
	}
	want := map[string][]float64{
		"Users": {8}, "Ready": {0.75}, "Not Ready, by reason": {2}, "Stalled, by reason": {2},
		"Leaked users": {4}, "Deletions held": {4}, "Create calls without a clear answer": {4},
		"Calls of the last 60 s": {4, 4, 4}, "Utilization of the fullest OAuth client": {0.5, 4},
		"Waiting for the quota, by class": {4}, "Sweeps held up, by reason": {4}, "Renewals of tokens": {4}, "Deletions held up": {4, 2},
	}
	got := make(map[string][]float64)
	for _, p := range dashboard(t).Panels {
		for _, target := range p.Targets {
			matrix, err := r.Query(t.Context(), target.Expression(), now, now, time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			for _, series := range matrix {
				got[p.Title] = append(got[p.Title], series.Floats[0].F)
			}
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("what panels show of two operators (-want +got):\n%s", d)
	}
}
