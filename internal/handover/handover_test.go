// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package handover

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
)

// How moves and drains go is told in test/cli, on real clusters and killed at every write. Here are the decisions by
// themselves.

func user(change func(*v1alpha1.ManagedUser)) *v1alpha1.ManagedUser {
	mu := &v1alpha1.ManagedUser{
		ObjectMeta: metav1.ObjectMeta{
			Name: "alice", Namespace: "team", UID: "u1", ResourceVersion: "7", Generation: 2,
			Finalizers:  []string{v1alpha1.ManagedUserFinalizer, "example.com/other"},
			Labels:      map[string]string{"team": "sales", "kustomize.toolkit.fluxcd.io/name": "users"},
			Annotations: map[string]string{"note": "keep", v1alpha1.CreateIntentAnnotation: "{}"},
		},
		Spec: v1alpha1.ManagedUserSpec{
			Email: "alice@example.com", Name: "Alice", OAuthClientRef: &v1alpha1.OAuthClientReference{Name: "acme"},
		},
		Status: v1alpha1.ManagedUserStatus{OAuthClientID: "c1", User: &v1alpha1.CalcomUser{ID: 742, CreatedDate: "2026-01-01T00:00:00.000Z"}},
	}
	if change != nil {
		change(mu)
	}
	return mu
}

// What is applied elsewhere is what was, whatever a handover has done with the object by then.
func TestRestorable(t *testing.T) {
	want := &v1alpha1.ManagedUser{
		ObjectMeta: metav1.ObjectMeta{
			Name: "alice", Namespace: "team", Labels: map[string]string{"team": "sales"}, Annotations: map[string]string{"note": "keep"},
		},
		Spec: user(nil).Spec,
	}
	want.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("ManagedUser"))
	want.Spec.UserID, want.Spec.DeletionPolicy = 742, v1alpha1.DeletionPolicyDelete
	for name, tc := range map[string]struct {
		change func(*v1alpha1.ManagedUser)
		want   func(*v1alpha1.ManagedUser)
	}{
		"Created": {},
		"Adopted": {
			change: func(mu *v1alpha1.ManagedUser) { mu.Annotations[v1alpha1.AdoptedAnnotation] = "742" },
			want:   func(mu *v1alpha1.ManagedUser) { mu.Spec.DeletionPolicy = v1alpha1.DeletionPolicyOrphan },
		},
		"Observed": {
			change: func(mu *v1alpha1.ManagedUser) { mu.Spec.ReconcilePolicy = v1alpha1.ReconcilePolicyObserve },
			want:   func(mu *v1alpha1.ManagedUser) { mu.Spec.ReconcilePolicy = v1alpha1.ReconcilePolicyObserve },
		},
		"NobodysYet": {
			change: func(mu *v1alpha1.ManagedUser) { mu.Finalizers, mu.Status.User = nil, nil },
			want:   func(mu *v1alpha1.ManagedUser) { mu.Spec.UserID, mu.Spec.DeletionPolicy = 0, "" },
		},
		"OnItsWay": {change: func(mu *v1alpha1.ManagedUser) {
			policiesOf(mu).put(mu)
			mu.Spec.ReconcilePolicy, mu.Spec.DeletionPolicy = v1alpha1.ReconcilePolicySuspend, v1alpha1.DeletionPolicyOrphan
		}},
	} {
		t.Run(name, func(t *testing.T) {
			want := want.DeepCopy()
			if tc.want != nil {
				tc.want(want)
			}
			if d := cmp.Diff(want, Restorable(user(tc.change))); d != "" {
				t.Errorf("restorable (-want +got):\n%s", d)
			}
		})
	}
}

// What cannot be handed over is refused before anything is written, with what to do about it.
func TestCheckHere(t *testing.T) {
	m := &Move{Here: Cluster{OwnerID: "here"}, There: Cluster{OwnerID: "there"}}
	deleting := func(policy v1alpha1.DeletionPolicy, begun bool) func(*v1alpha1.ManagedUser) {
		return func(mu *v1alpha1.ManagedUser) {
			if begun {
				record{To: "there", ToNamespace: "team"}.put(mu)
			}
			mu.Spec.DeletionPolicy, mu.DeletionTimestamp = policy, new(metav1.Now())
		}
	}
	with := func(r record) func(*v1alpha1.ManagedUser) {
		return func(mu *v1alpha1.ManagedUser) { r.put(mu) }
	}
	for name, tc := range map[string]struct {
		change  func(*v1alpha1.ManagedUser)
		refused bool
	}{
		"Settled":           {},
		"GoesOn":            {change: with(record{To: "there", ToNamespace: "team"})},
		"GoesBack":          {change: with(record{From: "there"})},
		"ToAThird":          {change: with(record{To: "third", ToNamespace: "team"}), refused: true},
		"FromAThird":        {change: with(record{From: "third"}), refused: true},
		"OtherNamespace":    {change: with(record{To: "there", ToNamespace: "other"}), refused: true},
		"BeingDrained":      {change: with(record{}), refused: true},
		"BeingDeleted":      {change: deleting(v1alpha1.DeletionPolicyDelete, false), refused: true},
		"DeletedMeanwhile":  {change: deleting(v1alpha1.DeletionPolicyDelete, true), refused: true},
		"OrphanedElsewhere": {change: deleting(v1alpha1.DeletionPolicyOrphan, false), refused: true},
		"AtItsEnd":          {change: deleting(v1alpha1.DeletionPolicyOrphan, true)},
		"OutcomeUnknown":    {change: func(mu *v1alpha1.ManagedUser) { mu.Status.User = nil }, refused: true},
		"NeverCreated":      {change: func(mu *v1alpha1.ManagedUser) { mu.Status.User, mu.Finalizers = nil, nil }},
		"NestedMetadata": {refused: true, change: func(mu *v1alpha1.ManagedUser) {
			mu.Status.User.Metadata = &runtime.RawExtension{Raw: []byte(`{"a":{"b":1}}`)}
		}},
		"FlatMetadata": {change: func(mu *v1alpha1.ManagedUser) {
			mu.Status.User.Metadata = &runtime.RawExtension{Raw: []byte(`{"a":1,"kubernetesOwner":"x"}`)}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			err := m.checkHere(user(tc.change))
			var refusal *RefusedError
			if errors.As(err, &refusal) != tc.refused || tc.refused && (refusal.Reason == "" || refusal.Remedy == "") || !tc.refused && err != nil {
				t.Errorf("checkHere returns %v", err)
			}
		})
	}
}

// An operator has seen a suspension when it says so of the object as it is now.
func TestIsSuspended(t *testing.T) {
	for name, tc := range map[string]struct {
		policy     v1alpha1.ReconcilePolicy
		reason     string
		generation int64
		want       bool
	}{
		"Seen":      {v1alpha1.ReconcilePolicySuspend, v1alpha1.ReasonSuspended, 2, true},
		"NotYet":    {v1alpha1.ReconcilePolicySuspend, v1alpha1.ReasonAvailable, 1, false},
		"OfBefore":  {v1alpha1.ReconcilePolicySuspend, v1alpha1.ReasonSuspended, 1, false},
		"Resumed":   {"", v1alpha1.ReasonSuspended, 2, false},
		"AtTheSame": {v1alpha1.ReconcilePolicySuspend, v1alpha1.ReasonAvailable, 2, false},
	} {
		t.Run(name, func(t *testing.T) {
			mu := user(func(mu *v1alpha1.ManagedUser) {
				mu.Spec.ReconcilePolicy = tc.policy
				mu.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReady, Reason: tc.reason, ObservedGeneration: tc.generation}}
			})
			if got := isSuspended(mu); got != tc.want {
				t.Errorf("isSuspended is %t", got)
			}
		})
	}
}

// Nothing is ever deleted that would take its user along.
func TestRemoveNeedsOrphan(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("an object with deletionPolicy Delete is deleted")
		}
	}()
	_ = Cluster{Client: client.Client(nil)}.remove(t.Context(), user(func(mu *v1alpha1.ManagedUser) { mu.Spec.DeletionPolicy = v1alpha1.DeletionPolicyDelete }))
}
