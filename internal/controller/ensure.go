// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/log"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
	"github.com/calcom-operator/calcom-operator/internal/gate"
)

// ensure brings the user to what the spec says: creates it when there is none, takes it over when it is another's
// and may be, and writes what differs.
func (r *ManagedUserReconciler) ensure(ctx context.Context, v *visit, found *sighting) error {
	if found == nil {
		return r.create(ctx, v)
	}
	return r.take(ctx, v, found)
}

// take makes a user that exists the object's own, unless it is already, and updates it.
func (r *ManagedUserReconciler) take(ctx context.Context, v *visit, found *sighting) error {
	origin := v1alpha1.OriginAdopted
	if found.known {
		if done, err := r.finishCreation(ctx, v, found); done || err != nil {
			return err
		}
		origin = originOfFound(v.before, &found.User)
	} else if err := r.admitAdoption(ctx, v, found); err != nil {
		return err
	}
	v.mark.adopted = origin == v1alpha1.OriginAdopted
	if !found.byID {
		if err := r.putOnRecord(ctx, v, found, origin); err != nil {
			return err
		}
	}
	if err := r.settleReturned(ctx, v, found, origin); err != nil {
		return err
	}
	mirror(v.mu, found.User)
	v.mu.Status.Origin = origin
	v.resolve(found)
	v.seen = true
	if id := v.mu.Spec.UserID; id != 0 && id != found.ID {
		return synced(v1alpha1.ReasonInvalidSpec, fmt.Sprintf(
			"The userID is %d, and this object has user %d already; apply a new object for the other one", id, found.ID))
	}
	if !found.known {
		v.record(v1alpha1.ReasonAdopted, fmt.Sprintf("Adopted user %d", found.ID))
		log.FromContext(ctx).Info("Adopted user", "userID", found.ID)
	}
	return r.update(ctx, v, found.User)
}

// admitAdoption decides whether the object may adopt a user. In place of an own one that seems to be gone, it does so under
// the limit of those that are gone at once.
func (r *ManagedUserReconciler) admitAdoption(ctx context.Context, v *visit, found *sighting) error {
	if err := mayAdopt(v, found.User); err != nil {
		return err
	}
	if _, known := identity(v.mu); known {
		return r.admitAbsence(ctx, v)
	}
	return nil
}

// putOnRecord claims a user whose id is not in status yet, and writes the id there before the first update: that one may
// change the address by which the user was found, and with its answer lost nothing else would lead to the user.
func (r *ManagedUserReconciler) putOnRecord(ctx context.Context, v *visit, found *sighting, origin v1alpha1.Origin) error {
	if err := r.protect(ctx, v); err != nil {
		return err
	}
	claimed := controllerutil.ContainsFinalizer(v.mu, v1alpha1.ManagedUserFinalizer)
	if err := r.claim(ctx, v.mu, &found.User, origin); err != nil {
		return err
	}
	if !claimed {
		if err := r.confirm(ctx, v); err != nil {
			return err
		}
	}
	mirror(v.mu, found.User)
	v.mu.Status.Origin = origin
	if d := diff(v.mu, found.User, v.mark); d.empty() {
		return nil // The status is written at the end.
	}
	return r.writeStatus(ctx, v)
}

// create sends the create call, once, after recording that it will. Whatever comes back but a clear refusal
// leaves the record in place, and the next reconcile looks for the user before anything else.
func (r *ManagedUserReconciler) create(ctx context.Context, v *visit) error {
	if id := v.mu.Spec.UserID; id != 0 {
		return synced(v1alpha1.ReasonNotFound, fmt.Sprintf(
			"Cal.com has no user %d under this OAuth client; correct it in a new object, or leave userID out to have a user created", id))
	}
	if v.mu.Spec.Name == "" {
		return synced(v1alpha1.ReasonInvalidSpec, "There is no user with this e-mail, and Cal.com creates none without a name; set name")
	}
	if standing := standingConflict(v); standing != nil {
		return standing
	}
	if err := r.admitAbsence(ctx, v); err != nil {
		return err
	}
	// A finalizer without a record is what a backup leaves that lost the annotations: an earlier call may stand behind it.
	renewed := controllerutil.ContainsFinalizer(v.mu, v1alpha1.ManagedUserFinalizer) && !r.intents.isUnsent(v.mu)
	if err := v.cal.prepareCreate(renewed); err != nil {
		return err
	}
	if err := r.prepare(ctx, v, renewed); err != nil {
		return err
	}
	if err := v.cal.enter(gate.Create); err != nil {
		return err
	}
	if err := r.checkIntentIsNew(v.mu); err != nil {
		return err
	}
	r.intents.send(v.mu)
	v.mark.adopted = false
	user, tokens, err := v.cal.CreateUser(ctx, newUser(v.mu, v.mark))
	r.measureCreate(v, err)
	if err == nil {
		mirror(v.mu, user)
		v.mu.Status.Origin = v1alpha1.OriginCreated
		v.seen = true
		r.keepCreated(v, tokens, user.ID)
		v.record(v1alpha1.ReasonCreated, fmt.Sprintf("Created user %d", user.ID))
		log.FromContext(ctx).Info("Created user", "userID", user.ID)
		// Older servers ignore some fields of a create call; as a rule nothing differs and nothing is sent.
		err = r.update(ctx, v, user)
		v.cal.leave()
		return err
	}
	return r.createFailed(ctx, v, err, renewed)
}

// createFailed deals with a create call that did not succeed. The record of a first call that certainly had no
// effect is taken back; that of a later one stays, since an earlier one may still take effect.
func (r *ManagedUserReconciler) createFailed(ctx context.Context, v *visit, err error, renewed bool) error {
	if e, ok := errors.AsType[*calcom.Error](err); ok && e.OutcomeUnknown() {
		if e.HandlerEnded() {
			r.intents.fail(v.mu, r.clock.Now())
		}
		return unansweredCreate(e)
	}
	if calcom.IsConflict(err) {
		var found *sighting
		found, err = r.resolveConflict(ctx, v, err)
		if _, unresolved := errors.AsType[*calcom.Error](err); unresolved {
			return err // The user that is in the way may be the object's own.
		}
		if err == nil && !found.known {
			err = mayAdopt(v, found.User)
		}
		if err == nil {
			return r.take(ctx, v, found)
		}
	}
	if p := classify(err); renewed || p != nil && p.reason == v1alpha1.ReasonRemoteInconsistent {
		return err
	}
	return errors.Join(err, r.retractIntent(ctx, v.mu))
}

// update writes what differs from the spec, and nothing else. What the server has taken before and not stored is not sent
// again.
func (r *ManagedUserReconciler) update(ctx context.Context, v *visit, user calcom.User) error {
	d := diff(v.mu, user, v.mark)
	if d.empty() {
		return metadataBlocked("The metadata is not written", d.blocked)
	}
	if left := notStored(d); v.hasTried(left, user) {
		return left
	}
	updated, err := v.cal.UpdateUser(ctx, user.ID, d.update)
	if err != nil {
		return err
	}
	mirror(v.mu, updated)
	v.recordUpdate(d.fields)
	log.FromContext(ctx).Info("Updated user", "userID", user.ID, "fields", d.fields)
	if v.mark.ownershipOf(updated) == foreign { // It has come to be another's since it was read.
		return ownedElsewhere(v, updated)
	}
	if left := diff(v.mu, updated, v.mark); !left.empty() {
		return notStored(left)
	}
	return metadataBlocked("The metadata is not written", d.blocked)
}

// notStored says that Cal.com accepts an update and stores something else.
func notStored(left *difference) *problem {
	what := strings.Join(left.fields, ", ")
	if len(left.keys) > 0 {
		what += " (" + keyNames(left.keys) + ")"
	}
	return synced(v1alpha1.ReasonUnexpectedResponse, fmt.Sprintf(
		"Cal.com accepted an update and stored other values for %s; give them as Cal.com returns them in status.user, or name them in createOnly; "+
			"the update is sent again when the spec or the user changes, or when a reconcile is requested", what))
}

// hasTried reports whether the conditions say, of this generation and of the user as it is, that Cal.com stores other values for
// the same fields. What is remembered stands in the status alone, so that a restart sends nothing either.
func (v *visit) hasTried(left *problem, user calcom.User) bool {
	told, was := meta.FindStatusCondition(v.told, left.condition), v.before.Status.User
	return told != nil && told.Status == metav1.ConditionFalse && told.Reason == left.reason &&
		told.ObservedGeneration == v.mu.Generation && told.Message == clip(left.message, maxMessage) &&
		was != nil && mirrors(was, &user) && !v.requested()
}

// metadataBlocked says that a metadata update is not sent because of nested values under some keys, if there are any.
func metadataBlocked(consequence string, keys []string) error {
	if len(keys) == 0 {
		return nil
	}
	return synced(v1alpha1.ReasonMetadataBlocked, fmt.Sprintf(
		"%s, since that would erase the nested value that Cal.com keeps under %s in the user's metadata; remove it there, or, where only keys of the spec differ, name metadata in createOnly",
		consequence, keyNames(keys)))
}

// keyNames lists metadata keys, of which others chose some: none that could be more than a name, and no more than a message
// can hold.
func keyNames(keys []string) string {
	const most = 10
	var names []string
	for _, key := range keys {
		if len(names) < most && keyName.MatchString(key) {
			names = append(names, key)
		}
	}
	if others := len(keys) - len(names); others > 0 {
		names = append(names, fmt.Sprintf("%d keys not named here", others))
	}
	return strings.Join(names, ", ")
}

// keyName is a key as programs choose them: no address, no token, and nothing that a terminal would act upon.
var keyName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.-]{0,39}$`)
