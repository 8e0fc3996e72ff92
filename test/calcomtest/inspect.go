// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package calcomtest

import (
	"cmp"
	"fmt"
)

// Users returns copies of a client's managed users, by ID. Half-made users are
// not among them.
func (s *Server) Users(clientID string) []User {
	s.lock()
	defer s.mu.Unlock()
	found := s.managed(clientID)
	out := make([]User, 0, len(found))
	for _, u := range found {
		out = append(out, u.clone())
	}
	return out
}

// User returns a copy of one managed user of a client.
func (s *Server) User(clientID string, id int64) (User, bool) {
	s.lock()
	defer s.mu.Unlock()
	u := s.find(clientID, id)
	if u == nil {
		return User{}, false
	}
	return u.clone(), true
}

// UserByEmail finds a client's managed user by its plain or stored address.
// Case counts.
func (s *Server) UserByEmail(clientID, plain string) (User, bool) {
	s.lock()
	defer s.mu.Unlock()
	u := s.byEmail(storedEmail(plain, clientID))
	if u == nil || u.clientID != clientID || !u.linked() {
		return User{}, false
	}
	return u.clone(), true
}

func (s *Server) find(clientID string, id int64) *user {
	u, ok := s.users[id]
	if !ok || !u.linked() || u.clientID != clientID {
		return nil
	}
	return u
}

// AddUser puts a user into the state, as another tool would have created it,
// and returns it as stored. Email may be plain. What is empty gets the server's
// default: the next ID, the user name of the address, the server's time,
// Europe/London, Sunday and 12 hours; a time zone without DefaultScheduleID
// gets a default schedule. It panics where a test can only be wrong: an unknown
// client, or an ID, address or user name that is taken.
func (s *Server) AddUser(clientID string, u User) User {
	s.lock()
	defer s.mu.Unlock()
	cl, ok := s.clients[clientID]
	if !ok {
		panic("calcomtest: AddUser: no OAuth client with ID " + clientID)
	}
	added := &user{User: u.clone(), clientID: cl.ID, organization: cl.Organization, step: StepSchedule}
	added.Email = storedEmail(u.Email, cl.ID)
	if added.Username == nil {
		added.Username = new(usernameOf(added.Email))
	}
	s.mustBeFree(added)
	zoned := u.TimeZone != "" && u.DefaultScheduleID == nil
	if name, ok := capitalZone(u.TimeZone).(string); ok {
		added.TimeZone = cmp.Or(name, defaultTimeZone)
	}
	added.WeekStart = cmp.Or(u.WeekStart, defaultWeekStart)
	if u.CreatedDate.IsZero() {
		added.CreatedDate = s.opts.Now()
	}
	if u.TimeFormat == nil {
		added.TimeFormat = new(defaultTimeFormat)
	}
	s.insert(added, zoned)
	return added.clone()
}

func (s *Server) mustBeFree(u *user) {
	if _, taken := s.users[u.ID]; taken {
		panic(fmt.Sprintf("calcomtest: AddUser: there is a user with ID %d already", u.ID))
	}
	if s.byEmail(u.Email) != nil {
		panic("calcomtest: AddUser: there is a user with e-mail " + u.Email + " already")
	}
	if s.usernameTaken(u.organization, *u.Username, 0) {
		panic("calcomtest: AddUser: there is a user with user name " + *u.Username + " already")
	}
}

// UpdateUser changes a user by hand, without any check, as somebody would in
// the user interface or the database. A change of the ID is ignored. The lock
// is held meanwhile: change must not call the server. It is false if there is
// no such user.
func (s *Server) UpdateUser(clientID string, id int64, change func(*User)) bool {
	s.lock()
	defer s.mu.Unlock()
	u := s.find(clientID, id)
	if u == nil {
		return false
	}
	edited := u.clone()
	change(&edited)
	edited.ID = id
	changed := *u
	changed.User = edited.clone()
	s.put(&changed)
	return true
}

// RemoveUser deletes a user by hand, with its tokens. It is false if there is
// no such user.
func (s *Server) RemoveUser(clientID string, id int64) bool {
	s.lock()
	defer s.mu.Unlock()
	u := s.find(clientID, id)
	if u == nil {
		return false
	}
	s.drop(u)
	return true
}

// Wipe empties the database as a restore of an empty one does: no user is
// left, half-made ones included, no token is valid, and IDs start from 1 again.
// OAuth clients, faults and the call log stay.
func (s *Server) Wipe() {
	s.lock()
	defer s.mu.Unlock()
	for _, u := range s.users {
		s.drop(u)
	}
	s.nextUser, s.nextSchedule = 1, 1
	s.pending = nil // What was under way went with the database.
}

// AddHalfMadeUser leaves what a real server leaves that dies between making a
// user and connecting it to its client: a create with this address is refused
// with 409 and the returned ID, and no other call sees the user. It panics
// where AddUser does.
func (s *Server) AddHalfMadeUser(clientID, email string) int64 {
	u := s.AddUser(clientID, User{Email: email})
	s.lock()
	defer s.mu.Unlock()
	s.users[u.ID].step = StepInsert
	return u.ID
}
