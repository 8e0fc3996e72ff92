// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"slices"
	"strings"
	"sync"
	"unicode"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
)

// Two objects can want one address, or two addresses of which Cal.com makes one username. The second one is in conflict. When
// the first one goes, or its user gets another address, the second one is reconciled at once.

// byUsername is the index from the username that Cal.com makes of an address to the users whose spec names the address.
const byUsername = "username(email)"

// usernameKey returns what is alike in all addresses of which Cal.com makes one username: the local part and the first two
// labels of the domain, most punctuation counted alike. It may be alike for others as well; these are reconciled for nothing.
func usernameKey(email string) string {
	local, domain, _ := strings.Cut(email, "@")
	labels := strings.SplitN(domain, ".", 3)
	words := strings.FieldsFunc(strings.ToLower(local+"-"+strings.Join(labels[:min(2, len(labels))], "-")), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r)
	})
	return strings.Join(words, "-")
}

func usernameOf(object client.Object) []string {
	mu, ok := object.(*v1alpha1.ManagedUser)
	if !ok || mu.Spec.Email == "" {
		return nil
	}
	return []string{usernameKey(mu.Spec.Email)}
}

// heldUsername returns the username key of the user that an object owns, or nothing.
func heldUsername(mu *v1alpha1.ManagedUser) string {
	if mu == nil || mu.Status.Origin == "" || mu.Status.User == nil {
		return ""
	}
	return usernameKey(calcom.PlainEmail(mu.Status.User.Email, mu.Status.OAuthClientID))
}

// freedUsername returns the username key that an object held and holds no longer, or nothing. after is nil for an object that is
// gone.
func freedUsername(before, after *v1alpha1.ManagedUser) string {
	if was := heldUsername(before); was != heldUsername(after) {
		return was
	}
	return ""
}

// isInConflict reports whether an object waits for an address or a username that another user has.
func isInConflict(mu *v1alpha1.ManagedUser) bool {
	synced := meta.FindStatusCondition(mu.Status.Conditions, v1alpha1.ConditionSynced)
	return synced != nil && slices.Contains([]string{
		v1alpha1.ReasonAlreadyExists, v1alpha1.ReasonOwnedElsewhere, v1alpha1.ReasonUsernameConflict,
	}, synced.Reason)
}

// lifted are the objects whose conflict may have ended: the next reconcile sends a call that Cal.com refused before. It is safe
// for concurrent use.
type lifted struct{ conflicts sync.Map }

// note lets an object send the call again.
func (l *lifted) note(name client.ObjectKey) { l.conflicts.Store(name, true) }

// take reports whether an object may send the call again, which it may once.
func (l *lifted) take(name client.ObjectKey) bool {
	_, ok := l.conflicts.LoadAndDelete(name)
	return ok
}

// keepLifted lets the reconcile after this one send the call that this one had to put off.
func (r *ManagedUserReconciler) keepLifted(v *visit, p *problem, err error) {
	if v.lifted && (err != nil && p == nil || p != nil && p.pace == later) {
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
		key := freedUsername(was, is)
		if key == "" {
			return
		}
		for _, request := range r.requests(ctx, isInConflict, client.MatchingFields{byUsername: key}) {
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
