// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/account"
	"github.com/calcom-operator/calcom-operator/internal/gate"
	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

const slowClientID = "clslow0000000000000000001"

// holder is a transport that holds the calls of one OAuth client until the test answers them.
type holder struct {
	mu   sync.Mutex
	held []*heldCall
	// most is how many create calls were held at a time.
	most int
	open bool
}

// heldCall is a call that waits: status 0 lets it go on to the server, another status is its answer.
type heldCall struct {
	method, path string
	answer       chan int
}

func (h *holder) RoundTrip(request *http.Request) (*http.Response, error) {
	if c := h.hold(request); c != nil {
		if status := <-c.answer; status != 0 {
			body := `{"status":"error","error":{"code":"BAD_REQUEST","message":"no"}}`
			return &http.Response{
				StatusCode: status, Request: request, Body: io.NopCloser(strings.NewReader(body)),
				Header: http.Header{"Content-Type": {"application/json"}},
			}, nil
		}
	}
	return http.DefaultTransport.RoundTrip(request)
}

func (h *holder) hold(request *http.Request) *heldCall {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.open || !strings.Contains(request.URL.Path, slowClientID) {
		return nil
	}
	c := &heldCall{method: request.Method, path: request.URL.Path, answer: make(chan int, 1)}
	h.held = append(h.held, c)
	h.most = max(h.most, h.of(http.MethodPost))
	return c
}

// of returns how many calls of a method are held. The lock is held.
func (h *holder) of(method string) int {
	n := 0
	for _, c := range h.held {
		if c.method == method {
			n++
		}
	}
	return n
}

// count is of for a caller without the lock.
func (h *holder) count(method string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.of(method)
}

// answer ends the first n create calls that are held. Look-ups after a failure may be held among them.
func (h *holder) answer(n, status int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.held = slices.DeleteFunc(h.held, func(c *heldCall) bool {
		ends := n > 0 && c.method == http.MethodPost
		if ends {
			n--
			c.answer <- status
		}
		return ends
	})
}

// takeMost returns how many create calls were held at a time since the last time.
func (h *holder) takeMost() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	most := h.most
	h.most = h.of(http.MethodPost)
	return most
}

// release ends all calls and holds no more.
func (h *holder) release() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.open = true
	for _, c := range h.held {
		c.answer <- 0
	}
	h.held = nil
}

// close holds all calls from here on.
func (h *holder) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.open = false
}

// slowStory is a story with a second OAuth client, whose calls are held.
func slowStory(t *testing.T) (*story, *holder) {
	t.Helper()
	s, h := newStory(t), &holder{}
	both := []calcomtest.OAuthClient{calcomtest.DefaultClient(), {ID: slowClientID, Secret: calcomtest.DefaultClient().Secret}}
	s.sandbox = calcomtest.New(t, calcomtest.Options{Now: s.clock.Now, Clients: both})
	s.config.Transport, s.config.MaxConcurrentReconciles = h, 32
	s.restart()
	t.Cleanup(h.release)
	return s, h
}

// slowUser returns a manifest for a user of the slow client.
func (s *story) slowUser(name string) *v1alpha1.ManagedUser {
	mu := s.user(func(spec *v1alpha1.ManagedUserSpec) {
		spec.OAuthClient.ID, spec.Email = slowClientID, name+"@example.com"
	})
	mu.Name = name
	return mu
}

// slowUsers creates n users of the slow client.
func (s *story) slowUsers(prefix string, n int) []*v1alpha1.ManagedUser {
	s.Helper()
	users := make([]*v1alpha1.ManagedUser, n)
	for i := range users {
		users[i] = s.slowUser(fmt.Sprintf("%s-%d", prefix, i))
		s.must(s.client.Create(s.Context(), users[i]))
	}
	return users
}

// until waits until something holds.
func (s *story) until(what string, holds func() bool) {
	s.Helper()
	s.eventually(&v1alpha1.ManagedUser{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "none"}}, what, func(bool) bool { return holds() })
}

// One client has four create calls under way at a time, and after one that was answered with status 500 a single one,
// until it has succeeded.
func TestCreateCallsUnderWay(t *testing.T) {
	s, h := slowStory(t)
	defer s.startManager()()
	users := s.slowUsers("many", 12)
	s.until("four create calls", func() bool { return h.count(http.MethodPost) == 4 })
	h.answer(2, 0)
	s.until("the next two", func() bool { return h.count(http.MethodPost) == 4 })
	if most := h.takeMost(); most != 4 {
		t.Errorf("%d create calls were under way at a time, want 4", most)
	}
	h.answer(1, http.StatusInternalServerError)
	s.until("the failure to be known", func() bool {
		return slices.ContainsFunc(users, func(mu *v1alpha1.ManagedUser) bool {
			s.reload(mu)
			synced := meta.FindStatusCondition(mu.Status.Conditions, v1alpha1.ConditionSynced)
			return synced != nil && synced.Reason == v1alpha1.ReasonRemoteUnavailable
		})
	})
	h.answer(3, http.StatusInternalServerError)
	s.until("one create call", func() bool { return h.count(http.MethodPost) == 1 })
	h.takeMost()
	h.answer(1, http.StatusInternalServerError)
	s.until("the next one", func() bool { return h.count(http.MethodPost) == 1 })
	if most := h.takeMost(); most != 1 {
		t.Errorf("%d create calls were under way at a time after a failure, want 1", most)
	}
	h.answer(1, 0)
	s.until("the rest", func() bool { return h.count(http.MethodPost) == 4 })
	h.release()
}

// While no call of one client is answered, other clients and deletions find workers, and every object has a condition.
func TestSlowClientBesideAnother(t *testing.T) {
	s, h := slowStory(t)
	defer s.startManager()()
	h.release()
	old := s.slowUsers("old", 1)[0]
	s.eventuallyReady(old)
	h.close()
	users := s.slowUsers("slow", 20)
	s.until("four create calls", func() bool { return h.count(http.MethodPost) == 4 })
	for _, mu := range users {
		s.eventuallyReason(mu, v1alpha1.ReasonProgressing)
		checkLegal(t, mu)
	}
	s.must(s.client.Delete(t.Context(), old))
	s.until("the deletion's first call", func() bool { return h.count(http.MethodGet) == 1 })
	other := s.create()
	s.eventuallyReady(other)
	s.must(s.client.Delete(t.Context(), other))
	s.eventually(other, "the deletion", func(exists bool) bool { return !exists })
	s.must(s.client.Delete(t.Context(), users[19])) // It leaves the line.

	h.release()
	s.eventually(old, "the slow deletion", func(exists bool) bool { return !exists })
	for _, mu := range users[:19] {
		s.eventuallyReady(mu)
	}
	if most := h.takeMost(); most != 4 {
		t.Errorf("%d create calls were under way at a time, want 4", most)
	}
}

// begin reconciles an object in the background, until its call is held. The returned function waits for the end.
func (s *story) begin(h *holder, mu *v1alpha1.ManagedUser) (wait func()) {
	s.Helper()
	ended := make(chan error, 1)
	before := h.count(http.MethodPost)
	go func() {
		_, err := s.reconciler.Reconcile(s.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(mu)})
		ended <- err
	}()
	s.until("the create call", func() bool { return h.count(http.MethodPost) == before+1 })
	return func() {
		s.Helper()
		s.must(<-ended)
		s.reload(mu)
		seen.Add(mu)
		checkLegal(s.T, mu)
	}
}

// check makes the check of slow calls that the gate asked for.
func (s *story) check() {
	s.Helper()
	var of account.Name
	for name := range s.reconciler.accounts.byName {
		if name.ClientID == slowClientID {
			of = name
		}
	}
	_, err := s.reconciler.Pacer().Reconcile(s.Context(), PaceRequest{of})
	s.must(err)
}

// A call that takes long is shown while it goes on, and what comes of it is written as if nothing had been.
func TestConditionsDuringASlowCall(t *testing.T) {
	progressing := []string{"CredentialsReady=Unknown/Progressing", "Ready=False/Progressing", "Reconciling=True/Progressing", "Synced=Unknown/Progressing"}
	for name, tc := range map[string]struct {
		status int
		want   []string
		events []string
		writes []string
	}{
		"Created": {
			want:   []string{"CredentialsReady=True/Verified", "Ready=True/Available", "Synced=True/Created"},
			events: []string{"Created"}, writes: []string{"patch", "patch status", "patch status"},
		},
		"Refused": {
			status: http.StatusBadRequest,
			want: []string{
				"CredentialsReady=True/Verified", "Ready=False/InvalidSpec", "Stalled=True/InvalidSpec", "Synced=False/InvalidSpec",
			},
			events: []string{"InvalidSpec"}, writes: []string{"patch", "patch status", "patch", "patch status"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, h := slowStory(t)
			mu := s.slowUsers("slow", 1)[0]
			wait := s.begin(h, mu)
			s.check()
			s.wantConditions(mu)
			s.advance(gate.SlowCall)
			s.check()
			s.check() // It is shown once.
			s.reload(mu)
			s.wantConditions(mu, progressing...)
			checkLegal(t, mu)
			h.answer(1, tc.status)
			wait()
			s.wantConditions(mu, tc.want...)
			s.wantEvents(tc.events...)
			s.wantWrites(tc.writes...)
		})
	}
}

// An object that waits says so when its client becomes slow, and not before.
func TestConditionsInLine(t *testing.T) {
	s, h := slowStory(t)
	s.config.MaxConcurrentReconciles = 4 // One may create.
	s.restart()
	var woken []string
	s.reconciler.Pacer().Connect(func(name client.ObjectKey) { woken = append(woken, name.Name) }, nil)
	users := s.slowUsers("slow", 3)
	wait := s.begin(h, users[0])
	for _, mu := range users[1:] {
		if o := s.reconcile(mu); o.err != nil || o.result != (ctrl.Result{}) {
			t.Errorf("got %+v, want an object that waits to be woken", o)
		}
		s.wantConditions(mu)
	}
	s.advance(gate.SlowCall)
	s.check()
	slices.Sort(woken)
	if d := cmp.Diff([]string{"slow-1", "slow-2"}, woken); d != "" {
		t.Errorf("woken (-want +got):\n%s", d)
	}
	for _, mu := range users[1:] {
		for range 2 {
			s.reconcile(mu)
			s.wantConditions(mu,
				"CredentialsReady=Unknown/Progressing", "Ready=False/Progressing", "Reconciling=True/Progressing", "Synced=Unknown/Progressing")
		}
	}
	s.wantEvents()
	woken = nil
	h.answer(1, 0)
	wait()
	if d := cmp.Diff([]string{"slow-1"}, woken); d != "" {
		t.Errorf("woken (-want +got):\n%s", d)
	}
	s.must(s.client.Delete(t.Context(), users[1]))
	s.reconcile(users[1]) // The first in line is gone.
	if d := cmp.Diff([]string{"slow-1", "slow-2"}, woken); d != "" {
		t.Errorf("woken (-want +got):\n%s", d)
	}
}

// A reconcile that panics gives its place back.
func TestPanicGivesThePlaceBack(t *testing.T) {
	s, _ := slowStory(t)
	mu := s.slowUsers("slow", 1)[0]
	s.config.Transport = panicking{}
	s.restart()
	func() {
		defer func() { _ = recover() }()
		_, _ = s.reconciler.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(mu)})
		t.Error("want a panic")
	}()
	for path := range held(s.reconciler.accounts) {
		if strings.Contains(path, "gate.held") || strings.Contains(path, "gate.calls") {
			t.Errorf("%s is not empty", path)
		}
	}
	s.reload(mu)
	s.wantConditions(mu)
}

type panicking struct{}

func (panicking) RoundTrip(*http.Request) (*http.Response, error) { panic("test") }

// A place that comes free is no success: the delays of an object that fails go on growing while it waits in line in
// between.
func TestBackOffOfAnObjectInLine(t *testing.T) {
	waits := true
	limiter := (&ManagedUserReconciler{accounts: newAccounts(Config{})}).RateLimiter().(rateLimiter)
	limiter.isInLine = func(types.NamespacedName) bool { return waits }
	request := reconcile.Request{NamespacedName: types.NamespacedName{Namespace: "team", Name: "alice"}}
	for _, want := range []time.Duration{firstBackOff, 2 * firstBackOff, 4 * firstBackOff} {
		if got := limiter.When(request); got != want {
			t.Errorf("delay %v, want %v", got, want)
		}
		limiter.Forget(request)
	}
	waits = false
	limiter.Forget(request)
	if got := limiter.When(request); got != firstBackOff {
		t.Errorf("delay %v after a success, want %v", got, firstBackOff)
	}
}
