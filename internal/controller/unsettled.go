// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/manageduser"
)

// unsettledIntents are the create intents of this process whose outcome is not in any status yet. Until it is, the
// annotation is the only record in Kubernetes, and a tool that replaces the object removes it: Argo CD did so 0.7 s
// after the creation.
type unsettledIntents struct {
	mu       sync.Mutex
	byObject map[client.ObjectKey]unsettledIntent
}

type unsettledIntent struct {
	uid    types.UID
	intent manageduser.Intent
	// failed is when Cal.com answered that the call failed; zero while it did not. failures counts such answers, also
	// to earlier calls for the object.
	failed   time.Time
	failures int
	// doubtful is set from such an answer on, since it may have left an unfinished user, until that user is deleted.
	doubtful bool
	// unsent is set while nothing of the call has been sent, nor of an earlier one for the object.
	unsent bool
}

func newUnsettledIntents() *unsettledIntents {
	return &unsettledIntents{byObject: make(map[client.ObjectKey]unsettledIntent)}
}

// of returns what is kept for an object, or nothing.
func (u *unsettledIntents) of(mu *v1alpha1.ManagedUser) (unsettledIntent, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	kept, ok := u.byObject[client.ObjectKeyFromObject(mu)]
	return kept, ok && kept.uid == mu.UID
}

// change changes what is kept for an object, if anything is.
func (u *unsettledIntents) change(mu *v1alpha1.ManagedUser, change func(*unsettledIntent)) {
	u.mu.Lock()
	defer u.mu.Unlock()
	key := client.ObjectKeyFromObject(mu)
	if kept, ok := u.byObject[key]; ok && kept.uid == mu.UID {
		change(&kept)
		u.byObject[key] = kept
	}
}

// keep notes the intent that an object has got. first: no earlier call for the object can have been sent.
func (u *unsettledIntents) keep(mu *v1alpha1.ManagedUser, i manageduser.Intent, first bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	key := client.ObjectKeyFromObject(mu)
	kept := unsettledIntent{uid: mu.UID, intent: i, unsent: first && i.Replaces == 0 && i.Since.IsZero()}
	if before := u.byObject[key]; before.uid == mu.UID {
		kept.failures, kept.doubtful = before.failures, before.doubtful
	}
	u.byObject[key] = kept
}

// isUnsent reports whether the object's record is that of a call of this process of which nothing has been sent, and of
// the first one for the object: so it has no user. Another process that found the record would not know.
func (u *unsettledIntents) isUnsent(mu *v1alpha1.ManagedUser) bool {
	kept, ok := u.of(mu)
	return ok && kept.unsent && mu.Annotations[v1alpha1.CreateIntentAnnotation] == kept.intent.Encode()
}

// send notes that the object's create call is about to be sent.
func (u *unsettledIntents) send(mu *v1alpha1.ManagedUser) {
	u.change(mu, func(kept *unsettledIntent) { kept.unsent = false })
}

// fail notes that Cal.com answered the object's create call with an error of its own.
func (u *unsettledIntents) fail(mu *v1alpha1.ManagedUser, now time.Time) {
	u.change(mu, func(kept *unsettledIntent) {
		kept.failed, kept.doubtful = now, true
		kept.failures++
	})
}

// succeed notes that Cal.com answered the object's create call with a user, whose creation is finished.
func (u *unsettledIntents) succeed(mu *v1alpha1.ManagedUser) {
	u.change(mu, func(kept *unsettledIntent) { kept.failed, kept.failures, kept.doubtful = time.Time{}, 0, false })
}

// isOpen reports whether a create call of this process was sent for an object and its outcome is not in the status.
// Such an object may have a user, whatever its records say.
func (u *unsettledIntents) isOpen(mu *v1alpha1.ManagedUser) bool {
	_, ok := u.recall(mu)
	return ok
}

// hasFailed reports whether Cal.com answered the object's last create call with an error of its own.
func (u *unsettledIntents) hasFailed(mu *v1alpha1.ManagedUser) bool {
	_, failed := u.failedUntil(mu, 0)
	return failed
}

// mayBeUnfinished reports whether Cal.com answered a create call for the object with an error of its own, and what that
// call may have left was not deleted since.
func (u *unsettledIntents) mayBeUnfinished(mu *v1alpha1.ManagedUser) bool {
	kept, ok := u.of(mu)
	return ok && kept.doubtful
}

// callOf returns what is known of the create calls for an object.
func (u *unsettledIntents) callOf(mu *v1alpha1.ManagedUser) manageduser.CreateCall {
	c := manageduser.CreateCall{Unsent: u.isUnsent(mu), Failed: u.hasFailed(mu), Unfinished: u.mayBeUnfinished(mu)}
	if i, ok := u.recall(mu); ok {
		c.Intent = &i
	}
	return c
}

// dropUnfinished notes that the user was deleted which an earlier create call had left unfinished.
func (u *unsettledIntents) dropUnfinished(mu *v1alpha1.ManagedUser) {
	u.change(mu, func(kept *unsettledIntent) { kept.doubtful = false })
}

// failedUntil returns the end of the wait after Cal.com answered the object's last create call with an error of its
// own. The wait doubles with each such answer, up to 32 times the first.
func (u *unsettledIntents) failedUntil(mu *v1alpha1.ManagedUser, first time.Duration) (time.Time, bool) {
	kept, ok := u.of(mu)
	if !ok || kept.failed.IsZero() {
		return time.Time{}, false
	}
	if i, recorded := manageduser.RecordedIntent(mu); recorded && !i.Time.Equal(kept.intent.Time) {
		return time.Time{}, false // Another process has sent a call since.
	}
	return kept.failed.Add(first << min(kept.failures-1, 5)), true
}

// recall returns the intent of this very object, if its call was sent and its outcome is not in the status.
func (u *unsettledIntents) recall(mu *v1alpha1.ManagedUser) (manageduser.Intent, bool) {
	kept, ok := u.of(mu)
	return kept.intent, ok && !kept.unsent && !kept.intent.Settled(mu)
}

// settle drops the intent of an object whose stored status shows the outcome.
func (u *unsettledIntents) settle(mu *v1alpha1.ManagedUser) {
	u.mu.Lock()
	defer u.mu.Unlock()
	key := client.ObjectKeyFromObject(mu)
	if kept, ok := u.byObject[key]; ok && kept.intent.Settled(mu) {
		delete(u.byObject, key)
	}
}

// forget drops the intent of an object that is gone, or of a call that had no effect.
func (u *unsettledIntents) forget(object client.ObjectKey) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.byObject, object)
}
