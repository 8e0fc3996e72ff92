// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
)

// UnknownOutcomeGrace is how long, as a rule, an absent user proves nothing after a create call of unknown outcome.
// The server has no time-out of its own: it was seen to finish a create long after its caller had gone.
const UnknownOutcomeGrace = 2 * time.Minute

// replicaGrace is how long after a create call that succeeded a 404 may come from a read replica that has not
// heard of the user yet.
const replicaGrace = 10 * time.Second

// intent is the record of a create call, written before it is sent.
type intent struct {
	// Time of the call.
	Time time.Time `json:"time"`
	// Since is the time of the first of several calls whose outcome is not known; zero where Time is that of the first.
	Since time.Time `json:"since,omitzero"`
	// Email that the call names. The spec may name another by the time the outcome is known.
	Email calcom.Hidden[string] `json:"email"`
	// Client is the id of the OAuth client that the call goes to.
	Client string `json:"client,omitempty"`
	// APIURL is where.
	APIURL string `json:"apiURL,omitempty"`
	// UID of the object that the call was for. A copied manifest has the intent of another one.
	UID types.UID `json:"uid,omitempty"`
	// Process names the process that sends the call. Two that record a call in the same second have different records.
	Process string `json:"process,omitempty"`
	// Zoned is whether the call names a time zone: then a finished user has a default schedule.
	Zoned bool `json:"zoned,omitempty"`
	// Recreates is the id of an unfinished user that the call made, and that is being deleted to be created anew.
	Recreates int64 `json:"recreates,omitempty"`
	// Replaces is the id of the user that was gone from Cal.com and is created anew, and ReplacesDate when that one had been
	// created: a server that was wiped gives the same id again.
	Replaces     int64  `json:"replaces,omitempty"`
	ReplacesDate string `json:"replacesDate,omitempty"`
}

// recordedIntent returns the record as it stands.
func recordedIntent(mu *v1alpha1.ManagedUser) (i intent, ok bool) {
	value, ok := mu.Annotations[v1alpha1.CreateIntentAnnotation]
	return i, ok && json.Unmarshal([]byte(value), &i) == nil
}

// intentOf returns the object's record of a create call, if there is one. A record that cannot be right, because
// somebody edited it or a clock was set back, counts as one of a call made now: it can only make the operator more
// careful.
func intentOf(mu *v1alpha1.ManagedUser, now time.Time) (intent, bool) {
	i, ok, _ := readIntent(mu, now)
	return i, ok
}

// readIntent also reports whether the record is sound as it stands.
func readIntent(mu *v1alpha1.ManagedUser, now time.Time) (i intent, exists, sound bool) {
	value, ok := mu.Annotations[v1alpha1.CreateIntentAnnotation]
	if !ok && !lostRecord(mu) {
		return intent{}, false, true
	}
	if json.Unmarshal([]byte(value), &i) != nil || i.Email.Reveal() == "" {
		return intent{Time: now, Email: calcom.Hide(mu.Spec.Email)}, true, false
	}
	if i.Time.IsZero() || i.Time.After(now) {
		i.Time = now
		return i, true, false
	}
	return i, true, true
}

// lostRecord reports whether the object has the finalizer and nothing that says what it stands for, as after a restore from a
// backup without annotations and status. A create call may be behind it.
func lostRecord(mu *v1alpha1.ManagedUser) bool {
	_, known := identity(mu)
	return controllerutil.ContainsFinalizer(mu, v1alpha1.ManagedUserFinalizer) && !known && adoptedID(mu) == 0
}

// repairIntent writes a record that is not sound anew, once, so that the wait that it demands comes to an end.
func (r *ManagedUserReconciler) repairIntent(ctx context.Context, v *visit, _ *Action) error {
	now := r.clock.Now().UTC().Truncate(time.Second)
	i, _, _ := readIntent(v.mu, now)
	i.Time = now
	return r.patchMetadata(ctx, v.mu, "repairing the create intent", func(mu *v1alpha1.ManagedUser) {
		setAnnotation(mu, v1alpha1.CreateIntentAnnotation, i.encode())
	})
}

// encode returns the record as the annotation holds it.
func (i intent) encode() string {
	value, err := json.Marshal(struct {
		Time      time.Time `json:"time"`
		Since     time.Time `json:"since,omitzero"`
		Email     string    `json:"email"`
		Client    string    `json:"client,omitempty"`
		APIURL    string    `json:"apiURL,omitempty"`
		UID       types.UID `json:"uid,omitempty"`
		Process   string    `json:"process,omitempty"`
		Zoned     bool      `json:"zoned,omitempty"`
		Recreates int64     `json:"recreates,omitempty"`
		Replaces  int64     `json:"replaces,omitempty"`
		Date      string    `json:"replacesDate,omitempty"`
	}{i.Time, i.Since, i.Email.Reveal(), i.Client, i.APIURL, i.UID, i.Process, i.Zoned, i.Recreates, i.Replaces, i.ReplacesDate})
	if err != nil { // Not possible for these fields.
		panic(err)
	}
	return string(value)
}

// settled reports whether the outcome of the call is known: a user other than the one to be replaced stands in
// status.
func (i intent) settled(mu *v1alpha1.ManagedUser) bool {
	id, ok := identity(mu)
	return ok && (id != i.Replaces || i.ReplacesDate != "" && mu.Status.User.CreatedDate != i.ReplacesDate)
}

// absenceCountsIn returns how long it takes until a user that cannot be found proves to be gone; 0 means now. grace is
// how long that takes after a call of unknown outcome.
func absenceCountsIn(mu *v1alpha1.ManagedUser, grace time.Duration, now time.Time) time.Duration {
	i, ok := intentOf(mu, now)
	if !ok {
		return 0
	}
	if i.settled(mu) {
		grace = replicaGrace
	}
	return max(0, i.Time.Add(grace).Sub(now))
}

// absenceCountsIn is the same with what this process knows: an answer of Cal.com's own that the create call failed proves after
// seconds what a lost answer proves only after the grace. The server works on after a connection is cut, and not after it has
// answered. A call of this process counts also when another process has replaced its record by that of an earlier one.
func (r *ManagedUserReconciler) absenceCountsIn(mu *v1alpha1.ManagedUser) time.Duration {
	now, grace := r.clock.Now(), r.config.UnknownOutcomeGrace
	if until, ok := r.intents.failedUntil(mu, min(replicaGrace, grace)); ok {
		return max(0, until.Sub(now))
	}
	wait := absenceCountsIn(mu, grace, now)
	if i, ok := r.intents.recall(mu); ok {
		wait = max(wait, i.Time.Add(grace).Sub(now))
	}
	return wait
}

// newIntent returns the record of a create call that is sent now.
func (r *ManagedUserReconciler) newIntent(v *visit) intent {
	i := intent{
		Time: r.clock.Now().UTC().Truncate(time.Second), Email: calcom.Hide(v.mu.Spec.Email),
		Client: v.account.clientID, APIURL: v.account.apiURL, UID: v.mu.UID, Process: r.process, Zoned: v.mu.Spec.TimeZone != "",
	}
	if id, known := identity(v.mu); known {
		i.Replaces, i.ReplacesDate = id, v.mu.Status.User.CreatedDate
	}
	if last, open := ownOpenIntent(v.mu); open && !r.intents.isUnsent(v.mu) && last.isTo(i) {
		i.Since = last.first()
	}
	return i
}

// isTo reports whether two records are of calls for the same user at the same OAuth client.
func (i intent) isTo(other intent) bool {
	return i.Email.Reveal() == other.Email.Reveal() && i.Client == other.Client && i.APIURL == other.APIURL
}

// first returns the time of the first call whose outcome is not known.
func (i intent) first() time.Time {
	if i.Since.IsZero() {
		return i.Time
	}
	return i.Since
}

// prepare protects what the user needs and records the create intent. renews: an earlier call may have been sent. An object
// that has waited for its place since it was prepared is not prepared again, unless its record is growing old.
func (r *ManagedUserReconciler) prepare(ctx context.Context, v *visit, renews bool) error {
	if r.isPrepared(v) {
		return nil
	}
	if v.again > 0 && !renews {
		return errAgain // Another writer removes the records again and again; they are restored after growing delays.
	}
	if err := r.protect(ctx, v); err != nil {
		return err
	}
	if err := r.recordIntent(ctx, v, !renews); err != nil || renews { // A release sees the finalizer that was there.
		return err
	}
	if err := r.confirm(ctx, v); err != nil {
		return errors.Join(err, r.retractIntent(ctx, v.mu))
	}
	return nil
}

// isPrepared reports whether the object's record is that of the call to be sent now, and new enough.
func (r *ManagedUserReconciler) isPrepared(v *visit) bool {
	recorded, _ := recordedIntent(v.mu)
	if !r.intents.isUnsent(v.mu) || !controllerutil.ContainsFinalizer(v.mu, v1alpha1.ManagedUserFinalizer) ||
		r.clock.Since(recorded.Time) > freshness/2 {
		return false
	}
	now := r.newIntent(v)
	now.Time = recorded.Time
	return now.encode() == recorded.encode()
}

// recordIntent is the last write before a create call: the finalizer and the record of the call, in one patch
// with an optimistic lock, so that a reconcile that works on a stale copy of the object stops here.
func (r *ManagedUserReconciler) recordIntent(ctx context.Context, v *visit, first bool) error {
	i := r.newIntent(v)
	err := r.patchMetadata(ctx, v.mu, "recording the create intent", func(mu *v1alpha1.ManagedUser) {
		controllerutil.AddFinalizer(mu, v1alpha1.ManagedUserFinalizer)
		setAnnotation(mu, v1alpha1.CreateIntentAnnotation, i.encode())
		delete(mu.Annotations, v1alpha1.AdoptedAnnotation)
	})
	if err == nil {
		r.intents.keep(v.mu, i, first)
	}
	return err
}

// freshness is how old the record of a create call may be when the call is sent. The call may take another 30 s, its effect come later
// still, and whoever finds the record counts the grace from its time.
const freshness = 30 * time.Second

// checkIntentIsNew holds a create call back whose record has grown old before the call was sent: the API server was slow, or the
// process stood still. Another process may be about to send its own. The record stays and is waited for like any other.
func (r *ManagedUserReconciler) checkIntentIsNew(mu *v1alpha1.ManagedUser) error {
	if i, ok := recordedIntent(mu); ok && r.clock.Since(i.Time) <= freshness {
		return nil
	}
	return errAgain
}

// retractIntent undoes recordIntent after a first create call that certainly had no effect, so that the object can
// be deleted at once: it stands for nothing in Cal.com.
func (r *ManagedUserReconciler) retractIntent(ctx context.Context, mu *v1alpha1.ManagedUser) error {
	r.intents.forget(client.ObjectKeyFromObject(mu))
	retract := func() error {
		return r.patchMetadata(ctx, mu, "retracting the create intent", func(mu *v1alpha1.ManagedUser) {
			controllerutil.RemoveFinalizer(mu, v1alpha1.ManagedUserFinalizer)
			delete(mu.Annotations, v1alpha1.CreateIntentAnnotation)
		})
	}
	err := retract()
	if !apierrors.IsConflict(err) {
		return err
	}
	// If the record is still this call's, it is still this call's to take back. In any case, what was refused may not be what the
	// spec says by now, so nothing is said about it.
	if err := r.renew(ctx, mu, func(now *v1alpha1.ManagedUser) bool { return sameRecord(mu, now) }); err != nil {
		return errors.Join(errAgain, err)
	}
	return errors.Join(errAgain, retract())
}

// renew takes over, after a conflict, the metadata that the object has now, if it is the object that was read and still holds
// what counts.
func (r *ManagedUserReconciler) renew(ctx context.Context, mu *v1alpha1.ManagedUser, holds func(now *v1alpha1.ManagedUser) bool) error {
	now := &v1alpha1.ManagedUser{}
	if err := r.reader.Get(ctx, client.ObjectKeyFromObject(mu), now); err != nil {
		return fmt.Errorf("reading the object again: %w", err)
	}
	if now.UID != mu.UID || !holds(now) {
		return errAgain
	}
	mu.ResourceVersion, mu.Finalizers, mu.Annotations = now.ResourceVersion, now.Finalizers, now.Annotations
	return nil
}

// sameRecord reports whether two states of an object tell of the same create call.
func sameRecord(a, b *v1alpha1.ManagedUser) bool {
	return a.Annotations[v1alpha1.CreateIntentAnnotation] == b.Annotations[v1alpha1.CreateIntentAnnotation]
}

// claim adds the finalizer and the annotation before the first change to a user that exists already.
func (r *ManagedUserReconciler) claim(ctx context.Context, mu *v1alpha1.ManagedUser, user *calcom.User, origin v1alpha1.Origin) error {
	_, intended := recordedIntent(mu)
	recorded := hasAdoptedAnnotation(mu) == (origin == v1alpha1.OriginAdopted) && (intended || origin == v1alpha1.OriginAdopted)
	if controllerutil.ContainsFinalizer(mu, v1alpha1.ManagedUserFinalizer) && recorded {
		return nil
	}
	return r.patchMetadata(ctx, mu, "claiming the user", func(mu *v1alpha1.ManagedUser) {
		controllerutil.AddFinalizer(mu, v1alpha1.ManagedUserFinalizer)
		r.annotateOrigin(mu, user, origin)
	})
}

// patchMetadata writes a change of the metadata and takes over what it changed, and the resource version, into
// mu. It works on a copy, since a patch overwrites the object that it is given, status and all. The optimistic
// lock is needed for the finalizers: a merge patch replaces the whole list.
func (r *ManagedUserReconciler) patchMetadata(
	ctx context.Context, mu *v1alpha1.ManagedUser, doing string, change func(*v1alpha1.ManagedUser),
) error {
	written := mu.DeepCopy()
	change(written)
	base := client.MergeFromWithOptions(mu.DeepCopy(), client.MergeFromWithOptimisticLock{})
	if err := r.client.Patch(ctx, written, base); err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	mu.ResourceVersion = written.ResourceVersion
	mu.Finalizers = written.Finalizers
	mu.Annotations = written.Annotations
	return nil
}

func setAnnotation(mu *v1alpha1.ManagedUser, key, value string) {
	if mu.Annotations == nil {
		mu.Annotations = make(map[string]string, 1)
	}
	mu.Annotations[key] = value
}
