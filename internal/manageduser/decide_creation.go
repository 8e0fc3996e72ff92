// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package manageduser

import (
	"fmt"
	"slices"
	"time"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
	"github.com/calcom-operator/calcom-operator/internal/outcome"
)

// Cal.com creates a user in several steps without a transaction: the user with its address and time zone, the link to
// the OAuth client, name and metadata with the mark, tokens, event types, and last, when the call named a time zone,
// the default schedule. A server that dies or fails in between leaves what the steps so far have made. While the
// outcome of a create call is unknown, a user that is found is therefore compared with what a finished creation leaves.

const (
	// ReplaceableFor is how long after its creation an unfinished user may be deleted and created anew. No status has
	// named its id yet, and it has no schedule by which it could be booked; a status that was lost later must not lead
	// to a deletion.
	ReplaceableFor = 30 * time.Minute
	// markedBehind is how far the server's clock may be behind where the mark says whose a user is.
	markedBehind = 5 * time.Second
)

// finishCreation makes sure that Cal.com finished the creation of a user that the object's create call made, before the
// object takes it over. An unfinished user that nothing depends on is deleted and created anew.
func (f *Facts) finishCreation(found *Candidate) *Action {
	if found.ByID || !f.seemsUnfinished(&found.User) {
		return nil
	}
	if f.AbsenceCountsIn > 0 {
		return stop(f.outcomeUnknown(f.AbsenceCountsIn))
	}
	if created, err := found.Created(); err != nil || f.Now.Sub(created) > ReplaceableFor {
		return stop(outcome.NotSynced(v1alpha1.ReasonRemoteInconsistent, fmt.Sprintf(
			"Cal.com did not finish the creation of user %d, which has no default schedule, and it is too old to be created anew "+
				"without asking; give it a default schedule in Cal.com, or delete this object and apply it again", found.ID)))
	}
	return &Action{Verb: VerbRecreate, UserID: found.ID}
}

// ownUnfinished returns the user among rows that the object's create call made, and that Cal.com did not get to mark:
// it has the address of the create intent, no name, no metadata, and was created after the intent was recorded. It
// counts once the call can have no further effect; until then the server may still write name and mark.
func (f *Facts) ownUnfinished(rows []calcom.User) *calcom.User {
	i, ok := OwnOpenIntent(f.Object)
	if !ok || f.AbsenceCountsIn > 0 {
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

// seemsUnfinished reports whether the last create call made a user that lacks what a finished creation leaves. Without
// a time zone, a finished user has no schedule either.
func (f *Facts) seemsUnfinished(user *calcom.User) bool {
	i, ok := OwnOpenIntent(f.Object)
	if !ok || !f.Mark.isCreation(user) || !isCreatedSince(*user, i, markedBehind) {
		return false
	}
	return user.DefaultScheduleID == nil && (i.Zoned || f.CreateCall.Unfinished || isBlank(*user))
}

// isBlank reports whether a user has none of what Cal.com writes after the link to the OAuth client.
func isBlank(user calcom.User) bool {
	return user.Name.Reveal() == nil && user.Bio.Reveal() == nil && user.Locale == nil && user.AvatarURL.Reveal() == nil &&
		len(user.Metadata.Reveal()) == 0
}

// isCreatedSince reports whether a user was created after the call of an intent was recorded, or one before it whose
// outcome was not known either, by a server whose clock may be behind by some time.
func isCreatedSince(user calcom.User, i Intent, behind time.Duration) bool {
	first := i.First()
	if earliest := i.Time.Add(-ReplaceableFor); first.Before(earliest) {
		first = earliest
	}
	created, err := user.Created()
	return err == nil && !created.Before(first.Add(-behind))
}

// isCreatedAfter reports whether a user was created when the call of an intent had no effect any more. A user with the
// mark can be that of a later call, of which a stale copy of the object does not tell.
func isCreatedAfter(user calcom.User, i Intent) bool {
	created, err := user.Created()
	return err != nil || !created.Before(i.Time.Add(UnknownOutcomeGrace))
}

// hasReturned reports whether a user that was taken for gone is there after all, while a create call for it is on
// record that can have no further effect. The record would count as open for good, and as a proof of a creation. With
// another address, the call may have made a second user, to which nothing else leads.
func (f *Facts) hasReturned(own *Candidate) bool {
	i, open := OwnOpenIntent(f.Object)
	return open && i.Replaces == own.ID && i.ReplacesDate == own.CreatedDate && i.Email.Reveal() == own.PlainEmail() &&
		f.AbsenceCountsIn == 0
}
