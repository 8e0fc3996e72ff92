// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package calcomtest

import "slices"

// index finds users without looking at all of them. What is changed by hand is
// not checked, so several users can have one address or name.
type index struct {
	byEmail    map[string][]*user
	byUsername map[usernameKey][]*user
}

// usernameKey is where a user name has to be unique.
type usernameKey struct{ organization, username string }

func newIndex() index {
	return index{byEmail: map[string][]*user{}, byUsername: map[usernameKey][]*user{}}
}

func (i index) add(u *user) {
	i.byEmail[u.Email] = append(i.byEmail[u.Email], u)
	if key, ok := u.usernameKey(); ok {
		i.byUsername[key] = append(i.byUsername[key], u)
	}
}

func (i index) remove(u *user) {
	without(i.byEmail, u.Email, u)
	if key, ok := u.usernameKey(); ok {
		without(i.byUsername, key, u)
	}
}

func without[K comparable](users map[K][]*user, key K, u *user) {
	users[key] = slices.DeleteFunc(users[key], func(other *user) bool { return other == u })
	if len(users[key]) == 0 {
		delete(users, key)
	}
}

func (u *user) usernameKey() (usernameKey, bool) {
	if u.Username == nil {
		return usernameKey{}, false
	}
	return usernameKey{u.organization, *u.Username}, true
}

// put stores a user, in place of the one with its ID if there is one. The
// address and the name of a stored user change in no other way.
func (s *Server) put(u *user) {
	if old, ok := s.users[u.ID]; ok {
		s.index.remove(old)
	}
	s.users[u.ID] = u
	s.index.add(u)
}

// drop removes a user and its tokens.
func (s *Server) drop(u *user) {
	s.index.remove(u)
	delete(s.users, u.ID)
	s.revoke(u.ID)
}

// byEmail finds whoever has a stored address, half-made users included.
// Addresses are unique in the whole server, and case counts.
func (s *Server) byEmail(stored string) *user {
	if found := s.index.byEmail[stored]; len(found) > 0 {
		return found[0]
	}
	return nil
}

// usernameTaken looks at the organization's other users.
func (s *Server) usernameTaken(organization, username string, except int64) bool {
	return slices.ContainsFunc(s.index.byUsername[usernameKey{organization, username}], func(u *user) bool {
		return u.ID != except
	})
}
