// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

func TestForeignSecretIsLeftAlone(t *testing.T) {
	s := newStory(t)
	foreign := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: tokensName}, StringData: map[string]string{"theirs": "1"}}
	s.must(s.client.Create(t.Context(), foreign))
	mu := s.create(withTokens)
	s.wantConditions(mu, "Ready=False/SecretConflict", "Synced=True/Created", "CredentialsReady=True/Verified", "TokensReady=False/SecretConflict", "Stalled=True/SecretConflict")
	if after := s.published(tokensName); after.ResourceVersion != foreign.ResourceVersion {
		t.Error("somebody else's Secret was touched")
	}
	s.must(s.client.Delete(t.Context(), foreign))
	s.forgetHistory()
	s.reconcile(mu)
	s.wantCalls(calcomtest.OpGet) // The tokens of the create call are kept for the moment when there is a place for them.
	s.wantFresh(mu, "Created")
	s.wantValid()
}

// reconcileSecrets calls the reconciler that clears away Secrets.
func (s *story) reconcileSecrets(names ...string) {
	s.Helper()
	c := newClient(s.T)
	for _, name := range names {
		r, err := New(c, c, s.events, s.config)
		s.must(err)
		_, err = r.Secrets().Reconcile(s.Context(), ctrl.Request{NamespacedName: client.ObjectKey{Namespace: s.namespace, Name: name}})
		s.must(err)
	}
}

func TestTokensMoveAndGo(t *testing.T) {
	s := newStory(t)
	mu := s.create(withTokens)
	before := s.published(tokensName)
	s.edit(mu, func(spec *v1alpha1.ManagedUserSpec) { spec.Tokens.SecretName = "elsewhere" })
	s.reconcileSecrets(tokensName)
	s.published(tokensName) // Until the new one is there.
	s.forgetHistory()
	s.reconcile(mu)
	s.wantCalls(calcomtest.OpGet)
	s.reconcileSecrets(tokensName, "elsewhere")
	s.wantNoSecret(tokensName)
	if d := cmp.Diff(before.Data, s.published("elsewhere").Data); d != "" {
		t.Errorf("the Secret changed on the way (-before +after):\n%s", d)
	}
	s.wantFresh(mu, "InSync")

	s.edit(mu, func(spec *v1alpha1.ManagedUserSpec) { spec.Tokens = nil })
	s.reconcile(mu)
	s.wantReady(mu, "InSync")
	if mu.Status.Tokens != nil {
		t.Error("the status still tells of tokens")
	}
	s.reconcileSecrets("elsewhere")
	s.wantNoSecret("elsewhere")
}

// A Secret that was written just before the operator crashed is found, although the status does not know of it.
func TestStraySecretIsDeleted(t *testing.T) {
	s := newStory(t)
	s.writes.fail = func(write string) error {
		if write == "patch status" {
			return apierrors.NewInternalError(errAgain)
		}
		return nil
	}
	mu := s.create(withTokens)
	s.published(tokensName)
	s.writes.fail = nil
	s.edit(mu, func(spec *v1alpha1.ManagedUserSpec) { spec.Tokens = nil })
	s.restart()
	s.reconcile(mu)
	s.reconcileSecrets(tokensName)
	s.wantNoSecret(tokensName)
}
