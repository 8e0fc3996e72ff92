// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	testclock "k8s.io/utils/clock/testing"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/account"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
	"github.com/calcom-operator/calcom-operator/internal/outcome"
	"github.com/calcom-operator/calcom-operator/internal/quota"
	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

func TestTurnOf(t *testing.T) {
	settled := func(mu *v1alpha1.ManagedUser) {
		standsFor(mu, 7)
		mu.Generation, mu.Status.ObservedGeneration = 3, 3
	}
	cases := map[string]struct {
		change func(*v1alpha1.ManagedUser)
		class  quota.Class
		first  int
	}{
		"New":        {func(*v1alpha1.ManagedUser) {}, quota.Create, 1},
		"DriftCheck": {settled, quota.Drift, 1},
		"Edited": {func(mu *v1alpha1.ManagedUser) {
			settled(mu)
			mu.Generation = 4
		}, quota.Change, 2},
		"Requested": {func(mu *v1alpha1.ManagedUser) {
			settled(mu)
			mu.Annotations = map[string]string{v1alpha1.ReconcileRequestedAtAnnotation: "now"}
		}, quota.Change, 2},
		"RequestThatWasHandled": {func(mu *v1alpha1.ManagedUser) {
			settled(mu)
			mu.Annotations = map[string]string{v1alpha1.ReconcileRequestedAtAnnotation: "now"}
			mu.Status.LastHandledReconcileAt = "now"
		}, quota.Drift, 1},
		"Deleted": {func(mu *v1alpha1.ManagedUser) {
			settled(mu)
			mu.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)}
		}, quota.Delete, 2},
		"DeletedBeforeItsUserWasFound": {func(mu *v1alpha1.ManagedUser) {
			mu.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)}
		}, quota.Delete, 2},
		"ObservesAndNeverCreates": {func(mu *v1alpha1.ManagedUser) {
			mu.Generation = 1
			mu.Spec.ReconcilePolicy = v1alpha1.ReconcilePolicyObserve
		}, quota.Change, 1},
		"Observes": {func(mu *v1alpha1.ManagedUser) {
			settled(mu)
			mu.Spec.ReconcilePolicy = v1alpha1.ReconcilePolicyObserve
		}, quota.Drift, 1},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			mu := &v1alpha1.ManagedUser{
				ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "alice", Generation: 1},
				Spec:       v1alpha1.ManagedUserSpec{OAuthClient: &v1alpha1.OAuthClientCredentials{ID: pureClientID}},
			}
			tc.change(mu)
			want := turn{class: tc.class, namespace: "team", key: "team/alice", first: tc.first}
			if d := cmp.Diff(want, turnOf(&visit{mu: mu}), cmp.AllowUnexported(turn{})); d != "" {
				t.Errorf("turn (-want +got):\n%s", d)
			}
		})
	}
}

// door is a Cal.com that takes one secret key and counts who comes with which.
type door struct {
	*testing.T

	key      string
	knocks   map[string]int
	clock    *testclock.FakePassiveClock
	accounts *accounts
}

func newDoor(t *testing.T) *door {
	t.Helper()
	d := &door{T: t, key: "right", knocks: map[string]int{}, clock: testclock.NewFakePassiveClock(time.Unix(1_000_000_000, 0))}
	d.accounts = newAccounts(Config{
		RateLimitShare: 0.8, ResyncInterval: resync, Clock: d.clock, UserAgent: "test", Transport: d,
	})
	return d
}

// RoundTrip answers as Cal.com does.
func (d *door) RoundTrip(request *http.Request) (*http.Response, error) {
	key := request.Header.Get("X-Cal-Secret-Key")
	d.knocks[key]++
	status, body := http.StatusOK, `{"status":"success","data":{"id":7,"email":"a@example.com"}}`
	if key != d.key {
		status, body = http.StatusUnauthorized, `{"status":"error","error":{"code":"UnauthorizedException","message":"no"}}`
	}
	return &http.Response{
		StatusCode: status, Request: request, Body: io.NopCloser(strings.NewReader(body)), Header: http.Header{
			"Content-Type": {"application/json"}, "X-Ratelimit-Limit-Default": {"500"}, "X-Ratelimit-Remaining-Default": {"499"}, "X-Ratelimit-Reset-Default": {"60"},
		},
	}, nil
}

// session begins a visit.
func (d *door) session(client, key, name string) *session {
	d.Helper()
	l, err := d.accounts.login(client+"/"+name+"/"+key, account.Name{APIURL: "https://api.cal.com/v2", ClientID: client}, calcom.Hide(key))
	if err != nil {
		d.Fatal(err)
	}
	return &session{login: l, turn: turn{class: quota.Drift, key: name, first: 1}}
}

// knock asks for a user.
func (d *door) knock(client, key, name string) error {
	d.Helper()
	s := d.session(client, key, name)
	defer s.giveBack()
	_, err := s.User(d.Context(), 7)
	return err
}

func (d *door) advance(by time.Duration) { d.clock.SetTime(d.clock.Now().Add(by)) }

func (d *door) wantKnocks(want map[string]int) {
	d.Helper()
	if diff := cmp.Diff(want, d.knocks); diff != "" {
		d.Errorf("calls by secret key (-want +got):\n%s", diff)
	}
}

// wantMade checks the calls that the budget of a client let through and did not get back.
func (d *door) wantMade(client string, want int) {
	d.Helper()
	for _, q := range d.accounts.quotas() {
		if made := q.Admitted[quota.Drift] - q.Returned[quota.Drift]; q.ClientID == client && made != want {
			d.Errorf("the budget of %s counts %d calls, want %d", client, made, want)
		}
	}
}

func TestARefusedKeyIsTriedOnceAnInterval(t *testing.T) {
	d := newDoor(t)
	for _, name := range []string{"a", "b", "c"} {
		if err := d.knock("one", "wrong", name); !calcom.IsUnauthorized(err) {
			t.Errorf("%s is told %v, want the refusal", name, err)
		}
	}
	d.wantKnocks(map[string]int{"wrong": 1})
	d.wantMade("one", 1) // Who is refused here takes nothing.

	// Another client, and another key for the same one, have nothing to do with it.
	for range 2 {
		if err := d.knock("two", "right", "d"); err != nil {
			t.Errorf("another client: %v", err)
		}
		if err := d.knock("one", "right", "e"); err != nil {
			t.Errorf("the corrected key: %v", err)
		}
	}
	d.wantKnocks(map[string]int{"wrong": 1, "right": 4})
	d.wantMade("one", 3)
	d.wantMade("two", 2)

	d.advance(resync)
	for _, name := range []string{"a", "b", "c"} {
		if err := d.knock("one", "wrong", name); !calcom.IsUnauthorized(err) {
			t.Errorf("%s is told %v, want the refusal", name, err)
		}
	}
	d.wantKnocks(map[string]int{"wrong": 2, "right": 4})
	d.key = "wrong" // It was put right at the other end.
	d.advance(resync)
	for _, name := range []string{"a", "b"} {
		if err := d.knock("one", "wrong", name); err != nil {
			t.Errorf("%s is told %v after the key was accepted", name, err)
		}
	}
}

// The one attempt is lost neither on somebody who has to wait for the quota, nor on somebody who makes no call in the
// end.
func TestAnAttemptIsNotLost(t *testing.T) {
	d := newDoor(t)
	if err := d.knock("one", "wrong", "a"); !calcom.IsUnauthorized(err) {
		t.Fatal(err)
	}
	d.advance(resync)
	d.accounts.quotaOf("one").Observe(http.StatusTooManyRequests, calcom.RateLimit{Known: true, Limit: 500, Reset: time.Minute})
	err := d.knock("one", "wrong", "a")
	p, ok := errors.AsType[*outcome.Problem](err)
	if !ok || p.At.IsZero() {
		t.Fatalf("an attempt without quota ends with %v, want a promise", err)
	}
	d.wantKnocks(map[string]int{"wrong": 1})
	d.clock.SetTime(p.At)

	first, second := d.session("one", "wrong", "a"), d.session("one", "wrong", "b")
	if err := first.reserve(1); err != nil {
		t.Fatalf("at the promised moment: %v", err)
	}
	if err := second.reserve(1); !calcom.IsUnauthorized(err) {
		t.Errorf("a second attempt in one interval: %v", err)
	}
	first.giveBack() // The object could not be written, say.
	second.giveBack()
	d.advance(time.Second)
	if err := d.knock("one", "wrong", "c"); !calcom.IsUnauthorized(err) {
		t.Error(err)
	}
	d.wantKnocks(map[string]int{"wrong": 2})
	d.wantMade("one", 2)
}

// quotaOf returns the budget of a client.
func (a *accounts) quotaOf(clientID string) *quota.Budget {
	for name, acc := range a.byName {
		if name.ClientID == clientID {
			return acc.budget
		}
	}
	return nil
}

// Who is in the middle of a visit goes on, whoever waits: its calls so far would have been for nothing.
func TestAVisitIsNotCutInTwo(t *testing.T) {
	d := newDoor(t)
	s := d.session("one", "right", "a")
	if _, err := s.User(t.Context(), 7); err != nil {
		t.Fatal(err)
	}
	waiting := 0
	for name := range strings.SplitSeq("bcdefghijklmnopq", "") {
		if err := d.knock("one", "right", name); outcome.WaitsForQuota(err) {
			waiting++
		}
	}
	if waiting == 0 {
		t.Fatal("nobody waits, the test sees nothing")
	}
	if _, err := s.User(t.Context(), 7); err != nil {
		t.Errorf("the second call: %v", err)
	}
	d.accounts.forget(types.NamespacedName{Name: "q"}) // Its key is /q: nobody's here.
	if got := d.accounts.quotas()[0].Waiting[quota.Drift]; got != waiting {
		t.Errorf("%d wait, want %d", got, waiting)
	}
}

// A visit that waits comes back at the moment that was promised, without jitter; and when its object goes, so does its
// ticket.
func TestWaitsEndAtThePromise(t *testing.T) {
	s := newStory(t)
	s.sandbox = calcomtest.New(t, calcomtest.Options{Now: s.clock.Now, RateLimit: 500})
	s.config.RateLimitShare = 0.002 // One call of 500.
	s.config.Jitter = func(most time.Duration) time.Duration { return most }
	s.restart()
	first := s.create()
	s.wantReady(first, "Created")
	second := s.user(func(spec *v1alpha1.ManagedUserSpec) { spec.Email = "bob@example.com" })
	second.Name = "bob"
	s.must(s.client.Create(t.Context(), second))
	result, err := s.reconcile(second).unpack()
	s.must(err)
	s.advance(result.RequeueAfter - 1)
	again, err := s.reconcile(second).unpack()
	s.must(err)
	if again.RequeueAfter != 1 {
		t.Errorf("a nanosecond before its time it is told to wait %v", again.RequeueAfter)
	}
	waiting := func() int { return s.reconciler.Quotas()[0].Waiting[quota.Create] }
	if waiting() != 1 {
		t.Errorf("%d wait, want the one", waiting())
	}
	for _, policy := range []v1alpha1.ReconcilePolicy{v1alpha1.ReconcilePolicySuspend, v1alpha1.ReconcilePolicyManage} {
		s.edit(second, func(spec *v1alpha1.ManagedUserSpec) { spec.ReconcilePolicy = policy })
		s.reconcile(second)
		if want := map[bool]int{true: 1}[policy == v1alpha1.ReconcilePolicyManage]; waiting() != want {
			t.Errorf("%d wait under %s, want %d", waiting(), policy, want)
		}
	}
	s.delete(second)
	s.wantGone(second)
	if waiting() != 0 {
		t.Errorf("%d wait after the object has gone", waiting())
	}
	s.wantCalls(calcomtest.OpCreate)
}
