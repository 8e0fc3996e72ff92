// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"errors"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
	"github.com/calcom-operator/calcom-operator/internal/manageduser"
	"github.com/calcom-operator/calcom-operator/internal/outcome"
	"github.com/calcom-operator/calcom-operator/internal/quota"
)

// The tokens of a user are published in a Secret, which is all the memory that they need: what is kept beside it in the
// process (tokens_memory.go) only saves calls. tokens_judge.go says what is to be done with a Secret as it is,
// tokens_calls.go gets new pairs, tokens_secret.go writes them.

// tokensVisit is what a visit has to do with tokens.
type tokensVisit struct {
	// cal is the way to Cal.com, with a place in line of its own.
	cal *session
	// userID of the user whose tokens are tended.
	userID int64
	// tended is set when the tokens were looked after: without a problem, they are as they should be.
	tended bool
	// idle is set when nothing had to be done.
	idle bool
	// problem is what keeps the tokens from being as they should.
	problem *outcome.Problem
	// next is when they need the next look.
	next time.Time
	// lost is why there is no refresh token left that works, and ending is set once a call that ends all tokens may
	// have been sent.
	lost   string
	ending bool
	// forced is what an event tells: why all tokens were ended; warns makes it a warning.
	forced string
	warns  bool
}

// errLookFirst ends the tending of tokens when all tokens of the user would have to be ended and nobody has looked, in
// this visit, whose the user is, and whether it is there.
var errLookFirst = errors.New("the user has to be looked at first")

// tend looks after the tokens that the spec asks for, whatever became of the rest: a user whose spec cannot be written
// has consumers of its tokens all the same. It returns errLookFirst, or a problem with the credentials, or nothing.
func (r *ManagedUserReconciler) tend(ctx context.Context, v *visit, synced error) error {
	if v.mu.Spec.Tokens == nil || v.policy() != v1alpha1.ReconcilePolicyManage {
		r.tokens.forget(client.ObjectKeyFromObject(v.mu))
		return nil
	}
	id, known := manageduser.Identity(v.mu)
	if !known || outcome.IsOfAnother(synced) {
		return nil
	}
	if v.cal == nil && r.connect(ctx, v, nil) != nil {
		return nil // The spec was at fault before the credentials were looked at; these are told of when it is mended.
	}
	if manageduser.HasMoved(v.mu, v.account) {
		return nil // The tokens are another server's, and not to be shown to this one.
	}
	v.tokens = tokensVisit{userID: id, cal: v.cal}
	if !v.seen || !v.cal.called { // Else it goes on with what began with the look: apart, each would wait for the other.
		v.tokens.cal = &session{
			login: v.cal.login, turn: tokensTurn(v), probing: v.requested(), object: v.cal.object, noted: v.takeOver,
		}
		defer v.tokens.cal.giveBack()
	}
	if r.tokensRest(ctx, v, synced) {
		v.tokens.tended, v.tokens.idle = true, true
		return nil
	}
	v.tokens.next = time.Time{} // It is over, or known when the pair is published.
	return r.tended(v, r.tendSecret(ctx, v, synced), synced)
}

// tended sorts what became of the tokens: what is not theirs alone is returned.
func (r *ManagedUserReconciler) tended(v *visit, err, synced error) error {
	if errors.Is(err, errLookFirst) && synced == nil {
		return err
	}
	if p := outcome.Classify(err); p != nil && p.Condition == v1alpha1.ConditionCredentialsReady {
		if synced == nil {
			return p
		}
		return nil // Which told of it already.
	}
	v.tokens.tended, v.tokens.problem = true, r.tokensProblem(v, err)
	if p, was := v.tokens.problem, outcome.Classify(synced); p != nil && was != nil && was.Severity == outcome.Transient && errors.Is(err, errLookFirst) {
		p.Silent = true // The look only has to wait.
	}
	return nil
}

// tokensTicket tells the ticket for tokens from that of the object's other calls.
const tokensTicket = "#tokens"

// tokensTurn is the place in line of a visit's calls for tokens: those go first whose tokens end first, and somebody
// who has none yet by when the object came.
func tokensTurn(v *visit) turn {
	t := turn{
		class: quota.Tokens, namespace: v.mu.Namespace, key: ticketKey(v.mu.Namespace, v.mu.Name) + tokensTicket, first: 1,
		deadline: v.mu.CreationTimestamp.Time,
	}
	if published := v.mu.Status.Tokens; published != nil {
		t.deadline = published.AccessTokenExpiresAt.Time
	}
	return t
}

// tokensRest reports whether nothing has to be done: by what is in the cache, without a read or a call.
func (r *ManagedUserReconciler) tokensRest(ctx context.Context, v *visit, synced error) bool {
	secret := secretMetadata(metav1.ObjectMeta{})
	if r.client.Get(ctx, tokensKey(v.mu), secret) != nil || v.requested() && synced == nil {
		return false
	}
	record, ok := readTokensRecord(secret.Annotations)
	if !ok || !ownsTokens(v.mu, secret) || !isMirrored(v.mu, v.tokens.userID, &record) {
		return false
	}
	v.tokens.next = r.dueAt(v, &record)
	return r.isFamiliar(v, secret.ResourceVersion) && v.tokens.next.After(r.clock.Now())
}

// isFamiliar reports whether a Secret need not be read, for a process that has just begun not yet.
func (r *ManagedUserReconciler) isFamiliar(v *visit, found string) bool {
	newest, version := r.tokens.newest(v.mu)
	switch {
	case version != "" && version != found:
		return false // Somebody changed it.
	case !v.rests && (newest == nil || v.renamed()):
		return false // The user was looked at, and what is published of it may be another's.
	case newest == nil:
		if verify := r.tokens.verifyAt(v.mu, found, r.clock.Now()); verify.Before(v.tokens.next) {
			v.tokens.next = verify
		}
	}
	return true
}

// renamed reports whether the user's e-mail, which is published too, is another one than before the visit.
func (v *visit) renamed() bool {
	is, was := v.mu.Status.User, v.before.Status.User
	return is == nil || was == nil || is.Email != was.Email
}

// isMirrored reports whether the status tells of the Secret what the record does, and this is of the user's tokens,
// with nothing under way.
func isMirrored(mu *v1alpha1.ManagedUser, userID int64, record *tokensRecord) bool {
	status := mu.Status.Tokens
	return record.UserID == userID && record.Pending == "" && status != nil && status.SecretName == mu.Spec.Tokens.SecretName &&
		status.AccessTokenExpiresAt.Time.Equal(record.ExpiresAt.Truncate(time.Second)) &&
		meta.IsStatusConditionTrue(mu.Status.Conditions, v1alpha1.ConditionTokensReady)
}

func (r *ManagedUserReconciler) dueAt(v *visit, record *tokensRecord) time.Time {
	return r.tokens.dueAt(v.mu, v.account, record.life(), v.cal.budget.TokensAllowed(), r.clock.Now())
}

// tendSecret reads the Secret and does what it needs.
func (r *ManagedUserReconciler) tendSecret(ctx context.Context, v *visit, synced error) error {
	secret, err := r.readTokens(ctx, v.mu)
	if err != nil {
		return err
	}
	newest, version := r.tokens.newest(v.mu)
	j := judgeTokens(&foundTokens{
		mu: v.mu, userID: v.tokens.userID, newest: newest, secret: secret, want: calcom.Hide(tokensData(v.mu, v.account, v.tokens.userID, nil)),
		due: func(p *tokenPair) bool { return r.isDue(v, p, synced) },
	})
	if j.verdict == refreshTokens {
		if why := r.tokens.lostFor(v.mu, fingerprint(v.mu.UID, j.pair.RefreshToken)); why != "" {
			j.verdict, j.why = forceTokens, why
		}
	}
	s := tokensSecret{secret: secret, mine: secret != nil && secret.ResourceVersion == version, judgement: j}
	switch j.verdict {
	case keepTokens:
		r.published(v, secret, j.pair, j.record)
	case writeTokens:
		if err := r.admitTokens(ctx, v, s); err != nil {
			return err
		}
		return r.publish(ctx, v, s, j.pair, j.record.ForcedAt)
	case refreshTokens:
		return r.refresh(ctx, v, s)
	case forceTokens:
		return r.forceRefresh(ctx, v, s)
	case foreignSecret:
		return r.secretConflict(v, secret)
	}
	return nil
}

// isDue reports whether it is time for a new pair. A request for a look is met by one, which shows whether the old one
// was still good: Cal.com tells the operator in no other way that another program has ended it. That is done at once,
// however new the pair is, since an ordinary refresh leaves the access token valid to its end; only when Cal.com
// answers that the refresh token is used up, which is when the published pair is of no use any more, are all tokens
// ended. A pair that was issued for the request, in this visit or in one whose status was not written, meets it.
func (r *ManagedUserReconciler) isDue(v *visit, p *tokenPair, synced error) bool {
	record := recordOf(v.mu.UID, p)
	requested := v.requested() && synced == nil && !r.tokens.hasMet(v.mu)
	return requested || !r.dueAt(v, &record).After(r.clock.Now())
}

// tokensProblem turns what went wrong with tokens into a problem of theirs.
func (r *ManagedUserReconciler) tokensProblem(v *visit, err error) *outcome.Problem {
	if err == nil {
		return nil
	}
	if errors.Is(err, errLookFirst) {
		return &outcome.Problem{
			Condition: v1alpha1.ConditionTokensReady, Reason: v1alpha1.ReasonRefreshFailed, Severity: outcome.Waiting, Pace: outcome.Slowly,
			Message: "The tokens are lost, and before all are ended for new ones, the user has to be found in Cal.com",
		}
	}
	valid := "; the published token ends at the time in status.tokens"
	published := r.isPublished(v)
	if !published {
		valid = "; no valid token is published"
	}
	was := outcome.Classify(err)
	if was != nil && was.Condition == v1alpha1.ConditionTokensReady {
		return was
	}
	p := &outcome.Problem{
		Condition: v1alpha1.ConditionTokensReady, Reason: v1alpha1.ReasonRefreshFailed, Severity: outcome.Waiting, Cause: err,
		Message: "The Secret with the tokens cannot be read or written" + valid,
	}
	if was != nil {
		p.Words = was.Words
		p.Message, p.Pace, p.At, p.After, p.Silent = "The tokens are not renewed: "+was.Message+valid, was.Pace, was.At, was.After, was.Silent
		if was.Reason == v1alpha1.ReasonRateLimited {
			p.Reason = was.Reason
		}
	}
	if published {
		p.Severity = outcome.Transient
		p.Quiet = !v.tokens.isLate(v, r.clock.Now()) && !asksAndFails(v, p)
	} else if !p.At.IsZero() && meta.IsStatusConditionFalse(v.mu.Status.Conditions, v1alpha1.ConditionTokensReady) {
		p.Silent = true // Why there are none is said already, and a wait is no news.
	}
	return p
}

// asksAndFails reports whether a renewal failed that a request for a look asked for. A wait for the quota is no
// failure.
func asksAndFails(v *visit, p *outcome.Problem) bool {
	return v.requested() && p.Reason != v1alpha1.ReasonRateLimited
}

// isPublished reports whether the Secret holds a valid token, as far as the status and the last record tell.
func (r *ManagedUserReconciler) isPublished(v *visit) bool {
	status := v.mu.Status.Tokens
	return status != nil && status.SecretName == v.mu.Spec.Tokens.SecretName && r.clock.Now().Before(status.AccessTokenExpiresAt.Time) &&
		!v.tokens.ending && (v.tokens.lost == "" || v.tokens.lost == lostAnswer)
}

// isLate reports whether the published token is so near its end that somebody should know.
func (t *tokensVisit) isLate(v *visit, now time.Time) bool {
	return v.mu.Status.Tokens.AccessTokenExpiresAt.Sub(now) < lateLife
}

// lateLife is what is left of a token when people are told that its renewal has not succeeded yet.
const lateLife = 10 * time.Minute

// keepCreated remembers the tokens that a create call returned, so that they are published and none have to be made.
func (r *ManagedUserReconciler) keepCreated(v *visit, tokens calcom.Tokens, id int64) {
	if v.mu.Spec.Tokens != nil && tokens.AccessToken.Reveal() != "" && tokens.RefreshToken.Reveal() != "" {
		r.tokens.keepIssued(v.mu, &tokenPair{Tokens: tokens, userID: id, issued: r.clock.Now()})
	}
}
