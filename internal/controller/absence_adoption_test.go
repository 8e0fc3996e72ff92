// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"testing"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

// An object whose own user seems to be gone adopts another one with its address only within the limit: a wrong tenant
// can have such users too, and the object would lose its own.
func TestAdoptionInPlaceOfAnAbsentUserIsHeld(t *testing.T) {
	s := newAbsenceStory(t, 6, 3)
	for _, mu := range s.users {
		s.edit(mu, func(spec *v1alpha1.ManagedUserSpec) { spec.AdoptionPolicy = v1alpha1.AdoptionPolicyByEmail })
		s.reconcile(mu)
	}
	s.wipe(0, 6)
	for _, mu := range s.users {
		s.sandbox.AddUser(s.clientID(), calcomtest.User{Email: mu.Spec.Email, Name: new("Somebody")})
	}
	s.find(s.users)
	for _, mu := range s.users[:3] {
		s.wantReady(mu, "Adopted")
	}
	s.wantHeld(s.users[3:]...)
}
