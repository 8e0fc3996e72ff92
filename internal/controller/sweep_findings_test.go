// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/account"
	"github.com/calcom-operator/calcom-operator/internal/metrics"
)

// A status is written when a sweep finds something else than the one before.
func TestSweepStatus(t *testing.T) {
	before, now := time.Unix(1_800_000_000, 0), time.Unix(1_800_000_600, 0)
	written := func() *v1alpha1.SweepStatus {
		return &v1alpha1.SweepStatus{
			Since: metav1.NewTime(before), Users: 600, Drifted: 2, Missing: 1, Leaked: 2, LeakedUserIDs: []int64{7, 9}, Census: "Partial",
		}
	}
	found := Findings{Completed: now, Duration: time.Minute, Calls: 3, Members: 600, Drifted: 2, Missing: 1, Leaked: 2, LeakedIDs: []int64{7, 9}}
	for name, tc := range map[string]struct {
		was    *v1alpha1.SweepStatus
		change func(*Findings)
		want   func(*v1alpha1.SweepStatus)
	}{
		"First":         {nil, func(*Findings) {}, func(s *v1alpha1.SweepStatus) { s.Since = metav1.NewTime(now) }},
		"TheSame":       {written(), func(f *Findings) { f.Calls, f.LastError = 5, "RateLimited" }, func(*v1alpha1.SweepStatus) {}},
		"NoRoundYet":    {written(), func(f *Findings) { *f = Findings{} }, func(*v1alpha1.SweepStatus) {}},
		"OtherLeak":     {written(), func(f *Findings) { f.LeakedIDs = []int64{7, 8} }, func(s *v1alpha1.SweepStatus) { s.Since, s.LeakedUserIDs = metav1.NewTime(now), []int64{7, 8} }},
		"NowComplete":   {written(), func(f *Findings) { f.CensusComplete = true }, func(s *v1alpha1.SweepStatus) { s.Since, s.Census = metav1.NewTime(now), "Complete" }},
		"NobodyDrifted": {written(), func(f *Findings) { f.Drifted = 0 }, func(s *v1alpha1.SweepStatus) { s.Since, s.Drifted = metav1.NewTime(now), 0 }},
	} {
		t.Run(name, func(t *testing.T) {
			f, want := found.clone(), written()
			tc.change(&f)
			tc.want(want)
			if d := cmp.Diff(want, f.status(tc.was)); d != "" {
				t.Errorf("status (-want +got):\n%s", d)
			}
		})
	}
}

func TestSweepFigures(t *testing.T) {
	s := newSweepStory(t, 3)
	s.changed(s.users[0], renamed)
	f := s.round()
	want := []metrics.Sweep{{Since: f.Completed, LastSuccess: f.Completed, Duration: f.Duration, Calls: 1, Members: 3, Drifted: 1}}
	if d := cmp.Diff(want, s.reconciler.sweepFigures()); d != "" {
		t.Errorf("figures (-want +got):\n%s", d)
	}
}

// A sweep is awaited from when there is somebody to look after, and not while there is nobody: nobody is late then.
func TestSweepIsAwaited(t *testing.T) {
	s := newSweepStory(t, 1)
	wantAwaited := func(want time.Time) {
		t.Helper()
		if got := s.reconciler.Sweeps()[0].Awaited; !got.Equal(want) {
			t.Errorf("the sweep is awaited since %v, want %v", got, want)
		}
	}
	wantAwaited(s.clock.Now())
	f := s.round()
	wantAwaited(f.Completed)
	user := s.users[0]
	s.edit(user, func(spec *v1alpha1.ManagedUserSpec) { spec.ReconcilePolicy = v1alpha1.ReconcilePolicySuspend })
	s.reconcile(user)
	s.advance(time.Hour)
	wantAwaited(time.Time{})
	name := account.Name{APIURL: s.reconciler.Sweeps()[0].APIURL, ClientID: s.reconciler.Sweeps()[0].ClientID}
	s.reconciler.sweeper.keep("OAuthClient", name, "")
	kept := s.clock.Now()
	wantAwaited(kept)
	s.advance(time.Minute)
	s.reconciler.sweeper.keep("OAuthClient", name, "")
	wantAwaited(kept)
	s.reconciler.sweeper.unkeep("OAuthClient")
	wantAwaited(time.Time{})
	s.edit(user, func(spec *v1alpha1.ManagedUserSpec) { spec.ReconcilePolicy = "" })
	s.reconcile(user)
	wantAwaited(s.clock.Now())
}
