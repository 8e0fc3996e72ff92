// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"testing"
	"time"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
	"github.com/calcom-operator/calcom-operator/internal/manageduser"
)

// recordCreate leaves an object as it is when its user was taken for gone and a create call was recorded at some
// moment.
func (s *story) recordCreate(mu *v1alpha1.ManagedUser, at time.Time) {
	s.Helper()
	i := manageduser.Intent{
		Time: at.UTC().Truncate(time.Second), Email: calcom.Hide(mu.Spec.Email), Client: s.clientID(), APIURL: mu.Status.APIURL,
		UID: mu.UID, Replaces: mu.Status.User.ID, ReplacesDate: mu.Status.User.CreatedDate,
	}
	delete(mu.Annotations, v1alpha1.AdoptedAnnotation)
	manageduser.SetAnnotation(mu, v1alpha1.CreateIntentAnnotation, i.Encode())
	s.must(s.client.Update(s.Context(), mu))
}

// A user that was taken for gone, and for which a create call was recorded, is there after all. Once the call can have
// no further effect, its record gives way to one of how the object came to own the user; else the object of an adopted
// user would count as one that created it, and the sweep would have it reconciled in each interval.
func TestReturnedUserSettlesTheIntent(t *testing.T) {
	for name, origin := range map[string]v1alpha1.Origin{"created": v1alpha1.OriginCreated, "adopted": v1alpha1.OriginAdopted} {
		t.Run(name, func(t *testing.T) {
			s := newStory(t)
			if origin == v1alpha1.OriginAdopted {
				s.existing("")
			}
			mu := s.create(func(spec *v1alpha1.ManagedUserSpec) { spec.AdoptionPolicy = v1alpha1.AdoptionPolicyByEmail })
			if mu.Status.Origin != origin {
				t.Fatalf("the origin is %q", mu.Status.Origin)
			}
			s.advance(time.Hour)
			s.recordCreate(mu, s.clock.Now())
			s.request(mu, "at once")
			s.reconcile(mu)
			if !manageduser.HasOpenIntent(mu) {
				t.Error("the record was settled while its call may still have an effect")
			}
			s.due(mu)
			if manageduser.HasOpenIntent(mu) || manageduser.OriginOf(mu) != origin {
				t.Errorf("the origin is %q, and the annotations are %v", manageduser.OriginOf(mu), mu.Annotations)
			}
			if s.differsFromMirror(mu) {
				t.Error("the sweep still has the object reconciled")
			}
			s.writes.take()
			s.due(mu)
			s.wantWrites()
		})
	}
}

// With another address, the recorded call may have made a second user, to which nothing but the record leads.
func TestReturnedUserKeepsTheIntentOfAnotherAddress(t *testing.T) {
	s := newStory(t)
	mu := s.create()
	s.edit(mu, func(spec *v1alpha1.ManagedUserSpec) { spec.Email = "carol@example.com" })
	s.recordCreate(mu, s.clock.Now())
	s.edit(mu, func(spec *v1alpha1.ManagedUserSpec) { spec.Email = "alice@example.com" })
	s.due(mu)
	if !manageduser.HasOpenIntent(mu) {
		t.Error("the record of a call for another address was dropped")
	}
}
