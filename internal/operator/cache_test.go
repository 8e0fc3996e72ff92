// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
)

// fullMetadata is metadata with everything that the API server may send.
func fullMetadata() metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Namespace: "team-a", Name: "calcom", UID: "uid", ResourceVersion: "7", Generation: 2,
		Finalizers:        []string{"others.example.com/finalizer", v1alpha1.InUseFinalizer},
		DeletionTimestamp: &metav1.Time{Time: time.Unix(1, 0)}, CreationTimestamp: metav1.Unix(1, 0),
		ManagedFields:   []metav1.ManagedFieldsEntry{{Manager: "kubectl"}},
		Labels:          map[string]string{"app": "canary"},
		OwnerReferences: []metav1.OwnerReference{{Name: "canary"}, {Kind: "ManagedUser", Name: "alice", UID: "uid", Controller: new(true)}},
		Annotations: map[string]string{
			corev1.LastAppliedConfigAnnotation: `{"data":"canary"}`, "example.com/other": "other",
			v1alpha1.ReleasingAnnotation: "true", v1alpha1.AllowMassDeletionAnnotation: "true", v1alpha1.CreateIntentAnnotation: "{}",
			v1alpha1.TokensAnnotation: "{}",
		},
	}
}

// keep returns the full metadata less what the cache does without, and with just these annotations.
func keep(annotations ...string) metav1.ObjectMeta {
	m := fullMetadata()
	m.ManagedFields, m.Labels, m.OwnerReferences = nil, nil, m.OwnerReferences[1:]
	all := m.Annotations
	m.Annotations = make(map[string]string)
	for _, key := range annotations {
		m.Annotations[key] = all[key]
	}
	return m
}

// The finalizers have to be all there: a merge patch replaces the list.
func TestStrip(t *testing.T) {
	metadata := func(kind string, m metav1.ObjectMeta) client.Object {
		return &metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: kind}, ObjectMeta: m}
	}
	namespace := keep(v1alpha1.AllowMassDeletionAnnotation)
	namespace.Labels = fullMetadata().Labels
	user := keep("example.com/other", v1alpha1.ReleasingAnnotation, v1alpha1.AllowMassDeletionAnnotation, v1alpha1.CreateIntentAnnotation, v1alpha1.TokensAnnotation)
	user.Labels, user.OwnerReferences = fullMetadata().Labels, fullMetadata().OwnerReferences
	for name, tc := range map[string]struct{ in, want client.Object }{
		"Secret":      {metadata("Secret", fullMetadata()), metadata("Secret", keep(v1alpha1.ReleasingAnnotation, v1alpha1.TokensAnnotation))},
		"Namespace":   {metadata("Namespace", fullMetadata()), metadata("Namespace", namespace)},
		"Bare":        {metadata("Secret", metav1.ObjectMeta{Name: "bare"}), metadata("Secret", metav1.ObjectMeta{Name: "bare"})},
		"Foreign":     {metadata("Secret", metav1.ObjectMeta{OwnerReferences: []metav1.OwnerReference{{Kind: "Deployment"}}}), metadata("Secret", metav1.ObjectMeta{})},
		"ManagedUser": {&v1alpha1.ManagedUser{ObjectMeta: fullMetadata()}, &v1alpha1.ManagedUser{ObjectMeta: user}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := strip(tc.in)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(any(tc.want), got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// An object whose end was missed comes in a wrapping of the cache's own.
func TestStripTombstone(t *testing.T) {
	in := cache.DeletedFinalStateUnknown{Key: "team-a/calcom"}
	if got, err := strip(in); err != nil || got != any(in) {
		t.Errorf("got %v, %v", got, err)
	}
}
