// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package onboarding is an example of a controller that builds on the operator: each ConfigMap that describes a person gets a
// ManagedUser, and the person's number in Cal.com once it has one. Its tests are meant to be copied.
package onboarding

import (
	"context"
	"fmt"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
)

const (
	// PersonLabel is on each ConfigMap that describes a person, by the keys email, name and timeZone.
	PersonLabel = "onboarding.example.com/person"
	// UserIDAnnotation is what a person's ConfigMap gets: the number of the user in Cal.com.
	UserIDAnnotation = "onboarding.example.com/calcom-user-id"
)

// Reconciler gives each person a ManagedUser of the OAuthClient named OAuthClient in the person's namespace.
type Reconciler struct {
	Client      client.Client
	OAuthClient string
}

// SetupWithManager watches people and their users.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).
		Named("person").
		For(&corev1.ConfigMap{}).
		Owns(&v1alpha1.ManagedUser{}).
		Complete(r)
}

// Reconcile brings one person's user up to date.
func (r *Reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	var person corev1.ConfigMap
	if err := r.Client.Get(ctx, request.NamespacedName, &person); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if _, ok := person.Labels[PersonLabel]; !ok || !person.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, nil // Kubernetes deletes the user with its owner.
	}
	user := &v1alpha1.ManagedUser{ObjectMeta: metav1.ObjectMeta{Namespace: person.Namespace, Name: person.Name}}
	_, err := controllerutil.CreateOrUpdate(ctx, r.Client, user, func() error {
		user.Spec.OAuthClientRef = &v1alpha1.OAuthClientReference{Name: r.OAuthClient}
		user.Spec.Email, user.Spec.Name, user.Spec.TimeZone = person.Data["email"], person.Data["name"], person.Data["timeZone"]
		return controllerutil.SetControllerReference(&person, user, r.Client.Scheme())
	})
	if err != nil {
		return ctrl.Result{}, fmt.Errorf("applying the user of a person: %w", err)
	}
	if !meta.IsStatusConditionTrue(user.Status.Conditions, v1alpha1.ConditionReady) || user.Status.User == nil {
		return ctrl.Result{}, nil // The user's next change brings us back.
	}
	before := person.DeepCopy()
	metav1.SetMetaDataAnnotation(&person.ObjectMeta, UserIDAnnotation, strconv.FormatInt(user.Status.User.ID, 10))
	if person.Annotations[UserIDAnnotation] == before.Annotations[UserIDAnnotation] {
		return ctrl.Result{}, nil
	}
	if err := r.Client.Patch(ctx, &person, client.MergeFrom(before)); err != nil {
		return ctrl.Result{}, fmt.Errorf("noting the number of a person's user: %w", err)
	}
	return ctrl.Result{}, nil
}
