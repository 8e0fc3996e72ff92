// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package outcome says how a reconcile ended that did not succeed, in the terms of the people who read the conditions.
// Classify is the one place that judges what Cal.com answers.
package outcome

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
)

// Severity says who has to do something about a problem.
type Severity int

const (
	// Transient heals by itself and says nothing about the user: who was Ready stays Ready.
	Transient Severity = iota
	// Waiting heals by itself, or with another object; until then the user is not Ready.
	Waiting
	// Stalled needs a person.
	Stalled
	// Resting is as the spec wants it, and not Ready.
	Resting
)

// Pace says when to try again.
type Pace int

const (
	// BackOff tries again soon, and then less and less often.
	BackOff Pace = iota
	// Slowly tries again at the pace of the drift checks. What a person can change, the spec or the Secret, wakes
	// the object earlier.
	Slowly
	// Later tries again after the time that the problem names.
	Later
	// OnChange waits for the object to change.
	OnChange
	// InLine waits to be woken by the gate of its OAuth client.
	InLine
)

// Problem is why a reconcile ended without success, in the user's terms.
type Problem struct { //nolint:errname // Most are shown in conditions, and returned only to end a reconcile.
	// Condition is the one that tells of it; Ready follows.
	Condition string
	Reason    string
	// Message is the cause and the remedy: no address, no time stamp, no period at the end.
	Message string
	// Words are the part of the message that the server chooses or that may differ from one answer to the next: a
	// status, a code, the rules of a validator. A condition that differs in them alone is not written again.
	Words    string
	Severity Severity
	Pace     Pace
	After    time.Duration // With Later.
	Within   time.Duration // With Slowly: the longest time until the next attempt, or 0.
	// At, with Later and instead of After, is the moment at which the quota expects the object: neither earlier nor
	// later.
	At time.Time
	// Quiet is not worth a write while the user is Ready: the operator keeps itself to its quota.
	Quiet bool
	// Silent is not worth a write in any case.
	Silent bool
	// Mute has no event of its own: another object has one for many.
	Mute  bool
	Cause error
}

// Error returns reason and message.
func (p *Problem) Error() string { return p.Reason + ": " + p.Message }

// Unwrap returns the cause, if it was an error.
func (p *Problem) Unwrap() error { return p.Cause }

// Classify turns what Cal.com answered into a problem. It is the one place that knows what each answer means; the
// two that need a look at Cal.com first, a 404 for a known user and a 409 on create, are dealt with where they
// arise and come here only when that failed. Errors from elsewhere are none of its business: it returns nil.
func Classify(err error) *Problem {
	if p, ok := errors.AsType[*Problem](err); ok {
		return p
	}
	e, ok := errors.AsType[*calcom.Error](err)
	if !ok {
		return nil
	}
	p := describe(e)
	p.Cause = e
	return p
}

// IsTold reports whether an error that Reconcile returned is one of which the conditions tell. Others are of the
// plumbing between the operator and Kubernetes.
func IsTold(err error) bool { return Classify(err) != nil }

func describe(e *calcom.Error) *Problem {
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
		return NotUsable(v1alpha1.ReasonUnauthorized, Stalled, "Cal.com refuses the credentials ("+Slot+")"+form+
			"; put the secret key of this OAuth client into the Secret, or correct the client id in a new object").Quote(statusAndCode(e))
	case e.Status == http.StatusForbidden:
		return NotUsable(v1alpha1.ReasonForbidden, Stalled, "Cal.com accepts the credentials and forbids the call ("+Slot+")"+
			"; the OAuth client's organization must be a Platform organization with an owner or admin").Quote(statusAndCode(e))
	case e.Status == http.StatusNotFound, e.Status == http.StatusGone:
		return missing(e)
	case e.Status == http.StatusConflict && e.Operation == calcom.OpUpdate:
		return NotSynced(v1alpha1.ReasonAlreadyExists,
			"Another user has the new e-mail, or the username that Cal.com derives from it; choose another e-mail or remove that user")
	}
	return refused(e)
}

// missing tells a server without the API from a user that is there and then is not.
func missing(e *calcom.Error) *Problem {
	if calcom.IsNoSuchAPI(e) || e.Operation == calcom.OpCreate || e.Operation == calcom.OpList {
		return NotSynced(v1alpha1.ReasonUnexpectedResponse, fmt.Sprintf(
			"The server at the API URL has no managed users (status %d); check apiURL, and whether Cal.com still offers its Platform API", e.Status))
	}
	p := unavailable(e)
	p.Message, p.Words = "Cal.com denied a user that it had shown a moment before; looking again", ""
	return p
}

// refused is about a request that Cal.com understood and does not want.
func refused(e *calcom.Error) *Problem {
	writesUser := e.Operation == calcom.OpCreate || e.Operation == calcom.OpUpdate || e.Operation == calcom.OpDelete
	switch e.Status {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		if !writesUser {
			break // The spec has no part in it.
		}
		if e.Operation == calcom.OpDelete {
			return NotSynced(v1alpha1.ReasonDeletionBlocked,
				"Cal.com refuses to delete the user, as it does while other records refer to it; have them removed in Cal.com, or set deletionPolicy to Orphan")
		}
		return NotSynced(v1alpha1.ReasonInvalidSpec, "Cal.com refuses the spec ("+Slot+"); correct it").Quote(refusal(e))
	}
	p := unavailable(e)
	p.Reason, p.Severity = v1alpha1.ReasonUnexpectedResponse, Waiting
	p.Message = "Cal.com gave an answer to " + Slot + "; trying again with back-off"
	return p.Quote(fmt.Sprintf("%s for which there is no rule (%s)", e.Operation, statusAndCode(e)))
}

// WhatCame says how Cal.com failed to answer.
func WhatCame(e *calcom.Error) string {
	switch {
	case e.Unreadable:
		return fmt.Sprintf("gave an unreadable answer (status %d)", e.Status)
	case e.Status != 0:
		return fmt.Sprintf("answered with status %d", e.Status)
	}
	return "gave no answer"
}

func unavailable(e *calcom.Error) *Problem {
	p := &Problem{
		Condition: v1alpha1.ConditionSynced, Reason: v1alpha1.ReasonRemoteUnavailable, Severity: Transient, Pace: BackOff,
		Message: "Cal.com " + Slot + "; trying again with back-off",
	}
	return p.Quote(fmt.Sprintf("%s to %s", WhatCame(e), e.Operation))
}

func rateLimited(e *calcom.Error) *Problem {
	wait := e.RateLimit.Reset
	if wait <= 0 {
		wait = e.RetryAfter
	}
	if wait <= 0 {
		wait = time.Minute // The server's block.
	}
	return &Problem{
		Condition: v1alpha1.ConditionSynced, Reason: v1alpha1.ReasonRateLimited, Pace: Later, After: wait,
		Message: "The OAuth client's quota of calls is used up; going on when Cal.com opens the next window, within a minute as a rule",
	}
}

// NotUsable is about the OAuth client or its credentials. One that waits ends when another object is applied: see
// escalate.
func NotUsable(reason string, severity Severity, message string) *Problem {
	return &Problem{
		Condition: v1alpha1.ConditionCredentialsReady, Reason: reason, Message: message,
		Severity: severity, Pace: Slowly,
	}
}

// NotSynced is about the user or its spec, and needs a person.
func NotSynced(reason, message string) *Problem {
	return &Problem{
		Condition: v1alpha1.ConditionSynced, Reason: reason, Message: message,
		Severity: Stalled, Pace: Slowly,
	}
}

// statusAndCode is what users' conditions say of an answer. The rest of it may differ each time, and may be about
// others.
func statusAndCode(e *calcom.Error) string {
	if e.Code == "" {
		return fmt.Sprintf("status %d", e.Status)
	}
	return fmt.Sprintf("status %d %s", e.Status, e.Code)
}

func refusal(e *calcom.Error) string {
	const most = 700 // Bytes; what the message adds around it has to fit beside it.
	if rules := e.Rules(); rules != "" {
		return Clip(rules, most)
	}
	return statusAndCode(e)
}

// IsInLine reports whether a problem is a wait for a place. There may be no problem.
func IsInLine(p *Problem) bool { return p != nil && p.Pace == InLine }

// WaitsForQuota reports whether an error is a wait for a promised moment.
func WaitsForQuota(err error) bool {
	p, ok := errors.AsType[*Problem](err)
	return ok && !p.At.IsZero()
}

// IsOfAnother reports whether the user turned out to be somebody else's.
func IsOfAnother(synced error) bool {
	p := Classify(synced)
	return p != nil && (p.Reason == v1alpha1.ReasonOwnedElsewhere || p.Reason == v1alpha1.ReasonAlreadyExists)
}
