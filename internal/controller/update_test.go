// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"encoding/json"
	"net/http"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

// full sets every field that is written to Cal.com.
func full(spec *v1alpha1.ManagedUserSpec) {
	spec.TimeZone = "Europe/Rome"
	spec.WeekStart = "Monday"
	spec.TimeFormat = 24
	spec.Locale = "it"
	spec.Bio = new("A bio")
	spec.AvatarURL = "https://example.com/alice.png"
	spec.Metadata = map[string]string{"plan": "gold"}
}

// Each field: a change of the spec sends that field and no other; a drift is set back, or left when createOnly names
// the field; and taking the field out of the spec leaves it as it is.
func TestEachField(t *testing.T) {
	fields := map[string]struct {
		edit   func(*v1alpha1.ManagedUserSpec)
		sent   string // The body of the update, with %MARK% for the mark.
		drift  func(*calcomtest.User)
		intact func(calcomtest.User) bool // Whether the drift is still there.
		remove func(*v1alpha1.ManagedUserSpec)
	}{
		"name": {
			edit:   func(spec *v1alpha1.ManagedUserSpec) { spec.Name = "Alicia" },
			sent:   `{"name":"Alicia"}`,
			drift:  func(u *calcomtest.User) { u.Name = nil },
			intact: func(u calcomtest.User) bool { return u.Name == nil },
		},
		"timeZone": {
			edit:   func(spec *v1alpha1.ManagedUserSpec) { spec.TimeZone = "America/Port-au-Prince" },
			sent:   `{"timeZone":"America/Port-au-Prince"}`,
			drift:  func(u *calcomtest.User) { u.TimeZone = "Asia/Tokyo" },
			intact: func(u calcomtest.User) bool { return u.TimeZone == "Asia/Tokyo" },
			remove: func(spec *v1alpha1.ManagedUserSpec) { spec.TimeZone = "" },
		},
		"weekStart": {
			edit:   func(spec *v1alpha1.ManagedUserSpec) { spec.WeekStart = "Sunday" },
			sent:   `{"weekStart":"Sunday"}`,
			drift:  func(u *calcomtest.User) { u.WeekStart = "Caturday" },
			intact: func(u calcomtest.User) bool { return u.WeekStart == "Caturday" },
			remove: func(spec *v1alpha1.ManagedUserSpec) { spec.WeekStart = "" },
		},
		"timeFormat": {
			edit:   func(spec *v1alpha1.ManagedUserSpec) { spec.TimeFormat = 12 },
			sent:   `{"timeFormat":12}`,
			drift:  func(u *calcomtest.User) { u.TimeFormat = nil },
			intact: func(u calcomtest.User) bool { return u.TimeFormat == nil },
			remove: func(spec *v1alpha1.ManagedUserSpec) { spec.TimeFormat = 0 },
		},
		"locale": {
			edit:   func(spec *v1alpha1.ManagedUserSpec) { spec.Locale = "pt-BR" },
			sent:   `{"locale":"pt-BR"}`,
			drift:  func(u *calcomtest.User) { u.Locale = new("fr") },
			intact: func(u calcomtest.User) bool { return u.Locale != nil && *u.Locale == "fr" },
			remove: func(spec *v1alpha1.ManagedUserSpec) { spec.Locale = "" },
		},
		"bio": {
			edit:   func(spec *v1alpha1.ManagedUserSpec) { spec.Bio = new("") },
			sent:   `{"bio":""}`,
			drift:  func(u *calcomtest.User) { u.Bio = new("other") },
			intact: func(u calcomtest.User) bool { return u.Bio != nil && *u.Bio == "other" },
			remove: func(spec *v1alpha1.ManagedUserSpec) { spec.Bio = nil },
		},
		"avatarURL": {
			edit:   func(spec *v1alpha1.ManagedUserSpec) { spec.AvatarURL = "https://example.com/b.png" },
			sent:   `{"avatarUrl":"https://example.com/b.png"}`,
			drift:  func(u *calcomtest.User) { u.AvatarURL = new("/api/avatar/x.png") },
			intact: func(u calcomtest.User) bool { return u.AvatarURL != nil && *u.AvatarURL == "/api/avatar/x.png" },
			remove: func(spec *v1alpha1.ManagedUserSpec) { spec.AvatarURL = "" },
		},
		"metadata": {
			edit:   func(spec *v1alpha1.ManagedUserSpec) { spec.Metadata["plan"] = "silver" },
			sent:   `{"metadata":{"plan":"silver","kubernetesOwner":"%MARK%"}}`,
			drift:  func(u *calcomtest.User) { u.Metadata["plan"] = float64(7) },
			intact: func(u calcomtest.User) bool { return u.Metadata["plan"] == float64(7) },
			remove: func(spec *v1alpha1.ManagedUserSpec) { spec.Metadata = nil },
		},
	}
	for field, tc := range fields {
		t.Run(field, func(t *testing.T) {
			s := newStory(t)
			mu := s.create(full)
			s.wantReady(mu, "Created")
			s.sandbox.ResetCalls()
			s.events.take()
			s.writes.take()

			s.edit(mu, tc.edit)
			s.reconcile(mu)
			s.wantReady(mu, "Updated")
			s.wantBody(mu, tc.sent)
			s.wantEvents("Updated")
			s.wantWrites("patch status")
			s.wantCalls(calcomtest.OpGet, calcomtest.OpUpdate)

			s.sandbox.UpdateUser(s.clientID(), mu.Status.User.ID, tc.drift)
			s.due(mu)
			s.wantReady(mu, "DriftCorrected")
			s.wantBody(mu, tc.sent)
			s.wantEvents("DriftCorrected")
			s.wantCalls(calcomtest.OpGet, calcomtest.OpUpdate)

			s.edit(mu, func(spec *v1alpha1.ManagedUserSpec) {
				spec.CreateOnly = []v1alpha1.SpecField{v1alpha1.SpecField(field)}
			})
			s.sandbox.UpdateUser(s.clientID(), mu.Status.User.ID, tc.drift)
			s.reconcile(mu)
			s.wantReady(mu, "InSync")
			s.wantIntact(mu, tc.intact)

			if tc.remove == nil {
				return
			}
			s.edit(mu, func(spec *v1alpha1.ManagedUserSpec) {
				tc.remove(spec)
				spec.CreateOnly = nil
			})
			s.reconcile(mu)
			s.wantReady(mu, "InSync")
			s.wantIntact(mu, tc.intact)
			if n := s.sandbox.Count(calcomtest.OpUpdate); n != 0 {
				t.Errorf("%d updates for a field that is not managed", n)
			}
		})
	}
}

// wantBody compares the body of the last update.
func (s *story) wantBody(mu *v1alpha1.ManagedUser, want string) {
	s.Helper()
	calls := s.sandbox.CallsOf(calcomtest.OpUpdate)
	if len(calls) != 1 {
		s.Fatalf("%d updates, want 1", len(calls))
	}
	var have, expected map[string]any
	s.must(json.Unmarshal(calls[0].Body, &have))
	s.must(json.Unmarshal([]byte(want), &expected))
	if metadata, ok := expected["metadata"].(map[string]any); ok {
		metadata["kubernetesOwner"] = s.reconciler.markOf(mu).String()
	}
	if d := cmp.Diff(expected, have); d != "" {
		s.Errorf("body of the update (-want +got):\n%s", d)
	}
}

func (s *story) wantIntact(mu *v1alpha1.ManagedUser, intact func(calcomtest.User) bool) {
	s.Helper()
	user, ok := s.sandbox.User(s.clientID(), mu.Status.User.ID)
	if !ok || !intact(user) {
		s.Errorf("a field that is not managed was changed: %+v", user)
	}
}

func TestChangeOfTheEmail(t *testing.T) {
	s := newStory(t)
	mu := s.create()
	id := mu.Status.User.ID
	s.sandbox.AddUser(s.clientID(), calcomtest.User{Email: "taken@example.com"})
	s.sandbox.ResetCalls()
	s.edit(mu, func(spec *v1alpha1.ManagedUserSpec) { spec.Email = "alicia@example.com" })
	s.reconcile(mu)
	s.wantReady(mu, "Updated")
	s.wantBody(mu, `{"email":"alicia@example.com"}`)
	if mu.Status.User.ID != id || *mu.Status.User.Username != "alicia-"+s.clientID()+"-example-com" {
		t.Errorf("status.user is %+v, want the same user renamed", mu.Status.User)
	}

	s.edit(mu, func(spec *v1alpha1.ManagedUserSpec) { spec.Email = "taken@example.com" })
	s.reconcile(mu)
	s.wantConditions(mu, "Ready=False/AlreadyExists", "Synced=False/AlreadyExists", "CredentialsReady=True/Verified", "Stalled=True/AlreadyExists")
	if mu.Status.User.ID != id {
		t.Errorf("status.user.id is %d, want %d", mu.Status.User.ID, id)
	}
	s.edit(mu, func(spec *v1alpha1.ManagedUserSpec) { spec.Email = "alicia@example.com" })
	s.reconcile(mu)
	s.wantReady(mu, "InSync")
}

// A Ready user stays Ready while Cal.com gives no usable answer, and a change of the spec that waits is told of.
func TestTransientFailuresLeaveAReadyUserReady(t *testing.T) {
	faults := map[string]struct {
		fault  calcomtest.Fault
		reason string
	}{
		"CutConnection":   {calcomtest.Fault{Cut: true}, "RemoteUnavailable"},
		"ServerError":     {calcomtest.Fault{Status: 500}, "RemoteUnavailable"},
		"ShortError":      {calcomtest.Fault{Status: 500, Body: `{"statusCode":500,"message":"Internal server error"}`}, "RemoteUnavailable"},
		"HTML":            {calcomtest.Fault{Status: 200, Body: "<html>", ContentType: "text/html"}, "RemoteUnavailable"},
		"TooEarly":        {calcomtest.Fault{Status: 425}, "RemoteUnavailable"},
		"TooManyRequests": {calcomtest.Fault{Status: 429}, "RateLimited"},
	}
	for name, tc := range faults {
		t.Run(name, func(t *testing.T) {
			s := newStory(t)
			mu := s.create()
			tc.fault.Times = -1
			s.sandbox.Inject(tc.fault)
			s.due(mu)
			s.wantConditions(mu, "Ready=True/Available", "Synced=False/"+tc.reason, "CredentialsReady=True/Verified")
			s.edit(mu, func(spec *v1alpha1.ManagedUserSpec) { spec.Name = "Alicia" })
			s.advance(2 * resync)
			s.reconcile(mu)
			s.wantConditions(mu, "Ready=True/Available", "Synced=False/"+tc.reason, "CredentialsReady=True/Verified")
			s.wantMessage(mu, "The last change of the spec is not in Cal.com yet")
			if mu.Status.ObservedGeneration == mu.Generation {
				t.Error("observedGeneration moved although the spec is not in Cal.com")
			}
			s.wantEvents("Created", tc.reason)
			s.sandbox.ClearFaults()
			s.advance(2 * resync)
			s.reconcile(mu)
			s.wantReady(mu, "Updated")
		})
	}
}

// One 404 proves nothing; a 404 and an empty list do, and the user is created anew, once.
func TestDeletedByHand(t *testing.T) {
	s := newStory(t)
	mu := s.create()
	old := mu.Status.User.ID
	s.sandbox.Inject(calcomtest.Fault{Op: calcomtest.OpGet, Status: 404})
	s.due(mu)
	s.wantReady(mu, "Created")
	if mu.Status.User.ID != old {
		t.Fatal("a single 404 was believed")
	}
	s.sandbox.Inject(calcomtest.Fault{Op: calcomtest.OpGet, Status: 404}, calcomtest.Fault{Op: calcomtest.OpList, Status: 401})
	s.due(mu)
	s.wantConditions(mu, "Ready=False/Unauthorized", "Synced=True/Created", "CredentialsReady=False/Unauthorized", "Stalled=True/Unauthorized")
	s.due(mu)
	s.wantReady(mu, "Created")

	s.sandbox.RemoveUser(s.clientID(), old)
	s.sandbox.ResetCalls()
	s.due(mu)
	s.wantReady(mu, "Created")
	s.wantCalls(calcomtest.OpGet, calcomtest.OpList, calcomtest.OpGet, calcomtest.OpCreate)
	if mu.Status.User.ID == old {
		t.Error("status.user.id is still the old one")
	}
	s.due(mu)
	s.wantCalls(calcomtest.OpGet)
}

// The answer to the second creation is lost: the old id in status does not count as the new user's.
func TestDeletedByHandAndTheSecondAnswerLost(t *testing.T) {
	s := newStory(t)
	mu := s.create()
	s.sandbox.RemoveUser(s.clientID(), mu.Status.User.ID)
	s.sandbox.Inject(calcomtest.Fault{Op: calcomtest.OpCreate, Cut: true, After: true, EffectDelay: resync / 10})
	s.due(mu)
	s.advance(resync / 20)
	s.restart()
	s.request(mu, "now")
	s.reconcile(mu)
	if n := s.sandbox.Count(calcomtest.OpCreate); n != 2 {
		t.Fatalf("%d create calls, want 2", n)
	}
	s.advance(resync / 10)
	s.reconcile(mu)
	s.wantReady(mu, "InSync")
	if n := len(s.sandbox.Users(s.clientID())); n != 1 {
		t.Errorf("Cal.com has %d users, want 1", n)
	}
}

func TestForeignMetadata(t *testing.T) {
	s := newStory(t)
	mu := s.create(full)
	id := mu.Status.User.ID
	s.sandbox.UpdateUser(s.clientID(), id, func(u *calcomtest.User) { u.Metadata["seats"] = float64(3) })
	s.due(mu)
	s.wantReady(mu, "Created") // A key of somebody else's is no drift.
	s.sandbox.ResetCalls()
	s.edit(mu, func(spec *v1alpha1.ManagedUserSpec) { spec.Metadata["plan"] = "silver" })
	s.reconcile(mu)
	s.wantReady(mu, "Updated")
	s.wantBody(mu, `{"metadata":{"plan":"silver","seats":3,"kubernetesOwner":"%MARK%"}}`)

	// A nested value could not be sent back, so the metadata is not sent at all, and the rest is.
	nested := map[string]any{"appSlug": "zoom"}
	s.sandbox.UpdateUser(s.clientID(), id, func(u *calcomtest.User) { u.Metadata["defaultConferencingApp"] = nested })
	s.sandbox.ResetCalls()
	s.edit(mu, func(spec *v1alpha1.ManagedUserSpec) {
		spec.Metadata["plan"] = "bronze"
		spec.Name = "Alicia"
	})
	s.reconcile(mu)
	s.wantConditions(mu, "Ready=False/MetadataBlocked", "Synced=False/MetadataBlocked", "CredentialsReady=True/Verified", "Stalled=True/MetadataBlocked")
	s.wantMessage(mu, "defaultConferencingApp")
	s.wantBody(mu, `{"name":"Alicia"}`)
	user, _ := s.sandbox.User(s.clientID(), id)
	if d := cmp.Diff(nested, user.Metadata["defaultConferencingApp"]); d != "" {
		t.Errorf("the nested value was lost:\n%s", d)
	}
}

// A mark that somebody took off is put back: the id in status is identity enough.
func TestLostMarkIsRestored(t *testing.T) {
	s := newStory(t)
	mu := s.create()
	s.sandbox.UpdateUser(s.clientID(), mu.Status.User.ID, func(u *calcomtest.User) { u.Metadata = nil })
	s.due(mu)
	s.wantReady(mu, "DriftCorrected")
	user, _ := s.sandbox.User(s.clientID(), mu.Status.User.ID)
	if user.Metadata["kubernetesOwner"] != s.reconciler.markOf(mu).String() {
		t.Errorf("metadata is %v", user.Metadata)
	}
}

// A server that takes a value and keeps another would be patched for ever.
func TestUpdateThatDoesNotStick(t *testing.T) {
	s := newStory(t)
	mu := s.create()
	s.sandbox.Inject(calcomtest.Fault{Op: calcomtest.OpUpdate, Times: -1, Status: 200, Body: `{"status":"success","data":{"id":1,"email":"alice+` +
		s.clientID() + `@example.com","name":"Alice","timeZone":"UTC","weekStart":"Sunday","metadata":{"kubernetesOwner":"` + s.reconciler.markOf(mu).String() + `"}}}`})
	s.edit(mu, func(spec *v1alpha1.ManagedUserSpec) { spec.Name = "Alicia" })
	result, err := s.reconcile(mu).unpack()
	if err != nil || result.RequeueAfter < resync {
		t.Errorf("reconcile ends with %v, %v; want a slow poll", result, err)
	}
	s.wantConditions(mu, "Ready=False/UnexpectedResponse", "Synced=False/UnexpectedResponse", "CredentialsReady=True/Verified", "Stalled=True/UnexpectedResponse")
	s.wantMessage(mu, "name", "createOnly")
}

func TestRequestedReconcile(t *testing.T) {
	s := newStory(t)
	mu := s.create()
	s.sandbox.ResetCalls()
	s.request(mu, "2026-11-23T12:00:00Z")
	s.reconcile(mu)
	s.wantCalls(calcomtest.OpGet)
	if got, want := mu.Status.LastHandledReconcileAt, "2026-11-23T12:00:00Z"; got != want {
		t.Errorf("lastHandledReconcileAt is %q, want %q", got, want)
	}
	s.reconcile(mu)
	s.wantCalls()
}

// A restart asks nobody and writes nothing, and leaves the drift check to the sweep.
func TestRestart(t *testing.T) {
	s := newStory(t)
	mu := s.create()
	s.sandbox.ResetCalls()
	s.writes.take()
	s.restart()
	for range 2 {
		if result, err := s.reconcile(mu).unpack(); err != nil || result.RequeueAfter != 0 {
			t.Errorf("reconcile ends with %v, %v; want nothing more to do", result, err)
		}
		s.wantCalls()
		s.wantWrites()
		s.advance(2 * resync)
	}
}

// A changed Secret is tried at once, by one user for all that share it.
func TestRotatedSecret(t *testing.T) {
	s := newStory(t)
	alice := s.create()
	bob := s.user()
	bob.Name, bob.Spec.Email = "bob", "bob@example.com"
	s.must(s.client.Create(t.Context(), bob))
	s.reconcile(bob)
	s.sandbox.ResetCalls()
	s.setSecret("new-secret")
	s.sandbox.SetSecret(s.clientID(), "new-secret")
	s.reconcile(alice)
	s.reconcile(bob)
	s.wantCalls(calcomtest.OpGet)
	s.setSecret("mistyped")
	s.reconcile(alice)
	s.reconcile(bob)
	s.wantCalls(calcomtest.OpGet)
	for _, mu := range []*v1alpha1.ManagedUser{alice, bob} {
		s.wantConditions(mu, "Ready=False/Unauthorized", "Synced=True/Created", "CredentialsReady=False/Unauthorized", "Stalled=True/Unauthorized")
	}
}

func TestSuspend(t *testing.T) {
	s := newStory(t)
	mu := s.create()
	s.sandbox.ResetCalls()
	s.edit(mu, func(spec *v1alpha1.ManagedUserSpec) {
		spec.ReconcilePolicy = v1alpha1.ReconcilePolicySuspend
		spec.Name = "Alicia"
	})
	s.due(mu)
	s.wantConditions(mu, "Ready=False/Suspended", "Synced=True/Created", "CredentialsReady=True/Verified")
	s.wantCalls()
	if result, err := s.delete(mu).unpack(); err != nil || result.RequeueAfter != 0 {
		t.Errorf("reconcile ends with %v, %v", result, err)
	}
	s.wantConditions(mu, "Ready=False/Suspended", "Synced=True/Created", "CredentialsReady=True/Verified")
	s.wantMessage(mu, "deletion waits")
	s.wantCalls()
	s.edit(mu, func(spec *v1alpha1.ManagedUserSpec) { spec.ReconcilePolicy = "" })
	s.reconcile(mu)
	s.wantGone(mu)
	s.wantCalls(calcomtest.OpGet, calcomtest.OpDelete)
}

// A user that gets another's mark while it is being updated is another's from then on: the answer shows it.
func TestUserThatBecomesAnothersDuringAnUpdate(t *testing.T) {
	s := newStory(t)
	mu := s.create(withTokens)
	s.edit(mu, func(spec *v1alpha1.ManagedUserSpec) { spec.Name = "Alicia" })
	s.config.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
		if r.Method == http.MethodPatch {
			s.sandbox.UpdateUser(s.clientID(), mu.Status.User.ID, func(u *calcomtest.User) { u.Metadata["kubernetesOwner"] = "elsewhere/ns/name/uid" })
		}
		return http.DefaultTransport.RoundTrip(r)
	})
	s.restart()
	s.must(s.client.Delete(t.Context(), s.published(tokensName))) // All that the operator could do for it would end all tokens.
	s.sandbox.ResetCalls()
	s.reconcile(mu)
	s.wantCalls(calcomtest.OpGet, calcomtest.OpUpdate)
	s.wantMessage(mu, "carries the mark of another cluster")
	if !slices.Contains(conditions(mu), "Ready=False/OwnedElsewhere") {
		t.Errorf("conditions:\n%s", show(mu))
	}
}
