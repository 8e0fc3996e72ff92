// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"
	"slices"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/log"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
	"github.com/calcom-operator/calcom-operator/internal/gate"
)

// Cal.com creates a user in several steps without a transaction: the user with its address and time zone, the link to the OAuth
// client, name and metadata with the mark, tokens, event types, and last, when the call named a time zone, the default
// schedule. A server that dies or fails in between leaves what the steps so far have made. While the outcome of a create call is
// unknown, a user that is found is therefore compared with what a finished creation leaves.

// replaceableFor is how long after its creation an unfinished user may be deleted and created anew. No status has named its id
// yet, and it has no schedule by which it could be booked; a status that was lost later must not lead to a deletion.
const replaceableFor = 30 * time.Minute

// ownUnfinished returns the user among rows that the object's create call made, and that Cal.com did not get to mark: it has the
// address of the create intent, no name, no metadata, and was created after the intent was recorded. It counts once the call can
// have no further effect; until then the server may still write name and mark.
func (r *ManagedUserReconciler) ownUnfinished(v *visit, rows []calcom.User) *calcom.User {
	i, ok := ownOpenIntent(v.mu)
	if !ok || r.absenceCountsIn(v.mu) > 0 {
		return nil
	}
	at := slices.IndexFunc(rows, func(row calcom.User) bool {
		return row.PlainEmail() == i.Email.Reveal() && isBlank(row) && isCreatedSince(row, i, 0) && !isCreatedAfter(row, i)
	})
	if at < 0 {
		return nil
	}
	return &rows[at]
}

// isBlank reports whether a user has none of what Cal.com writes after the link to the OAuth client.
func isBlank(user calcom.User) bool {
	return user.Name.Reveal() == nil && user.Bio.Reveal() == nil && user.Locale == nil && user.AvatarURL.Reveal() == nil &&
		len(user.Metadata.Reveal()) == 0
}

// isCreatedSince reports whether a user was created after the call of an intent was recorded, or one before it whose outcome was
// not known either, by a server whose clock may be behind by some time.
func isCreatedSince(user calcom.User, i intent, behind time.Duration) bool {
	first := i.first()
	if earliest := i.Time.Add(-replaceableFor); first.Before(earliest) {
		first = earliest
	}
	created, err := user.Created()
	return err == nil && !created.Before(first.Add(-behind))
}

// isCreatedAfter reports whether a user was created when the call of an intent had no effect any more. A user with the mark can
// be that of a later call, of which a stale copy of the object does not tell.
func isCreatedAfter(user calcom.User, i intent) bool {
	created, err := user.Created()
	return err != nil || !created.Before(i.Time.Add(UnknownOutcomeGrace))
}

// markedBehind is how far the server's clock may be behind where the mark tells whose a user is.
const markedBehind = 5 * time.Second

// finishCreation makes sure that Cal.com finished the creation of a user that the object's create call made, before the object
// takes it over. An unfinished user that nothing depends on is deleted and created anew, which it reports by done.
func (r *ManagedUserReconciler) finishCreation(ctx context.Context, v *visit, found *sighting) (done bool, err error) {
	if found.byID || !r.seemsUnfinished(v, &found.User) {
		return false, nil
	}
	if wait := r.absenceCountsIn(v.mu); wait > 0 {
		return false, r.outcomeUnknown(v, wait)
	}
	if created, err := found.Created(); err != nil || r.clock.Since(created) > replaceableFor {
		return false, synced(v1alpha1.ReasonRemoteInconsistent, fmt.Sprintf(
			"Cal.com did not finish the creation of user %d, which has no default schedule, and it is too old to be created anew without asking; "+
				"give it a default schedule in Cal.com, or delete this object and apply it again", found.ID))
	}
	return true, r.recreate(ctx, v, found)
}

// seemsUnfinished reports whether the last create call made a user that lacks what a finished creation leaves. Without a time zone,
// a finished user has no schedule either.
func (r *ManagedUserReconciler) seemsUnfinished(v *visit, user *calcom.User) bool {
	i, ok := ownOpenIntent(v.mu)
	if !ok || !v.isOwnCreation(user) || !isCreatedSince(*user, i, markedBehind) {
		return false
	}
	return user.DefaultScheduleID == nil && (i.Zoned || r.intents.mayBeUnfinished(v.mu) || isBlank(*user))
}

// isOwnCreation reports whether a create call of this very object made a user, going by its mark. A user without a mark was
// found by what its creation left.
func (v *visit) isOwnCreation(user *calcom.User) bool {
	raw, marked := user.Metadata.Reveal()[v1alpha1.OwnerMetadataKey]
	found, ok := parseMark(raw)
	return !marked || ok && v.mark.sameObject(found) && found.uid == v.mark.uid && !found.adopted
}

// recreate deletes a user whose creation Cal.com did not finish and sends the create call again. The deletion is not one that
// the limit of mass deletions counts: no object loses its user.
func (r *ManagedUserReconciler) recreate(ctx context.Context, v *visit, found *sighting) error {
	if err := v.cal.enter(gate.Create); err != nil {
		return err
	}
	if err := v.cal.reserve(2); err != nil {
		return err
	}
	// The optimistic lock makes sure that no status names the user by now, which a stale copy of the object would not show.
	err := r.patchMetadata(ctx, v.mu, "recording that the user is created anew", func(mu *v1alpha1.ManagedUser) {
		i, _ := recordedIntent(mu)
		i.Recreates = found.ID
		setAnnotation(mu, v1alpha1.CreateIntentAnnotation, i.encode())
	})
	if err != nil {
		return err
	}
	if _, err := v.cal.DeleteUser(ctx, found.ID); err != nil {
		return err
	}
	r.intents.dropUnfinished(v.mu)
	log.FromContext(ctx).Info("Deleted a user whose creation Cal.com did not finish", "userID", found.ID)
	r.event(v.mu, v1alpha1.EventRecreating, "Sync", fmt.Sprintf(
		"Cal.com did not finish the creation of user %d; it was deleted and is created anew", found.ID))
	return r.create(ctx, v)
}
