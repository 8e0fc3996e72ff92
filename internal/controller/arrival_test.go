// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/outcome"
	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

// A Secret or an OAuth client that is missing may be applied a moment later: the object is Reconciling. After two
// minutes it is Stalled, also across restarts, and goes on at once when what is missing is applied.
func TestMissingCredentialsStallAfterTwoMinutes(t *testing.T) {
	for name, test := range map[string]struct {
		reason string
		lacks  func(*story) *v1alpha1.ManagedUser
		apply  func(*story)
	}{
		"no Secret": {
			reason: v1alpha1.ReasonSecretNotFound,
			lacks:  func(s *story) *v1alpha1.ManagedUser { s.deleteSecret(); return s.user() },
			apply:  func(s *story) { s.createSecret(calcomtest.DefaultClient().Secret) },
		},
		"no key in the Secret": {
			reason: v1alpha1.ReasonKeyNotFound,
			lacks:  func(s *story) *v1alpha1.ManagedUser { s.setSecret(""); return s.user() },
			apply:  func(s *story) { s.setSecret(calcomtest.DefaultClient().Secret) },
		},
		"no OAuthClient": {
			reason: v1alpha1.ReasonClientNotFound,
			lacks:  func(s *story) *v1alpha1.ManagedUser { return s.user(byRef("", "acme")) },
			apply:  func(s *story) { s.acme() },
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStory(t)
			mu := test.lacks(s)
			s.must(s.client.Create(t.Context(), mu))
			wantBecause := func(why string) {
				t.Helper()
				s.wantConditions(mu, "Ready=False/"+test.reason, "CredentialsReady=False/"+test.reason, "Synced=Unknown/Progressing", why)
			}
			again := s.reconcile(mu).result.RequeueAfter
			wantBecause("Reconciling=True/Progressing")
			if again > outcome.ArrivalGrace || again < outcome.ArrivalGrace-time.Second {
				t.Errorf("reconciled again after %v, want %v", again, outcome.ArrivalGrace)
			}
			s.advance(outcome.ArrivalGrace - 2*time.Second)
			s.restart()
			if again := s.reconcile(mu).result.RequeueAfter; again > 3*time.Second {
				t.Errorf("reconciled again after %v", again)
			}
			wantBecause("Reconciling=True/Progressing")
			s.advance(2 * time.Second)
			if again := s.reconcile(mu).result.RequeueAfter; again < resync {
				t.Errorf("once it is Stalled, reconciled again after %v", again)
			}
			wantBecause("Stalled=True/" + test.reason)
			if mu.Status.ObservedGeneration != mu.Generation {
				t.Error("it is Stalled at an old generation, which kstatus takes for progress")
			}
			s.writes.take()
			s.restart()
			s.reconcile(mu)
			s.wantWrites()
			test.apply(s)
			s.reconcile(mu)
			s.wantReady(mu, "Created")
		})
	}
}

// Once what was missing is there, an object that cannot go on for another reason says that one, and is not Stalled.
func TestArrivalDuringAnOutage(t *testing.T) {
	s := newStory(t)
	s.deleteSecret()
	mu := s.create()
	s.advance(outcome.ArrivalGrace)
	s.reconcile(mu)
	if !meta.IsStatusConditionTrue(mu.Status.Conditions, v1alpha1.ConditionStalled) {
		t.Fatalf("the user is not Stalled:\n%s", show(mu))
	}
	s.createSecret(calcomtest.DefaultClient().Secret)
	s.sandbox.Inject(calcomtest.Fault{Op: calcomtest.OpCreate, Status: 503})
	s.reconcile(mu)
	s.wantConditions(mu, "Ready=False/RemoteUnavailable", "Synced=False/RemoteUnavailable", "CredentialsReady=Unknown/Progressing", "Reconciling=True/Progressing")
}

// An OAuthClient whose Secret is missing does the same.
func TestOAuthClientWithoutSecretStalls(t *testing.T) {
	s := newStory(t)
	s.deleteSecret()
	defer s.startManager()()
	c := s.acme()
	is := func(want ...string) func(*v1alpha1.OAuthClientStatus) bool {
		return func(status *v1alpha1.OAuthClientStatus) bool { return cmp.Equal(clientConditions(status), want) }
	}
	s.eventuallyClient(c, "Reconciling", is("CredentialsReady=False/SecretNotFound", "Ready=False/SecretNotFound", "Reconciling=True/Progressing"))
	s.until("Stalled", func() bool {
		s.must(s.client.Get(t.Context(), client.ObjectKeyFromObject(c), c))
		if is("CredentialsReady=False/SecretNotFound", "Ready=False/SecretNotFound", "Stalled=True/SecretNotFound")(&c.Status) {
			return true
		}
		for i := range c.Status.Conditions { // As if it had said so two minutes ago.
			c.Status.Conditions[i].LastTransitionTime = metav1.NewTime(time.Now().Add(-outcome.ArrivalGrace))
		}
		if err := s.client.Status().Update(t.Context(), c); !apierrors.IsConflict(err) {
			s.must(err)
		}
		patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%q}}}`, v1alpha1.ReconcileRequestedAtAnnotation, time.Now().String())
		s.must(s.client.Patch(t.Context(), c, client.RawPatch(client.Merge.Type(), patch)))
		return false
	})
	if c.Status.ObservedGeneration != c.Generation {
		t.Error("it is Stalled at an old generation, which kstatus takes for progress")
	}
	s.sandbox.Inject(calcomtest.Fault{Op: calcomtest.OpList, Status: 503})
	s.createSecret(calcomtest.DefaultClient().Secret)
	s.eventuallyClient(c, "Ready", is("CredentialsReady=True/Verified", "Ready=True/Available"))
}
