// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	clienttesting "k8s.io/client-go/testing"
	testclock "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/account"
	"github.com/calcom-operator/calcom-operator/internal/sweep"
	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

// sweepStory is a story with many users and with the sweep's two queues in the test's hands. Its API server is in
// memory: a real one would take most of the time, and the sweep writes nothing.
type sweepStory struct {
	*story

	users []*v1alpha1.ManagedUser
	woken []types.NamespacedName
	// step is the request for the next step, due at due; there is none while it is nil.
	step *SweepRequest
	due  time.Time
}

func newSweepStory(t *testing.T, users int, changes ...func(*Config)) *sweepStory {
	t.Helper()
	clock := testclock.NewFakePassiveClock(time.Unix(1_800_000_000, 0))
	scheme := shared.scheme
	// A tracker of its own keeps no managed fields, which cost a hundred times as much as all else.
	tracker := clienttesting.NewObjectTracker(scheme, serializer.NewCodecFactory(scheme).UniversalDecoder())
	builder := fake.NewClientBuilder().WithScheme(scheme).WithObjectTracker(tracker).WithStatusSubresource(&v1alpha1.ManagedUser{}, &v1alpha1.OAuthClient{})
	for _, index := range []string{byClient, boundByClient, "spec.oauthClientRef.name"} {
		builder = builder.WithIndex(&v1alpha1.ManagedUser{}, index, func(object client.Object) []string { return nonEmpty(clientKeyOf(object)) })
	}
	c := builder.Build()
	s := &sweepStory{story: &story{
		T: t, client: c, namespace: "team", clock: clock, events: &recordedEvents{}, writes: &writeCounter{},
		sandbox: calcomtest.New(t, calcomtest.Options{Now: clock.Now}),
		connect: func() client.WithWatch { return c },
	}}
	s.configure()
	for _, change := range changes {
		change(&s.config)
	}
	s.begin()
	s.populate(users)
	return s
}

// begin is a start of the operator, which knows nothing.
func (s *sweepStory) begin() {
	s.Helper()
	s.restart()
	s.woken, s.step = nil, nil
	s.reconciler.sweeper.Connect(
		func(name types.NamespacedName) { s.woken = append(s.woken, name) },
		func(request SweepRequest, after time.Duration) { s.step, s.due = &request, s.clock.Now().Add(after) })
}

// populate adds users until there are n of them.
func (s *sweepStory) populate(n int) {
	s.Helper()
	for i := len(s.users); i < n; i++ {
		s.add(fmt.Sprintf("user-%04d", i), fmt.Sprintf("user%04d@example.com", i))
	}
	s.forgetCalls()
}

func (s *sweepStory) add(name, email string) *v1alpha1.ManagedUser {
	s.Helper()
	mu := s.user(func(spec *v1alpha1.ManagedUserSpec) { spec.Email = email })
	mu.Name = name
	s.apply(mu)
	s.settle(mu)
	s.wantReady(mu, "Created")
	s.users = append(s.users, mu)
	return mu
}

// apply creates an object with what a real API server adds.
func (s *sweepStory) apply(mu *v1alpha1.ManagedUser) {
	s.Helper()
	mu.UID, mu.Generation = types.UID(mu.Name+"-uid"), 1
	s.must(s.client.Create(s.Context(), mu))
	mu.Status.ObservedGeneration = -1 // The CRD's default.
	s.must(s.client.Status().Update(s.Context(), mu))
}

// settle reconciles an object until it has nothing more to wait for but the sweep.
func (s *sweepStory) settle(mu *v1alpha1.ManagedUser) {
	s.Helper()
	for range 100 {
		result, err := s.reconcile(mu).unpack()
		s.must(err)
		if result.RequeueAfter == 0 {
			return
		}
		s.advance(result.RequeueAfter)
	}
	s.Fatalf("%s does not settle:\n%s", mu.Name, show(mu))
}

func (s *sweepStory) forgetCalls() {
	s.sandbox.ResetCalls()
	s.writes.take()
	s.events.take()
}

// advanceTo the next step and make it.
func (s *sweepStory) oneStep() {
	s.Helper()
	if s.step == nil {
		s.Fatal("no step is due, the sweep has stopped")
	}
	s.clock.SetTime(s.due)
	result, err := s.reconciler.sweeper.Reconcile(s.Context(), *s.step)
	s.must(err)
	if s.due = s.clock.Now().Add(result.RequeueAfter); result.RequeueAfter == 0 {
		s.step = nil
	}
}

// round sweeps to the end of a round and returns what it found.
func (s *sweepStory) round() Findings {
	s.Helper()
	before := s.findings().Completed
	for range 1000 {
		s.oneStep()
		if f := s.findings(); f.Completed != before {
			return f
		}
	}
	s.Fatal("the round has no end")
	return Findings{}
}

func (s *sweepStory) findings() Findings {
	s.Helper()
	all := s.reconciler.Sweeps()
	if len(all) == 0 {
		return Findings{}
	}
	f, ok := s.reconciler.sweeper.findings(account.Name{APIURL: all[0].APIURL, ClientID: all[0].ClientID})
	if d := cmp.Diff(all[0].Findings, f); d != "" || !ok {
		s.Errorf("the findings of one client are not those of the list (-list +one):\n%s", d)
	}
	return f
}

// wantWoken compares who was handed to the reconciler since the last check, and reconciles them.
func (s *sweepStory) wantWoken(want ...*v1alpha1.ManagedUser) {
	s.Helper()
	woken := s.woken
	s.woken = nil
	have := map[types.NamespacedName]bool{}
	for _, name := range woken {
		have[name] = true
	}
	for _, mu := range want {
		if !have[client.ObjectKeyFromObject(mu)] {
			s.Errorf("%s was not woken", mu.Name)
		}
	}
	if len(have) != len(want) || len(woken) != len(want) {
		s.Errorf("%d objects were woken %d times, want %d: %v", len(have), len(woken), len(want), woken)
	}
	for _, mu := range want {
		s.settle(mu)
	}
}

// wantLists checks that there were so many calls since the last check, all of them lists.
func (s *sweepStory) wantLists(n int) {
	s.Helper()
	s.wantCalls(slices.Repeat([]calcomtest.Op{calcomtest.OpList}, n)...)
}

// changed changes a user in Cal.com, as somebody would there.
func (s *sweepStory) changed(mu *v1alpha1.ManagedUser, change func(*calcomtest.User)) {
	s.Helper()
	if !s.sandbox.UpdateUser(s.clientID(), mu.Status.User.ID, change) {
		s.Fatalf("there is no user of %s", mu.Name)
	}
}

// At rest there are the sweep's calls, evenly spread, and nothing else. Exactly 250 users cost one more, by which it is
// known that there are no others.
func TestSweepAtRest(t *testing.T) {
	s := newSweepStory(t, 1)
	for _, tc := range []struct{ users, calls int }{{1, 1}, {249, 1}, {250, 2}, {251, 2}, {499, 2}, {500, 2}, {501, 3}, {750, 3}, {751, 4}, {1000, 4}} {
		s.populate(tc.users)
		s.round()
		s.forgetCalls()
		f := s.round()
		if f.Calls != tc.calls || f.Members != tc.users || f.Drifted+f.Missing+f.Leaked+f.Strangers != 0 || f.CensusComplete != (tc.users < 500) {
			t.Errorf("%d users: findings are %+v, want %d calls and nobody", tc.users, f, tc.calls)
		}
		calls := s.sandbox.Calls()
		for i := 1; i < len(calls) && i < sweep.Planned(tc.users); i++ {
			if gap := calls[i].Time.Sub(calls[i-1].Time); gap < resync/time.Duration(tc.calls)-time.Second || gap > resync/time.Duration(tc.calls)+time.Second {
				t.Errorf("%d users: call %d comes %v after the last, want them %v apart", tc.users, i+1, gap, resync/time.Duration(tc.calls))
			}
		}
		s.wantLists(tc.calls)
		s.wantWoken()
	}
	s.wantWrites()
	s.wantEvents()
}

// What the sweep finds is confirmed by the reconciler's own look before anything is done.
func TestSweepFindsDrift(t *testing.T) {
	s := newSweepStory(t, 600)
	first, last := s.users[0], s.users[599]
	for _, mu := range []*v1alpha1.ManagedUser{first, last} { // One in the census, one beyond it.
		s.changed(mu, renamed)
	}
	f := s.round()
	if f.Calls != 3 || f.Drifted != 2 || f.Missing != 0 {
		t.Errorf("findings are %+v, want two that drifted", f)
	}
	s.wantLists(3)
	s.wantWoken(first, last)
	s.wantCalls(calcomtest.OpGet, calcomtest.OpUpdate, calcomtest.OpGet, calcomtest.OpUpdate)
	s.wantReady(last, "DriftCorrected")
	s.wantEvents("DriftCorrected", "DriftCorrected")
	if f = s.round(); f.Drifted != 0 {
		t.Errorf("the next round finds %+v", f)
	}
	s.wantWoken()
}

func TestSweepFindsOtherChanges(t *testing.T) {
	cases := map[string]struct {
		change func(*sweepStory, *v1alpha1.ManagedUser)
		found  Findings
		calls  []calcomtest.Op // Of the reconciler.
		synced string
	}{
		"Missing": {
			func(s *sweepStory, mu *v1alpha1.ManagedUser) { s.sandbox.RemoveUser(s.clientID(), mu.Status.User.ID) },
			Findings{Missing: 1},
			[]calcomtest.Op{calcomtest.OpGet, calcomtest.OpList, calcomtest.OpGet, calcomtest.OpCreate}, "Created",
		},
		"AddressChanged": {
			func(s *sweepStory, mu *v1alpha1.ManagedUser) {
				s.changed(mu, func(u *calcomtest.User) { u.Email = "other+" + s.clientID() + "@example.com" })
			},
			Findings{Missing: 1}, // The census shows who has the id; a list by address cannot.
			[]calcomtest.Op{calcomtest.OpGet, calcomtest.OpUpdate}, "DriftCorrected",
		},
		"MarkTakenOff": {
			func(s *sweepStory, mu *v1alpha1.ManagedUser) {
				s.changed(mu, func(u *calcomtest.User) { u.Metadata = nil })
			},
			Findings{Drifted: 1},
			[]calcomtest.Op{calcomtest.OpGet, calcomtest.OpUpdate}, "DriftCorrected",
		},
		"StatusOutOfDate": { // Nothing that the spec says.
			func(s *sweepStory, mu *v1alpha1.ManagedUser) {
				s.changed(mu, func(u *calcomtest.User) { u.WeekStart = "Friday" })
			},
			Findings{Drifted: 1},
			[]calcomtest.Op{calcomtest.OpGet}, "Created",
		},
	}
	for name, tc := range cases {
		for _, beyond := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/BeyondTheCensus=%t", name, beyond), func(t *testing.T) {
				s := newSweepStory(t, 0)
				if beyond {
					s.addStrangers(500)
				}
				s.populate(2)
				s.round()
				s.advance(time.Minute) // A user that was just created may be unknown to a replica.
				s.forgetCalls()
				mu, want := s.users[1], tc.found
				tc.change(s, mu)
				if name == "AddressChanged" && !beyond {
					want = Findings{Drifted: 1}
				}
				f := s.round()
				missing := want.Missing > 0 && !beyond // Who is not in the census is asked for by address.
				if f.Drifted != want.Drifted || f.Missing != want.Missing || f.Calls != map[bool]int{false: 1, true: 3}[beyond]+map[bool]int{true: 1}[missing] {
					t.Errorf("findings are %+v, want %+v", f, want)
				}
				s.forgetCalls()
				s.wantWoken(mu)
				s.wantCalls(tc.calls...)
				s.wantReady(mu, tc.synced)
				s.round()
				s.wantWoken()
			})
		}
	}
}

func (s *sweepStory) addStrangers(n int) {
	for i := range n {
		s.sandbox.AddUser(s.clientID(), calcomtest.User{Email: fmt.Sprintf("stranger%d@example.com", i), Name: new("Stranger")})
	}
}

func TestSweepAmongStrangers(t *testing.T) {
	s := newSweepStory(t, 0)
	s.addStrangers(600)
	s.populate(300)
	s.round()
	s.forgetCalls()
	f := s.round()
	if f.Calls != 4 || f.Strangers != 500 || f.CensusComplete || f.Drifted+f.Missing != 0 {
		t.Errorf("findings are %+v, want two calls for the census and two for the users", f)
	}
	s.wantLists(4)
	s.wantWoken()
}

// Whoever observes has a user of somebody else's, without a mark of its own.
func TestSweepObserves(t *testing.T) {
	s := newSweepStory(t, 1)
	mu := s.user(func(spec *v1alpha1.ManagedUserSpec) {
		spec.Email, spec.Name, spec.ReconcilePolicy = "stranger0@example.com", "", v1alpha1.ReconcilePolicyObserve
	})
	mu.Name = "observer"
	s.addStrangers(1)
	s.apply(mu)
	s.settle(mu)
	s.forgetCalls()
	if f := s.round(); f.Members != 2 || f.Strangers != 1 || f.Drifted != 0 {
		t.Errorf("findings are %+v", f)
	}
	s.wantWoken()
	s.changed(mu, func(u *calcomtest.User) { u.Name = new("Somebody") })
	s.round()
	s.wantWoken(mu)
	if got := *mu.Status.User.Name; got != "Somebody" {
		t.Errorf("the mirror shows %q", got)
	}
}

// After a restart nobody is asked before the objects were seen, and then at a random place within the first step.
func TestSweepAfterARestart(t *testing.T) {
	s := newSweepStory(t, 300)
	s.config.Jitter = func(d time.Duration) time.Duration { return d / 2 }
	s.begin()
	began := s.clock.Now()
	for _, mu := range s.users {
		if result, err := s.reconcile(mu).unpack(); err != nil || result.RequeueAfter != 0 {
			t.Fatalf("reconcile ends with %v, %v", result, err)
		}
		s.advance(20 * time.Millisecond)
	}
	f := s.round()
	calls := s.sandbox.Calls()
	if f.Calls != 2 || f.Members != 300 || len(calls) != 2 {
		t.Fatalf("findings are %+v", f)
	}
	settled := 6*time.Second - 20*time.Millisecond + 5*time.Second
	if got := calls[0].Time.Sub(began); got != settled+resync/4 {
		t.Errorf("the first call comes after %v, want %v", got, settled+resync/4)
	}
	s.wantWoken()
	s.wantWrites()
}

// Who is suspended, edited, or gone is no member; the sweep stops with the last and begins with the next.
func TestSweepMembers(t *testing.T) {
	s := newSweepStory(t, 2)
	if f := s.round(); f.Members != 2 {
		t.Fatalf("findings are %+v", f)
	}
	suspended, deleted := s.users[0], s.users[1]
	suspended.Spec.ReconcilePolicy, suspended.Generation = v1alpha1.ReconcilePolicySuspend, 2
	s.must(s.client.Update(t.Context(), suspended))
	s.reconcile(suspended)
	s.delete(deleted)
	s.reconcile(deleted)
	s.wantGone(deleted)
	s.forgetCalls()
	s.oneStep()
	s.wantCalls()
	if s.step != nil {
		t.Error("the sweep goes on without a member")
	}
	suspended.Spec.ReconcilePolicy, suspended.Generation = "", 3
	s.must(s.client.Update(t.Context(), suspended))
	s.reconcile(suspended)
	s.forgetCalls()
	if f := s.round(); f.Members != 1 || f.Calls != 1 {
		t.Errorf("findings are %+v", f)
	}
}

// blind is a cache that has not heard of an object.
type blind struct {
	client.Client

	name string
}

func (b blind) Get(ctx context.Context, key client.ObjectKey, object client.Object, options ...client.GetOption) error {
	if key.Name == b.name {
		return apierrors.NewNotFound(schema.GroupResource{}, key.Name)
	}
	return b.Client.Get(ctx, key, object, options...)
}

func keyOf(mu *v1alpha1.ManagedUser) types.NamespacedName { return client.ObjectKeyFromObject(mu) }

func renamed(u *calcomtest.User) { u.Name = new("Drifted") }
