// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package calcomtest

import (
	"bytes"
	"mime"
	"net/http"
	"unicode"
)

// maxBody is the limit of the real server's body parser, in bytes.
const maxBody = 100 * 1024

const tooLarge = "request entity too large"

// admit passes a call through what stands before the handlers, in the order of
// the real server: body parser, router, rate limit. Only a call that got as far
// as the rate limit shows its headers.
func (s *Server) admit(c *call) (a answer, refused bool) {
	if a, refused = c.parseBody(); refused {
		a.early = true
		return a, true
	}
	if c.route.handle == nil {
		return c.refuse(exception(http.StatusNotFound, "Cannot "+c.req.Method+" "+c.url)), true
	}
	if hasAPIKey(c.req) {
		return c.refuse(exception(http.StatusUnauthorized, "CustomThrottlerGuard - Invalid API Key")), true
	}
	if c.limits, refused = s.throttle(c.req, c.now); refused {
		a = c.refuse(errTooMany)
		a.limits = c.limits
		return a, true
	}
	return answer{}, false
}

// parseBody reads a JSON body into doc. A body of another content type is not
// looked at, and no body is an empty object.
func (c *call) parseBody() (a answer, refused bool) {
	kind, _, _ := mime.ParseMediaType(c.req.Header.Get("Content-Type"))
	if kind != "application/json" || len(c.body) == 0 {
		return answer{}, false
	}
	if len(c.body) > maxBody {
		return plain(http.StatusRequestEntityTooLarge, tooLarge), true
	}
	v, message := parseJS(c.body)
	// The body parser is strict: it wants an object or a list.
	if at := bytes.IndexFunc(c.body, notSpace); message == "" && c.body[at] != '{' && c.body[at] != '[' {
		message = unexpectedToken(c.body, at)
	}
	if message != "" {
		return c.refuse(exception(http.StatusBadRequest, message)), true
	}
	// A list passes the body parser and then has none of the fields.
	c.doc, _ = v.(object)
	return answer{}, false
}

func notSpace(r rune) bool { return !unicode.IsSpace(r) }
