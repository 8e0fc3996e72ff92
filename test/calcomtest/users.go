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
	if !ok || u.halfMade || u.clientID != c.route.clientID {
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

// drop removes a user and its tokens.
func (s *Server) drop(u *user) {
	delete(s.users, u.ID)
	s.revoke(u.ID)
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
	s.users[u.ID] = u
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

// byEmail finds whoever has a stored address, half-made users included.
// Addresses are unique in the whole server, and case counts.
func (s *Server) byEmail(stored string) *user {
	for _, u := range s.users {
		if u.Email == stored {
			return u
		}
	}
	return nil
}

// usernameTaken looks at the organization's other users.
func (s *Server) usernameTaken(organization, username string, except int64) bool {
	for _, u := range s.users {
		if u.ID != except && u.organization == organization && u.Username != nil && *u.Username == username {
			return true
		}
	}
	return false
}

// managed returns a client's users, or some of them, by ID: the order that the
// real server was seen to list them in.
func (s *Server) managed(clientID string, keep func(*user) bool) []*user {
	var out []*user
	for _, u := range s.users {
		if u.clientID == clientID && !u.halfMade && keep(u) {
			out = append(out, u)
		}
	}
	slices.SortFunc(out, func(a, b *user) int { return cmp.Compare(a.ID, b.ID) })
	return out
}
