// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package calcomtest

import (
	"fmt"
	"net/http"
	"slices"
)

// The database's defaults.
const (
	defaultTimeZone   = "Europe/London"
	defaultWeekStart  = "Sunday"
	defaultTimeFormat = 12
)

// createUser is POST users.
func (s *Server) createUser(c *call) answer {
	cl, p := s.authorizeClient(c)
	if p != nil {
		return c.refuse(p)
	}
	in, p := validate(createFields, c.doc)
	if p != nil {
		return c.refuse(p)
	}
	if c.noConnection {
		return c.refuse(errDatabase)
	}
	u := newUser(cl, in)
	u.CreatedDate = c.now
	if p := s.insertable(u, in); p != nil {
		return c.refuse(p)
	}
	made := &creation{user: u, in: in}
	a := s.create(c, made)
	a.effect, a.userID = true, made.user.ID
	return a
}

// insertable checks what the server finds out in the course of the insert.
func (s *Server) insertable(u *user, in object) *problem {
	if other := s.byEmail(u.Email); other != nil {
		return exception(http.StatusConflict, fmt.Sprintf("User with the provided e-mail already exists. Existing user ID=%d", other.ID))
	}
	if !inviteEmail.MatchString(u.Email) {
		return errBadRequest
	}
	if v, present := in.get("weekStart"); present && v == nil {
		return errDatabase // The column takes no null.
	}
	if s.usernameTaken(u.organization, *u.Username, 0) {
		s.nextUser++ // The refused insert used up a number.
		return errTaken
	}
	return nil
}

// newUser is the user that the first step of a create makes.
func newUser(cl *client, in object) *user {
	email, _ := in.text("email")
	u := &user{clientID: cl.ID, organization: cl.Organization, User: User{
		Email:      storedEmail(email, cl.ID),
		TimeZone:   defaultTimeZone,
		WeekStart:  defaultWeekStart,
		TimeFormat: new(defaultTimeFormat),
	}}
	u.Username = new(usernameOf(u.Email))
	u.apply(in.only("timeZone", "weekStart", "timeFormat"))
	return u
}

// only returns the members with the given keys.
func (o object) only(keys ...string) object {
	return slices.DeleteFunc(slices.Clone(o), func(m member) bool { return !slices.Contains(keys, m.key) })
}

// text is a member that is a string.
func (o object) text(key string) (string, bool) {
	v, _ := o.get(key)
	s, ok := v.(string)
	return s, ok
}

// apply sets every field of a request but the e-mail address. Null clears; for
// time zone and week start, which cannot be null, it does nothing.
func (u *user) apply(in object) {
	for _, m := range in {
		text, isText := m.value.(string)
		switch m.key {
		case "name":
			u.Name = optional(m.value, text)
		case "bio":
			u.Bio = optional(m.value, text)
		case "locale":
			u.Locale = optional(m.value, text)
		case "avatarUrl":
			u.AvatarURL = optional(m.value, text)
		case "timeZone":
			u.TimeZone = either(isText, text, u.TimeZone)
		case "weekStart":
			u.WeekStart = either(isText, text, u.WeekStart)
		default:
			u.applyTyped(m)
		}
	}
}

// applyTyped sets the fields that are not text.
func (u *user) applyTyped(m member) {
	number, _ := m.value.(float64)
	switch m.key {
	case "timeFormat":
		u.TimeFormat = optional(m.value, int(number))
	case "defaultScheduleId":
		u.DefaultScheduleID = optional(m.value, int64(number))
	case "metadata":
		u.Metadata = metadataOf(m.value)
	}
}

func optional[T any](value any, v T) *T {
	if value == nil {
		return nil
	}
	return &v
}

func either(is bool, v, otherwise string) string {
	if is {
		return v
	}
	return otherwise
}

// metadataOf is what the database keeps of valid metadata.
func metadataOf(v any) map[string]any {
	o, ok := v.(object)
	if !ok {
		return nil
	}
	out := make(map[string]any, len(o))
	for _, m := range o {
		if f, ok := m.value.(float64); ok {
			m.value = rounded(f)
		}
		out[m.key] = m.value
	}
	return out
}
