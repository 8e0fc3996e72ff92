// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package calcomtest

import (
	"net/http"
	"net/url"
	"strings"
)

const defaultPage = 50

// listUsers is GET users. The filter comes first, limit and offset apply to
// what it leaves.
func (s *Server) listUsers(c *call) answer {
	if _, p := s.authorizeClient(c); p != nil {
		return c.refuse(p)
	}
	query, p := c.query()
	if p != nil {
		return c.refuse(p)
	}
	if query, p = validate(listFields, query); p != nil {
		return c.refuse(p)
	}
	var found []*user
	if emails, ok := query.get("emails"); ok {
		found = s.managedByEmail(c.route.clientID, c.wanted(emails))
	} else {
		found = s.managed(c.route.clientID)
	}
	views := []userView{}
	for _, u := range page(found, query.number("offset", 0), query.number("limit", defaultPage)) {
		views = append(views, u.view())
	}
	return success(http.StatusOK, views)
}

func page(users []*user, offset, limit int) []*user {
	users = users[min(offset, len(users)):]
	return users[:min(limit, len(users))]
}

// number is a member that is a number, or a default.
func (o object) number(key string, otherwise int) int {
	v, _ := o.get(key)
	f, ok := v.(float64)
	if !ok {
		return otherwise
	}
	return int(f)
}

// wanted are the stored forms of the filter.
func (c *call) wanted(emails any) []string {
	list, _ := emails.([]any)
	var out []string
	for _, e := range list {
		if text, ok := e.(string); ok {
			out = append(out, filterEmail(text, c.route.clientID))
		}
	}
	return out
}

// query reads the parameters in their order. One that is repeated is a list,
// and the server checks the addresses of a single one only.
func (c *call) query() (object, *problem) {
	out := object{}
	_, raw, _ := strings.Cut(c.url, "?")
	for pair := range strings.SplitSeq(raw, "&") {
		key, value, _ := strings.Cut(pair, "=")
		key, value = unescaped(key), unescaped(value)
		if key == "" {
			continue
		}
		if before, repeated := out.get(key); repeated {
			list, ok := before.([]any)
			if !ok {
				list = []any{before}
			}
			out = out.set(key, append(list, value))
			continue
		}
		out = out.set(key, value)
	}
	return splitEmails(out)
}

// unescaped leaves text as it is that cannot be decoded.
func unescaped(s string) string {
	if out, err := url.QueryUnescape(s); err == nil {
		return out
	}
	return s
}

// splitEmails makes a list of the addresses and refuses the first bad one.
func splitEmails(query object) (object, *problem) {
	text, ok := query.text("emails")
	if !ok {
		return query, nil
	}
	list := []any{}
	for e := range strings.SplitSeq(text, ",") {
		e = strings.TrimSpace(e)
		if !isEmail(e) {
			return nil, exception(http.StatusBadRequest, "Invalid email "+e)
		}
		list = append(list, e)
	}
	return query.set("emails", list), nil
}
