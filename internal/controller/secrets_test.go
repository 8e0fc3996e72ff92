// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/util/workqueue"
	testclock "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

// eventuallySecret waits until the Secret has, or has no more, the in-use finalizer; a Secret that is gone has none.
func (s *story) eventuallySecret(inUse, exists bool) {
	s.Helper()
	var secret corev1.Secret
	err := wait.PollUntilContextTimeout(s.Context(), 20*time.Millisecond, patience, true, func(context.Context) (bool, error) {
		err := s.client.Get(s.Context(), client.ObjectKey{Namespace: s.namespace, Name: "calcom"}, &secret)
		if apierrors.IsNotFound(err) {
			return !exists, nil
		}
		return exists && slices.Contains(secret.Finalizers, v1alpha1.InUseFinalizer) == inUse, err
	})
	if err != nil {
		s.Fatalf("Secret has finalizers %v: %v", secret.Finalizers, err)
	}
}

// eventuallyEvent waits for an event of a reason in the story's namespace whose note holds some words, and checks that
// there is only one.
func (s *story) eventuallyEvent(reason, words string) {
	s.Helper()
	found := 0
	s.until("the event "+reason, func() bool {
		var list corev1.EventList
		s.must(s.client.List(s.Context(), &list, client.InNamespace(s.namespace)))
		found = 0
		for i := range list.Items {
			if list.Items[i].Reason == reason && strings.Contains(list.Items[i].Message, words) {
				found++
			}
		}
		return found > 0
	})
	if found != 1 {
		s.Errorf("there are %d events %s", found, reason)
	}
}

// Secret and users are deleted together, the Secret first, as a namespace's deletion may do it: it stays until the
// last user that needs it is gone, and then goes by itself.
func TestSecretOutlivesItsUsers(t *testing.T) {
	s := newStory(t)
	s.config.ProtectSecrets = true
	defer s.startManager()()
	alice := s.user()
	bob := s.user(orphan)
	bob.Name, bob.Spec.Email = "bob", "bob@example.com"
	carol := s.user(func(spec *v1alpha1.ManagedUserSpec) {
		spec.ReconcilePolicy = v1alpha1.ReconcilePolicyObserve
		spec.Email = "carol@example.com"
	})
	carol.Name = "carol"
	for _, mu := range []*v1alpha1.ManagedUser{alice, bob, carol} {
		s.must(s.client.Create(t.Context(), mu))
	}
	s.eventuallyReady(alice)
	s.eventuallyReady(bob)
	s.eventuallySecret(true, true)

	s.deleteSecret()
	s.edit(alice, func(spec *v1alpha1.ManagedUserSpec) { spec.Name = "Alicia" })
	s.eventuallyReady(alice) // Its key is still good.
	dave := s.user()
	dave.Name, dave.Spec.Email = "dave", "dave@example.com"
	s.must(s.client.Create(t.Context(), dave))
	s.eventuallyReason(dave, v1alpha1.ReasonSecretNotFound) // Nobody new comes to need it.
	s.eventuallyEvent(v1alpha1.EventInUse, "Secret calcom is being deleted and stays until all objects that need it are deleted too, such as ManagedUser ")
	s.edit(alice, func(spec *v1alpha1.ManagedUserSpec) { spec.ReconcilePolicy = v1alpha1.ReconcilePolicySuspend })
	s.must(s.client.Delete(t.Context(), alice))
	s.eventuallyReason(alice, v1alpha1.ReasonSuspended)
	s.must(s.client.Delete(t.Context(), bob))
	s.eventually(bob, "the end of bob", func(exists bool) bool { return !exists })
	s.eventuallySecret(true, true)
	s.edit(alice, func(spec *v1alpha1.ManagedUserSpec) { spec.ReconcilePolicy = "" })
	s.eventually(alice, "the end of alice", func(exists bool) bool { return !exists })
	s.eventuallySecret(false, false)
	if users := s.sandbox.Users(s.clientID()); len(users) != 1 || users[0].Metadata["kubernetesOwner"] != nil {
		t.Errorf("Cal.com has %v, want bob alone, without the mark", users)
	}
}

// A Secret that another one replaces is let go, and one that was made anew is protected again.
func TestSecretThatIsReplaced(t *testing.T) {
	s := newStory(t)
	s.config.ProtectSecrets = true
	stop := s.startManager()
	mu := s.user()
	s.must(s.client.Create(t.Context(), mu))
	s.eventuallyReady(mu)
	s.eventuallySecret(true, true)
	s.must(s.client.Create(t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "other"},
		Data:       map[string][]byte{"secretKey": []byte(calcomtest.DefaultClient().Secret)},
	}))
	s.edit(mu, func(spec *v1alpha1.ManagedUserSpec) { spec.OAuthClient.SecretKeyRef.Name = "other" })
	s.eventuallySecret(false, true)
	s.edit(mu, func(spec *v1alpha1.ManagedUserSpec) { spec.OAuthClient.SecretKeyRef.Name = "calcom" })
	s.eventuallySecret(true, true)

	// Without protection, what was protected before is let go.
	stop()
	s.config.ProtectSecrets = false
	defer s.startManager()()
	s.eventuallySecret(false, true)
}

// A Secret that was marked as in use is looked at once the reconcile that marked it has ended, and not before.
func TestMarkedSecretIsLookedAtLater(t *testing.T) {
	clock := testclock.NewFakeClock(time.Now())
	q := workqueue.NewTypedRateLimitingQueueWithConfig(
		workqueue.DefaultTypedControllerRateLimiter[reconcile.Request](), workqueue.TypedRateLimitingQueueConfig[reconcile.Request]{Clock: clock})
	defer q.ShutDown()
	free := secretMetadata(metav1.ObjectMeta{Namespace: "team", Name: "calcom"})
	marked := free.DeepCopy()
	inUse(marked)
	whenJustMarked().Update(t.Context(), event.UpdateEvent{ObjectOld: free, ObjectNew: marked}, q)
	whenJustMarked().Update(t.Context(), event.UpdateEvent{ObjectOld: marked, ObjectNew: free}, q)
	if q.Len() != 0 {
		t.Error("it is looked at before the user can have its finalizer")
	}
	// The queue may take in what is due later only after a step of the clock, and counts from then on.
	err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, patience, true, func(context.Context) (bool, error) {
		clock.Step(reconcileTimeout)
		return q.Len() > 0, nil
	})
	if err != nil {
		t.Fatal("it is not looked at later either")
	}
	request, _ := q.Get()
	if request.Name != "calcom" || q.Len() != 0 {
		t.Errorf("%v is looked at, and %d others", request, q.Len())
	}
}
