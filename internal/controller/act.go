// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
	"github.com/calcom-operator/calcom-operator/internal/gate"
	"github.com/calcom-operator/calcom-operator/internal/manageduser"
	"github.com/calcom-operator/calcom-operator/internal/outcome"
)

const (
	// mostActions bounds the actions of one reconcile. The longest known way, a create call that meets a conflict after
	// an unfinished user was deleted, has about ten.
	mostActions = 32

	// optionalTimeout bounds an action whose failure does not matter, as on the way to remove the mark from a user that
	// is to stay. The release does not wait for a server that does not answer.
	optionalTimeout = 10 * time.Second
)

// acts are what the reconciler does for each verb.
var acts = map[manageduser.Verb]func(r *ManagedUserReconciler, ctx context.Context, v *visit, a *manageduser.Action) error{
	manageduser.VerbConnect:      (*ManagedUserReconciler).connect,
	manageduser.VerbGet:          (*ManagedUserReconciler).get,
	manageduser.VerbList:         (*ManagedUserReconciler).listByEmail,
	manageduser.VerbRepairIntent: (*ManagedUserReconciler).repairIntent,
	manageduser.VerbSettleIntent: (*ManagedUserReconciler).settleIntent,
	manageduser.VerbForget:       (*ManagedUserReconciler).forgetObserved,
	manageduser.VerbClaim:        (*ManagedUserReconciler).claimUser,
	manageduser.VerbCreate:       (*ManagedUserReconciler).create,
	manageduser.VerbRecreate:     (*ManagedUserReconciler).deleteUnfinished,
	manageduser.VerbUpdate:       (*ManagedUserReconciler).update,
	manageduser.VerbUnmark:       (*ManagedUserReconciler).unmark,
	manageduser.VerbAdmit:        (*ManagedUserReconciler).admitDeletion,
	manageduser.VerbDelete:       (*ManagedUserReconciler).deleteUser,
	manageduser.VerbRelease:      (*ManagedUserReconciler).releaseObject,
	manageduser.VerbGone:         (*ManagedUserReconciler).noteGone,
	manageduser.VerbRest:         (*ManagedUserReconciler).noteRest,
	manageduser.VerbMirror:       (*ManagedUserReconciler).mirrorObserved,
	manageduser.VerbDone:         (*ManagedUserReconciler).done,
	manageduser.VerbStop:         (*ManagedUserReconciler).stop,
}

// pursue decides and acts until an action ends the reconcile.
func (r *ManagedUserReconciler) pursue(ctx context.Context, v *visit) error {
	decisions := log.FromContext(ctx).V(1)
	for range mostActions {
		a := manageduser.Decide(r.facts(v))
		if decisions.Enabled() {
			decisions.Info("Decided", "action", a.String())
		}
		if a.Optional {
			v.evidence.UnmarkErr = r.tryToAct(ctx, v, &a)
		} else if err := r.act(ctx, v, &a); err != nil || a.Ends() {
			return err
		}
	}
	return fmt.Errorf("deciding about the object: no end after %d actions", mostActions)
}

// act does one action, if the limits allow it.
func (r *ManagedUserReconciler) act(ctx context.Context, v *visit, a *manageduser.Action) error {
	if a.Absence {
		if err := r.admitAbsence(ctx, v); err != nil {
			return err
		}
	}
	return acts[a.Verb](r, ctx, v, a)
}

// tryToAct does an action whose failure does not matter.
func (r *ManagedUserReconciler) tryToAct(ctx context.Context, v *visit, a *manageduser.Action) error {
	ctx, cancel := context.WithTimeout(ctx, optionalTimeout)
	defer cancel()
	return r.act(ctx, v, a)
}

// facts are what Decide gets to know of the object now.
func (r *ManagedUserReconciler) facts(v *visit) *manageduser.Facts {
	f := &manageduser.Facts{
		Object: v.mu, Before: v.before, Told: v.told, Mark: v.mark, Account: v.account, Connected: v.cal != nil,
		Demanded: v.demand != 0 || v.demanded, Lifted: v.lifted, CreateCall: r.intents.callOf(v.mu),
		AbsenceCountsIn: r.absenceCountsIn(v.mu), Now: r.clock.Now(), Seen: v.evidence,
	}
	if v.cal != nil {
		f.Trusted, f.Verified = v.cal.isTrusted(), v.cal.isVerified()
	}
	return f
}

// get asks for the user with an id.
func (r *ManagedUserReconciler) get(ctx context.Context, v *visit, a *manageduser.Action) error {
	v.beginQuestion(a)
	user, err := v.cal.User(ctx, a.UserID)
	switch {
	case isDenied(err):
		v.evidence.KeepUser(a.UserID, nil)
	case err != nil:
		return err
	default:
		v.evidence.KeepUser(a.UserID, &user)
	}
	return nil
}

// listByEmail asks for the users with some addresses.
func (r *ManagedUserReconciler) listByEmail(ctx context.Context, v *visit, a *manageduser.Action) error {
	v.beginQuestion(a)
	if err := v.cal.reserve(a.Calls); err != nil {
		return err
	}
	rows, err := v.cal.UsersByEmail(ctx, a.Emails.Reveal()...)
	if err == nil {
		v.evidence.KeepList(a.Emails.Reveal(), rows)
	}
	return err
}

func (v *visit) beginQuestion(a *manageduser.Action) {
	v.evidence.Began = true
	v.cal.cautious = v.cal.cautious || a.Cautious
}

// isDenied reports whether Cal.com says that there is no such user, which proves little, and not that it has no such
// API.
func isDenied(err error) bool { return calcom.IsNotFound(err) && !calcom.IsNoSuchAPI(err) }

// settleIntent replaces the record of a create call for a user that was taken for gone and is there after all.
func (r *ManagedUserReconciler) settleIntent(ctx context.Context, v *visit, a *manageduser.Action) error {
	r.intents.forget(client.ObjectKeyFromObject(v.mu))
	return r.patchMetadata(ctx, v.mu, "settling the create intent", func(mu *v1alpha1.ManagedUser) {
		delete(mu.Annotations, v1alpha1.CreateIntentAnnotation)
		manageduser.AnnotateOrigin(mu, &a.User.User, a.User.Origin, r.clock.Now())
	})
}

// errAgain ends a reconcile whose copy of the object is out of date by its own doing.
var errAgain = errors.New("the object was written and has to be read again")

// forgetObserved drops a user that the object merely observed.
func (r *ManagedUserReconciler) forgetObserved(ctx context.Context, v *visit, _ *manageduser.Action) error {
	v.mu.Status.User, v.mu.Status.OAuthClientID, v.mu.Status.APIURL = nil, "", ""
	if err := r.writeStatus(ctx, v); err != nil {
		return err
	}
	return errAgain
}

// claimUser records that the object owns a user whose id is not in the status yet. It writes the id there before the
// first update: that one may change the address by which the user was found, and with its answer lost nothing else
// would lead to the user.
func (r *ManagedUserReconciler) claimUser(ctx context.Context, v *visit, a *manageduser.Action) error {
	if err := r.protect(ctx, v); err != nil {
		return err
	}
	own, claimed := *a.User, manageduser.HasFinalizer(v.mu)
	if err := r.claim(ctx, v.mu, &own.User, own.Origin); err != nil {
		return err
	}
	if !claimed {
		if err := r.confirm(ctx, v); err != nil {
			return err
		}
	}
	manageduser.Mirror(v.mu, own.User)
	v.mu.Status.Origin = own.Origin
	if d := manageduser.Diff(v.mu, own.User, v.mark.For(own.Origin)); !d.Empty() {
		if err := r.writeStatus(ctx, v); err != nil {
			return err
		}
	} // Else the status is written at the end.
	v.resolve(own.Known)
	if own.Known {
		own.ByID = true
		v.evidence = manageduser.Evidence{Began: true, Own: &own}
		return nil
	}
	v.record(v1alpha1.ReasonAdopted, fmt.Sprintf("Adopted user %d", own.ID))
	log.FromContext(ctx).Info("Adopted user", "userID", own.ID)
	// Another object may have marked the user since it was read, so it is read again before it is changed.
	v.evidence = manageduser.Evidence{Began: true, Adopted: true}
	return nil
}

// accept takes over a user that the object owns.
func (v *visit) accept(user *manageduser.Candidate) {
	if user == nil {
		return
	}
	manageduser.Mirror(v.mu, user.User)
	v.mu.Status.Origin = user.Origin
	v.resolve(user.Known)
	v.seen = true
}

// deleteUnfinished deletes a user whose creation Cal.com did not finish. The deletion is not one that the limit of mass
// deletions counts: no object loses its user.
func (r *ManagedUserReconciler) deleteUnfinished(ctx context.Context, v *visit, a *manageduser.Action) error {
	if err := v.cal.enter(gate.Create); err != nil {
		return err
	}
	if err := v.cal.reserve(2); err != nil {
		return err
	}
	// The optimistic lock makes sure that no status names the user by now, which a stale copy of the object would not
	// show.
	err := r.patchMetadata(ctx, v.mu, "recording that the user is created anew", func(mu *v1alpha1.ManagedUser) {
		i, _ := manageduser.RecordedIntent(mu)
		i.Recreates = a.UserID
		manageduser.SetAnnotation(mu, v1alpha1.CreateIntentAnnotation, i.Encode())
	})
	if err != nil {
		return err
	}
	if _, err := v.cal.DeleteUser(ctx, a.UserID); err != nil {
		return err
	}
	r.intents.dropUnfinished(v.mu)
	log.FromContext(ctx).Info("Deleted a user whose creation Cal.com did not finish", "userID", a.UserID)
	r.event(v.mu, v1alpha1.EventRecreating, "Sync", fmt.Sprintf(
		"Cal.com did not finish the creation of user %d; it was deleted and is created anew", a.UserID))
	v.evidence = manageduser.Evidence{Began: true, Absent: true}
	return nil
}

// update writes what differs from the spec.
func (r *ManagedUserReconciler) update(ctx context.Context, v *visit, a *manageduser.Action) error {
	v.accept(a.User)
	updated, err := v.cal.UpdateUser(ctx, a.UserID, a.Change.Update)
	if err != nil {
		return err
	}
	manageduser.Mirror(v.mu, updated)
	v.recordUpdate(a.Change.Fields)
	log.FromContext(ctx).Info("Updated user", "userID", a.UserID, "fields", a.Change.Fields)
	own := *a.User
	own.User = updated
	v.evidence = manageduser.Evidence{Began: true, Own: &own, Updated: true}
	return nil
}

// unmark removes the object's mark from its user, so that another owner can adopt it.
func (r *ManagedUserReconciler) unmark(ctx context.Context, v *visit, a *manageduser.Action) error {
	_, err := v.cal.UpdateUser(ctx, a.UserID, calcom.UserFields{Metadata: a.Metadata})
	v.evidence.Unmarked = err == nil
	return err
}

// deleteUser sends the delete call.
func (r *ManagedUserReconciler) deleteUser(ctx context.Context, v *visit, a *manageduser.Action) error {
	if err := v.cal.reserve(1); err != nil {
		return err
	}
	v.permit = nil // Whatever comes of the call, it counts.
	sent := &manageduser.SentDeletion{UserID: a.UserID}
	if err := r.sendDelete(ctx, v, a.UserID); isDenied(err) {
		sent.Denied = outcome.Classify(err)
	} else if err != nil {
		return err
	}
	v.evidence = manageduser.Evidence{Began: true, Deleted: sent}
	return nil
}

// releaseObject removes the finalizer.
func (r *ManagedUserReconciler) releaseObject(ctx context.Context, v *visit, a *manageduser.Action) error {
	if a.Reason != nil {
		log.FromContext(ctx).Info("Leaving the mark on the orphaned user", "reason", a.Reason.Error())
	}
	if err := r.release(ctx, v); err != nil || a.Event == "" {
		return err
	}
	kind, logged := corev1.EventTypeNormal, "Orphaned user"
	if a.Event == v1alpha1.EventDeleted {
		v.resolve(v.evidence.Deleted != nil)
		logged = a.Note
	}
	if a.Warns {
		kind = corev1.EventTypeWarning
	}
	log.FromContext(ctx).Info(logged)
	r.recorder.Eventf(v.mu, nil, kind, a.Event, releaseActions[a.Event], "%s", a.Note)
	return nil
}

// releaseActions are the actions that the events of a release name.
var releaseActions = map[string]string{v1alpha1.EventDeleted: "Delete", v1alpha1.EventOrphaned: "Orphan"}

func (r *ManagedUserReconciler) noteGone(_ context.Context, v *visit, _ *manageduser.Action) error {
	v.released = true
	return nil
}

func (r *ManagedUserReconciler) noteRest(_ context.Context, v *visit, _ *manageduser.Action) error {
	v.rests = true
	return nil
}

// mirrorObserved mirrors the user of an object that changes nothing, or says that there is none.
func (r *ManagedUserReconciler) mirrorObserved(_ context.Context, v *visit, a *manageduser.Action) error {
	if a.User != nil {
		manageduser.Mirror(v.mu, a.User.User)
		return nil
	}
	if !manageduser.IsBound(v.mu) { // Else it is the object's identity.
		v.mu.Status.User = nil
	}
	return a.Problem
}

func (r *ManagedUserReconciler) done(_ context.Context, v *visit, a *manageduser.Action) error {
	v.accept(a.User)
	return nil
}

func (r *ManagedUserReconciler) stop(ctx context.Context, v *visit, a *manageduser.Action) error {
	v.accept(a.User)
	if a.Retracts {
		return errors.Join(a.Problem, r.retractIntent(ctx, v.mu))
	}
	return a.Problem
}
