// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"errors"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
	"github.com/calcom-operator/calcom-operator/internal/gate"
	"github.com/calcom-operator/calcom-operator/internal/outcome"
)

// enter takes a place at the account's gate. The problem that it returns ends the reconcile; the object is woken when a
// place is free.
func (s *session) enter(kind gate.Kind) error {
	if s.object.Name == "" || s.account.gate.Enter(s.object, kind, s.class) {
		return nil
	}
	return waitForPlace()
}

// prepareCreate takes a place in which to record a create intent, and then the call, so that no object records one that
// grows old while it waits for others. A record that renews another one is written in the place of the call itself:
// with an earlier call behind it, it has to be waited for whether its own call was sent or not.
func (s *session) prepareCreate(renews bool) error {
	kind := gate.Prepare
	if renews {
		kind = gate.Create
	}
	if err := s.enter(kind); err != nil {
		return err
	}
	return s.reserve(1)
}

// leave gives the place back before the end of the reconcile, since no call follows.
func (s *session) leave() {
	if s.object.Name != "" {
		s.account.gate.Leave(s.object, false)
	}
}

func (s *session) beginCall() {
	if s.object.Name != "" && s.account.gate.Begin(s.object) {
		s.account.check(gate.SlowCall)
	}
}

func (s *session) endCall() {
	if s.object.Name == "" {
		return
	}
	if note, ok := s.account.gate.End(s.object).(statusNote); ok && s.noted != nil {
		s.noted(note)
	}
}

// created notes how a create call ended. A clear refusal says nothing about how the server bears more calls.
func (s *session) created(err error) {
	if e, ok := errors.AsType[*calcom.Error](err); err == nil || ok && e.OutcomeUnknown() {
		s.account.gate.Created(err == nil)
	}
}

// waitForPlace is a reconcile that ends because other objects of the OAuth client have as many calls under way as may
// be at a time. It says so only while the client is slow: see mustShow.
func waitForPlace() *outcome.Problem {
	return &outcome.Problem{
		Condition: v1alpha1.ConditionReady, Reason: v1alpha1.ReasonProgressing, Pace: outcome.InLine, Quiet: true, Mute: true,
		Message: "Cal.com answers this OAuth client slowly or not at all, and the calls of others are under way; " +
			"going on as soon as one of them has ended",
	}
}

// isInLine reports whether an object waits for a place.
func (a *accounts) isInLine(object types.NamespacedName) bool {
	acc := a.accountOf(object)
	return acc != nil && acc.gate.Waits(object)
}

// rateLimiter delays the reconciles of objects that fail. Other than its base, it keeps the failures of an object that
// ends a reconcile in line for a place, without an error: else an outage in which objects wait for each other would
// know no back-off.
type rateLimiter struct {
	workqueue.TypedRateLimiter[reconcile.Request]

	isInLine func(types.NamespacedName) bool
}

// RateLimiter returns a rate limiter for the queue of the users.
func (r *ManagedUserReconciler) RateLimiter() workqueue.TypedRateLimiter[reconcile.Request] {
	return rateLimiter{workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](firstBackOff, lastBackOff), r.accounts.isInLine}
}

// Forget drops the failures of an object that does not wait for a place.
func (l rateLimiter) Forget(request reconcile.Request) {
	if !l.isInLine(request.NamespacedName) {
		l.TypedRateLimiter.Forget(request)
	}
}

// leavePlace gives back the place of an object at the end of its reconcile. One that waits stays in line.
func (a *accounts) leavePlace(object types.NamespacedName, stays bool) {
	if acc := a.accountOf(object); acc != nil {
		acc.gate.Leave(object, stays)
	}
}

// objectOf returns the object that a ticket key names.
func objectOf(key string) types.NamespacedName {
	namespace, name, _ := strings.Cut(key, "/")
	return types.NamespacedName{Namespace: namespace, Name: name}
}

// hasVerdict reports whether the object has a condition Ready.
func hasVerdict(mu *v1alpha1.ManagedUser) bool {
	return meta.FindStatusCondition(mu.Status.Conditions, v1alpha1.ConditionReady) != nil
}

// mustShow reports whether a wait is worth a write although it would not be otherwise: the object has no condition yet,
// and its OAuth client is slow. While the client is not, thousands of objects are created without such a write.
func (v *visit) mustShow() bool {
	return v.mu.DeletionTimestamp.IsZero() && !hasVerdict(v.mu) && v.cal != nil && v.cal.account.gate.IsSlow()
}

// hide notes an object that waits and ends its reconcile without any condition, so that it gets one when its client
// becomes slow.
func (v *visit) hide(p *outcome.Problem) {
	waits := p != nil && (p.Pace == outcome.InLine || p.Pace == outcome.Later)
	if waits && v.mu.DeletionTimestamp.IsZero() && !hasVerdict(v.mu) && v.cal != nil {
		v.cal.account.gate.Hide(client.ObjectKeyFromObject(v.mu))
	}
}

// takeOver makes the object as it is in memory follow a status that was written while one of its calls was under way.
func (v *visit) takeOver(note statusNote) {
	if v.mu.ResourceVersion != note.from {
		return
	}
	v.mu.ResourceVersion = note.to
	v.before.Status.Conditions, v.mu.Status.Conditions = note.conditions, slices.Clone(note.conditions)
}
