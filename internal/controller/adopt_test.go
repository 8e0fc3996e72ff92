// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

func byEmail(spec *v1alpha1.ManagedUserSpec) { spec.AdoptionPolicy = v1alpha1.AdoptionPolicyByEmail }

// existing adds a user alice as somebody else would, with or without a mark.
func (s *story) existing(mark string) calcomtest.User {
	s.Helper()
	metadata := map[string]any{"seats": float64(3)}
	if mark != "" {
		metadata["kubernetesOwner"] = mark
	}
	return s.sandbox.AddUser(s.clientID(), calcomtest.User{Email: "alice@example.com", Name: new("Alice"), Metadata: metadata})
}

// What a 409 on create leads to, by the mark of the user that is in the way and the policy.
func TestConflictOnCreate(t *testing.T) {
	cases := map[string]struct {
		mark       func(*story) string
		spec       func(*v1alpha1.ManagedUserSpec)
		conditions []string
		words      []string
		writes     bool // Whether the user may be written to.
		deleted    bool // Whether the user goes with the object.
	}{
		"OurMarkIsTakenOver": {
			mark:       func(s *story) string { return "test-cluster/" + s.namespace + "/alice/an-older-uid" },
			conditions: []string{"Ready=True/Available", "Synced=True/Updated", "CredentialsReady=True/Verified"},
			writes:     true, deleted: true,
		},
		"OurMarkOnAUserThatWasToBeAdopted": {
			mark:       func(s *story) string { return "test-cluster/" + s.namespace + "/alice/an-older-uid" },
			spec:       byEmail,
			conditions: []string{"Ready=True/Available", "Synced=True/Updated", "CredentialsReady=True/Verified"},
			writes:     true, // Nobody knows any more whether it was created or adopted, so it stays.
		},
		"NoMarkIsLeftAlone": {
			mark:       func(*story) string { return "" },
			conditions: []string{"Ready=False/AlreadyExists", "Synced=False/AlreadyExists", "CredentialsReady=True/Verified", "Stalled=True/AlreadyExists"},
			words:      []string{"adoptionPolicy to ByEmail", "userID to 1"},
		},
		"NoMarkIsAdoptedByEmail": {
			mark:       func(*story) string { return "" },
			spec:       byEmail,
			conditions: []string{"Ready=True/Available", "Synced=True/Adopted", "CredentialsReady=True/Verified"},
			writes:     true,
		},
		"AnotherClusterIsLeftAlone": {
			mark:       func(s *story) string { return "other-cluster/" + s.namespace + "/alice/uid" },
			spec:       byEmail,
			conditions: []string{"Ready=False/OwnedElsewhere", "Synced=False/OwnedElsewhere", "CredentialsReady=True/Verified", "Stalled=True/OwnedElsewhere"},
			words:      []string{"another cluster"},
		},
		"AnotherObjectIsLeftAlone": {
			mark:       func(s *story) string { return "test-cluster/" + s.namespace + "/bob/uid" },
			spec:       byEmail,
			conditions: []string{"Ready=False/OwnedElsewhere", "Synced=False/OwnedElsewhere", "CredentialsReady=True/Verified", "Stalled=True/OwnedElsewhere"},
			words:      []string{"ManagedUser bob"},
		},
		"AMarkThatNobodyCanReadIsAnothers": {
			mark:       func(*story) string { return "scribble" },
			spec:       byEmail,
			conditions: []string{"Ready=False/OwnedElsewhere", "Synced=False/OwnedElsewhere", "CredentialsReady=True/Verified", "Stalled=True/OwnedElsewhere"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s := newStory(t)
			user := s.existing(tc.mark(s))
			mu := s.user()
			if tc.spec != nil {
				tc.spec(&mu.Spec)
			}
			s.must(s.client.Create(t.Context(), mu))
			s.reconcile(mu)
			s.wantConditions(mu, tc.conditions...)
			s.wantMessage(mu, tc.words...)
			if n := s.sandbox.Count(calcomtest.OpUpdate); (n > 0) != tc.writes {
				t.Errorf("%d updates", n)
			}
			now, _ := s.sandbox.User(s.clientID(), user.ID)
			if !tc.writes && !cmp.Equal(user, now) {
				t.Errorf("a foreign user was changed:\n%s", cmp.Diff(user, now))
			}
			if tc.writes && (now.Metadata["kubernetesOwner"] != s.reconciler.markOf(mu).String() || now.Metadata["seats"] != float64(3)) {
				t.Errorf("metadata after the take-over is %v", now.Metadata)
			}
			if !tc.writes { // The poll looks, and neither writes nor creates.
				s.writes.take()
				s.sandbox.ResetCalls()
				s.due(mu)
				s.wantCalls(calcomtest.OpList)
				s.wantWrites()
				s.deleteSecret() // A conflict holds nothing back.
			}
			s.delete(mu)
			s.wantGone(mu)
			if _, exists := s.sandbox.User(s.clientID(), user.ID); exists == tc.deleted {
				t.Errorf("user exists after the deletion: %v", exists)
			}
			if after, ok := s.sandbox.User(s.clientID(), user.ID); ok && tc.writes {
				if d := cmp.Diff(map[string]any{"seats": float64(3)}, after.Metadata); d != "" {
					t.Errorf("metadata after orphaning:\n%s", d)
				}
			}
		})
	}
}

// A conflict ends when the other user goes, or when the spec allows the adoption.
func TestConflictThatEnds(t *testing.T) {
	s := newStory(t)
	user := s.existing("")
	mu := s.create()
	s.edit(mu, byEmail)
	s.reconcile(mu)
	s.wantReady(mu, "Adopted")
	if mu.Status.User.ID != user.ID {
		t.Errorf("status.user.id is %d, want %d", mu.Status.User.ID, user.ID)
	}

	s = newStory(t)
	user = s.existing("")
	mu = s.create()
	s.sandbox.RemoveUser(s.clientID(), user.ID)
	s.due(mu)
	s.wantReady(mu, "Created")
}

func TestConflictOfUsernames(t *testing.T) {
	s := newStory(t)
	other := s.sandbox.AddUser(s.clientID(), calcomtest.User{Email: "alice@mail.example.org"})
	mu := s.create(func(spec *v1alpha1.ManagedUserSpec) { spec.Email = "alice@mail.example.com" })
	want := []string{"Ready=False/UsernameConflict", "Synced=False/UsernameConflict", "CredentialsReady=True/Verified", "Stalled=True/UsernameConflict"}
	s.wantConditions(mu, want...)
	s.wantMessage(mu, "username", "first two labels", "ask for a reconcile")
	s.wantCalls(calcomtest.OpCreate, calcomtest.OpList)
	s.writes.take()
	s.due(mu)
	s.wantConditions(mu, want...)
	s.wantCalls(calcomtest.OpList)
	s.wantWrites()
	s.sandbox.RemoveUser(s.clientID(), other.ID)
	s.request(mu, "now it is free")
	s.reconcile(mu)
	s.wantReady(mu, "Created")

	s.edit(mu, func(spec *v1alpha1.ManagedUserSpec) { spec.Name = "Alicia" })
	s.reconcile(mu)
	s.delete(mu)
	s.wantGone(mu)
}

func TestHalfMadeUser(t *testing.T) {
	s := newStory(t)
	id := s.sandbox.AddHalfMadeUser(s.clientID(), "alice@example.com")
	mu := s.create()
	want := []string{"Ready=False/RemoteInconsistent", "Synced=False/RemoteInconsistent", "CredentialsReady=True/Verified", "Stalled=True/RemoteInconsistent"}
	s.wantConditions(mu, want...)
	s.wantMessage(mu, fmt.Sprintf("user %d", id), "support")
	s.wantCalls(calcomtest.OpCreate, calcomtest.OpGet, calcomtest.OpList)
	s.advance(30 * time.Second)
	s.reconcile(mu)
	s.wantConditions(mu, want...)
	s.sandbox.ResetCalls()
	s.writes.take()
	result, err := s.due(mu).unpack()
	if err != nil || result.RequeueAfter < resync {
		t.Errorf("reconcile ends with %v, %v; want a slow poll", result, err)
	}
	s.wantConditions(mu, want...)
	s.wantCalls(calcomtest.OpList)
	s.wantWrites()
	s.advance(3 * time.Minute)
	s.delete(mu)
	s.wantGone(mu)
}

// The server dies half-way through our own create: 500, and then a user that nobody can reach.
func TestHalfMadeByOurOwnCall(t *testing.T) {
	s := newStory(t)
	s.sandbox.Inject(calcomtest.Fault{Op: calcomtest.OpCreate, StopAfter: calcomtest.StepInsert})
	mu := s.create()
	s.advance(3 * time.Minute)
	s.reconcile(mu)
	s.wantConditions(mu, "Ready=False/RemoteInconsistent", "Synced=False/RemoteInconsistent", "CredentialsReady=True/Verified", "Stalled=True/RemoteInconsistent")
}

func TestUserID(t *testing.T) {
	s := newStory(t)
	user := s.existing("")
	mu := s.create(func(spec *v1alpha1.ManagedUserSpec) {
		spec.UserID = user.ID
		spec.Name = ""
		spec.Email = "alicia@example.com"
	})
	s.wantReady(mu, "Adopted")
	s.wantCalls(calcomtest.OpGet, calcomtest.OpGet, calcomtest.OpUpdate)
	s.wantEvents("Adopted")
	if mu.Status.User.ID != user.ID || !strings.HasPrefix(mu.Status.User.Email, "alicia+") {
		t.Errorf("status.user is %+v", mu.Status.User)
	}
	s.delete(mu) // Without a deletionPolicy, what was adopted stays.
	s.wantGone(mu)
	s.wantEvents("Orphaned")
	if n := len(s.sandbox.Users(s.clientID())); n != 1 {
		t.Errorf("Cal.com has %d users, want 1", n)
	}
}

func TestUserIDThatDoesNotExist(t *testing.T) {
	s := newStory(t)
	mu := s.create(func(spec *v1alpha1.ManagedUserSpec) { spec.UserID = 4711 })
	s.wantConditions(mu, "Ready=False/NotFound", "Synced=False/NotFound", "CredentialsReady=True/Verified", "Stalled=True/NotFound")
	s.wantMessage(mu, "4711")
	s.wantCalls(calcomtest.OpGet)
	s.delete(mu)
	s.wantGone(mu)
}

// Somebody else takes a user over: it is neither changed nor deleted from then on.
func TestUserThatWasTakenOverElsewhere(t *testing.T) {
	s := newStory(t)
	mu := s.create()
	s.sandbox.UpdateUser(s.clientID(), mu.Status.User.ID, func(u *calcomtest.User) {
		u.Metadata["kubernetesOwner"] = "other-cluster/x/alice/uid"
		u.Name = new("Other")
	})
	s.due(mu)
	s.wantConditions(mu, "Ready=False/OwnedElsewhere", "Synced=False/OwnedElsewhere", "CredentialsReady=True/Verified", "Stalled=True/OwnedElsewhere")
	s.delete(mu)
	s.wantConditions(mu, "Ready=False/DeletionBlocked", "Synced=False/OwnedElsewhere", "CredentialsReady=True/Verified", "Stalled=True/DeletionBlocked")
	s.wantMessage(mu, "Orphan")
	s.edit(mu, func(spec *v1alpha1.ManagedUserSpec) { spec.DeletionPolicy = v1alpha1.DeletionPolicyOrphan })
	s.reconcile(mu)
	s.wantGone(mu)
	if n := s.sandbox.Count(calcomtest.OpUpdate) + s.sandbox.Count(calcomtest.OpDelete); n != 0 {
		t.Errorf("%d writes to a foreign user", n)
	}
}

// The object comes back from a backup without its status, or is applied to a new cluster with the same owner id.
func TestStatusLost(t *testing.T) {
	s := newStory(t)
	mu := s.create()
	id := mu.Status.User.ID
	s.reload(mu)
	mu.Status = v1alpha1.ManagedUserStatus{}
	s.must(s.client.Status().Update(t.Context(), mu))
	s.restart()
	s.reconcile(mu)
	s.wantReady(mu, "InSync")
	s.wantCalls(calcomtest.OpCreate, calcomtest.OpList)
	if mu.Status.User.ID != id {
		t.Errorf("status.user.id is %d, want %d", mu.Status.User.ID, id)
	}
}

func TestObserve(t *testing.T) {
	observe := func(spec *v1alpha1.ManagedUserSpec) {
		spec.ReconcilePolicy = v1alpha1.ReconcilePolicyObserve
		spec.Name = ""
		spec.TimeZone = "Asia/Tokyo"
	}
	s := newStory(t)
	mu := s.create(observe)
	s.wantConditions(mu, "Ready=False/NotFound", "CredentialsReady=True/Verified")
	user := s.existing("other-cluster/x/y/z")
	s.due(mu)
	s.wantConditions(mu, "Ready=True/Observed", "CredentialsReady=True/Verified")
	if mu.Status.User.ID != user.ID || mu.Status.User.TimeZone == "Asia/Tokyo" {
		t.Errorf("status.user is %+v, want the user as it is", mu.Status.User)
	}
	for _, call := range s.sandbox.Calls() {
		if call.Method != http.MethodGet {
			t.Errorf("%s %s by an object that observes", call.Method, call.Path)
		}
	}
	if len(mu.Finalizers) != 0 {
		t.Errorf("finalizers are %v", mu.Finalizers)
	}

	// What was merely seen is not the object's own: managing begins with the same questions as for any other.
	s.edit(mu, func(spec *v1alpha1.ManagedUserSpec) {
		spec.ReconcilePolicy = ""
		spec.Name = "Alice"
	})
	s.reconcile(mu) // Forgets what it saw.
	s.reconcile(mu)
	s.wantConditions(mu, "Ready=False/OwnedElsewhere", "Synced=False/OwnedElsewhere", "CredentialsReady=True/Verified", "Stalled=True/OwnedElsewhere")
	if now, _ := s.sandbox.User(s.clientID(), user.ID); !cmp.Equal(user, now) {
		t.Errorf("a foreign user was changed:\n%s", cmp.Diff(user, now))
	}
	s.delete(mu)
	s.wantGone(mu)
}

func TestObserveByUserID(t *testing.T) {
	s := newStory(t)
	user := s.existing("")
	mu := s.create(func(spec *v1alpha1.ManagedUserSpec) {
		spec.ReconcilePolicy = v1alpha1.ReconcilePolicyObserve
		spec.Email = "somebody.else@example.com"
		spec.UserID = user.ID
	})
	s.wantConditions(mu, "Ready=True/Observed", "CredentialsReady=True/Verified")
	s.wantCalls(calcomtest.OpGet)
	s.delete(mu)
	s.wantGone(mu)
	s.wantCalls()
}

// A user whose metadata cannot take the mark is not adopted: nothing would keep a second object from adopting it too.
func TestAdoptionWithNestedMetadata(t *testing.T) {
	s := newStory(t)
	nested := map[string]any{"defaultConferencingApp": map[string]any{"appSlug": "zoom"}}
	user := s.sandbox.AddUser(s.clientID(), calcomtest.User{Email: "alice@example.com", Metadata: nested})
	mu := s.create(byEmail)
	s.wantConditions(mu, "Ready=False/MetadataBlocked", "Synced=False/MetadataBlocked", "CredentialsReady=True/Verified", "Stalled=True/MetadataBlocked")
	s.wantMessage(mu, "cannot be adopted", "defaultConferencingApp")
	if now, _ := s.sandbox.User(s.clientID(), user.ID); !cmp.Equal(user, now) {
		t.Errorf("the user was changed:\n%s", cmp.Diff(user, now))
	}
	s.sandbox.UpdateUser(s.clientID(), user.ID, func(u *calcomtest.User) { u.Metadata = nil })
	s.due(mu)
	s.wantReady(mu, "Adopted")
}

// What an object observed does not become its own through a create call whose outcome is unknown.
func TestObserveThenManageWithALostAnswer(t *testing.T) {
	s := newStory(t)
	stranger := s.sandbox.AddUser(s.clientID(), calcomtest.User{Email: "stranger@example.com"})
	mu := s.create(func(spec *v1alpha1.ManagedUserSpec) {
		spec.ReconcilePolicy = v1alpha1.ReconcilePolicyObserve
		spec.Email = "stranger@example.com"
	})
	s.wantConditions(mu, "Ready=True/Observed", "CredentialsReady=True/Verified")
	s.edit(mu, func(spec *v1alpha1.ManagedUserSpec) {
		spec.ReconcilePolicy = ""
		spec.Email = "alice@example.com"
	})
	s.sandbox.Inject(calcomtest.Fault{Op: calcomtest.OpCreate, Cut: true, After: true})
	s.writes.fail = func(string) error { // The process dies right after the call.
		if s.sandbox.Count(calcomtest.OpCreate) > 0 {
			return http.ErrServerClosed
		}
		return nil
	}
	s.reconcile(mu)
	s.reconcile(mu)
	s.writes.fail = nil
	s.restart()
	s.reconcile(mu)
	s.wantReady(mu, "InSync")
	s.delete(mu)
	s.wantGone(mu)
	if now, _ := s.sandbox.User(s.clientID(), stranger.ID); !cmp.Equal(stranger, now) {
		t.Errorf("a foreign user was changed:\n%s", cmp.Diff(stranger, now))
	}
}

// An object that was applied anew while the old one was worked on does not inherit its status.
func TestStatusOfAPredecessor(t *testing.T) {
	s := newStory(t)
	mu := s.user()
	s.must(s.client.Create(t.Context(), mu))
	s.sandbox.Inject(calcomtest.Fault{Op: calcomtest.OpCreate, Status: 403, Match: func(*http.Request) bool {
		old := mu.DeepCopy()
		s.reload(old)
		old.Finalizers = nil // By somebody's force.
		s.must(s.client.Update(t.Context(), old))
		s.must(s.client.Delete(t.Context(), old))
		s.must(s.client.Create(t.Context(), s.user()))
		return true
	}})
	s.reconcile(mu)
	s.reload(mu)
	if len(mu.Status.Conditions) != 0 || len(mu.Finalizers) != 0 {
		t.Errorf("the new object has finalizers %v and conditions:\n%s", mu.Finalizers, show(mu))
	}
}

// The status is lost, and the spec names somebody else by now: what the object created comes first.
func TestOwnUserBeforeTheOneOfTheSpec(t *testing.T) {
	edits := map[string]func(*v1alpha1.ManagedUserSpec, int64){
		"UserID":  func(spec *v1alpha1.ManagedUserSpec, id int64) { spec.UserID = id },
		"Observe": func(spec *v1alpha1.ManagedUserSpec, _ int64) { spec.ReconcilePolicy = v1alpha1.ReconcilePolicyObserve },
	}
	for name, edit := range edits {
		t.Run(name, func(t *testing.T) {
			s := newStory(t)
			mu := s.create()
			stranger := s.sandbox.AddUser(s.clientID(), calcomtest.User{Email: "stranger@example.com"})
			mu.Status = v1alpha1.ManagedUserStatus{}
			s.must(s.client.Status().Update(t.Context(), mu))
			s.edit(mu, func(spec *v1alpha1.ManagedUserSpec) { edit(spec, stranger.ID) })
			s.restart()
			s.reconcile(mu)
			if mu.Status.User == nil || mu.Status.User.ID == stranger.ID {
				t.Errorf("status.user is %+v", mu.Status.User)
			}
			s.edit(mu, func(spec *v1alpha1.ManagedUserSpec) { spec.ReconcilePolicy = "" })
			s.delete(mu)
			s.wantGone(mu)
			if users := s.sandbox.Users(s.clientID()); len(users) != 1 || !cmp.Equal(users[0], stranger) {
				t.Errorf("Cal.com has %+v, want the stranger alone and as it was", users)
			}
		})
	}
}

// While the object observes, somebody else gets the address of its user, whose id is lost.
func TestObserveDoesNotTakeAStrangerForItsOwn(t *testing.T) {
	s := newStory(t)
	mu := s.create()
	s.sandbox.UpdateUser(s.clientID(), mu.Status.User.ID, func(u *calcomtest.User) { u.Email = "elsewhere@example.com" })
	stranger := s.sandbox.AddUser(s.clientID(), calcomtest.User{Email: "alice@example.com", Username: new("other"), Name: new("Other")})
	mu.Status = v1alpha1.ManagedUserStatus{}
	s.must(s.client.Status().Update(t.Context(), mu))
	s.edit(mu, func(spec *v1alpha1.ManagedUserSpec) { spec.ReconcilePolicy = v1alpha1.ReconcilePolicyObserve })
	s.restart()
	s.advance(3 * time.Minute)
	s.reconcile(mu)
	s.wantConditions(mu, "Ready=False/NotFound", "CredentialsReady=True/Verified")
	s.edit(mu, func(spec *v1alpha1.ManagedUserSpec) { spec.ReconcilePolicy = "" })
	s.reconcile(mu)
	s.wantConditions(mu, "Ready=False/AlreadyExists", "Synced=False/AlreadyExists", "CredentialsReady=True/Verified", "Stalled=True/AlreadyExists")
	if now, _ := s.sandbox.User(s.clientID(), stranger.ID); !cmp.Equal(stranger, now) {
		t.Errorf("a foreign user was changed:\n%s", cmp.Diff(stranger, now))
	}
}

// The answer to the adoption's update is lost, and the address is edited: the id is on record.
func TestAdoptionWithALostAnswer(t *testing.T) {
	s := newStory(t)
	user := s.existing("")
	mu := s.user(byEmail)
	s.must(s.client.Create(t.Context(), mu))
	s.sandbox.Inject(calcomtest.Fault{Op: calcomtest.OpUpdate, Cut: true, After: true})
	s.reconcile(mu)
	s.restart()
	s.edit(mu, func(spec *v1alpha1.ManagedUserSpec) { spec.Email = "alicia@example.com" })
	s.reconcile(mu)
	s.wantReady(mu, "Updated")
	if users := s.sandbox.Users(s.clientID()); len(users) != 1 || users[0].ID != user.ID {
		t.Errorf("Cal.com has %+v", users)
	}
}

// The row that has the address of a call of unknown outcome may be that call's own, before the server writes the mark.
func TestConflictWithAUserInTheMaking(t *testing.T) {
	s := newStory(t)
	s.sandbox.Inject(calcomtest.Fault{Op: calcomtest.OpCreate, Cut: true, After: true})
	mu := s.create()
	user, _ := s.sandbox.UserByEmail(s.clientID(), "alice@example.com")
	s.sandbox.UpdateUser(s.clientID(), user.ID, func(u *calcomtest.User) { u.Metadata = nil })
	s.reconcile(mu)
	s.wantMessage(mu, "outcome of the create call is unknown")
	s.sandbox.UpdateUser(s.clientID(), user.ID, func(u *calcomtest.User) { u.Metadata = user.Metadata })
	s.reconcile(mu)
	s.wantReady(mu, "InSync")
}

// The server's database was reset, and somebody else has the id now.
func TestReusedID(t *testing.T) {
	s := newStory(t)
	mu := s.create()
	s.sandbox.UpdateUser(s.clientID(), mu.Status.User.ID, func(u *calcomtest.User) {
		u.Metadata, u.Name, u.CreatedDate = nil, new("Other"), u.CreatedDate.Add(time.Hour)
	})
	before, _ := s.sandbox.User(s.clientID(), mu.Status.User.ID)
	s.due(mu)
	s.wantConditions(mu, "Ready=False/AlreadyExists", "Synced=False/AlreadyExists", "CredentialsReady=True/Verified", "Stalled=True/AlreadyExists")
	s.delete(mu)
	if now, _ := s.sandbox.User(s.clientID(), before.ID); !cmp.Equal(before, now) {
		t.Errorf("a foreign user was changed:\n%s", cmp.Diff(before, now))
	}
}
