// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"errors"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

// replace writes the object as kubectl replace does with the manifest of a repository: no finalizer, no annotation, and
// the status, which is a subresource, as it was.
func (s *story) replace(mu *v1alpha1.ManagedUser, change func(*v1alpha1.ManagedUserSpec)) {
	s.Helper()
	s.must(retry.RetryOnConflict(retry.DefaultRetry, func() error {
		s.reload(mu)
		mu.Finalizers, mu.Annotations = nil, nil
		if change != nil {
			change(&mu.Spec)
		}
		return s.client.Update(s.Context(), mu)
	}))
}

// loseStatus empties the status, as a backup does.
func (s *story) loseStatus(mu *v1alpha1.ManagedUser) {
	s.Helper()
	s.reload(mu)
	mu.Status = v1alpha1.ManagedUserStatus{ObservedGeneration: -1}
	s.must(s.client.Status().Update(s.Context(), mu))
}

// wantRecords checks that the finalizer is there and an annotation.
func (s *story) wantRecords(mu *v1alpha1.ManagedUser, annotation string) {
	s.Helper()
	s.reload(mu)
	if _, ok := mu.Annotations[annotation]; !ok || !controllerutil.ContainsFinalizer(mu, v1alpha1.ManagedUserFinalizer) {
		s.Errorf("finalizers are %v and annotations %v, want %s", mu.Finalizers, mu.Annotations, annotation)
	}
}

// wantUsers compares the ids of the users in Cal.com.
func (s *story) wantUsers(want ...int64) {
	s.Helper()
	var have []int64
	for _, user := range s.sandbox.Users(s.clientID()) {
		have = append(have, user.ID)
	}
	if !slices.Equal(want, have) {
		s.Errorf("Cal.com has users %v, want %v", have, want)
	}
}

func noChange(*v1alpha1.ManagedUserSpec) {}

// A tool that replaces objects removes the finalizer and the annotations. The object keeps its user, and the user goes
// with it.
func TestReplacedObject(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*v1alpha1.ManagedUserSpec)
		// held: the policy holds the deletion.
		held bool
	}{
		"SameSpec": {change: noChange},
		"Name":     {change: func(spec *v1alpha1.ManagedUserSpec) { spec.Name = "Alicia" }},
		"Email":    {change: func(spec *v1alpha1.ManagedUserSpec) { spec.Email = "alicia@example.com" }},
		"Adopting": {change: byEmail},
		"Suspend": {change: func(spec *v1alpha1.ManagedUserSpec) {
			spec.ReconcilePolicy = v1alpha1.ReconcilePolicySuspend
		}, held: true},
		"Observe": {change: func(spec *v1alpha1.ManagedUserSpec) {
			spec.ReconcilePolicy = v1alpha1.ReconcilePolicyObserve
		}, held: true},
	} {
		for _, restarted := range []bool{false, true} {
			t.Run(name+map[bool]string{true: "AfterRestart"}[restarted], func(t *testing.T) {
				s := newStory(t)
				s.config.ProtectSecrets = true
				s.restart()
				mu := s.create()
				id := mu.Status.User.ID
				s.replace(mu, tc.change)
				if restarted {
					s.restart()
				}
				s.reconcile(mu)
				s.reconcile(mu)
				s.wantRecords(mu, v1alpha1.CreateIntentAnnotation)
				s.wantUsers(id)
				user, _ := s.sandbox.User(s.clientID(), id)
				if !tc.held && (*user.Name != mu.Spec.Name || user.Email != calcomStored(mu.Spec.Email, s.clientID())) {
					t.Errorf("the user is %+v", user)
				}
				if tc.held {
					s.delete(mu)
					s.wantUsers(id)
					s.edit(mu, func(spec *v1alpha1.ManagedUserSpec) { spec.ReconcilePolicy = v1alpha1.ReconcilePolicyManage })
					s.reconcile(mu)
				} else {
					s.delete(mu)
				}
				s.wantGone(mu)
				s.wantUsers()
			})
		}
	}
}

func calcomStored(email, clientID string) string {
	at := slices.Index([]byte(email), '@')
	return email[:at] + "+" + clientID + email[at:]
}

// The records that were lost cost one write, and nothing is written at rest.
func TestRecordsAreRestoredWithOneWrite(t *testing.T) {
	s := newStory(t)
	mu := s.create()
	s.replace(mu, noChange)
	s.writes.take()
	s.sandbox.ResetCalls()
	s.reconcile(mu)
	s.wantWrites("patch")
	s.wantCalls()
	s.reconcile(mu)
	s.wantWrites()
}

// A create call whose answer is lost stays on record when the object is replaced at that moment, with another address.
func TestReplaceDuringCreate(t *testing.T) {
	s := newStory(t)
	mu := s.user()
	s.must(s.client.Create(t.Context(), mu))
	s.sandbox.Inject(calcomtest.Fault{Op: calcomtest.OpCreate, Cut: true, After: true})
	s.reconcile(mu)
	s.replace(mu, func(spec *v1alpha1.ManagedUserSpec) { spec.Email = "alicia@example.com" })
	s.reconcile(mu)
	s.wantRecords(mu, v1alpha1.CreateIntentAnnotation)
	s.reconcile(mu)
	if n := len(s.sandbox.Users(s.clientID())); n != 1 {
		t.Errorf("there are %d users", n)
	}
	s.delete(mu)
	s.wantGone(mu)
	s.wantUsers()
}

// A user that was adopted outlives its object, whatever the object lost of what says so.
func TestAdoptedUserIsKept(t *testing.T) {
	for name, lose := range map[string]func(*story, *v1alpha1.ManagedUser){
		"Nothing": func(*story, *v1alpha1.ManagedUser) {},
		"Annotation": func(s *story, mu *v1alpha1.ManagedUser) {
			patch := []byte(`{"metadata":{"annotations":{"` + v1alpha1.AdoptedAnnotation + `":null}}}`)
			s.must(s.client.Patch(s.Context(), mu, client.RawPatch(client.Merge.Type(), patch)))
		},
		"Metadata": func(s *story, mu *v1alpha1.ManagedUser) { s.replace(mu, noChange) },
		"MetadataAndPolicy": func(s *story, mu *v1alpha1.ManagedUser) {
			s.replace(mu, func(spec *v1alpha1.ManagedUserSpec) { spec.AdoptionPolicy = "" })
		},
		"Status": func(s *story, mu *v1alpha1.ManagedUser) { s.loseStatus(mu) },
		"StatusAndAnnotation": func(s *story, mu *v1alpha1.ManagedUser) {
			s.reload(mu)
			mu.Annotations, mu.Spec.AdoptionPolicy = nil, ""
			s.must(s.client.Update(s.Context(), mu))
			s.loseStatus(mu)
		},
		"AllButTheMark": func(s *story, mu *v1alpha1.ManagedUser) {
			s.replace(mu, func(spec *v1alpha1.ManagedUserSpec) { spec.AdoptionPolicy = "" })
			s.loseStatus(mu)
		},
		"Mark": func(s *story, mu *v1alpha1.ManagedUser) {
			s.sandbox.UpdateUser(s.clientID(), mu.Status.User.ID, func(u *calcomtest.User) { u.Metadata = nil })
		},
	} {
		for _, reconciled := range []bool{true, false} {
			t.Run(name+map[bool]string{false: "AtDeletion"}[reconciled], func(t *testing.T) {
				s := newStory(t)
				user := s.existing("")
				mu := s.create(byEmail)
				s.wantReady(mu, "Adopted")
				lose(s, mu)
				if reconciled {
					s.due(mu)
					s.reconcile(mu)
					s.wantRecords(mu, v1alpha1.AdoptedAnnotation)
				}
				s.delete(mu)
				s.reconcile(mu)
				s.wantGone(mu)
				s.wantUsers(user.ID)
			})
		}
	}
}

// A user that was created goes with its object, whatever the object lost of what says so, and though the spec would
// allow an adoption by now.
func TestCreatedUserIsDeleted(t *testing.T) {
	for name, lose := range map[string]func(*story, *v1alpha1.ManagedUser){
		"Metadata": func(s *story, mu *v1alpha1.ManagedUser) { s.replace(mu, byEmail) },
		"Status":   func(s *story, mu *v1alpha1.ManagedUser) { s.edit(mu, byEmail); s.loseStatus(mu) },
		"Both":     func(s *story, mu *v1alpha1.ManagedUser) { s.replace(mu, noChange); s.loseStatus(mu) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newStory(t)
			mu := s.create()
			lose(s, mu)
			s.advance(time.Hour)
			s.reconcile(mu)
			s.reconcile(mu)
			s.wantUsers(mu.Status.User.ID)
			s.delete(mu)
			s.wantGone(mu)
			s.wantUsers()
		})
	}
}

// swapUsers exchanges the users in two statuses.
func (s *story) swapUsers(a, b *v1alpha1.ManagedUser) {
	s.Helper()
	s.reload(a)
	s.reload(b)
	a.Status.User, b.Status.User = b.Status.User, a.Status.User
	s.must(s.client.Status().Update(s.Context(), a))
	s.must(s.client.Status().Update(s.Context(), b))
}

// Where the id in status is another object's, the mark and the address lead to the object's own user.
func TestExchangedStatuses(t *testing.T) {
	for _, deleted := range []bool{false, true} {
		t.Run(map[bool]string{false: "Kept", true: "Deleted"}[deleted], func(t *testing.T) {
			s := newStory(t)
			alice := s.create()
			bob := s.user(func(spec *v1alpha1.ManagedUserSpec) { spec.Email, spec.Name = "bob@example.com", "Bob" })
			bob.Name = "bob"
			s.must(s.client.Create(t.Context(), bob))
			s.reconcile(bob)
			first, second := alice.Status.User.ID, bob.Status.User.ID
			s.swapUsers(alice, bob)
			if deleted {
				s.delete(alice)
				s.wantGone(alice)
				s.wantUsers(second)
				s.delete(bob)
				s.wantGone(bob)
				s.wantUsers()
				return
			}
			s.due(alice)
			s.due(bob)
			if alice.Status.User.ID != first || bob.Status.User.ID != second {
				t.Errorf("the objects have users %d and %d, want %d and %d", alice.Status.User.ID, bob.Status.User.ID, first, second)
			}
			s.wantUsers(first, second)
		})
	}
}

// After a restore of Cal.com's database its ids stand for other users.
func TestRestartedIDs(t *testing.T) {
	for name, tc := range map[string]struct {
		// others is how many other users take the ids from 1, before the object's own, if that is kept.
		others int
		kept   bool
	}{
		"MovedToAnotherID": {others: 1, kept: true},
		"GoneAndTaken":     {others: 1},
		"GoneAndSameID":    {},
	} {
		for _, marked := range []bool{true, false} {
			t.Run(name+map[bool]string{true: "ByAnotherObject"}[marked], func(t *testing.T) {
				s := newStory(t)
				mu := s.create()
				s.advance(time.Hour)
				own, _ := s.sandbox.User(s.clientID(), mu.Status.User.ID)
				s.sandbox.Wipe()
				for range tc.others {
					other := calcomtest.User{Email: "other@example.com", Name: new("Other")}
					if marked {
						other.Metadata = map[string]any{"kubernetesOwner": "test-cluster/" + s.namespace + "/other/uid"}
					}
					s.sandbox.AddUser(s.clientID(), other)
				}
				if tc.kept {
					own.ID = 0
					s.sandbox.AddUser(s.clientID(), own)
				}
				s.due(mu)
				s.wantReady(mu, "Created")
				s.sandbox.ResetCalls()
				s.due(mu)
				s.wantCalls(calcomtest.OpGet)
				if n := len(s.sandbox.Users(s.clientID())); n != tc.others+1 {
					t.Errorf("there are %d users", n)
				}
				s.delete(mu)
				s.wantGone(mu)
				if n := len(s.sandbox.Users(s.clientID())); n != tc.others {
					t.Errorf("there are %d users after the deletion", n)
				}
			})
		}
	}
}

// A record of a create call that came with a copied manifest does not bind the copy.
func TestCopiedIntentBindsNothing(t *testing.T) {
	s := newStory(t)
	original := s.create()
	copied := s.user(func(spec *v1alpha1.ManagedUserSpec) { spec.OAuthClient.SecretKeyRef.Name = "missing" })
	copied.Name, copied.Annotations = "copy", original.Annotations
	s.must(s.client.Create(t.Context(), copied))
	s.reconcile(copied)
	s.delete(copied)
	s.wantGone(copied)
	s.wantUsers(original.Status.User.ID)
}

// What was done in Cal.com has its event though the status cannot be written.
func TestEventOfWhatIsDone(t *testing.T) {
	s := newStory(t)
	s.writes.fail = func(write string) error {
		if write == "patch status" {
			return errors.New("etcdserver: request timed out")
		}
		return nil
	}
	mu := s.create()
	s.wantEvents("Created")
	s.writes.fail = nil
	s.reconcile(mu)
	s.wantEvents()
	s.wantReady(mu, "InSync")
}

// Under a manager, what other tools remove is put back at once: of users, OAuth clients and Secrets.
func TestRestoresUnderAManager(t *testing.T) {
	s := newStory(t)
	s.config.ProtectSecrets = true
	c := s.acme()
	stop := s.startManager()
	defer stop()
	mu := s.user(byRef("", "acme"))
	s.must(s.client.Create(t.Context(), mu))
	s.eventuallyReady(mu)
	held := func(object client.Object) func(bool) bool {
		return func(bool) bool {
			s.must(s.client.Get(t.Context(), client.ObjectKeyFromObject(object), object))
			return controllerutil.ContainsFinalizer(object, v1alpha1.InUseFinalizer)
		}
	}
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "calcom"}}
	for _, object := range []client.Object{c, secret} {
		s.eventually(mu, "the protection", held(object))
		patch := client.RawPatch(client.Merge.Type(), []byte(`{"metadata":{"finalizers":null}}`))
		s.must(s.client.Patch(t.Context(), object, patch))
		s.eventually(mu, "the protection to come back", held(object))
	}
	s.replace(mu, noChange)
	s.eventually(mu, "the finalizer to come back", func(bool) bool {
		return controllerutil.ContainsFinalizer(mu, v1alpha1.ManagedUserFinalizer)
	})
	s.must(s.client.Delete(t.Context(), mu))
	s.eventually(mu, "the end of the object", func(exists bool) bool { return !exists })
	s.wantUsers()
}

// A Secret that is replaced brings a new key and loses its finalizer in one write; the users that wait for the key hear
// of it.
func TestReplacedSecretUnderAManager(t *testing.T) {
	s := newStory(t)
	s.config.ProtectSecrets = true
	stop := s.startManager()
	defer stop()
	mu := s.user()
	s.must(s.client.Create(t.Context(), mu))
	s.eventuallyReady(mu)
	s.setSecret("wrong")
	s.edit(mu, func(spec *v1alpha1.ManagedUserSpec) { spec.Name = "Alicia" })
	s.eventuallyReason(mu, v1alpha1.ReasonUnauthorized)
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "calcom"}}
	s.must(s.client.Get(t.Context(), client.ObjectKeyFromObject(secret), secret))
	secret.Finalizers, secret.Annotations = nil, nil
	secret.Data = map[string][]byte{"secretKey": []byte(calcomtest.DefaultClient().Secret)}
	s.must(s.client.Update(t.Context(), secret))
	s.eventuallyReady(mu)
}
