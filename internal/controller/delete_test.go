// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/manageduser"
	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

func orphan(spec *v1alpha1.ManagedUserSpec) { spec.DeletionPolicy = v1alpha1.DeletionPolicyOrphan }

func TestDelete(t *testing.T) {
	s := newStory(t)
	mu := s.create()
	s.sandbox.ResetCalls()
	s.writes.take()
	s.events.take()
	s.delete(mu)
	s.wantGone(mu)
	s.wantCalls(calcomtest.OpGet, calcomtest.OpDelete)
	s.wantWrites("patch")
	s.wantEvents("Deleted")
	if n := len(s.sandbox.Users(s.clientID())); n != 0 {
		t.Errorf("Cal.com has %d users left", n)
	}
}

// An object that never created anything goes at once, whatever else is missing.
func TestDeleteOfAnObjectThatNeverCreated(t *testing.T) {
	s := newStory(t)
	s.deleteSecret()
	mu := s.create()
	s.must(s.client.Delete(t.Context(), mu))
	s.wantGone(mu)
	s.wantCalls()
}

func TestOrphan(t *testing.T) {
	s := newStory(t)
	mu := s.create(orphan, full)
	s.sandbox.ResetCalls()
	s.delete(mu)
	s.wantGone(mu)
	s.wantCalls(calcomtest.OpGet, calcomtest.OpUpdate)
	users := s.sandbox.Users(s.clientID())
	if len(users) != 1 || users[0].Metadata["kubernetesOwner"] != nil || users[0].Metadata["plan"] != "gold" {
		t.Errorf("Cal.com has %+v, want the user without its mark", users)
	}
}

// Orphan is the way out that is always open.
func TestOrphanWithoutAnything(t *testing.T) {
	worlds := map[string]func(*story){
		"NoSecret":      func(s *story) { s.deleteSecret() },
		"WrongSecret":   func(s *story) { s.setSecret("wrong") },
		"NoServer":      func(s *story) { s.sandbox.Close() },
		"URLNotAllowed": func(s *story) { s.config.AllowedAPIURLs = URLPrefixes{{scheme: "https", path: "/"}}; s.restart() },
		"UserGone":      func(s *story) { s.sandbox.RemoveUser(s.clientID(), 1) },
		"ClientGone":    func(s *story) { s.sandbox.RemoveClient(s.clientID()) },
	}
	for name, spoil := range worlds {
		t.Run(name, func(t *testing.T) {
			s := newStory(t)
			mu := s.create()
			spoil(s)
			s.edit(mu, orphan)
			if err := s.delete(mu).err; err != nil {
				t.Error(err)
			}
			s.wantGone(mu)
		})
	}
}

// Orphaning waits for the quota, so that a mass of users loses its marks; but not for ever.
func TestOrphanWaitsForTheQuota(t *testing.T) {
	s := newStory(t)
	mu := s.create(orphan)
	s.sandbox.Inject(calcomtest.Fault{Times: -1, Status: 429})
	s.delete(mu)
	s.wantConditions(mu, "Ready=False/Deleting", "CredentialsReady=True/Verified", "Synced=False/RateLimited", "Reconciling=True/Progressing")
	s.advance(manageduser.UnmarkPatience + time.Minute)
	s.reconcile(mu)
	s.wantGone(mu)
}

// Whatever is neither a 200 nor a proven absence keeps the object, says why, and ends when the cause does.
func TestDeletionHeld(t *testing.T) {
	cases := map[string]struct {
		spoil      func(*story)
		repair     func(*story)
		conditions []string
		words      []string
	}{
		"NoSecret": {
			spoil:      func(s *story) { s.deleteSecret() },
			repair:     func(s *story) { s.createSecret(calcomtest.DefaultClient().Secret) },
			conditions: []string{"Ready=False/DeletionBlocked", "CredentialsReady=False/SecretNotFound", "Synced=True/Created", "Reconciling=True/Progressing"},
			words:      []string{"Secret calcom", "Orphan"},
		},
		"WrongSecret": {
			spoil:      func(s *story) { s.setSecret("wrong") },
			repair:     func(s *story) { s.setSecret(calcomtest.DefaultClient().Secret) },
			conditions: []string{"Ready=False/DeletionBlocked", "CredentialsReady=False/Unauthorized", "Synced=True/Created", "Stalled=True/DeletionBlocked"},
			words:      []string{"refuses the credentials", "Orphan"},
		},
		"ServerError": {
			spoil:      func(s *story) { s.sandbox.Inject(calcomtest.Fault{Times: -1, Status: 500}) },
			repair:     func(s *story) { s.sandbox.ClearFaults() },
			conditions: []string{"Ready=False/Deleting", "CredentialsReady=True/Verified", "Synced=False/RemoteUnavailable", "Reconciling=True/Progressing"},
		},
		"TooManyRequests": {
			spoil:      func(s *story) { s.sandbox.Inject(calcomtest.Fault{Status: 429}) },
			repair:     func(*story) {},
			conditions: []string{"Ready=False/Deleting", "CredentialsReady=True/Verified", "Synced=False/RateLimited", "Reconciling=True/Progressing"},
		},
		"CalcomRefuses": {
			spoil: func(s *story) {
				s.sandbox.Inject(calcomtest.Fault{Op: calcomtest.OpDelete, Status: 400, Body: `{"status":"error","error":{"code":"BAD_REQUEST","message":"Invalid input: The referenced data does not exist."}}`})
			},
			repair:     func(*story) {},
			conditions: []string{"Ready=False/DeletionBlocked", "CredentialsReady=True/Verified", "Synced=False/DeletionBlocked", "Stalled=True/DeletionBlocked"},
			words:      []string{"other records", "Orphan"},
		},
		"NoSuchAPI": {
			spoil: func(s *story) {
				s.sandbox.Inject(calcomtest.Fault{Times: -1, Status: 404, Body: `{"status":"error","error":{"code":"NotFoundException","message":"Cannot GET /v2/x"}}`})
			},
			repair:     func(s *story) { s.sandbox.ClearFaults() },
			conditions: []string{"Ready=False/DeletionBlocked", "CredentialsReady=True/Verified", "Synced=False/UnexpectedResponse", "Stalled=True/DeletionBlocked"},
		},
		"NotFoundByAProxy": {
			spoil: func(s *story) {
				s.sandbox.Inject(calcomtest.Fault{Times: -1, Status: 404, Body: "<html>", ContentType: "text/html"})
			},
			repair:     func(s *story) { s.sandbox.ClearFaults() },
			conditions: []string{"Ready=False/DeletionBlocked", "CredentialsReady=True/Verified", "Synced=False/UnexpectedResponse", "Stalled=True/DeletionBlocked"},
		},
		"ListThatIsNoProof": {
			spoil: func(s *story) {
				s.sandbox.Inject(calcomtest.Fault{Op: calcomtest.OpGet, Times: -1, Status: 404}, calcomtest.Fault{Op: calcomtest.OpList, Times: -1, Status: 200, Body: `{"status":"success"}`})
			},
			repair:     func(s *story) { s.sandbox.ClearFaults() },
			conditions: []string{"Ready=False/Deleting", "CredentialsReady=True/Verified", "Synced=False/RemoteUnavailable", "Reconciling=True/Progressing"},
		},
		"Observe": {
			spoil: func(s *story) {
				mu := s.user()
				s.edit(mu, func(spec *v1alpha1.ManagedUserSpec) { spec.ReconcilePolicy = v1alpha1.ReconcilePolicyObserve })
			},
			repair: func(s *story) {
				s.edit(s.user(), func(spec *v1alpha1.ManagedUserSpec) { spec.ReconcilePolicy = "" })
			},
			conditions: []string{"Ready=False/DeletionBlocked", "CredentialsReady=True/Verified", "Stalled=True/DeletionBlocked"},
			words:      []string{"Observe", "Orphan"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s := newStory(t)
			mu := s.create()
			tc.spoil(s)
			s.delete(mu)
			s.wantConditions(mu, tc.conditions...)
			s.wantMessage(mu, tc.words...)
			writes := len(s.writes.take())
			s.reconcile(mu)
			if again := s.writes.take(); len(again) > 0 && tc.conditions[0] == "Ready=False/DeletionBlocked" && name != "CalcomRefuses" {
				t.Errorf("%d writes and then %v with nothing changed", writes, again)
			}
			if n := len(s.sandbox.Users(s.clientID())); n != 1 && name != "CalcomRefuses" && name != "TooManyRequests" {
				t.Fatalf("Cal.com has %d users while the deletion is held", n)
			}
			tc.repair(s)
			s.advance(2 * resync)
			s.reconcile(mu)
			s.wantGone(mu)
			if n := len(s.sandbox.Users(s.clientID())); n != 0 {
				t.Errorf("Cal.com has %d users left", n)
			}
		})
	}
}

// The answer of the delete call is lost, or the finalizer's removal fails: the next look proves the absence.
func TestDeleteWithALostAnswer(t *testing.T) {
	s := newStory(t)
	mu := s.create()
	s.advance(time.Minute)
	s.sandbox.Inject(calcomtest.Fault{Op: calcomtest.OpDelete, Cut: true, After: true})
	s.writes.take()
	s.writes.fail = func(write string) error {
		if write == "patch" && s.sandbox.Count(calcomtest.OpDelete) == 1 {
			return http.ErrServerClosed
		}
		return nil
	}
	if s.delete(mu).err == nil {
		t.Error("no back-off after a lost answer")
	}
	if s.reconcile(mu).err == nil {
		t.Error("a failed removal of the finalizer was not reported")
	}
	s.writes.fail = nil
	s.restart()
	s.reconcile(mu)
	s.wantGone(mu)
	if n := s.sandbox.Count(calcomtest.OpDelete); n != 1 {
		t.Errorf("%d delete calls, want 1", n)
	}
}

// A delete that answers 404 for a user that the list still shows is not believed.
func TestDeleteThatIsDenied(t *testing.T) {
	s := newStory(t)
	mu := s.create()
	s.sandbox.Inject(calcomtest.Fault{Op: calcomtest.OpDelete, Status: 404})
	if s.delete(mu).err == nil {
		t.Error("no back-off")
	}
	if !s.reload(mu) {
		t.Fatal("the object went on the word of a 404")
	}
	s.reconcile(mu)
	s.wantGone(mu)
	if n := len(s.sandbox.Users(s.clientID())); n != 0 {
		t.Errorf("Cal.com has %d users left", n)
	}
}

// A user that was deleted by hand does not hold its object; a replica that lags gets ten seconds.
func TestDeleteOfAUserThatIsGone(t *testing.T) {
	s := newStory(t)
	mu := s.create()
	s.sandbox.RemoveUser(s.clientID(), mu.Status.User.ID)
	s.delete(mu)
	s.wantConditions(mu, "Ready=False/Deleting", "CredentialsReady=True/Verified", "Synced=False/RemoteUnavailable", "Reconciling=True/Progressing")
	s.advance(10 * time.Second)
	s.reconcile(mu)
	s.wantGone(mu)
}

// While a create call may still take effect, its object stays; then the user is found, deleted, and nobody is left.
func TestDeleteWhileTheCreateIsUnknown(t *testing.T) {
	s := newStory(t)
	s.sandbox.Inject(calcomtest.Fault{Op: calcomtest.OpCreate, Cut: true, After: true, EffectDelay: 100 * time.Second})
	mu := s.create()
	s.delete(mu)
	s.wantConditions(mu, "Ready=False/Deleting", "CredentialsReady=True/Verified", "Synced=False/RemoteUnavailable", "Reconciling=True/Progressing")
	s.wantMessage(mu, "outcome of the create call is unknown")
	s.advance(101 * time.Second)
	s.reconcile(mu)
	s.wantGone(mu)
	if n := len(s.sandbox.Users(s.clientID())); n != 0 {
		t.Errorf("Cal.com has %d users left", n)
	}

	s = newStory(t)
	s.sandbox.Inject(calcomtest.Fault{Op: calcomtest.OpCreate, Cut: true})
	mu = s.create()
	s.delete(mu)
	s.advance(2 * time.Minute)
	s.reconcile(mu)
	s.wantGone(mu)
}

// The address was edited while the create was unknown, and meanwhile somebody else has the new one.
func TestDeleteWithAnEditedAddress(t *testing.T) {
	s := newStory(t)
	s.sandbox.Inject(calcomtest.Fault{Op: calcomtest.OpCreate, Cut: true, After: true})
	mu := s.create()
	stranger := s.sandbox.AddUser(s.clientID(), calcomtest.User{Email: "stranger@example.com"})
	s.edit(mu, func(spec *v1alpha1.ManagedUserSpec) { spec.Email = "stranger@example.com" })
	s.delete(mu)
	s.wantGone(mu)
	users := s.sandbox.Users(s.clientID())
	if len(users) != 1 || users[0].ID != stranger.ID {
		t.Errorf("Cal.com has %+v, want the stranger alone", users)
	}
}

// A record that somebody scribbled over makes the operator wait, and not for ever.
func TestDeleteWithAScribbledIntent(t *testing.T) {
	s := newStory(t)
	s.sandbox.Inject(calcomtest.Fault{Op: calcomtest.OpCreate, Cut: true})
	mu := s.create()
	for _, scribble := range []string{"yesterday", `{"email":"x@example.com","time":"2999-01-01T00:00:00Z"}`} {
		s.must(s.client.Patch(t.Context(), mu, client.RawPatch(client.Merge.Type(),
			fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%q}}}`, v1alpha1.CreateIntentAnnotation, scribble))))
		s.reconcile(mu)
		if _, _, sound := manageduser.ReadIntent(mu, s.clock.Now()); !sound {
			t.Errorf("%s was not repaired: %v", scribble, mu.Annotations)
		}
	}
	s.delete(mu)
	s.wantMessage(mu, "outcome of the create call is unknown")
	s.advance(2 * time.Minute)
	s.reconcile(mu)
	s.wantGone(mu)
}

// Somebody else has the address of a create call that the server has not finished: the deletion waits all the same.
func TestDeleteWhileAStrangerHasTheAddress(t *testing.T) {
	s := newStory(t)
	s.sandbox.Inject(calcomtest.Fault{Op: calcomtest.OpCreate, Cut: true, After: true, EffectDelay: 90 * time.Second})
	mu := s.create()
	stranger := s.sandbox.AddUser(s.clientID(), calcomtest.User{Email: "alice@example.com"})
	s.delete(mu)
	s.wantConditions(mu, "Ready=False/Deleting", "CredentialsReady=True/Verified", "Synced=False/RemoteUnavailable", "Reconciling=True/Progressing")
	s.sandbox.RemoveUser(s.clientID(), stranger.ID)
	s.advance(100 * time.Second)
	s.reconcile(mu)
	s.wantGone(mu)
	if n := len(s.sandbox.Users(s.clientID())); n != 0 {
		t.Errorf("Cal.com has %d users left", n)
	}
}

// A cache that has not heard of the end of an object shows it once more.
func TestObjectThatWasLetGoIsNotLookedAtAgain(t *testing.T) {
	s := newStory(t)
	mu := s.create()
	cache := s.deletedInTheCache(mu)
	s.reconcile(mu)
	s.wantGone(mu)
	s.wantCalls(calcomtest.OpCreate, calcomtest.OpGet, calcomtest.OpDelete)
	s.events.take()
	s.reconcile(mu)
	s.wantCalls()
	s.wantEvents()

	cache.object = nil // The cache has heard of it; and the object is applied anew.
	s.reconcile(mu)
	again := s.create()
	s.wantReady(again, "Created")
}

// Somebody labels the object while its user is being deleted: the user is gone, and nobody has to wonder where it is.
func TestDeleteOfAnObjectThatIsWrittenMeanwhile(t *testing.T) {
	for name, policy := range map[string]func(*v1alpha1.ManagedUserSpec){"Delete": func(*v1alpha1.ManagedUserSpec) {}, "Orphan": orphan} {
		t.Run(name, func(t *testing.T) {
			s := newStory(t)
			mu := s.create(policy)
			s.deletedInTheCache(mu)
			s.must(s.client.Patch(t.Context(), mu.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"labels":{"team":"a"}}}`))))
			s.sandbox.ResetCalls()
			s.events.take()
			if err := s.reconcile(mu).err; err != nil {
				t.Error(err)
			}
			s.wantGone(mu)
			s.wantEvents(map[string]string{"Delete": "Deleted", "Orphan": "Orphaned"}[name])
		})
	}
}

// Whoever takes back the order to leave the user there, while it is carried out, is not passed over.
func TestOrphanThatIsTakenBack(t *testing.T) {
	s := newStory(t)
	mu := s.create(orphan)
	cache := s.deletedInTheCache(mu)
	s.edit(mu.DeepCopy(), func(spec *v1alpha1.ManagedUserSpec) { spec.ReconcilePolicy = v1alpha1.ReconcilePolicySuspend })
	s.events.take()
	s.reconcile(mu)
	if !s.reload(mu) {
		t.Fatal("the object is gone")
	}
	s.wantEvents()
	cache.object = nil
	s.reconcile(mu)
	s.wantConditions(mu, "Ready=False/Suspended", "Synced=True/Created", "CredentialsReady=True/Verified")
}

// deletedInTheCache asks for the deletion of an object, and leaves the operator with a cache that knows that, and
// nothing later.
func (s *story) deletedInTheCache(mu *v1alpha1.ManagedUser) *staleReads {
	s.Helper()
	s.must(s.client.Delete(s.Context(), mu))
	s.reload(mu)
	cache := &staleReads{Client: s.reconciler.client, object: mu.DeepCopy()}
	s.reconciler.client = cache
	return cache
}

// staleReads is a cache that shows an object as it was.
type staleReads struct {
	client.Client

	object *v1alpha1.ManagedUser
}

func (c *staleReads) Get(ctx context.Context, key client.ObjectKey, object client.Object, options ...client.GetOption) error {
	if mu, ok := object.(*v1alpha1.ManagedUser); ok && c.object != nil {
		c.object.DeepCopyInto(mu)
		return nil
	}
	return c.Client.Get(ctx, key, object, options...)
}
