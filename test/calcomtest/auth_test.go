// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package calcomtest_test

import (
	"testing"

	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

const (
	wrongSecret = "ApiAuthStrategy - oAuth client - Invalid client secret"
	onlyID      = "ApiAuthStrategy - Only 'x-cal-client-id' header provided. Please also provide 'x-cal-secret-key' header or Auth bearer token as 'Authentication' header"
	deadToken   = "ApiAuthStrategy - access token - OAuth client not found given the access token"
	wrongRole   = "OrganizationRolesGuard - User must have one of the roles: ADMIN, OWNER."
)

func TestAuthentication(t *testing.T) {
	s := recordedState(t, calcomtest.Options{})
	a := newAPI(t, s)
	_, token, _ := a.created(`{"email": "t@example.com", "name": "T"}`)
	path2, nosuch := "/v2/oauth-clients/"+cid2+"/users", "/v2/oauth-clients/nosuch/users"
	path9 := "/v2/oauth-clients/" + cid9 + "/users"
	tests := []struct {
		name, path    string
		headers       []string
		status        int
		code, message string
	}{
		{"wrong secret", "./1", []string{"x-cal-secret-key", "wrong", "x-cal-client-id", cid1}, 401, "UnauthorizedException", wrongSecret},
		{"no secret", "./1", []string{"x-cal-client-id", cid1}, 401, "UnauthorizedException", onlyID},
		{"nothing", "./1", nil, 401, "UnauthorizedException", onlyID},
		{"secret only", "./1", []string{"x-cal-secret-key", "test-secret-1"}, 200, "", ""},
		{"unknown client", nosuch, []string{"x-cal-secret-key", "test-secret-1"}, 401, "UnauthorizedException", "ApiAuthStrategy - oAuth client - Client with ID nosuch not found"},
		{"path of one client, secret of another", path2, []string{"x-cal-secret-key", "test-secret-1", "x-cal-client-id", cid1}, 401, "UnauthorizedException", wrongSecret},
		{"headers of a foreign client", ".", []string{"x-cal-secret-key", "test-secret-9", "x-cal-client-id", cid9}, 401, "UnauthorizedException", wrongSecret},
		{"managed user's token", ".", []string{"Authorization", "Bearer " + token}, 403, "ForbiddenException", wrongRole},
		{"managed user's token for itself", "./2", []string{"Authorization", "Bearer " + token}, 403, "ForbiddenException", wrongRole},
		{"token, unknown client", nosuch, []string{"Authorization", "Bearer " + token}, 404, "NotFoundException", "OAuthClientGuard - OAuth client not found."},
		{"token, client of another organization", path9, []string{"Authorization", "Bearer " + token}, 403, "ForbiddenException", "OAuthClientGuard - forbidden. oAuth client with id=" + cid9 + " does not belong to the organization with id=100"},
		{"no token", ".", []string{"Authorization", "Bearer nonsense"}, 401, "UnauthorizedException", "Invalid Access Token."},
		{"API key", ".", []string{"Authorization", "Bearer cal_nosuch"}, 401, "UnauthorizedException", "CustomThrottlerGuard - Invalid API Key"},
		{"secret and token", "./1", []string{"x-cal-secret-key", "test-secret-1", "Authorization", "Bearer nonsense"}, 200, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := a.as(tt.headers...).call("GET", tt.path, "")
			if tt.code == "" {
				r.want(t, tt.status)
				return
			}
			r.want(t, tt.status, tt.code, tt.message)
		})
	}
}

// TestClients: clients come, change and go while the server runs.
func TestClients(t *testing.T) {
	s := calcomtest.New(t)
	a := newAPI(t, s)
	a.created(`{"email": "a@example.com", "name": "A"}`)
	s.SetSecret(cid1, "next")
	s.SetSecret("nosuch", "next")
	a.call("GET", ".", "").want(t, 401, "UnauthorizedException", wrongSecret)
	next := a.as("x-cal-secret-key", "next")
	next.call("GET", "./1", "").want(t, 200)
	s.RemoveClient(cid1)
	next.call("GET", "./1", "").want(t, 401, "UnauthorizedException", "ApiAuthStrategy - oAuth client - Client with ID "+cid1+" not found")
	if got := len(s.Users(cid1)); got != 1 {
		t.Errorf("%d users of the removed client, want 1", got)
	}
	s.AddClient(calcomtest.DefaultClient())
	a.call("GET", "./1", "").want(t, 200)
}

// TestShowClient shows the client as recorded.
func TestShowClient(t *testing.T) {
	a := newAPI(t, recordedState(t, calcomtest.Options{Now: newClock().Now}))
	r := a.call("GET", "/v2/oauth-clients/"+cid1, "")
	want := `{"status":"success","data":{"id":"` + cid1 + `","name":"seed client","secret":"test-secret-1","permissions":["EVENT_TYPE_READ","EVENT_TYPE_WRITE","BOOKING_READ","BOOKING_WRITE","SCHEDULE_READ","SCHEDULE_WRITE","APPS_READ","APPS_WRITE","PROFILE_READ","PROFILE_WRITE"],"logo":null,"redirectUris":["http://localhost:4321"],"organizationId":100,"createdAt":"2026-11-23T08:49:59.791Z","areEmailsEnabled":false,"areDefaultEventTypesEnabled":true,"areCalendarEventsEnabled":true}}`
	if string(r.body) != want {
		t.Errorf("got  %s\nwant %s", r.body, want)
	}
	a.as("x-cal-secret-key", "wrong").call("GET", "/v2/oauth-clients/"+cid1, "").want(t, 401)
}
