// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
)

// tokensVerdict is what is to be done about an object's tokens.
type tokensVerdict string

const (
	// keepTokens: the Secret is as it should be.
	keepTokens tokensVerdict = "keep"
	// writeTokens: a pair is known that works, and the Secret does not hold it, or not rightly.
	writeTokens tokensVerdict = "write"
	// refreshTokens: the pair is due, or a call for the next one had no known outcome.
	refreshTokens tokensVerdict = "refresh"
	// forceTokens: no refresh token is known that can work.
	forceTokens tokensVerdict = "force"
	// foreignSecret: the Secret is somebody else's.
	foreignSecret tokensVerdict = "foreign"
)

// Why all tokens of a user have to be ended, as the event says it.
const (
	lostNever   = "None were published yet, and Cal.com shows no tokens to anybody but who made them"
	lostUser    = "The published ones were those of a user that is gone"
	lostEdited  = "The refresh token in the Secret was changed by hand"
	lostSecret  = "The Secret was deleted, and the operator had been started since it was written"
	lostAnswer  = "An answer of Cal.com with new tokens was lost, and with it the only refresh token"
	lostForce   = "An answer of Cal.com was lost when they were ended before"
	lostRotated = "Somebody else had used the refresh token or ended the tokens"
)

// found is what there is of an object's tokens.
type foundTokens struct {
	mu *v1alpha1.ManagedUser
	// userID of the user that the object stands for.
	userID int64
	// newest is the pair that this process knows, or nil.
	newest *tokenPair
	// secret is nil if there is none.
	secret *corev1.Secret
	// want is what the Secret should hold beside the tokens.
	want calcom.Hidden[map[string][]byte]
	// due: it is time for a new pair, or somebody asked for one.
	due func(*tokenPair) bool
}

// Format keeps the Secret out of whatever prints it.
func (*foundTokens) Format(f fmt.State, _ rune) { _, _ = fmt.Fprint(f, "[tokens of an object]") }

// judgement is a verdict with what it takes to carry it out.
type judgement struct {
	verdict tokensVerdict
	// pair to be written, to be kept, or whose refresh token is to be used.
	pair *tokenPair
	// record as it stands on the Secret.
	record tokensRecord
	// why all tokens have to be ended.
	why string
}

// judgeTokens decides what is to be done. It is the one place that knows when a pair counts as lost.
func judgeTokens(f *foundTokens) judgement {
	newest := f.newest
	if newest != nil && newest.userID != f.userID {
		newest = nil
	}
	switch {
	case f.secret == nil:
		return f.judgeMissing(newest)
	case !ownsTokens(f.mu, f.secret) || f.secret.Type != v1alpha1.TokensSecretType:
		return judgement{verdict: foreignSecret}
	}
	return f.judgeOwn(newest)
}

// judgeOwn is for a Secret that is the object's own.
func (f *foundTokens) judgeOwn(newest *tokenPair) judgement {
	record, ok := readTokensRecord(f.secret.Annotations)
	j := judgement{record: record}
	switch stored := pairIn(f.secret, &record); {
	case newest != nil && (!ok || record.UserID != f.userID || isNewer(newest, &record)):
		j.verdict, j.pair = writeTokens, newest
	case !ok:
		return f.judgeEdited(j, stored, stored.userID == f.userID)
	case record.UserID != f.userID:
		j.verdict, j.why = forceTokens, lostUser
	case record.Pending == pendingForce:
		j.verdict, j.why = forceTokens, lostForce
	case record.describes(f.mu.UID, stored):
		return f.judgeIntact(j, stored)
	case newest != nil && record.describes(f.mu.UID, newest):
		j.verdict, j.pair = writeTokens, newest
	default:
		return f.judgeEdited(j, stored, record.Refresh == fingerprint(f.mu.UID, stored.RefreshToken))
	}
	return j
}

// judgeMissing is for a Secret that is not there.
func (f *foundTokens) judgeMissing(newest *tokenPair) judgement {
	was := f.mu.Status.Tokens
	switch {
	case newest != nil && (was == nil || !was.AccessTokenExpiresAt.After(newest.expires())):
		return judgement{verdict: writeTokens, pair: newest}
	case was == nil:
		return judgement{verdict: forceTokens, why: lostNever}
	}
	return judgement{verdict: forceTokens, why: lostSecret}
}

// isNewer reports whether a pair was issued after the one on record, and after a call that would have ended it was
// announced.
func isNewer(newest *tokenPair, record *tokensRecord) bool {
	return newest.issued.After(record.IssuedAt) && (record.Pending != pendingForce || !newest.issued.Before(record.PendingAt))
}

// judgeIntact is for a Secret that holds the tokens that the operator wrote.
func (f *foundTokens) judgeIntact(j judgement, stored *tokenPair) judgement {
	j.pair = stored
	switch {
	case j.record.Pending == pendingRefresh, f.due(stored):
		j.verdict = refreshTokens
	case !holds(f.secret, f.want.Reveal()):
		j.verdict = writeTokens
	default:
		j.verdict = keepTokens
	}
	return j
}

// judgeEdited is for a Secret that somebody changed. Its refresh token can be used if it is the one on record, or if
// there is no record and the Secret says itself that it is this user's. Another's must never be used up, nor published
// here.
func (f *foundTokens) judgeEdited(j judgement, stored *tokenPair, isOurs bool) judgement {
	switch {
	case isOurs && stored.RefreshToken.Reveal() != "":
		j.verdict, j.pair = refreshTokens, stored
	case j.record.UserID != 0 && j.record.Access == "":
		j.verdict, j.why = forceTokens, lostNever
	default:
		j.verdict, j.why = forceTokens, lostEdited
	}
	return j
}
