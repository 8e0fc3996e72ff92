// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"errors"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/account"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
	"github.com/calcom-operator/calcom-operator/internal/manageduser"
	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

// Two processes that record a create call in the same second have different records: the one whose record was removed
// by another tool does not take back that of the other.
func TestRecordsOfTwoProcesses(t *testing.T) {
	s := newStory(t)
	mu := s.user()
	s.must(s.client.Create(t.Context(), mu))
	record := func() (*ManagedUserReconciler, *v1alpha1.ManagedUser) {
		s.restart()
		s.reload(mu)
		copied := mu.DeepCopy()
		v := &visit{mu: copied, before: copied.DeepCopy(), account: account.Name{APIURL: s.sandbox.URL(), ClientID: s.clientID()}}
		s.must(s.reconciler.recordIntent(t.Context(), v, true))
		return s.reconciler, copied
	}
	first, stale := record()
	s.replace(mu, noChange)
	_, current := record()
	if err := first.retractIntent(t.Context(), stale); !errors.Is(err, errAgain) {
		t.Errorf("retracting ends with %v, want %v", err, errAgain)
	}
	s.wantRecords(mu, v1alpha1.CreateIntentAnnotation)
	if !manageduser.SameRecord(mu, current) {
		t.Errorf("the record is %s, want that of the second process", mu.Annotations[v1alpha1.CreateIntentAnnotation])
	}
}

// After a create call of unknown outcome, another process finds the record removed and writes the one of the call that
// created the user before. The process that sent the call goes by its own.
func TestCallOutlivesTheRecordOfAnotherProcess(t *testing.T) {
	s := newStory(t)
	mu := s.create()
	s.advance(time.Hour)
	s.sandbox.RemoveUser(s.clientID(), mu.Status.User.ID)
	s.sandbox.Inject(calcomtest.Fault{Op: calcomtest.OpCreate, Cut: true})
	s.request(mu, "now")
	s.reconcile(mu)
	first := manageduser.Intent{
		UID: mu.UID, Time: mu.CreationTimestamp.UTC(), Client: s.clientID(), APIURL: mu.Status.APIURL, Email: calcom.Hide(mu.Spec.Email),
	}
	manageduser.SetAnnotation(mu, v1alpha1.CreateIntentAnnotation, first.Encode())
	s.must(s.client.Update(t.Context(), mu))
	s.sandbox.ResetCalls()
	for range 4 {
		s.advance(20 * time.Second)
		s.request(mu, s.clock.Now().String())
		s.reconcile(mu)
	}
	if n := s.sandbox.Count(calcomtest.OpCreate); n != 0 {
		t.Errorf("there were %d create calls within the grace", n)
	}
	if i, _ := manageduser.RecordedIntent(mu); i.Process != s.reconciler.process {
		t.Errorf("the record is %+v, want that of the call that was sent", i)
	}
	s.advance(manageduser.UnknownOutcomeGrace)
	s.request(mu, "at last")
	s.reconcile(mu)
	s.wantReady(mu, "Created")
}

// While only the memory of the process tells of a create call, its credentials stay protected.
func TestSecretOfACallWithoutRecord(t *testing.T) {
	s := newStory(t)
	s.config.ProtectSecrets = true
	s.restart()
	s.sandbox.Inject(calcomtest.Fault{Op: calcomtest.OpCreate, Cut: true, After: true})
	mu := s.create()
	s.replace(mu, noChange)
	secret := secretMetadata(metav1.ObjectMeta{Namespace: s.namespace, Name: "calcom"})
	key := client.ObjectKeyFromObject(secret)
	_, err := s.reconciler.Secrets().neededByUsers(t.Context(), key, true)
	s.must(err)
	s.must(s.client.Get(t.Context(), key, secret))
	s.must(s.reconciler.protector().release(t.Context(), secret, func(ctx context.Context, live bool) (string, error) {
		return s.reconciler.Secrets().neededByUsers(ctx, key, live)
	}))
	if !isInUse(secret) {
		t.Error("the Secret is released")
	}
	s.advance(manageduser.UnknownOutcomeGrace)
	s.reconcile(mu)
	s.reconcile(mu)
	s.wantReady(mu, "InSync")
}

// A create call that succeeded left a finished user, whatever an earlier call came to, and though the status could not
// be written.
func TestFinishedAfterAFailedCall(t *testing.T) {
	s := newStory(t)
	s.sandbox.Inject(calcomtest.Fault{Op: calcomtest.OpCreate, Status: 500})
	mu := s.create()
	s.advance(time.Minute)
	fails := true
	s.writes.fail = func(write string) error {
		if fails && write == "patch status" && s.sandbox.Count(calcomtest.OpCreate) == 2 {
			fails = false
			return errors.New("the API server does not answer")
		}
		return nil
	}
	s.reconcile(mu)
	if fails {
		t.Fatal("the status was written")
	}
	s.advance(time.Minute)
	s.reconcile(mu)
	s.wantReady(mu, "InSync")
	if n := s.sandbox.Count(calcomtest.OpDelete); n != 0 {
		t.Errorf("the user was deleted to be created anew")
	}
}

// An object that waits in line with a prepared create call adopts the user that its spec has come to name.
func TestPreparedObjectThatNamesAUser(t *testing.T) {
	s := newStory(t)
	user := s.existing("")
	mu := s.user()
	s.must(s.client.Create(t.Context(), mu))
	v := &visit{mu: mu, before: mu.DeepCopy(), account: account.Name{APIURL: s.sandbox.URL(), ClientID: s.clientID()}}
	s.must(s.reconciler.recordIntent(t.Context(), v, true))
	s.edit(mu, func(spec *v1alpha1.ManagedUserSpec) { spec.UserID = user.ID })
	s.reconcile(mu)
	s.wantReady(mu, "Adopted")
}

// While many users are gone, the user of a create call of unknown outcome is not taken for one that was never created.
func TestUnknownOutcomeDuringAMassAbsence(t *testing.T) {
	for _, deleted := range []bool{false, true} {
		s := newAbsenceStory(t, 5, 1)
		s.sandbox.Inject(calcomtest.Fault{Op: calcomtest.OpCreate, Cut: true, After: true})
		mu := s.user(func(spec *v1alpha1.ManagedUserSpec) { spec.Email = "new@example.com" })
		mu.Name = "new"
		s.apply(mu)
		s.reconcile(mu)
		s.proxy.on = true
		s.advance(3 * time.Minute)
		if deleted {
			mu.Finalizers = append(mu.Finalizers, "example.com/keeps")
			s.must(s.client.Update(t.Context(), mu))
			s.must(s.client.Delete(t.Context(), mu))
		}
		before := s.creations()
		result, err := s.reconciler.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(mu)})
		s.reload(mu)
		if got := conditions(mu); err != nil || s.creations() != before || !manageduser.IsHeldForAbsence(mu) || !manageduser.HasFinalizer(mu) {
			t.Fatalf("deleted %t: %v, %v, %d create calls, conditions %v, finalizers %v", deleted, result, err, s.creations()-before, got, mu.Finalizers)
		}
		s.proxy.on = false
		s.advance(resync)
		s.reconcile(mu)
		if deleted && manageduser.HasFinalizer(mu) || !deleted && !isAvailable(mu) {
			t.Errorf("deleted %t: in the end conditions are %v and finalizers %v", deleted, conditions(mu), mu.Finalizers)
		}
	}
}
