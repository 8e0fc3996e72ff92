// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/log"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
	"github.com/calcom-operator/calcom-operator/internal/metrics"
	"github.com/calcom-operator/calcom-operator/internal/outcome"
)

// How long a call that is on record and is not this process's own may still be under way: the one who sent it waits 30
// s for the answer, and then writes it down.
const (
	othersRefresh = time.Minute
	othersForce   = 35 * time.Second
)

// refresh exchanges the pair for a new one. A refresh token works once; so the call is put on record before it is sent,
// and whoever finds the record tries the same token again: it either was not used, or it is provably lost.
func (r *ManagedUserReconciler) refresh(ctx context.Context, v *visit, s tokensSecret) error {
	if err := r.waitForOthers(s, pendingRefresh, othersRefresh); err != nil {
		return err
	}
	if err := v.tokens.cal.reserve(1); err != nil {
		return err
	}
	before := s.record
	if before.Pending == "" || !s.mine {
		record := s.record
		if record.UserID == 0 { // Somebody took the record away.
			record = recordOf(v.mu.UID, s.pair)
		}
		var err error
		if s.secret, err = r.announce(ctx, v, s, record, pendingRefresh); err != nil {
			return err
		}
	}
	tokens, err := v.tokens.cal.Refresh(ctx, s.pair.RefreshToken)
	r.config.Metrics.TokensRefreshed(metrics.RefreshOrdinary, refreshResult(err))
	if err == nil {
		log.FromContext(ctx).V(1).Info("Renewed tokens", "userID", v.tokens.userID)
		return r.issued(ctx, v, s, tokens, before.ForcedAt)
	}
	if !calcom.IsInvalidRefreshToken(err) {
		return err
	}
	s.why = lostRotated
	if before.Pending == pendingRefresh {
		s.why = lostAnswer
	}
	r.tokens.lose(v.mu, fingerprint(v.mu.UID, s.pair.RefreshToken), s.why)
	return r.forceRefresh(ctx, v, s)
}

// forceRefresh ends all tokens of the user and publishes new ones. It is the way out when the refresh token is provably
// lost, and happens once in half of a token's life at most: two who keep ending each other's tokens would only make it
// worse.
func (r *ManagedUserReconciler) forceRefresh(ctx context.Context, v *visit, s tokensSecret) error {
	v.tokens.lost, v.tokens.ending = s.why, s.record.Pending == pendingForce
	if !v.seen {
		return errLookFirst // It may be somebody else's by now.
	}
	if err := r.waitForOthers(s, pendingForce, othersForce); err != nil {
		return err
	}
	if err := r.forceMayWait(s); err != nil {
		return err
	}
	if err := v.tokens.cal.reserve(1); err != nil {
		return err
	}
	if s.record.Pending != pendingForce || !s.mine {
		record := s.record
		record.UserID = v.tokens.userID
		var err error
		if s.secret, err = r.announce(ctx, v, s, record, pendingForce); err != nil {
			return err
		}
	}
	v.tokens.ending = true
	tokens, err := v.tokens.cal.ForceRefresh(ctx, v.tokens.userID)
	r.config.Metrics.TokensRefreshed(metrics.RefreshForced, refreshResult(err))
	if err != nil {
		return err
	}
	log.FromContext(ctx).Info("Ended all tokens of the user and got new ones", "userID", v.tokens.userID, "why", s.why)
	v.tokens.lost, v.tokens.forced, v.tokens.warns = "", s.why, s.why == lostRotated
	return r.issued(ctx, v, s, tokens, r.clock.Now().UTC())
}

// waitForOthers leaves a call that is on record to whoever sent it, for as long as that may take.
func (r *ManagedUserReconciler) waitForOthers(s tokensSecret, pending string, most time.Duration) error {
	if s.record.Pending != pending || s.mine {
		return nil
	}
	until := s.record.PendingAt.Add(most)
	if s.record.PendingAt.After(r.clock.Now()) || !until.After(r.clock.Now()) {
		return nil // A record from the future is a mistake of some clock.
	}
	return &outcome.Problem{
		Condition: v1alpha1.ConditionTokensReady, Reason: v1alpha1.ReasonRefreshFailed, Severity: outcome.Transient, Quiet: true, Silent: true,
		Pace: outcome.Later, At: until, Message: "A call for new tokens is under way; looking again when it must have come to its end",
	}
}

// forceMayWait holds up a call that would come too soon after the last one.
func (r *ManagedUserReconciler) forceMayWait(s tokensSecret) error {
	if s.record.ForcedAt.IsZero() || s.record.Pending == pendingForce {
		return nil
	}
	life := s.record.life()
	until := s.record.ForcedAt.Add(life.Half())
	if s.record.ForcedAt.After(r.clock.Now()) || !until.After(r.clock.Now()) {
		return nil
	}
	return &outcome.Problem{
		Condition: v1alpha1.ConditionTokensReady, Reason: v1alpha1.ReasonRefreshFailed, Severity: outcome.Waiting, Pace: outcome.Later, At: until,
		Message: "Somebody else uses or ends the tokens of this user, again and again; have whoever that is read the Secret instead. The operator gets new tokens only once in half of their life",
	}
}

// announce puts a call on record before it is sent. The Secret keeps what it holds; one that is not there yet is made
// without tokens, which shows that it can be written and keeps a second operator from sending the same call.
func (r *ManagedUserReconciler) announce(ctx context.Context, v *visit, s tokensSecret, record tokensRecord, pending string) (*corev1.Secret, error) {
	record.Pending, record.PendingAt = pending, r.clock.Now().UTC()
	data := tokensData(v.mu, v.account, v.tokens.userID, nil)
	if s.secret != nil {
		for _, key := range []string{
			v1alpha1.TokensKeyAccessToken, v1alpha1.TokensKeyRefreshToken,
			v1alpha1.TokensKeyAccessTokenExpiresAt, v1alpha1.TokensKeyRefreshTokenExpiresAt,
		} {
			if value, ok := s.secret.Data[key]; ok {
				data[key] = value
			}
		}
	}
	return r.writeTokens(ctx, v, s.secret, data, record)
}

// issued remembers a new pair and publishes it, before anything else is reported.
func (r *ManagedUserReconciler) issued(ctx context.Context, v *visit, s tokensSecret, tokens calcom.Tokens, forcedAt time.Time) error {
	p := &tokenPair{Tokens: tokens, userID: v.tokens.userID, issued: r.clock.Now()}
	r.tokens.keepIssued(v.mu, p)
	if err := r.publish(ctx, v, s, p, forcedAt); err != nil {
		return err
	}
	v.tokens.ending = false
	return nil
}

func refreshResult(err error) metrics.RefreshResult {
	switch {
	case err == nil:
		return metrics.RefreshSucceeded
	case calcom.IsInvalidRefreshToken(err):
		return metrics.RefreshInvalid
	}
	return metrics.RefreshErred
}

// event is what an event says of tokens that were ended.
func (t *tokensVisit) event() string {
	return fmt.Sprintf("All tokens of user %d were ended and new ones are published. %s", t.userID, t.forced)
}
