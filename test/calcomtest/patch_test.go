// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package calcomtest_test

import (
	"bytes"
	"net/http"
	"testing"

	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

// fullUser is a user with every field set.
const fullUser = `{"email": "rec-b@example.com", "name": "Rec B", "timeFormat": 24, "weekStart": "Monday", "timeZone": "Europe/Rome",
	"locale": "fr", "avatarUrl": "https://cal.com/x.png", "bio": "b", "metadata": {"a": "1", "b": "2"}}`

// TestPatch starts each row with a full user.
func TestPatch(t *testing.T) {
	tests := []struct {
		body   string
		status int
		part   string
		effect bool
	}{
		{`{"name": "Rec A2"}`, 200, `"name":"Rec A2"`, true},
		{`{}`, 200, `"name":"Rec B"`, false},
		{`{"nosuch": 1}`, 200, `"name":"Rec B"`, false},
		{`{"name": "Rec B"}`, 200, `"name":"Rec B"`, false},
		{`{"timeZone": "America/New_York", "weekStart": "Friday", "timeFormat": "12", "locale": "de", "bio": ""}`, 200, `"bio":"","timeZone":"America/New_York","weekStart":"Friday"`, true},
		{`{"timeFormat": "12"}`, 200, `"timeFormat":12`, true},
		{`{"timeZone": "europe/paris"}`, 200, `"timeZone":"Europe/Paris"`, true},
		{`{"metadata": {"c": "3"}}`, 200, `"metadata":{"c":"3"}}`, true},
		{`{"metadata": {}}`, 200, `"metadata":{}}`, true},
		{`{"metadata": {"c": "3", "toString": "x", "__proto__": "x", "valueOf": 1}}`, 200, `"metadata":{"c":"3"}}`, true},
		{`{"metadata": {"c": "3", "constructor": "x"}}`, 500, `"code":"INTERNAL_SERVER_ERROR"`, false},
		{`{"metadata": null}`, 200, `"avatarUrl":"https://cal.com/x.png"}}`, true},
		{`{"metadata": {"b": 1, "10": 1, "a": 1, "9": 1, "aa": 1}}`, 200, `"metadata":{"9":1,"10":1,"a":1,"b":1,"aa":1}`, true},
		{`{"bio": null}`, 200, `"bio":null`, true},
		{`{"avatarUrl": null}`, 200, `"avatarUrl":null`, true},
		{`{"name": null}`, 200, `"name":null`, true},
		{`{"locale": null}`, 200, `"locale":null`, true},
		{`{"timeFormat": null}`, 200, `"timeFormat":null`, true},
		{`{"defaultScheduleId": 999999}`, 200, `"defaultScheduleId":999999`, true},
		{`{"defaultScheduleId": null}`, 200, `"defaultScheduleId":null`, true},
		{`{"timeZone": null}`, 500, `"code":"INTERNAL_SERVER_ERROR"`, false},
		{`{"weekStart": null}`, 500, `"code":"INTERNAL_SERVER_ERROR"`, false},
		{`{"email": null}`, 500, `"code":"INTERNAL_SERVER_ERROR"`, false},
		{`{"avatarUrl": ""}`, 400, `[{"target":{"avatarUrl":""},"value":"","property":"avatarUrl","children":[],"constraints":{"isUrl":"avatarUrl must be a URL address"}}]`, false},
		{`{"weekStart": "Caturday"}`, 400, `"constraints":{"isIn":"weekStart must be one of the following values: Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday"}`, false},
		{`{"timeZone": "Mars/Phobos"}`, 400, `"constraints":{"isTimeZone":"timeZone must be a valid IANA time-zone"}`, false},
		{`{"defaultScheduleId": "x"}`, 400, `"isNumber"`, false},
		{`{"email": "new@example.com"}`, 200, `"email":"new+` + cid1 + `@example.com","username":"new-` + cid1 + `-example-com"`, true},
		{`{"email": "Rec-B@example.com"}`, 200, `"email":"Rec-B+` + cid1 + `@example.com","username":"rec-b-` + cid1 + `-example-com"`, true},
		{`{"email": "noat"}`, 200, `"email":"noat+` + cid1 + `@undefined","username":"noat-` + cid1 + `-undefined-undefined"`, true},
		{`{"email": "x+` + cid2 + `@example.com"}`, 200, `"email":"x+` + cid2 + `+` + cid1 + `@example.com"`, true},
		{`{"email": ""}`, 200, `"email":"","username":"rec-b-` + cid1 + `-example-com"`, true},
		{`{"email": "alice@example.com", "name": "other"}`, 409, `{"code":"CONFLICT","message":"` + conflict + `"}`, false},
		{`{"email": "ALICE@example.com"}`, 409, `"code":"CONFLICT"`, false},
	}
	for _, tt := range tests {
		t.Run(tt.body, func(t *testing.T) {
			s := recordedState(t, calcomtest.Options{})
			a := newAPI(t, s)
			id, _, _ := a.created(fullUser)
			before := a.call("GET", "./2", "")
			r := a.call("PATCH", "./2", tt.body)
			r.want(t, tt.status)
			r.wantPart(t, tt.part)
			after := a.call("GET", "./2", "")
			if changed := !bytes.Equal(after.body, before.body); changed != tt.effect {
				t.Errorf("changed: %v, want %v: %s", changed, tt.effect, after.body)
			}
			if got := s.CallsOf(calcomtest.OpUpdate)[0]; got.Effect != tt.effect || got.UserID != id {
				t.Errorf("logged effect %v on user %d, want %v on %d", got.Effect, got.UserID, tt.effect, id)
			}
			if r.status == http.StatusOK && !bytes.Equal(r.body, after.body) {
				t.Errorf("answer %s, state %s", r.body, after.body)
			}
		})
	}
}

// TestUserIDs: which users a path can name.
func TestUserIDs(t *testing.T) {
	a := newAPI(t, recordedState(t, calcomtest.Options{}))
	other := a.as("x-cal-secret-key", "test-secret-2", "x-cal-client-id", cid2)
	for _, method := range []string{"GET", "PATCH", "DELETE"} {
		body := map[string]string{"PATCH": `{"name": "x"}`}[method]
		a.call(method, "./99999999", body).want(t, 404, "NotFoundException", "User with ID 99999999 is not part of this OAuth client.")
		a.call(method, "./abc", body).want(t, 400, "BadRequestException", "Validation failed (numeric string is expected)")
		a.call(method, "./99999999999", body).want(t, 500, "INTERNAL_SERVER_ERROR", "There was an error, please try again later.")
		a.call(method, "./99999999999999999999", body).want(t, 500)
		other.call(method, "/v2/oauth-clients/"+cid2+"/users/1", body).want(t, 404, "NotFoundException", "User with ID 1 is not part of this OAuth client.")
	}
	for _, path := range []string{"./1", "./1/", "/api/v2/oauth-clients/" + cid1 + "/users/1"} {
		a.call("GET", path, "").want(t, 200)
	}
}

// TestDelete: the second one finds nobody, and the address is free again.
func TestDelete(t *testing.T) {
	s := recordedState(t, calcomtest.Options{})
	a := newAPI(t, s)
	was := a.call("GET", "./1", "")
	r := a.call("DELETE", "./1", "")
	r.want(t, 200)
	if !bytes.Equal(r.body, was.body) {
		t.Errorf("got %s, want the user as it was, %s", r.body, was.body)
	}
	a.call("DELETE", "./1", "").want(t, 404, "NotFoundException", "User with ID 1 is not part of this OAuth client.")
	if id, _, _ := a.created(`{"email": "alice@example.com", "name": "again"}`); id != 2 {
		t.Errorf("ID %d, want 2", id)
	}
}

// TestUnknownRoutes do not reach the rate limit.
func TestUnknownRoutes(t *testing.T) {
	a := newAPI(t, recordedState(t, calcomtest.Options{}))
	tests := []struct{ method, path, message string }{
		{"PUT", "./1", "Cannot PUT /v2/oauth-clients/" + cid1 + "/users/1"},
		{"GET", "/v2/nosuch", "Cannot GET /v2/nosuch"},
		{"GET", "/v2/nosuch?a=b", "Cannot GET /v2/nosuch?a=b"},
		{"GET", "/", "Cannot GET /"},
		{"GET", "./1/force-refresh", "Cannot GET /v2/oauth-clients/" + cid1 + "/users/1/force-refresh"},
	}
	for _, tt := range tests {
		r := a.call(tt.method, tt.path, "")
		r.want(t, 404, "NotFoundException", tt.message)
		if got := r.header.Get("X-Ratelimit-Limit-Default"); got != "" {
			t.Errorf("%s %s: rate limit header %q", tt.method, tt.path, got)
		}
		if !uuid.MatchString(r.header.Get("X-Request-Id")) {
			t.Errorf("%s %s: no request ID", tt.method, tt.path)
		}
	}
}
