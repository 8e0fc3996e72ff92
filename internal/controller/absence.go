// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/account"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
	"github.com/calcom-operator/calcom-operator/internal/gate"
	"github.com/calcom-operator/calcom-operator/internal/limits"
)

// absencesPrefix begins the keys of absences in the record. No OAuth client's id contains a slash or begins so.
const absencesPrefix = "absences."

// absences holds up what follows from a user that is gone, its creation anew or the release of its object, when many
// users of an OAuth client are gone at once: a wiped database, or a proxy in front of another tenant, answers so for
// all of them.
type absences struct {
	limit  int
	hold   time.Duration
	record *limitsRecord
	clock  clock.PassiveClock
	// unrecorded is set when the operator may not read or write its record.
	unrecorded atomic.Bool

	// started is when the process began.
	started time.Time

	// What follows is under the record's lock.
	byAccount map[account.Name]*accountAbsences
	// deleted are the objects for which a DELETE call was sent that may have had its effect: their users are not absent
	// by accident.
	deleted map[client.ObjectKey]types.UID
	// cutOff is how many deletions the process before may have left in their middle: as many of one OAuth client as are
	// under way at a time, less those that were accounted for. Their users are gone, by no accident.
	cutOff int
}

type accountAbsences struct {
	*limits.Absences

	// loaded is whether the record was read.
	loaded bool
	// announced is whether the event of the hold was sent.
	announced bool
	// compared is when the users of other objects were last asked for.
	compared time.Time
}

func newAbsences(record *limitsRecord, config Config) *absences {
	a := &absences{
		limit: config.MassAbsenceLimit, record: record, clock: config.Clock,
		// An object that is held is checked again at the slow pace, which is less than twice the interval.
		hold:    limits.Window + 2*config.ResyncInterval,
		started: config.Clock.Now(), cutOff: min(config.MaxConcurrentReconciles, gate.LimitsFor(config.MaxConcurrentReconciles)[gate.Delete]),
		byAccount: make(map[account.Name]*accountAbsences), deleted: make(map[client.ObjectKey]types.UID),
	}
	record.onLost = append(record.onLost, func() {
		for _, state := range a.byAccount {
			state.loaded = false
		}
	})
	return a
}

// newLimits returns the two limits, which share a record.
func newLimits(c client.Client, reader client.Reader, config Config) (*deletions, *absences) {
	record := newLimitsRecord(c, reader, config)
	d, a := newDeletions(record, config), newAbsences(record, config)
	record.prunes = func(key, text string, now time.Time) string {
		if strings.HasPrefix(key, absencesPrefix) {
			return a.prune(text, now)
		}
		return d.prune(text, now)
	}
	return d, a
}

// state returns what is known of an account. The lock is held.
func (a *absences) state(of account.Name) *accountAbsences {
	state, ok := a.byAccount[of]
	if !ok {
		state = &accountAbsences{Absences: limits.NewAbsences(a.limit, a.hold)}
		a.byAccount[of] = state
	}
	return state
}

// use runs a function with the lock held and, if the operator may read it, the record read. An operator without the
// rights counts in memory.
func (a *absences) use(ctx context.Context, f func() error) error {
	if !a.unrecorded.Load() {
		err := a.record.use(ctx, f)
		if !apierrors.IsForbidden(err) {
			return err
		}
		a.unrecorded.Store(true)
		log.FromContext(ctx).Info("The operator may not keep its record of the limits, and counts users that are gone in memory", "configMap", limitsName)
	}
	a.record.mu.Lock()
	defer a.record.mu.Unlock()
	return f()
}

// mayBeCutOff reports whether the process before may have sent the DELETE call for an object.
func (a *absences) mayBeCutOff(mu *v1alpha1.ManagedUser) bool {
	return !mu.DeletionTimestamp.IsZero() && mu.DeletionTimestamp.Time.Before(a.started)
}

// accountFor reports whether an object's user is one that the process before is taken to have deleted. During a hold
// none is.
func (a *absences) accountFor(of account.Name, mu *v1alpha1.ManagedUser) bool {
	a.record.mu.Lock()
	defer a.record.mu.Unlock()
	if !a.mayBeCutOff(mu) || a.cutOff == 0 || a.state(of).Held(a.clock.Now()) {
		return false
	}
	a.cutOff--
	return true
}

// admit reports whether an object must wait whose user is proved to be gone. It is an error when that cannot be
// recorded.
func (a *absences) admit(ctx context.Context, of account.Name, key string) (held bool, err error) {
	err = a.use(ctx, func() error {
		now, state := a.clock.Now(), a.state(of)
		a.load(of, state, now)
		state.Missing(now, key)
		if held = state.Held(now); held {
			return a.store(ctx, of, state)
		}
		state.announced = false
		if state.Take(key, now) {
			return nil
		}
		next, ok := state.Next(key, now)
		if !ok {
			held = true
			return nil
		}
		if err := a.write(ctx, of, next); err != nil {
			return err
		}
		state.Renew(next)
		if !state.Take(key, now) { // Not possible: it was just written.
			return errAgain
		}
		return nil
	})
	return held, err
}

// isHeld reports whether objects of an account have to wait, for one that does not count.
func (a *absences) isHeld(ctx context.Context, of account.Name, _ string) (held bool, err error) {
	err = a.use(ctx, func() error {
		now, state := a.clock.Now(), a.state(of)
		a.load(of, state, now)
		held = state.Held(now)
		return nil
	})
	return held, err
}

// suspect notes that the users of some objects were not where they were last seen. When these are many, a hold begins
// before any of the objects is reconciled.
func (a *absences) suspect(ctx context.Context, of account.Name, objects []types.NamespacedName) {
	if a.limit == 0 || len(objects) == 0 {
		return
	}
	keys := make([]string, len(objects))
	for i, object := range objects {
		keys[i] = object.String()
	}
	a.record.mu.Lock()
	a.state(of).Missing(a.clock.Now(), keys...)
	a.record.mu.Unlock()
	err := a.use(ctx, func() error {
		now, state := a.clock.Now(), a.state(of)
		a.load(of, state, now)
		if !state.Held(now) {
			return nil
		}
		return a.store(ctx, of, state)
	})
	if err != nil && !errors.Is(err, errAgain) { // It is in force in memory, and stored with the next object that is held.
		log.FromContext(ctx).Error(withoutValues(err), "Recording that many users are gone")
	}
}

// load takes the record of an account over, once.
func (a *absences) load(of account.Name, state *accountAbsences, now time.Time) {
	if !state.loaded && !a.unrecorded.Load() {
		text, _ := a.record.text(absencesPrefix + of.RecordKey())
		state.Load(a.parse(text, now), now)
		state.loaded = true
	}
}

// parse reads an entry. One that was edited and cannot be read is taken for a hold, the most careful reading.
func (a *absences) parse(text string, now time.Time) limits.AbsenceRecord {
	var record limits.AbsenceRecord
	if text != "" && json.Unmarshal([]byte(text), &record) != nil {
		return limits.AbsenceRecord{HeldUntil: now.Add(a.hold)}
	}
	return record
}

// prune returns what still counts of an entry, or nothing.
func (a *absences) prune(text string, now time.Time) string {
	record := a.parse(text, now).Sound(a.limit, a.hold, now)
	if record.IsZero() {
		return ""
	}
	return encodeAbsences(record)
}

func encodeAbsences(record limits.AbsenceRecord) string {
	text, err := json.Marshal(record)
	if err != nil { // Not possible for these fields.
		panic(err)
	}
	return string(text)
}

// store records a hold, when it is new and now and then while it lasts.
func (a *absences) store(ctx context.Context, of account.Name, state *accountAbsences) error {
	if !state.NeedsWrite() {
		return nil
	}
	record := state.Record(a.clock.Now())
	if err := a.write(ctx, of, record); err != nil {
		return err
	}
	state.Wrote(record)
	return nil
}

// write records what is allowed.
func (a *absences) write(ctx context.Context, of account.Name, record limits.AbsenceRecord) error {
	if a.unrecorded.Load() {
		return nil
	}
	return a.record.save(ctx, absencesPrefix+of.RecordKey(), encodeAbsences(record))
}

// shown notes that an object's user is there.
func (a *absences) shown(of account.Name, name client.ObjectKey) {
	a.record.mu.Lock()
	defer a.record.mu.Unlock()
	if state, ok := a.byAccount[of]; ok {
		state.Shown(name.String())
	}
}

// sendDelete sends the DELETE call, and remembers the object if the call may have had its effect.
func (r *ManagedUserReconciler) sendDelete(ctx context.Context, v *visit, id int64) error {
	undo := r.absences.noteDelete(v.mu)
	_, err := v.cal.DeleteUser(ctx, id)
	if e, ok := errors.AsType[*calcom.Error](err); err != nil && (!ok || !e.OutcomeUnknown()) {
		undo()
	}
	return err
}

func (a *absences) noteDelete(mu *v1alpha1.ManagedUser) (undo func()) {
	name := client.ObjectKeyFromObject(mu)
	a.record.mu.Lock()
	defer a.record.mu.Unlock()
	before, noted := a.deleted[name]
	a.deleted[name] = mu.UID
	return func() {
		a.record.mu.Lock()
		defer a.record.mu.Unlock()
		if noted {
			a.deleted[name] = before
		} else {
			delete(a.deleted, name)
		}
	}
}

// wasDeleted reports whether a DELETE call was sent for an object that may have had its effect.
func (a *absences) wasDeleted(name types.NamespacedName, uid types.UID) bool {
	a.record.mu.Lock()
	defer a.record.mu.Unlock()
	noted, ok := a.deleted[name]
	return ok && noted == uid
}

// forget drops an object that is gone, or was released.
func (a *absences) forget(name client.ObjectKey) {
	a.record.mu.Lock()
	defer a.record.mu.Unlock()
	delete(a.deleted, name)
	now := a.clock.Now()
	maps.DeleteFunc(a.byAccount, func(_ account.Name, state *accountAbsences) bool {
		state.Shown(name.String())
		return state.Idle(now)
	})
}

// announce reports whether the event of a hold is still to be sent, once.
func (a *absences) announce(of account.Name) bool {
	a.record.mu.Lock()
	defer a.record.mu.Unlock()
	state := a.state(of)
	is := !state.announced
	state.announced = true
	return is
}
