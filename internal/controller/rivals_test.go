// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	testclock "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

// Attempts come at once, and then after delays that double, until there was peace.
func TestRivalsDelays(t *testing.T) {
	now := time.Date(2026, 1, 5, 9, 0, 0, 0, time.UTC)
	clock := testclock.NewFakePassiveClock(now)
	r := &rivals{clock: clock, attempts: map[kindKey]attempt{}}
	key := kindKey{kind: "ManagedUser", ObjectKey: client.ObjectKey{Name: "alice"}}
	var attempts []time.Duration
	for clock.Now().Before(now.Add(15 * time.Minute)) { // The rival acts every 100 ms.
		if _, _, wait := r.count(key); wait == 0 {
			attempts = append(attempts, clock.Now().Sub(now))
		}
		clock.SetTime(clock.Now().Add(100 * time.Millisecond))
	}
	s := time.Second
	want := []time.Duration{0, s, 3 * s, 7 * s, 15 * s, 31 * s, 63 * s, 127 * s, 255 * s, 511 * s, 811 * s}
	if d := cmp.Diff(want, attempts); d != "" {
		t.Errorf("attempts (-want +got):\n%s", d)
	}
	clock.SetTime(clock.Now().Add(20 * time.Minute))
	if number, _, wait := r.count(key); number != 1 || wait != 0 {
		t.Errorf("after a time of peace it is attempt %d, in %v", number, wait)
	}
}

// What had its peace is not remembered.
func TestRivalsForget(t *testing.T) {
	clock := testclock.NewFakePassiveClock(time.Date(2026, 1, 5, 9, 0, 0, 0, time.UTC))
	r := &rivals{clock: clock, attempts: map[kindKey]attempt{}}
	for _, name := range []string{"a", "b", "c"} {
		r.count(kindKey{ObjectKey: client.ObjectKey{Name: name}})
	}
	clock.SetTime(clock.Now().Add(time.Hour))
	r.count(kindKey{ObjectKey: client.ObjectKey{Name: "d"}})
	if len(r.attempts) != 1 {
		t.Errorf("%d objects are remembered", len(r.attempts))
	}
	r.forget("", client.ObjectKey{Name: "d"})
	if len(r.attempts) != 0 {
		t.Errorf("%d objects are remembered", len(r.attempts))
	}
}

// A writer that removes the finalizer in a loop gets one event that names it, and few answers. The object stays Ready,
// and no call is made.
func TestRivalOfTheFinalizer(t *testing.T) {
	s := newStory(t)
	notes := &notedEvents{}
	s.reconciler.rivals.recorder = notes
	mu := s.create()
	s.sandbox.ResetCalls()
	s.clock.SetTime(time.Now().Add(-time.Minute)) // The API server tells the time of a write.
	rounds := 0
	for end := s.clock.Now().Add(10 * time.Second); s.clock.Now().Before(end); rounds++ {
		s.reload(mu)
		if controllerutil.ContainsFinalizer(mu, v1alpha1.ManagedUserFinalizer) {
			patch := fmt.Appendf(nil, `{"metadata":{"finalizers":null,"labels":{"round":"%d"}}}`, rounds)
			s.must(s.client.Patch(t.Context(), mu, client.RawPatch(client.Merge.Type(), patch), client.FieldOwner("rival-controller")))
		}
		s.writes.take()
		s.reconcile(mu)
		s.advance(50 * time.Millisecond)
	}
	s.wantReady(mu, "Created")
	s.wantCalls()
	if len(notes.notes) != 1 || !strings.Contains(notes.notes[0], "rival-controller") {
		t.Errorf("after %d rounds the events are %q", rounds, notes.notes)
	}
	s.advance(10 * time.Second)
	s.reconcile(mu)
	s.wantRecords(mu, v1alpha1.CreateIntentAnnotation)
}

// notedEvents keeps the texts of events.
type notedEvents struct {
	recordedEvents

	notes []string
}

func (e *notedEvents) Eventf(regarding, related runtime.Object, kind, reason, action, note string, args ...any) {
	e.recordedEvents.Eventf(regarding, related, kind, reason, action, note, args...)
	e.notes = append(e.notes, fmt.Sprintf(note, args...))
}

// The newest write of a field manager other than the operator's own counts.
func TestRivalIsNamed(t *testing.T) {
	at := func(minute int) *metav1.Time {
		return &metav1.Time{Time: time.Date(2026, 1, 5, 9, minute, 0, 0, time.UTC)}
	}
	for name, tc := range map[string]struct {
		fields []metav1.ManagedFieldsEntry
		want   string
	}{
		"None":    {want: "Another writer"},
		"OwnOnly": {[]metav1.ManagedFieldsEntry{{Manager: "calcom-operator", Time: at(1)}}, "Another writer"},
		"Newest": {[]metav1.ManagedFieldsEntry{
			{Manager: "kubectl-create", Time: at(1)}, {Manager: "argocd-controller", Time: at(3)}, {Manager: "calcom-operator", Time: at(4)},
			{Manager: "old", Time: at(2)}, {Manager: "status-writer", Time: at(5), Subresource: "status"},
		}, "The field manager argocd-controller"},
		"Before":   {[]metav1.ManagedFieldsEntry{{Manager: "kubectl-create", Time: at(1)}}, "Another writer"},
		"NotAName": {[]metav1.ManagedFieldsEntry{{Manager: "alice@example.com", Time: at(3)}}, "Another writer"},
	} {
		t.Run(name, func(t *testing.T) {
			mu := &v1alpha1.ManagedUser{ObjectMeta: metav1.ObjectMeta{Name: "alice", ManagedFields: tc.fields}}
			r := &rivals{reader: oneObject{mu: mu}, manager: "calcom-operator"}
			if got := r.rival(t.Context(), mu, at(2).Time); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

// oneObject is a reader that knows one object.
type oneObject struct {
	client.Reader

	mu *v1alpha1.ManagedUser
}

func (o oneObject) Get(_ context.Context, _ client.ObjectKey, into client.Object, _ ...client.GetOption) error {
	o.mu.DeepCopyInto(into.(*v1alpha1.ManagedUser)) //nolint:forcetypeassert // The test asks for nothing else.
	return nil
}

// A writer that edits, or deletes, the Secret with the tokens in a loop gets few answers.
func TestRivalOfTheTokens(t *testing.T) {
	for name, act := range map[string]func(*story, *corev1.Secret){
		"Edits": func(s *story, secret *corev1.Secret) {
			secret.Data[v1alpha1.TokensKeyAccessToken] = []byte("edited")
			s.must(s.client.Update(s.Context(), secret))
		},
		"Deletes": func(s *story, secret *corev1.Secret) { s.must(s.client.Delete(s.Context(), secret)) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newStory(t)
			mu := s.create(withTokens)
			writes := 0
			for end := s.clock.Now().Add(10 * time.Second); s.clock.Now().Before(end); s.advance(50 * time.Millisecond) {
				secret := &corev1.Secret{}
				key := client.ObjectKey{Namespace: s.namespace, Name: tokensName}
				if s.client.Get(t.Context(), key, secret) == nil && string(secret.Data[v1alpha1.TokensKeyAccessToken]) != "edited" {
					act(s, secret)
				}
				s.writes.take()
				s.reconcile(mu)
				for _, write := range s.writes.take() {
					if write == "create" || write == "apply" {
						writes++
					}
				}
			}
			if writes < 2 || writes > 5 {
				t.Errorf("the Secret was written %d times", writes)
			}
			s.advance(time.Minute)
			s.reconcile(mu)
			s.wantValid()
			if n := s.sandbox.Count(calcomtest.OpForceRefresh); n != 0 {
				t.Errorf("tokens were ended %d times", n)
			}
		})
	}
}
