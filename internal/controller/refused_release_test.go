// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"errors"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

// A policy that does not know the operator keeps deleted objects. They say so, and go once the policy is mended.
func TestRefusedRelease(t *testing.T) {
	for _, policy := range []v1alpha1.DeletionPolicy{v1alpha1.DeletionPolicyDelete, v1alpha1.DeletionPolicyOrphan} {
		t.Run(string(policy), func(t *testing.T) {
			s := newStory(t)
			mu := s.create(func(spec *v1alpha1.ManagedUserSpec) { spec.DeletionPolicy = policy })
			s.wantReady(mu, "Created")
			s.events.take()
			s.must(s.client.Delete(t.Context(), mu))
			s.writes.fail = func(write string) error {
				if write != "patch" {
					return nil
				}
				refusal := errors.New("ValidatingAdmissionPolicy 'calcom-operator-finalizers' denied request")
				return apierrors.NewForbidden(schema.GroupResource{Group: "platform.cal.com", Resource: "managedusers"}, mu.Name, refusal)
			}
			for range 2 {
				result, err := s.reconcile(mu).unpack()
				if err != nil || result.RequeueAfter != releaseRetry {
					t.Errorf("the reconcile ends with %v, %v, want another attempt in %v", result, err, releaseRetry)
				}
				s.advance(releaseRetry)
			}
			s.wantEvents("DeletionBlocked")
			ready := meta.FindStatusCondition(mu.Status.Conditions, v1alpha1.ConditionReady)
			if ready == nil || ready.Reason != v1alpha1.ReasonDeletionBlocked || !meta.IsStatusConditionTrue(mu.Status.Conditions, v1alpha1.ConditionStalled) ||
				!strings.HasPrefix(ready.Message, "In Cal.com there is nothing left to do") || !strings.Contains(ready.Message, "calcom-operator-finalizers") ||
				strings.Contains(ready.Message, mu.Spec.Email) {
				t.Errorf("Ready is %+v", ready)
			}
			s.writes.fail = nil
			s.reconcile(mu)
			if s.reload(mu) {
				t.Errorf("the object is still there: %s", show(mu))
			}
			deletions := len(s.sandbox.CallsOf(calcomtest.OpDelete))
			if want := map[v1alpha1.DeletionPolicy]int{v1alpha1.DeletionPolicyDelete: 1}[policy]; deletions != want {
				t.Errorf("there were %d calls to delete, want %d", deletions, want)
			}
		})
	}
}

// A Secret that nothing needs any more, and that a policy keeps, says so while it is being deleted.
func TestRefusedReleaseOfASecret(t *testing.T) {
	s := newStory(t)
	secret := &metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"}}
	s.must(s.client.Get(t.Context(), client.ObjectKey{Namespace: s.namespace, Name: "calcom"}, secret))
	s.must(patchInUse(t.Context(), s.client, secret, inUse))
	p := s.reconciler.protector()
	p.protect = true
	nothing := func(context.Context, bool) (string, error) { return "", nil }
	refuse := func() error {
		patches := 0
		s.writes.fail = func(string) error {
			patches++
			if patches == 1 && secret.Annotations[v1alpha1.ReleasingAnnotation] == "" {
				return nil // The sign that it may soon be released.
			}
			return apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, "calcom", errors.New("denied by a policy"))
		}
		_, err := p.protectOrRelease(t.Context(), secret, nothing)
		return err
	}
	if err := refuse(); !apierrors.IsForbidden(err) {
		t.Errorf("the release ends with %v", err)
	}
	s.wantEvents()
	s.must(s.client.Delete(t.Context(), secret))
	s.must(s.client.Get(t.Context(), client.ObjectKeyFromObject(secret), secret))
	if err := refuse(); !apierrors.IsForbidden(err) {
		t.Errorf("the release ends with %v", err)
	}
	s.wantEvents("DeletionBlocked")
	s.writes.fail = nil
	_, err := p.protectOrRelease(t.Context(), secret, nothing)
	s.must(err)
	if err := s.client.Get(t.Context(), client.ObjectKeyFromObject(secret), secret); !apierrors.IsNotFound(err) {
		t.Errorf("the Secret is still there: %v", err)
	}
}
