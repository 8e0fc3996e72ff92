// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/outcome"
)

// What is needed to delete a user, its credentials Secret and the OAuthClient that it refers to, stays for as long as
// there may be a user: that is what the in-use finalizer on it says. A user needs its client, and a client that is in
// use needs its Secret; each release looks one step up.

// protect keeps what the user needs from going before it. It comes before the record of intent, so that no user can
// come to exist whose deletion lacks its credentials. Nobody is created with what is on its way out.
func (r *ManagedUserReconciler) protect(ctx context.Context, v *visit) error {
	if !r.config.ProtectSecrets {
		return nil
	}
	// The client comes before its Secret, as a user before its client: who releases looks in the opposite direction.
	for _, needed := range v.needs {
		if !needed.DeletionTimestamp.IsZero() {
			reason := v1alpha1.ReasonClientNotFound
			if needed.Kind == "Secret" {
				reason = v1alpha1.ReasonSecretNotFound
			}
			return outcome.NotUsable(reason, outcome.Waiting, fmt.Sprintf(
				"%s is being deleted and stays only for users that exist already; create it anew once it is gone", describeObject(needed)))
		}
		if err := r.marks.mark(ctx, r.client, needed); err != nil {
			return err
		}
	}
	return nil
}

// confirm makes sure, right after the object got its finalizer, that what it needs is protected still: a release that
// did not see the finalizer may be under way. That one leaves a sign before it looks for objects in need, and the
// object looks for the sign after it got its finalizer; so one of the two sees the other.
func (r *ManagedUserReconciler) confirm(ctx context.Context, v *visit) error {
	if !r.config.ProtectSecrets {
		return nil
	}
	for _, needed := range v.needs {
		now := &metav1.PartialObjectMetadata{TypeMeta: needed.TypeMeta}
		err := r.reader.Get(ctx, client.ObjectKeyFromObject(needed), now)
		if apierrors.IsNotFound(err) || err == nil && !now.DeletionTimestamp.IsZero() && !isInUse(now) {
			return errors.Join(errAgain, err)
		}
		if err != nil {
			return fmt.Errorf("reading %s again: %w", needed.Kind, err)
		}
		if err := r.marks.mark(ctx, r.client, now); err != nil {
			return err
		}
	}
	return nil
}

// inUse protects an object; releasing is the sign that it may soon not be; unused lets it go.
func inUse(object *metav1.PartialObjectMetadata) {
	controllerutil.AddFinalizer(object, v1alpha1.InUseFinalizer)
	delete(object.Annotations, v1alpha1.ReleasingAnnotation)
}

func releasing(object *metav1.PartialObjectMetadata) {
	if object.Annotations == nil {
		object.Annotations = make(map[string]string, 1)
	}
	object.Annotations[v1alpha1.ReleasingAnnotation] = "true"
}

func unused(object *metav1.PartialObjectMetadata) {
	controllerutil.RemoveFinalizer(object, v1alpha1.InUseFinalizer)
	delete(object.Annotations, v1alpha1.ReleasingAnnotation)
}

// patchInUse writes a change of an object's metadata, if it is one, and takes over the answer. The patch is of metadata
// only, and locked: it replaces the list of finalizers, and a release must not overtake an object that comes to need
// this one.
func patchInUse(ctx context.Context, c client.Client, object *metav1.PartialObjectMetadata, change func(*metav1.PartialObjectMetadata)) error {
	changed := object.DeepCopy()
	change(changed)
	if slices.Equal(changed.Finalizers, object.Finalizers) && maps.Equal(changed.Annotations, object.Annotations) {
		return nil
	}
	err := c.Patch(ctx, changed, client.MergeFromWithOptions(object.DeepCopy(), client.MergeFromWithOptimisticLock{}))
	if err != nil {
		return fmt.Errorf("marking %s as in use or not: %w", object.Kind, err)
	}
	*object = *changed
	return nil
}

// protector brings in-use finalizers into step with the objects that need their holders.
type protector struct {
	client   client.Client
	recorder events.EventRecorder
	rivals   *rivals
	marks    *ownMarks
	held     *heldDeletions
	// protect is false when all in-use finalizers are to be removed.
	protect bool
}

// neededBy returns one of the objects that need another, as "Kind name", or nothing: from the cache, or from the API
// server itself.
type neededBy func(ctx context.Context, live bool) (string, error)

// protectOrRelease brings an object's in-use finalizer into step with the objects that need it. A finalizer that
// another writer removes again and again is put back after growing delays; wait is the time until the next attempt, or
// 0.
func (p *protector) protectOrRelease(ctx context.Context, object *metav1.PartialObjectMetadata, needed neededBy) (wait time.Duration, err error) {
	by := ""
	if p.protect {
		if by, err = needed(ctx, false); err != nil {
			return 0, err
		}
	}
	switch {
	case !isInUse(object):
		if by == "" || !object.DeletionTimestamp.IsZero() { // An object that is being deleted takes no new finalizer.
			return 0, nil
		}
		if wait = p.rivals.admit(ctx, object, "the finalizer "+v1alpha1.InUseFinalizer); wait > 0 {
			return wait, nil
		}
	case by == "":
		return 0, p.release(ctx, object, needed)
	case !object.DeletionTimestamp.IsZero() && p.held.isNew(object):
		p.recorder.Eventf(object, nil, corev1.EventTypeNormal, v1alpha1.EventInUse, "Delete",
			"%s is being deleted and stays until all objects that need it are deleted too, such as %s", describeObject(object), by)
	}
	return 0, p.marks.mark(ctx, p.client, object)
}

// release removes the in-use finalizer of an object that the cache shows as unneeded. The cache may not have heard of
// an object that came to need this one a moment ago: see confirm.
func (p *protector) release(ctx context.Context, object *metav1.PartialObjectMetadata, needed neededBy) error {
	if !p.protect {
		return patchInUse(ctx, p.client, object, unused)
	}
	if err := patchInUse(ctx, p.client, object, releasing); err != nil {
		return err
	}
	by, err := needed(ctx, true)
	switch {
	case err != nil:
		return err
	case by != "":
		return p.marks.mark(ctx, p.client, object)
	}
	err = patchInUse(ctx, p.client, object, unused)
	if apierrors.IsForbidden(err) && !object.DeletionTimestamp.IsZero() {
		p.recorder.Eventf(object, nil, corev1.EventTypeWarning, v1alpha1.ReasonDeletionBlocked, "Delete", "%s", outcome.Clip(
			"No object needs "+describeObject(object)+" any more, but the API server does not let the operator remove its finalizer; allow it to the operator's ServiceAccount ("+
				err.Error()+")", outcome.MaxMessage))
	}
	return err
}

// heldDeletions are the Secrets and OAuth clients that are being deleted and stay, of which an event has told.
type heldDeletions struct {
	mu   sync.Mutex
	told map[kindKey]types.UID
}

func newHeldDeletions() *heldDeletions { return &heldDeletions{told: make(map[kindKey]types.UID)} }

// isNew reports whether no event has told of an object yet, and notes that one does.
func (h *heldDeletions) isNew(object *metav1.PartialObjectMetadata) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	key := kindKey{object.Kind, client.ObjectKeyFromObject(object)}
	isNew := h.told[key] != object.UID
	h.told[key] = object.UID
	return isNew
}

// forget drops an object that is gone.
func (h *heldDeletions) forget(kind string, object client.ObjectKey) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.told, kindKey{kind, object})
}

// secretMetadata is the metadata of a Secret, as it is watched and patched.
func secretMetadata(meta metav1.ObjectMeta) *metav1.PartialObjectMetadata {
	secret := &metav1.PartialObjectMetadata{ObjectMeta: meta}
	secret.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Secret"))
	return secret
}

// gatherFor is how long news of objects is gathered before what they need is looked at: ten thousand may be applied at
// once. It was protected when they got their finalizers, and to be let go can wait.
const gatherFor = time.Second

// gather looks a little later at what objects need, or at once when an object comes to name something else.
func gather(requestsOf handler.MapFunc, nameOf func(client.Object) string) handler.EventHandler {
	type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]
	enqueue := func(ctx context.Context, q queue, object client.Object, after time.Duration) {
		for _, request := range requestsOf(ctx, object) {
			q.AddAfter(request, after)
		}
	}
	return handler.Funcs{
		CreateFunc: func(ctx context.Context, e event.CreateEvent, q queue) { enqueue(ctx, q, e.Object, gatherFor) },
		UpdateFunc: func(ctx context.Context, e event.UpdateEvent, q queue) {
			after := gatherFor
			if nameOf(e.ObjectOld) != nameOf(e.ObjectNew) {
				after = 0
			}
			enqueue(ctx, q, e.ObjectOld, after)
			enqueue(ctx, q, e.ObjectNew, after)
		},
		DeleteFunc: func(ctx context.Context, e event.DeleteEvent, q queue) { enqueue(ctx, q, e.Object, gatherFor) },
	}
}

// BeginRelease writes the sign that the in-use finalizer of an object may soon be gone. An object that comes to need it
// meanwhile takes the sign off again, so that EndRelease ends with a conflict. Who needs the object has to be looked up
// between the two.
func BeginRelease(ctx context.Context, c client.Client, object *metav1.PartialObjectMetadata) error {
	return patchInUse(ctx, c, object, releasing)
}

// EndRelease takes the in-use finalizer and the sign off.
func EndRelease(ctx context.Context, c client.Client, object *metav1.PartialObjectMetadata) error {
	return patchInUse(ctx, c, object, unused)
}

// CancelRelease takes off the sign alone, of an object that is needed after all.
func CancelRelease(ctx context.Context, c client.Client, object *metav1.PartialObjectMetadata) error {
	return patchInUse(ctx, c, object, func(object *metav1.PartialObjectMetadata) { delete(object.Annotations, v1alpha1.ReleasingAnnotation) })
}
