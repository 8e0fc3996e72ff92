// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

// describe is the line for a call: no secret, no token, no e-mail address.
func describe(c calcomtest.Call) string {
	status := "-"
	if c.Status != 0 {
		status = fmt.Sprint(c.Status)
	}
	return fmt.Sprintf("%s %s %s%s %s %s", c.Time.Format("15:04:05.000"), c.Method, masked(c.Path), maskedQuery(c.Query), status, happened(c))
}

// masked hides segments that could hold an address or a token.
func masked(path string) string {
	parts := strings.Split(path, "/")
	for i, p := range parts {
		if strings.ContainsAny(p, "@ \r\n\t") {
			parts[i] = "…"
		}
	}
	return strings.Join(parts, "/")
}

// maskedQuery keeps the names of the parameters.
func maskedQuery(query string) string {
	if query == "" {
		return ""
	}
	var names []string
	for pair := range strings.SplitSeq(query, "&") {
		name, _, _ := strings.Cut(pair, "=")
		if unescaped, err := url.QueryUnescape(name); err != nil || strings.ContainsAny(unescaped, "@ \r\n\t") {
			name = "…"
		}
		names = append(names, name+"=…")
	}
	return "?" + strings.Join(names, "&")
}

// happened says in a few words what the call did.
func happened(c calcomtest.Call) string {
	switch {
	case c.Status == 0:
		return "no answer"
	case c.Status >= http.StatusBadRequest:
		return refused(c.Status)
	case c.Effect:
		return done(c)
	case c.Op == calcomtest.OpUpdate:
		return fmt.Sprintf("user %d as it was", c.UserID)
	}
	return "read"
}

func done(c calcomtest.Call) string {
	what := map[calcomtest.Op]string{
		calcomtest.OpCreate:       "created",
		calcomtest.OpUpdate:       "changed",
		calcomtest.OpDelete:       "deleted",
		calcomtest.OpForceRefresh: "got new tokens, the old ones are dead",
	}[c.Op]
	if what == "" {
		return "tokens refreshed"
	}
	return fmt.Sprintf("user %d %s", c.UserID, what)
}

func refused(status int) string {
	switch status {
	case http.StatusUnauthorized:
		return "credentials refused"
	case http.StatusTooManyRequests:
		return "over the rate limit"
	case http.StatusConflict:
		return "address or user name taken"
	case http.StatusNotFound:
		return "no such user or route"
	}
	return "refused: " + strings.ToLower(http.StatusText(status))
}
