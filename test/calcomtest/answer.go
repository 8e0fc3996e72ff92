// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package calcomtest

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

// answer is what the server would send.
type answer struct {
	status int
	body   []byte
	// contentType is empty for the usual one.
	contentType string
	// limits is nil where the call did not reach the rate limit.
	limits *limits
	// early marks an answer of the body parser, which knows no request ID.
	early bool
	// effect tells whether the state changed, userID which user was made.
	effect bool
	userID int64
}

// timeFormat is that of JavaScript's Date.toISOString, always in UTC.
const timeFormat = "2006-01-02T15:04:05.000Z"

func timestamp(t time.Time) string { return t.UTC().Format(timeFormat) }

// encode writes JSON as JSON.stringify does: without escaping HTML.
func encode(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		// Only the server's own types come here; they can all be encoded.
		panic("calcomtest: encoding an answer: " + err.Error())
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// success is the envelope of every good answer.
func success(status int, data any) answer {
	return answer{status: status, body: encode(struct {
		Status string `json:"status"`
		Data   any    `json:"data"`
	}{"success", data})}
}

// problem is the error part of the envelope of a refusal.
type problem struct {
	status  int
	Code    string `json:"code"`
	Message string `json:"message"`
	// Details is an object for most, a string for 429 and 498, and absent where
	// the error comes from the database or from an inner API.
	Details any `json:"details,omitempty"`
}

// httpDetails are the details of the framework's own exceptions.
type httpDetails struct {
	Message    string `json:"message"`
	Error      string `json:"error"`
	StatusCode int    `json:"statusCode"`
}

// exception is an error as the real server's framework makes it: its code is
// the name of the exception's class.
func exception(status int, message string) *problem {
	reason := http.StatusText(status)
	return &problem{
		status:  status,
		Code:    strings.ReplaceAll(reason, " ", "") + "Exception",
		Message: message,
		Details: httpDetails{message, reason, status},
	}
}

// The errors that come from the database or from an inner API have no details.
var (
	errTaken      = &problem{status: http.StatusConflict, Code: "CONFLICT", Message: "Invalid Input: Trying to create a record that already exists."}
	errDatabase   = &problem{status: http.StatusInternalServerError, Code: "INTERNAL_SERVER_ERROR", Message: "There was an error, please try again later."}
	errBadRequest = &problem{status: http.StatusBadRequest, Code: "TRPCError", Message: "Bad request: Please check your request data and try again"}
)

// refuse is the envelope of an error.
func (c *call) refuse(p *problem) answer {
	return answer{status: p.status, body: encode(struct {
		Status    string   `json:"status"`
		Timestamp string   `json:"timestamp"`
		Path      string   `json:"path"`
		Error     *problem `json:"error"`
	}{"error", timestamp(c.now), c.url, p})}
}

// plain is the form of the errors that pass every filter of the real server:
// a body that is too large, and a Redis that does not answer.
func plain(status int, message string) answer {
	return answer{status: status, body: encode(struct {
		StatusCode int    `json:"statusCode"`
		Message    string `json:"message"`
	}{status, message})}
}

// answer is what a fault with a status sends. The limits of the call are kept
// where the call reached them; a call that did not shows a fresh bucket, or an
// empty one with 429.
func (f *Fault) answer(c *call, worked answer, fresh *limits) answer {
	out := c.typical(f.Status)
	out.effect, out.userID = worked.effect, worked.userID
	if f.Body != "" {
		out.body = []byte(f.Body)
	}
	out.contentType = f.ContentType
	out.limits = worked.limits
	if out.limits == nil {
		out.limits = fresh
	}
	if f.Status == http.StatusTooManyRequests {
		out.limits = &limits{limit: out.limits.limit, remaining: 0, reset: fresh.reset}
	}
	return out
}

// typical is the body that the real server sends with a status.
func (c *call) typical(status int) answer {
	switch status {
	case http.StatusUnauthorized:
		return c.refuse(exception(status, "ApiAuthStrategy - oAuth client - Invalid client secret"))
	case http.StatusForbidden:
		return c.refuse(errRole)
	case http.StatusNotFound:
		return c.refuse(c.notFound())
	case http.StatusConflict:
		return c.refuse(errTaken)
	case http.StatusRequestEntityTooLarge:
		return plain(status, tooLarge)
	case http.StatusTooManyRequests:
		return c.refuse(errTooMany)
	case http.StatusInternalServerError:
		return c.refuse(errDatabase)
	}
	if status < http.StatusBadRequest {
		return success(status, struct{}{})
	}
	return c.refuse(exception(status, http.StatusText(status)))
}
