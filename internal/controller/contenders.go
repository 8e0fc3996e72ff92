// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"sync"

	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/manageduser"
	"github.com/calcom-operator/calcom-operator/internal/outcome"
)

// Two objects can want one address, or two addresses of which Cal.com makes one username. The second one is in
// conflict. When the first one goes, or its user gets another address, the second one is reconciled at once.

// byUsername is the index from the username that Cal.com makes of an address to the users whose spec names the address.
const byUsername = "username(email)"

func usernameOf(object client.Object) []string {
	mu, ok := object.(*v1alpha1.ManagedUser)
	if !ok || mu.Spec.Email == "" {
		return nil
	}
	return []string{manageduser.UsernameKey(mu.Spec.Email)}
}

// lifted are the objects whose conflict may have ended: the next reconcile sends a call that Cal.com refused before. It
// is safe for concurrent use.
type lifted struct{ conflicts sync.Map }

// note lets an object send the call again.
func (l *lifted) note(name client.ObjectKey) { l.conflicts.Store(name, true) }

// take reports whether an object may send the call again, which it may once.
func (l *lifted) take(name client.ObjectKey) bool {
	_, ok := l.conflicts.LoadAndDelete(name)
	return ok
}

// keepLifted lets the reconcile after this one send the call that this one had to put off.
func (r *ManagedUserReconciler) keepLifted(v *visit, p *outcome.Problem, err error) {
	if v.lifted && (err != nil && p == nil || p != nil && p.Pace == outcome.Later) {
		r.lifted.note(client.ObjectKeyFromObject(v.mu))
	}
}

// Retry lets the next reconcile of an object send a call that Cal.com refused before.
func (r *ManagedUserReconciler) Retry(name client.ObjectKey) { r.lifted.note(name) }

// contenders wakes the objects in conflict that want what another object's user has just freed.
func (r *ManagedUserReconciler) contenders() handler.EventHandler {
	type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]
	freed := func(ctx context.Context, before, after client.Object, q queue) {
		was, _ := before.(*v1alpha1.ManagedUser)
		is, _ := after.(*v1alpha1.ManagedUser)
		key := manageduser.FreedUsername(was, is)
		if key == "" {
			return
		}
		for _, request := range r.requests(ctx, manageduser.IsInConflict, client.MatchingFields{byUsername: key}) {
			r.Retry(request.NamespacedName)
			q.Forget(request)
			q.Add(request)
		}
	}
	return handler.Funcs{
		UpdateFunc: func(ctx context.Context, e event.UpdateEvent, q queue) { freed(ctx, e.ObjectOld, e.ObjectNew, q) },
		DeleteFunc: func(ctx context.Context, e event.DeleteEvent, q queue) { freed(ctx, e.Object, nil, q) },
	}
}
