// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package calcom

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Error is every failure of a call. Its text is fit for logs and conditions.
type Error struct {
	// Operation says what was attempted.
	Operation Operation
	// Status is the HTTP status, or 0 when no answer came.
	Status int
	// Code is the server's error.code: the name of an exception class or a constant, no stable enumeration.
	Code string
	// Message is the server's error.message with addresses, tokens, keys and whatever looks like one, and what the
	// request held masked. The text of the error leaves it out all the same.
	Message string
	// KeyForm says, for a 401, what the secret key looks like if it looks like something else: words that go on after
	// "the secret key" and quote nothing of it. Empty for all others.
	KeyForm string
	// Constraints are the validation rules that the request broke.
	Constraints []Constraint
	// RequestID is the server's X-Request-Id, for a question to Cal.com's support.
	RequestID string
	// RateLimit is what the answer said of the quota.
	RateLimit RateLimit
	// RetryAfter is the wait that the answer asks for, 0 when it names none. Cal.com itself sends no such
	// header; a proxy in front of it may.
	RetryAfter time.Duration
	// Unreadable reports a success whose body is not what the API promises.
	Unreadable bool
	// FromServer reports an error whose body has a form that Cal.com's server uses, so that it is no proxy's.
	FromServer bool
	// NotSent reports a call that was given up before anything left the process.
	NotSent bool

	err error // The cause, without URL or body; nil for a plain status.
}

// Constraint is one broken validation rule.
type Constraint struct {
	// Property is the name of the field in the request.
	Property string
	// Rule is the server's sentence about it, as "timeZone must be a valid IANA time-zone".
	Rule string
}

// Error returns the operation and what went wrong with it.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(string(e.Operation))
	b.WriteString(": ")
	switch {
	case e.Status == 0 && e.err != nil:
		b.WriteString(e.err.Error())
	case e.Unreadable:
		fmt.Fprintf(&b, "status %d: %v", e.Status, e.err)
	default:
		fmt.Fprintf(&b, "status %d", e.Status)
		if e.Code != "" {
			b.WriteString(" " + e.Code)
		}
		if rules := e.Rules(); rules != "" {
			b.WriteString(": " + rules)
		}
	}
	if e.KeyForm != "" {
		b.WriteString("; the secret key " + e.KeyForm)
	}
	if e.RequestID != "" {
		b.WriteString(" (request " + e.RequestID + ")")
	}
	return b.String()
}

// GoString keeps %#v from showing more than Error does.
func (e *Error) GoString() string { return e.Error() }

// Unwrap returns the cause, if there is one, so that errors.Is finds a cancelled context.
func (e *Error) Unwrap() error { return e.err }

// Rules returns the broken rules in one line, or nothing.
func (e *Error) Rules() string {
	rules := make([]string, 0, len(e.Constraints))
	for _, c := range e.Constraints {
		rules = append(rules, c.Rule)
	}
	return strings.Join(rules, "; ")
}

// OutcomeUnknown reports whether the call may have had its effect all the same, now or later: no answer, an
// unreadable one, or a status by which a server or a proxy says that it gave up waiting.
func (e *Error) OutcomeUnknown() bool {
	switch {
	case e.NotSent:
		return false
	case e.Status == 0, e.Unreadable, e.Status < 400, e.Status >= 500:
		return true
	}
	return e.Status == http.StatusRequestTimeout || e.Status == http.StatusTooEarly
}

// HandlerEnded reports a 500 of Cal.com's own, after which the call can have no effect that is still to come: the
// server answers when its handler has ended. Another status, or another body, can be that of a proxy which gave up
// waiting.
func (e *Error) HandlerEnded() bool {
	return e.Status == http.StatusInternalServerError && e.FromServer
}

var existingUserID = regexp.MustCompile(`Existing user ID=(\d{1,18})\b`)

// ExistingUserID returns the id that a 409 on create names. The other kind of 409, a taken username or a race,
// names none.
func (e *Error) ExistingUserID() (int64, bool) {
	if e.Status != http.StatusConflict {
		return 0, false
	}
	match := existingUserID.FindStringSubmatch(e.Message)
	if match == nil {
		return 0, false
	}
	id, err := strconv.ParseInt(match[1], 10, 64)
	return id, err == nil && id > 0
}

// IsNotFound reports whether err is a 404. It proves nothing on its own: see User.
func IsNotFound(err error) bool { return hasStatus(err, http.StatusNotFound) }

// IsConflict reports whether err is a 409.
func IsConflict(err error) bool { return hasStatus(err, http.StatusConflict) }

// IsUnauthorized reports whether err is a 401: a wrong secret key or an unknown client.
func IsUnauthorized(err error) bool { return hasStatus(err, http.StatusUnauthorized) }

// IsForbidden reports whether err is a 403.
func IsForbidden(err error) bool { return hasStatus(err, http.StatusForbidden) }

// IsRateLimited reports whether err is a 429.
func IsRateLimited(err error) bool { return hasStatus(err, http.StatusTooManyRequests) }

// IsInvalidRefreshToken reports whether err proves that a refresh token is used up, or was never one: the 400 that the
// server answers to a refresh, word for word (recorded). No other 400 proves it.
func IsInvalidRefreshToken(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Operation == OpRefresh && e.Status == http.StatusBadRequest && e.Message == "Invalid refresh token"
}

// IsNoSuchAPI reports whether the server does not know the call at all, as after the end of Cal.com's Platform:
// a 410, or the router's own 404, which unlike a missing user's is about the method and path.
func IsNoSuchAPI(err error) bool {
	var e *Error
	if !errors.As(err, &e) {
		return false
	}
	return e.Status == http.StatusGone || e.Status == http.StatusNotFound && strings.HasPrefix(e.Message, "Cannot ")
}

func hasStatus(err error, status int) bool {
	var e *Error
	return errors.As(err, &e) && e.Status == status
}

// transportError turns what net/http returned into an error without the URL, whose query can hold addresses.
func (c *Client) transportError(call call, err error) error {
	return &Error{Operation: call.name, NotSent: neverSent(err), err: c.maskFor(call).cause(err)}
}

// cause returns what may be said of an error of net/http. It names what went wrong and on which side, and nothing that
// the server had a say in beyond the names in a certificate, masked like its other words.
func (m *mask) cause(err error) error {
	if urlError, ok := errors.AsType[*url.Error](err); ok {
		err = urlError.Err
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("no answer in time: %w", context.DeadlineExceeded)
	case errors.Is(err, context.Canceled):
		return context.Canceled
	}
	if certificate, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return errors.New(m.text(certificate.Error()))
	}
	if netError, ok := errors.AsType[*net.OpError](err); ok {
		return errors.New(m.text(netError.Op + ": " + netError.Err.Error()))
	}
	return errors.New("connection failed or was cut")
}

// neverSent reports a connection that was not even made, so that nothing can have happened on the server.
func neverSent(err error) bool {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return true // The client ends the handshake, and a request follows only after that.
	}
	netError, ok := errors.AsType[*net.OpError](err)
	return ok && (netError.Op == "dial" || netError.Op == "proxyconnect")
}

// statusError reads what it can of an error's body. There are several forms: Cal.com's envelope, with details
// that are an object, a string or missing; the framework's own {"statusCode","message","error"}, whose error is
// a string or missing; and whatever a proxy in front answers.
func (c *Client) statusError(call call, response *http.Response, limit RateLimit, body []byte) error {
	mask := c.maskFor(call)
	e := &Error{
		Operation: call.name, Status: response.StatusCode, RequestID: mask.requestID(response), RateLimit: limit,
		RetryAfter: parseReset(response.Header.Get("Retry-After")),
	}
	if e.Status == http.StatusUnauthorized {
		e.KeyForm = c.keyForm
	}
	var parsed struct {
		Status     any             `json:"status"`
		StatusCode any             `json:"statusCode"`
		Message    json.RawMessage `json:"message"`
		Error      json.RawMessage `json:"error"`
	}
	var detail struct {
		Code    json.RawMessage `json:"code"`
		Message json.RawMessage `json:"message"`
		Details json.RawMessage `json:"details"`
	}
	if json.Unmarshal(body, &parsed) != nil {
		return e
	}
	message := text(parsed.Message)
	// Either {"status":"error","error":{"code":…}} or the framework's {"statusCode":500,"message":…} (recorded).
	e.FromServer = parsed.StatusCode == float64(response.StatusCode) && message != ""
	if json.Unmarshal(parsed.Error, &detail) == nil {
		message = cmp.Or(text(detail.Message), message)
		e.FromServer = e.FromServer || parsed.Status == "error" && text(detail.Code) != ""
	}
	e.Code = mask.word(text(detail.Code))
	e.Message = mask.message(message)
	e.Constraints = constraints(detail.Details, mask)
	return e
}

// constraints takes property and rules out of the details and leaves the rest: target and value echo the
// request.
func constraints(details json.RawMessage, mask *mask) []Constraint {
	var parsed struct {
		Errors []struct {
			Property    string            `json:"property"`
			Constraints map[string]string `json:"constraints"`
		} `json:"errors"`
	}
	if json.Unmarshal(details, &parsed) != nil {
		return nil
	}
	const most = 10
	var found []Constraint
	for _, e := range parsed.Errors {
		for _, rule := range e.Constraints {
			found = append(found, Constraint{Property: mask.word(e.Property), Rule: mask.text(rule)})
		}
	}
	slices.SortFunc(found, func(a, b Constraint) int {
		return strings.Compare(a.Property+"\x00"+a.Rule, b.Property+"\x00"+b.Rule)
	})
	return found[:min(len(found), most)]
}

// text returns a JSON string's value, and nothing for any other JSON.
func text(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}
