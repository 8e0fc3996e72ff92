// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package calcomtest

import (
	"cmp"
	"fmt"
	"math"
	"net/http"
	"regexp"
	"slices"
	"strconv"
)

var numeric = regexp.MustCompile(`^-?[0-9]+$`)

// notFound is also the answer for a user of another client. Only a fault can
// ask for it on a path without a user.
func (c *call) notFound() *problem {
	if c.route.userID == "" {
		return exception(http.StatusNotFound, "Cannot "+c.req.Method+" "+c.url)
	}
	id := c.route.userID
	if n, err := strconv.ParseInt(id, 10, 64); err == nil {
		id = strconv.FormatInt(n, 10)
	}
	return exception(http.StatusNotFound, fmt.Sprintf("User with ID %s is not part of this OAuth client.", id))
}

// userOf finds the managed user of the path. The database's IDs have 32 bits;
// a number beyond them is its error and not a missing user.
func (s *Server) userOf(c *call) (*user, *problem) {
	id, err := strconv.ParseInt(c.route.userID, 10, 64)
	if err != nil || id > math.MaxInt32 || id < math.MinInt32 {
		return nil, errDatabase
	}
	u, ok := s.users[id]
	if !ok || !u.linked() || u.clientID != c.route.clientID {
		return nil, c.notFound()
	}
	return u, nil
}

// ownUser authorizes the call and finds its user.
func (s *Server) ownUser(c *call) (*user, *problem) {
	if _, p := s.authorizeClient(c); p != nil {
		return nil, p
	}
	if p := c.checkUserID(); p != nil {
		return nil, p
	}
	return s.userOf(c)
}

// checkUserID comes before the body is looked at.
func (c *call) checkUserID() *problem {
	if !numeric.MatchString(c.route.userID) {
		return exception(http.StatusBadRequest, "Validation failed (numeric string is expected)")
	}
	return nil
}

func (s *Server) getUser(c *call) answer {
	u, p := s.ownUser(c)
	if p != nil {
		return c.refuse(p)
	}
	return success(http.StatusOK, u.view())
}

// deleteUser shows the user as it was.
func (s *Server) deleteUser(c *call) answer {
	u, p := s.ownUser(c)
	if p != nil {
		return c.refuse(p)
	}
	s.drop(u)
	a := success(http.StatusOK, u.view())
	a.effect = true
	return a
}

// insert gives the user an ID and, with schedule, a default schedule.
func (s *Server) insert(u *user, schedule bool) {
	if u.ID == 0 {
		u.ID = s.freeID()
	}
	if schedule {
		u.DefaultScheduleID = new(s.nextSchedule)
		s.nextSchedule++
	}
	s.put(u)
}

// freeID skips the IDs that AddUser was told to use.
func (s *Server) freeID() int64 {
	for {
		id := s.nextUser
		s.nextUser++
		if _, taken := s.users[id]; !taken {
			return id
		}
	}
}

// managedByEmail returns those of a client's users that have one of the stored
// addresses, by ID.
func (s *Server) managedByEmail(clientID string, stored []string) []*user {
	var out []*user
	for _, email := range stored {
		out = append(out, s.index.byEmail[email]...)
	}
	out = slices.DeleteFunc(out, func(u *user) bool { return u.clientID != clientID || !u.linked() })
	slices.SortFunc(out, byID)
	return slices.Compact(out) // An address can be in the filter twice.
}

// managed returns a client's users by ID: the order that the real server was
// seen to list them in.
func (s *Server) managed(clientID string) []*user {
	var out []*user
	for _, u := range s.users {
		if u.clientID == clientID && u.linked() {
			out = append(out, u)
		}
	}
	slices.SortFunc(out, byID)
	return out
}

func byID(a, b *user) int { return cmp.Compare(a.ID, b.ID) }
