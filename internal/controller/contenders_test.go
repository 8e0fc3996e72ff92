// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"bytes"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

// The second object of an address, or of a username, does not wait for a drift check when the first one makes room.
func TestNextInLine(t *testing.T) {
	remove := func(s *story, first *v1alpha1.ManagedUser) { s.must(s.client.Delete(s.Context(), first)) }
	for name, tc := range map[string]struct {
		second   func(*v1alpha1.ManagedUserSpec)
		conflict string
		free     func(*story, *v1alpha1.ManagedUser)
	}{
		"Deleted": {noChange, v1alpha1.ReasonOwnedElsewhere, remove},
		"Orphaned": {byEmail, v1alpha1.ReasonOwnedElsewhere, func(s *story, first *v1alpha1.ManagedUser) {
			s.edit(first, func(spec *v1alpha1.ManagedUserSpec) { spec.DeletionPolicy = v1alpha1.DeletionPolicyOrphan })
			remove(s, first)
		}},
		"Renamed": {noChange, v1alpha1.ReasonOwnedElsewhere, func(s *story, first *v1alpha1.ManagedUser) {
			s.edit(first, func(spec *v1alpha1.ManagedUserSpec) { spec.Email = "alicia@example.com" })
		}},
		"Username": {func(spec *v1alpha1.ManagedUserSpec) { spec.Email = "a_lice@example.co.nz" }, v1alpha1.ReasonUsernameConflict, remove},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStory(t)
			stop := s.startManager()
			defer stop()
			first := s.user()
			if name == "Username" {
				first.Spec.Email = "a-lice@example.co.uk"
			}
			s.must(s.client.Create(t.Context(), first))
			s.eventuallyReady(first)
			second := s.user(tc.second)
			second.Name = "second"
			s.must(s.client.Create(t.Context(), second))
			s.eventuallyReason(second, tc.conflict)
			tc.free(s, first)
			s.eventuallyReady(second) // The drift checks are ten minutes apart.
		})
	}
}

// An update that Cal.com refused for a username is sent again when the username comes free.
func TestNextInLineForAnUpdate(t *testing.T) {
	s := newStory(t)
	stop := s.startManager()
	defer stop()
	first, second := s.user(), s.user(func(spec *v1alpha1.ManagedUserSpec) { spec.Email = "bob@example.com" })
	second.Name = "bob"
	for _, mu := range []*v1alpha1.ManagedUser{first, second} {
		s.must(s.client.Create(t.Context(), mu))
		s.eventuallyReady(mu)
	}
	s.edit(second, func(spec *v1alpha1.ManagedUserSpec) { spec.Email = first.Spec.Email })
	s.eventuallyReason(second, v1alpha1.ReasonAlreadyExists)
	s.must(s.client.Delete(t.Context(), first))
	s.eventuallyReady(second)
}

// Two objects that exchange the names of their Secrets with tokens get them, and no token ends.
func TestExchangedTokensSecrets(t *testing.T) {
	s := newStory(t)
	stop := s.startManager()
	defer stop()
	alice, bob := s.user(tokensIn("a")), s.user(tokensIn("b"))
	bob.Name, bob.Spec.Email = "bob", "bob@example.com"
	for _, mu := range []*v1alpha1.ManagedUser{alice, bob} {
		s.must(s.client.Create(t.Context(), mu))
		s.eventuallyReady(mu)
	}
	before := s.published("a").Data[v1alpha1.TokensKeyRefreshToken]
	s.edit(alice, tokensIn("b"))
	s.edit(bob, tokensIn("a"))
	for _, mu := range []*v1alpha1.ManagedUser{alice, bob} {
		s.eventually(mu, "the tokens", func(bool) bool {
			status := mu.Status.Tokens
			return status != nil && status.SecretName == mu.Spec.Tokens.SecretName &&
				meta.IsStatusConditionTrue(mu.Status.Conditions, v1alpha1.ConditionTokensReady)
		})
	}
	if after := s.published("b").Data[v1alpha1.TokensKeyRefreshToken]; !bytes.Equal(before, after) {
		t.Error("alice has other tokens")
	}
	if n := s.sandbox.Count(calcomtest.OpForceRefresh); n != 0 {
		t.Errorf("tokens were ended %d times", n)
	}
}

func tokensIn(secret string) func(*v1alpha1.ManagedUserSpec) {
	return func(spec *v1alpha1.ManagedUserSpec) { spec.Tokens = &v1alpha1.TokensSpec{SecretName: secret} }
}
