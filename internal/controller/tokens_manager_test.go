// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

// Under a manager, with its cache and watches: a Secret that is deleted or edited is put right without a call, one that
// is in the way is waited for, and one that is not wanted any more goes.
func TestTokensUnderAManager(t *testing.T) {
	s := newStory(t)
	s.config.ProtectSecrets = true
	defer s.startManager()()
	mu := s.user(withTokens)
	s.must(s.client.Create(t.Context(), mu))
	s.eventuallyReady(mu)
	before := s.published(tokensName)
	s.sandbox.ResetCalls()

	s.must(s.client.Delete(t.Context(), before))
	s.eventually(mu, "the Secret to be back", func(bool) bool {
		secret := &corev1.Secret{}
		err := s.client.Get(t.Context(), client.ObjectKeyFromObject(before), secret)
		return err == nil && secret.UID != before.UID && cmp.Equal(secret.Data, before.Data)
	})
	edited := s.published(tokensName)
	edited.Data["refreshToken"] = []byte("edited by hand")
	s.must(s.client.Update(t.Context(), edited))
	s.eventually(mu, "the edit to be undone", func(bool) bool {
		return bytes.Equal(s.published(tokensName).Data["refreshToken"], before.Data["refreshToken"])
	})
	s.wantCalls()

	// Nothing more comes of the operator's own writes.
	settled := s.published(tokensName)
	bob := s.user()
	bob.Name, bob.Spec.Email = "bob", "bob@example.com"
	bob.Spec.Tokens = &v1alpha1.TokensSpec{SecretName: "taken"}
	taken := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "taken"}}
	s.must(s.client.Create(t.Context(), taken))
	s.must(s.client.Create(t.Context(), bob))
	s.eventuallyReason(bob, v1alpha1.ReasonSecretConflict)
	s.must(s.client.Delete(t.Context(), taken))
	s.eventuallyReady(bob)
	s.wantCalls(calcomtest.OpCreate, calcomtest.OpGet)
	if after := s.published(tokensName); after.ResourceVersion != settled.ResourceVersion {
		t.Error("a Secret that was right was written again")
	}

	s.edit(mu, func(spec *v1alpha1.ManagedUserSpec) { spec.Tokens.SecretName = "moved" })
	s.eventually(mu, "the Secret to move", func(bool) bool { return s.isGone(tokensName) && mu.Status.Tokens.SecretName == "moved" })
	s.edit(mu, func(spec *v1alpha1.ManagedUserSpec) { spec.Tokens = nil })
	s.eventually(mu, "the Secret to go", func(bool) bool { return s.isGone("moved") && mu.Status.Tokens == nil })
	s.eventuallyReady(mu)
}

func (s *story) isGone(name string) bool {
	s.Helper()
	err := s.client.Get(s.Context(), client.ObjectKey{Namespace: s.namespace, Name: name}, &corev1.Secret{})
	return apierrors.IsNotFound(err)
}
