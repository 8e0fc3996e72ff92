// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/manageduser"
	"github.com/calcom-operator/calcom-operator/internal/outcome"
)

// admitAbsence decides, for an object whose user is proved to be gone, whether what follows from that may happen now. A
// user that was never known to exist does not count, nor one that the object had deleted itself. But after a create
// call of unknown outcome the object has to wait too while many users are gone: the server does not show what the call
// made either.
func (r *ManagedUserReconciler) admitAbsence(ctx context.Context, v *visit) error {
	name, known := client.ObjectKeyFromObject(v.mu), manageduser.LostID(v.mu) != 0
	if r.config.MassAbsenceLimit == 0 || !known && !r.isUnresolved(v.mu) || r.absences.wasDeleted(name, v.mu.UID) {
		return nil
	}
	allowed, err := r.allowsMassAbsence(ctx, v.mu)
	if err != nil {
		return err
	}
	if allowed {
		r.absences.shown(v.account, name)
		return nil
	}
	if err := r.compareOthers(ctx, v); err != nil {
		return err
	}
	if r.absences.accountFor(v.account, v.mu) {
		return nil
	}
	admit := r.absences.admit
	if !known {
		admit = r.absences.isHeld
	}
	if held, err := admit(ctx, v.account, name.String()); err != nil || !held {
		return err
	}
	return r.holdAbsence(ctx, v)
}

// isUnresolved reports whether a create call was sent for an object whose outcome is not in the status.
func (r *ManagedUserReconciler) isUnresolved(mu *v1alpha1.ManagedUser) bool {
	return manageduser.HasOpenIntent(mu) && !r.intents.isUnsent(mu)
}

// holdAbsence says why nothing is done about a user that is gone.
func (r *ManagedUserReconciler) holdAbsence(ctx context.Context, v *visit) error {
	p := r.massAbsence(v.mu)
	if v.mu.DeletionTimestamp.IsZero() {
		// What was true of the user when it was there is no longer.
		r.set(v, v1alpha1.ConditionSynced, metav1.ConditionUnknown, v1alpha1.ReasonProgressing, p.Message)
	}
	c, err := r.clientObject(ctx, v.mu)
	if err != nil {
		return err
	}
	if c == nil {
		return p // The object has its own event.
	}
	p.Mute = true
	if r.absences.announce(v.account) {
		r.recorder.Eventf(c, nil, corev1.EventTypeWarning, v1alpha1.ReasonMassAbsence, "Reconcile", "%s", fmt.Sprintf(
			"More than %d users of this OAuth client are gone from Cal.com; none is created anew and no object is released until they show again; check apiURL, the proxy and the database; if the users are really gone, set the annotation %s=true here",
			r.config.MassAbsenceLimit, v1alpha1.AllowMassAbsenceAnnotation))
	}
	return p
}

func (r *ManagedUserReconciler) massAbsence(mu *v1alpha1.ManagedUser) *outcome.Problem {
	held, then := "the user is not created anew", "to have it created anew"
	if !mu.DeletionTimestamp.IsZero() {
		held, then = "the object is not released", "to have the object released"
	}
	on := "the object"
	if mu.Spec.OAuthClientRef != nil {
		on += ", its OAuth client"
	}
	if r.config.readsNamespaces() {
		on += " or its namespace"
	}
	return &outcome.Problem{
		Condition: v1alpha1.ConditionReady, Reason: v1alpha1.ReasonMassAbsence, Severity: outcome.Waiting, Pace: outcome.Slowly,
		Message: fmt.Sprintf(
			"Cal.com shows neither this user nor others: more than %d users of this OAuth client are gone, as when a proxy leads to another server or a database was lost or restored, so %s; this heals by itself once the users show again, and if they are really gone, set the annotation %s=true on %s %s",
			r.config.MassAbsenceLimit, held, v1alpha1.AllowMassAbsenceAnnotation, on, then),
	}
}

// allowsMassAbsence reports whether a person has said that the users are really gone: on the object, its OAuth client
// or its namespace, where the operator may read namespaces.
func (r *ManagedUserReconciler) allowsMassAbsence(ctx context.Context, mu *v1alpha1.ManagedUser) (bool, error) {
	const annotation = v1alpha1.AllowMassAbsenceAnnotation
	if mu.Annotations[annotation] == "true" {
		return true, nil
	}
	c, err := r.clientObject(ctx, mu)
	if err != nil || c != nil && c.GetAnnotations()[annotation] == "true" {
		return err == nil, err
	}
	if !r.config.readsNamespaces() {
		return false, nil
	}
	return r.namespaceAllows(ctx, mu.Namespace, annotation)
}

// changesClient lets through what can help the users of an OAuth client.
func changesClient() predicate.Predicate {
	return predicate.Or(predicate.GenerationChangedPredicate{}, annotationChanges(v1alpha1.AllowMassAbsenceAnnotation))
}

// readsNamespaces reports whether the operator reads the annotations of namespaces, which takes a right in the whole
// cluster.
func (c *Config) readsNamespaces() bool { return c.ClusterClients || c.MassDeleteLimit > 0 }

// clientObject returns the OAuthClient or ClusterOAuthClient that a user refers to; nil when there is none.
func (r *ManagedUserReconciler) clientObject(ctx context.Context, mu *v1alpha1.ManagedUser) (client.Object, error) {
	ref := mu.Spec.OAuthClientRef
	if ref == nil {
		return nil, nil
	}
	c, err := newOAuthClient(manageduser.KindOf(*ref))
	if err != nil {
		return nil, err
	}
	key := client.ObjectKey{Name: ref.Name}
	if c.kind() == v1alpha1.KindOAuthClient {
		key.Namespace = mu.Namespace
	}
	if err := r.client.Get(ctx, key, c.object); err != nil {
		return nil, fmt.Errorf("reading the OAuth client: %w", err)
	}
	return c.object, nil
}
