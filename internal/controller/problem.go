// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
)

// severity says who has to do something about a problem.
type severity int

const (
	// transient heals by itself and says nothing about the user: who was Ready stays Ready.
	transient severity = iota
	// waiting heals by itself, or with another object; until then the user is not Ready.
	waiting
	// stalled needs a person.
	stalled
	// resting is as the spec wants it, and not Ready.
	resting
)

// pace says when to try again.
type pace int

const (
	// backOff tries again soon, and then less and less often.
	backOff pace = iota
	// slowly tries again at the pace of the drift checks. What a person can change, the spec or the Secret, wakes
	// the object earlier.
	slowly
	// later tries again after the time that the problem names.
	later
	// onChange waits for the object to change.
	onChange
	// inLine waits to be woken by the gate of its OAuth client.
	inLine
)

// problem is why a reconcile ended without success, in the user's terms.
type problem struct {
	// condition is the one that tells of it; Ready follows.
	condition string
	reason    string
	// message is the cause and the remedy: no address, no time stamp, no period at the end.
	message string
	// words are the part of the message that the server chooses or that may differ from one answer to the next: a status, a
	// code, the rules of a validator. A condition that differs in them alone is not written again.
	words    string
	severity severity
	pace     pace
	after    time.Duration // With later.
	within   time.Duration // With slowly: the longest time until the next attempt, or 0.
	// at, with later and instead of after, is the moment at which the quota expects the object: neither earlier nor later.
	at time.Time
	// quiet is not worth a write while the user is Ready: the operator keeps itself to its quota.
	quiet bool
	// silent is not worth a write in any case.
	silent bool
	// mute has no event of its own: another object has one for many.
	mute  bool
	cause error
}

// Error returns reason and message.
func (p *problem) Error() string { return p.reason + ": " + p.message }

// Unwrap returns the cause, if it was an error.
func (p *problem) Unwrap() error { return p.cause }

// classify turns what Cal.com answered into a problem. It is the one place that knows what each answer means; the
// two that need a look at Cal.com first, a 404 for a known user and a 409 on create, are dealt with where they
// arise and come here only when that failed. Errors from elsewhere are none of its business: it returns nil.
func classify(err error) *problem {
	if p, ok := errors.AsType[*problem](err); ok {
		return p
	}
	e, ok := errors.AsType[*calcom.Error](err)
	if !ok {
		return nil
	}
	p := describe(e)
	p.cause = e
	return p
}

// IsTold reports whether an error that Reconcile returned is one of which the conditions tell. Others are of the plumbing between
// the operator and Kubernetes.
func IsTold(err error) bool { return classify(err) != nil }

func describe(e *calcom.Error) *problem {
	switch {
	case e.Status == 0, e.Unreadable, e.Status >= 500,
		e.Status == http.StatusRequestTimeout, e.Status == http.StatusTooEarly:
		return unavailable(e)
	case e.Status == http.StatusTooManyRequests:
		return rateLimited(e)
	case e.Status == http.StatusUnauthorized:
		form := ""
		if e.KeyForm != "" {
			form = "; the secret key " + e.KeyForm
		}
		return clientProblem(v1alpha1.ReasonUnauthorized, stalled, "Cal.com refuses the credentials ("+wordsSlot+")"+form+
			"; put the secret key of this OAuth client into the Secret, or correct the client id in a new object").quote(statusAndCode(e))
	case e.Status == http.StatusForbidden:
		return clientProblem(v1alpha1.ReasonForbidden, stalled, "Cal.com accepts the credentials and forbids the call ("+wordsSlot+")"+
			"; the OAuth client's organization must be a Platform organization with an owner or admin").quote(statusAndCode(e))
	case e.Status == http.StatusNotFound, e.Status == http.StatusGone:
		return missing(e)
	case e.Status == http.StatusConflict && e.Operation == calcom.OpUpdate:
		return synced(v1alpha1.ReasonAlreadyExists,
			"Another user has the new e-mail, or the username that Cal.com derives from it; choose another e-mail or remove that user")
	}
	return refused(e)
}

// missing tells a server without the API from a user that is there and then is not.
func missing(e *calcom.Error) *problem {
	if calcom.IsNoSuchAPI(e) || e.Operation == calcom.OpCreate || e.Operation == calcom.OpList {
		return synced(v1alpha1.ReasonUnexpectedResponse, fmt.Sprintf(
			"The server at the API URL has no managed users (status %d); check apiURL, and whether Cal.com still offers its Platform API", e.Status))
	}
	p := unavailable(e)
	p.message, p.words = "Cal.com denied a user that it had shown a moment before; looking again", ""
	return p
}

// refused is about a request that Cal.com understood and does not want.
func refused(e *calcom.Error) *problem {
	writesUser := e.Operation == calcom.OpCreate || e.Operation == calcom.OpUpdate || e.Operation == calcom.OpDelete
	switch e.Status {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		if !writesUser {
			break // The spec has no part in it.
		}
		if e.Operation == calcom.OpDelete {
			return synced(v1alpha1.ReasonDeletionBlocked,
				"Cal.com refuses to delete the user, as it does while other records refer to it; have them removed in Cal.com, or set deletionPolicy to Orphan")
		}
		return synced(v1alpha1.ReasonInvalidSpec, "Cal.com refuses the spec ("+wordsSlot+"); correct it").quote(refusal(e))
	}
	p := unavailable(e)
	p.reason, p.severity = v1alpha1.ReasonUnexpectedResponse, waiting
	p.message = "Cal.com gave an answer to " + wordsSlot + "; trying again with back-off"
	return p.quote(fmt.Sprintf("%s for which there is no rule (%s)", e.Operation, statusAndCode(e)))
}

// whatCame says how Cal.com failed to answer.
func whatCame(e *calcom.Error) string {
	switch {
	case e.Unreadable:
		return fmt.Sprintf("gave an unreadable answer (status %d)", e.Status)
	case e.Status != 0:
		return fmt.Sprintf("answered with status %d", e.Status)
	}
	return "gave no answer"
}

func unavailable(e *calcom.Error) *problem {
	p := &problem{
		condition: v1alpha1.ConditionSynced, reason: v1alpha1.ReasonRemoteUnavailable, severity: transient, pace: backOff,
		message: "Cal.com " + wordsSlot + "; trying again with back-off",
	}
	return p.quote(fmt.Sprintf("%s to %s", whatCame(e), e.Operation))
}

func rateLimited(e *calcom.Error) *problem {
	wait := e.RateLimit.Reset
	if wait <= 0 {
		wait = e.RetryAfter
	}
	if wait <= 0 {
		wait = time.Minute // The server's block.
	}
	return &problem{
		condition: v1alpha1.ConditionSynced, reason: v1alpha1.ReasonRateLimited, pace: later, after: wait,
		message: "The OAuth client's quota of calls is used up; going on when Cal.com opens the next window, within a minute as a rule",
	}
}

// clientProblem is about the OAuth client or its credentials. One that waits ends when another object is applied: see
// escalate.
func clientProblem(reason string, severity severity, message string) *problem {
	return &problem{
		condition: v1alpha1.ConditionCredentialsReady, reason: reason, message: message,
		severity: severity, pace: slowly,
	}
}

func synced(reason, message string) *problem {
	return &problem{
		condition: v1alpha1.ConditionSynced, reason: reason, message: message,
		severity: stalled, pace: slowly,
	}
}

// statusAndCode is what users' conditions say of an answer. The rest of it may differ each time, and may be about others.
func statusAndCode(e *calcom.Error) string {
	if e.Code == "" {
		return fmt.Sprintf("status %d", e.Status)
	}
	return fmt.Sprintf("status %d %s", e.Status, e.Code)
}

func refusal(e *calcom.Error) string {
	const most = 700 // Bytes; what the message adds around it has to fit beside it.
	if rules := e.Rules(); rules != "" {
		return clip(rules, most)
	}
	return statusAndCode(e)
}
