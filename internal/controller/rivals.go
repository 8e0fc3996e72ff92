// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/outcome"
)

const (
	// firstRivalDelay is the pause before the second attempt to write what another writer keeps undoing. It doubles
	// with each further attempt, up to lastRivalDelay.
	firstRivalDelay = time.Second
	lastRivalDelay  = 5 * time.Minute

	// rivalPeace is the shortest time without a conflict after which the next attempt is made at once again.
	rivalPeace = time.Minute

	// rivalWarning is the attempt with which the event is sent. A GitOps tool that replaces an object once or twice is
	// no rival.
	rivalWarning = 3
)

// rivals slows down writes that another writer undoes again and again, per object. It is safe for concurrent use.
type rivals struct {
	reader   client.Reader // Not cached.
	recorder events.EventRecorder
	clock    clock.PassiveClock
	manager  string // The operator's own field manager.

	mu       sync.Mutex
	attempts map[kindKey]attempt
}

// kindKey is an object of some kind.
type kindKey struct {
	kind string
	client.ObjectKey
}

// attempt is the last of some writes that were undone.
type attempt struct {
	count int
	at    time.Time
}

func (a attempt) delay() time.Duration {
	if a.count == 0 {
		return 0
	}
	return min(firstRivalDelay<<min(a.count-1, 20), lastRivalDelay)
}

func newRivals(reader client.Reader, recorder events.EventRecorder, config Config) *rivals {
	manager, _, _ := strings.Cut(config.UserAgent, "/")
	return &rivals{reader: reader, recorder: recorder, clock: config.Clock, manager: manager, attempts: make(map[kindKey]attempt)}
}

// admit returns 0 when what the operator keeps on an object may be written once more, and otherwise the time until
// then. what names it, for the event that the third attempt sends.
func (r *rivals) admit(ctx context.Context, object client.Object, what string) time.Duration {
	return r.admitAs(ctx, kindOfObject(object), object, what)
}

// admitAs is admit for what is counted apart from the other writes to objects of a kind.
func (r *rivals) admitAs(ctx context.Context, kind string, object client.Object, what string) time.Duration {
	key := kindKey{kind: kind, ObjectKey: client.ObjectKeyFromObject(object)}
	count, since, wait := r.count(key)
	if count == rivalWarning {
		r.warn(ctx, object, what, since)
	}
	return wait
}

// count notes an attempt, if one is due, and returns its number and when the one before was made.
func (r *rivals) count(key kindKey) (number int, before time.Time, wait time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	last, now := r.attempts[key], r.clock.Now()
	before = last.at
	since := now.Sub(before)
	switch {
	case since >= max(rivalPeace, 4*last.delay()):
		last = attempt{}
		r.prune(now)
	case since < last.delay():
		return 0, before, last.delay() - since
	}
	last.count++
	last.at = now
	r.attempts[key] = last
	return last.count, before, 0
}

// prune drops the objects that have had their peace. The lock is held.
func (r *rivals) prune(now time.Time) {
	for key, last := range r.attempts {
		if now.Sub(last.at) >= max(rivalPeace, 4*last.delay()) {
			delete(r.attempts, key)
		}
	}
}

// forget drops an object that is gone, and all that had their peace.
func (r *rivals) forget(kind string, object client.ObjectKey) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.attempts, kindKey{kind, object})
	r.prune(r.clock.Now())
}

// warn sends the event. The other writer has written since a time.
func (r *rivals) warn(ctx context.Context, object client.Object, what string, since time.Time) {
	r.recorder.Eventf(object, nil, corev1.EventTypeWarning, v1alpha1.EventContested, "Reconcile",
		"%s removes or changes %s again and again. The operator restores it after growing delays, up to %v; "+
			"configure that writer to leave it alone", r.rival(ctx, object, since), what, lastRivalDelay)
}

// rival names the field manager other than the operator that wrote an object last, if it did so since a time. A writer
// that only removes fields owns none, and cannot be named.
func (r *rivals) rival(ctx context.Context, object client.Object, since time.Time) string {
	unknown := "Another writer"
	now, ok := object.DeepCopyObject().(client.Object)
	if !ok || r.reader.Get(ctx, client.ObjectKeyFromObject(object), now) != nil {
		return unknown
	}
	var name string
	latest := since.Truncate(time.Second) // The precision of the entries.
	for _, entry := range now.GetManagedFields() {
		if entry.Manager == r.manager || entry.Subresource != "" || entry.Time == nil || entry.Time.Time.Before(latest) {
			continue
		}
		name, latest = entry.Manager, entry.Time.Time
	}
	if outcome.KeyName.MatchString(name) {
		return fmt.Sprintf("The field manager %s", name)
	}
	return unknown
}

// kindOfObject is the kind of the objects that the operator keeps something on.
func kindOfObject(object client.Object) string {
	switch object.(type) {
	case *v1alpha1.ManagedUser:
		return "ManagedUser"
	case *corev1.Secret:
		return "Secret"
	}
	return object.GetObjectKind().GroupVersionKind().Kind
}
