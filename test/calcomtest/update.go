// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package calcomtest

import (
	"math"
	"net/http"
	"reflect"
)

// updateUser is PATCH users/{id}.
func (s *Server) updateUser(c *call) answer {
	cl, p := s.authorizeClient(c)
	if p != nil {
		return c.refuse(p)
	}
	if p := c.checkUserID(); p != nil {
		return c.refuse(p)
	}
	in, p := validate(updateFields, c.doc)
	if p != nil {
		return c.refuse(p)
	}
	u, p := s.userOf(c)
	if p != nil {
		return c.refuse(p)
	}
	changed, p := s.changed(u, cl, in)
	if p != nil {
		return c.refuse(p)
	}
	a := success(http.StatusOK, changed.view())
	a.effect = !reflect.DeepEqual(u.User, changed.User)
	return a
}

// changed stores the user with a request applied to it, and returns it.
func (s *Server) changed(u *user, cl *client, in object) (*user, *problem) {
	changed := new(*u)
	changed.User = u.clone()
	if p := s.change(changed, cl, in); p != nil {
		return nil, p
	}
	s.put(changed)
	return changed, nil
}

// change applies a request to a copy of the user.
func (s *Server) change(u *user, cl *client, in object) *problem {
	if unstorable(in) {
		return errDatabase
	}
	if email, ok := in.text("email"); ok {
		if p := s.rename(u, cl, email); p != nil {
			return p
		}
	}
	u.apply(in)
	return nil
}

// unstorable tells whether the database refuses a value that passed the checks.
func unstorable(in object) bool {
	for _, m := range in {
		switch m.key {
		case "email", "timeZone", "weekStart":
			if m.value == nil {
				return true
			}
		case "defaultScheduleId":
			if n, ok := m.value.(float64); ok && (n != math.Trunc(n) || math.Abs(n) > math.MaxInt32) {
				return true
			}
		}
	}
	return false
}

// rename changes address and user name together. An empty address is stored
// as it is, and then the user name stays.
func (s *Server) rename(u *user, cl *client, email string) *problem {
	stored, username := "", u.Username
	if email != "" {
		stored = storedEmail(email, cl.ID)
		username = new(usernameOf(stored))
	}
	if other := s.byEmail(stored); other != nil && other.ID != u.ID {
		return errTaken
	}
	if username != nil && s.usernameTaken(u.organization, *username, u.ID) {
		return errTaken
	}
	u.Email, u.Username = stored, username
	return nil
}
