// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package calcomtest

import (
	"encoding/json"
	"net/http"
	"strconv"
)

// meView is the JSON form of GET /v2/me.
type meView struct {
	ID                int64           `json:"id"`
	Email             string          `json:"email"`
	Name              *string         `json:"name"`
	AvatarURL         *string         `json:"avatarUrl"`
	Bio               *string         `json:"bio"`
	TimeFormat        *int            `json:"timeFormat"`
	DefaultScheduleID *int64          `json:"defaultScheduleId"`
	WeekStart         string          `json:"weekStart"`
	TimeZone          string          `json:"timeZone"`
	Username          *string         `json:"username"`
	OrganizationID    json.RawMessage `json:"organizationId"`
	Organization      struct {
		IsPlatform bool            `json:"isPlatform"`
		ID         json.RawMessage `json:"id"`
	} `json:"organization"`
}

// me is GET /v2/me with a managed user's access token. The real server answers
// a client's own credentials with the organization's owner, who is no managed
// user; here that call is refused.
func (s *Server) me(c *call) answer {
	cl, u, p := s.authenticate(c)
	if p != nil {
		return c.refuse(p)
	}
	if u == nil {
		return c.refuse(unauthorized("calcomtest: GET /v2/me is imitated for access tokens only"))
	}
	if u.TimeFormat == nil {
		return c.refuse(&problem{
			status: http.StatusBadRequest, Code: "BAD_REQUEST",
			Message: "timeFormat - Expected number, received null, ",
		})
	}
	v := meView{
		ID: u.ID, Email: u.Email, Name: u.Name, AvatarURL: u.AvatarURL, Bio: u.Bio,
		TimeFormat: u.TimeFormat, DefaultScheduleID: u.DefaultScheduleID,
		WeekStart: u.WeekStart, TimeZone: u.TimeZone, Username: u.Username,
		OrganizationID: organizationID(cl.Organization),
	}
	v.Organization.IsPlatform = true
	v.Organization.ID = v.OrganizationID
	return success(http.StatusOK, v)
}

// organizationID is the number that the real server shows, or a text where a
// test gave the organization a name.
func organizationID(id string) json.RawMessage {
	if n, err := strconv.ParseInt(id, 10, 64); err == nil {
		return encode(n)
	}
	return encode(id)
}

// showClient is GET oauth-clients/{id}, which shows the secret.
func (s *Server) showClient(c *call) answer {
	cl, p := s.authorizeClient(c)
	if p != nil {
		return c.refuse(p)
	}
	return success(http.StatusOK, struct {
		ID                string          `json:"id"`
		Name              string          `json:"name"`
		Secret            string          `json:"secret"`
		Permissions       []string        `json:"permissions"`
		Logo              *string         `json:"logo"`
		RedirectURIs      []string        `json:"redirectUris"`
		OrganizationID    json.RawMessage `json:"organizationId"`
		CreatedAt         string          `json:"createdAt"`
		Emails            bool            `json:"areEmailsEnabled"`
		DefaultEventTypes bool            `json:"areDefaultEventTypesEnabled"`
		CalendarEvents    bool            `json:"areCalendarEventsEnabled"`
	}{
		ID: cl.ID, Name: "seed client", Secret: cl.Secret, Permissions: clientPermissions,
		RedirectURIs: []string{"http://localhost:4321"}, OrganizationID: organizationID(cl.Organization),
		CreatedAt: timestamp(cl.created), DefaultEventTypes: cl.DefaultEventTypes, CalendarEvents: true,
	})
}

// clientPermissions are all that there are, in the server's order.
var clientPermissions = []string{
	"EVENT_TYPE_READ", "EVENT_TYPE_WRITE", "BOOKING_READ", "BOOKING_WRITE", "SCHEDULE_READ",
	"SCHEDULE_WRITE", "APPS_READ", "APPS_WRITE", "PROFILE_READ", "PROFILE_WRITE",
}
