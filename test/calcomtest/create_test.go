// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package calcomtest_test

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

// userJSON is the body of a user with the defaults, byte for byte.
func userJSON(id int, email, username, name, more string) string {
	fields := `"bio":null,"timeZone":"Europe/London","weekStart":"Sunday","createdDate":"2026-11-23T08:49:59.791Z",` +
		`"timeFormat":12,"defaultScheduleId":null,"locale":null,"avatarUrl":null`
	if more != "" {
		fields = more
	}
	return fmt.Sprintf(`{"id":%d,"email":"%s","username":"%s","name":%s,%s}`, id, email, username, name, fields)
}

var jwt = regexp.MustCompile(`"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+"`)

// TestCreateBody compares whole answers, tokens masked.
func TestCreateBody(t *testing.T) {
	s := recordedState(t, calcomtest.Options{Now: newClock().Now})
	a := newAPI(t, s)
	tokens := `,"accessToken":<jwt>,"accessTokenExpiresAt":1795427340000,"refreshToken":<jwt>,"refreshTokenExpiresAt":1826928000000}}`
	tests := []struct{ name, body, want string }{
		{
			"minimal", `{"email": "rec-a@example.com", "name": "Rec A"}`,
			userJSON(2, "rec-a+"+cid1+"@example.com", "rec-a-"+cid1+"-example-com", `"Rec A"`, ""),
		},
		{
			"every field",
			`{"email": "rec-b@example.com", "name": "Rec B", "timeFormat": 24, "weekStart": "Monday", "timeZone": "Europe/Rome", "locale": "fr", "avatarUrl": "https://cal.com/api/avatar/x.png", "bio": "I am a bio", "metadata": {"k": "v", "n": 1, "b": true}}`,
			userJSON(3, "rec-b+"+cid1+"@example.com", "rec-b-"+cid1+"-example-com", `"Rec B"`,
				`"bio":"I am a bio","timeZone":"Europe/Rome","weekStart":"Monday","createdDate":"2026-11-23T08:49:59.791Z","timeFormat":24,"defaultScheduleId":2,"locale":"fr","avatarUrl":"https://cal.com/api/avatar/x.png","metadata":{"b":true,"k":"v","n":1}`),
		},
		{
			"values that come back other than they were sent",
			`{"email": "rt@example.com", "name": "  spaced name  ", "bio": " b\n\tc ", "timeFormat": "24", "metadata": {"f": 1.0, "big": 12345678901234567890, "neg": -0.5, "e": "", "t": true, "bb": "z", "a": "y"}}`,
			userJSON(4, "rt+"+cid1+"@example.com", "rt-"+cid1+"-example-com", `"  spaced name  "`,
				`"bio":" b\n\tc ","timeZone":"Europe/London","weekStart":"Sunday","createdDate":"2026-11-23T08:49:59.791Z","timeFormat":24,"defaultScheduleId":null,"locale":null,"avatarUrl":null,"metadata":{"a":"y","e":"","f":1,"t":true,"bb":"z","big":12345678901234570000,"neg":-0.5}`),
		},
		{
			"markup is not escaped, and empty metadata is shown",
			`{"email": "html@example.com", "name": "<b>&é", "metadata": {}}`,
			userJSON(5, "html+"+cid1+"@example.com", "html-"+cid1+"-example-com", `"<b>&é"`,
				`"bio":null,"timeZone":"Europe/London","weekStart":"Sunday","createdDate":"2026-11-23T08:49:59.791Z","timeFormat":12,"defaultScheduleId":null,"locale":null,"avatarUrl":null,"metadata":{}`),
		},
	}
	for _, tt := range tests {
		r := a.call("POST", ".", tt.body)
		r.want(t, http.StatusCreated)
		got := jwt.ReplaceAllString(string(r.body), "<jwt>")
		if want := `{"status":"success","data":{"user":` + tt.want + tokens; got != want {
			t.Errorf("%s:\ngot  %s\nwant %s", tt.name, got, want)
		}
	}
}

const conflict = "Invalid Input: Trying to create a record that already exists."

// TestCreateConflicts: a taken address names its user, a taken user name does
// not.
func TestCreateConflicts(t *testing.T) {
	tests := []struct{ first, second, third string }{
		{"a@example.com", "a@example.com", "id"},
		{"a@example.com", "a+" + cid1 + "@example.com", "id"},
		{"a@example.com", "A@Example.com", "none"},
		{"rec_c@example.com", "rec-c@example.com", "none"},
		{"a@mail.example.com", "a@mail.example.org", "none"},
		{"a@example.com", "a@example-com.org", "created"},
		{"a.b@example.com", "a-b@example.com", "created"},
	}
	for _, tt := range tests {
		t.Run(tt.second, func(t *testing.T) {
			a := newAPI(t, recordedState(t, calcomtest.Options{}))
			id, _, _ := a.created(`{"email": "` + tt.first + `", "name": "1"}`)
			r := a.call("POST", ".", `{"email": "`+tt.second+`", "name": "2"}`)
			switch tt.third {
			case "created":
				r.want(t, http.StatusCreated)
			case "none":
				r.want(t, http.StatusConflict, "CONFLICT", conflict)
				if d := r.problem(t).Details; d != nil {
					t.Errorf("details %s, want none", d)
				}
				if next, _, _ := a.created(`{"email": "next@example.com", "name": "3"}`); next != id+2 {
					t.Errorf("next ID %d, want %d: the refused insert used up one", next, id+2)
				}
			default:
				message := "User with the provided e-mail already exists. Existing user ID=" + strconv.FormatInt(id, 10)
				r.want(t, http.StatusConflict, "ConflictException", message)
				r.wantPart(t, `,"details":{"message":"`+message+`","error":"Conflict","statusCode":409}}}`)
			}
		})
	}
}

// TestCreateOtherClients: each client has its own form of an address.
func TestCreateOtherClients(t *testing.T) {
	s := recordedState(t, calcomtest.Options{})
	a := newAPI(t, s)
	a.created(`{"email": "shared@example.com", "name": "S"}`)
	for _, cl := range []struct{ id, secret string }{{cid2, "test-secret-2"}, {cid9, "test-secret-9"}} {
		b := a.as("x-cal-client-id", cl.id, "x-cal-secret-key", cl.secret)
		path := "/v2/oauth-clients/" + cl.id + "/users"
		b.call("POST", path, `{"email": "shared@example.com", "name": "S"}`).want(t, http.StatusCreated)
		r := b.call("POST", path, `{"email": "shared+`+cid1+`@example.com", "name": "S"}`)
		r.want(t, http.StatusCreated)
		r.wantPart(t, `"email":"shared+`+cid1+"+"+cl.id+`@example.com","username":"shared-`+cid1+"-"+cl.id+`-example-com"`)
	}
	if got := len(s.Users(cid1)) + len(s.Users(cid2)) + len(s.Users(cid9)); got != 6 {
		t.Errorf("%d users, want 6", got)
	}
}

// TestCreateNull: null is a value of its own for each field.
func TestCreateNull(t *testing.T) {
	a := newAPI(t, recordedState(t, calcomtest.Options{}))
	tests := []struct {
		field  string
		status int
		part   string
	}{
		{"timeFormat", 201, `"timeFormat":null`},
		{"weekStart", 500, `"error":{"code":"INTERNAL_SERVER_ERROR","message":"There was an error, please try again later."}}`},
		{"timeZone", 201, `"timeZone":"Europe/London"`},
		{"timeZone", 201, `"defaultScheduleId":null`},
		{"locale", 201, `"locale":null`},
		{"avatarUrl", 201, `"avatarUrl":null}`},
		{"bio", 201, `"bio":null`},
		{"metadata", 201, `"avatarUrl":null}`},
		{"name", 400, `"value":null,"property":"name","children":[],"constraints":{"isString":"name must be a string"}`},
	}
	for i, tt := range tests {
		body := fmt.Sprintf(`{"email": "null%d@example.com", "name": "N", "%s": null}`, i, tt.field)
		r := a.call("POST", ".", body)
		if r.status != tt.status {
			t.Errorf("%s null: %d, want %d", tt.field, r.status, tt.status)
		}
		r.wantPart(t, tt.part)
	}
	r := a.call("POST", ".", `{"email": null, "name": "N"}`)
	r.want(t, http.StatusBadRequest)
	r.wantPart(t, `"errors":[{"target":{"email":null,"name":"N"},"value":null,"property":"email","children":[],"constraints":{"isString":"email must be a string"}}]`)
}

// TestCreateInvalid compares the first error of each refusal.
func TestCreateInvalid(t *testing.T) {
	s := recordedState(t, calcomtest.Options{})
	a := newAPI(t, s)
	metadata := `"constraints":{"ValidateMetadata":"Metadata must have at most 50 keys, each key up to 40 characters, and values up to 500 characters."}`
	tests := map[string]string{
		`"timeZone": "Mars/Phobos"`:   `"value":"Mars/Phobos","property":"timeZone","children":[],"constraints":{"isTimeZone":"timeZone must be a valid IANA time-zone"}`,
		`"timeZone": ""`:              `"value":"","property":"timeZone"`,
		`"timeFormat": 100`:           `"value":100,"property":"timeFormat","children":[],"constraints":{"isIn":"timeFormat must be a number either 12 or 24"}`,
		`"timeFormat": "abc"`:         `"value":null,"property":"timeFormat"`,
		`"locale": "xx"`:              `"constraints":{"isEnum":"locale must be one of the following values: ar, ca, de, es, eu, he, id, ja, lv, pl, ro, sr, th, vi, az, cs, el, es-419, fi, hr, it, km, nl, pt, ru, sv, tr, zh-CN, bg, da, en, et, fr, hu, iw, ko, no, pt-BR, sk, ta, uk, zh-TW, bn"}`,
		`"avatarUrl": "nope"`:         `"value":"nope","property":"avatarUrl","children":[],"constraints":{"isUrl":"avatarUrl must be a URL address"}`,
		`"weekStart": 1`:              `"constraints":{"isString":"weekStart must be a string"}`,
		`"bio": 1`:                    `"constraints":{"isString":"bio must be a string"}`,
		`"metadata": {"k": {"a": 1}}`: metadata,
		`"metadata": {"k": null}`:     metadata,
		`"metadata": {"k": [1]}`:      metadata,
		`"metadata": {"` + strings.Repeat("k", 41) + `": 1}`: metadata,
		`"metadata": [1]`: `"value":[1],"property":"metadata","children":[],"constraints":{"isObject":"metadata must be an object"}`,
	}
	for field, want := range tests {
		r := a.call("POST", ".", `{"email": "rec-x@example.com", "name": "X", "nosuch": 1, `+field+`}`)
		if r.status != http.StatusBadRequest {
			t.Errorf("%s: status %d", field, r.status)
		}
		r.wantPart(t, `"message":"Bad Request Exception","details":{"errors":[{"target":{"email":"rec-x@example.com","name":"X","`)
		r.wantPart(t, want)
	}
	if got := len(s.Users(cid1)); got != 1 {
		t.Errorf("%d users, want 1", got)
	}
	longest := `{"email": "ok@example.com", "name": "X", "metadata": {"` + strings.Repeat("k", 40) + `": "` + strings.Repeat("é", 500) + `"}}`
	a.call("POST", ".", longest).want(t, http.StatusCreated)
}

// TestCreateBodyParser: what is refused before the API is reached.
func TestCreateBodyParser(t *testing.T) {
	a := newAPI(t, recordedState(t, calcomtest.Options{}))
	r := a.call("POST", ".", `{"email":`)
	r.want(t, http.StatusBadRequest, "BadRequestException", "Unexpected end of JSON input")
	r.call(t, false)
	a.call("POST", ".", `"text"`).want(t, http.StatusBadRequest, "BadRequestException", `Unexpected token '"', ""text"" is not valid JSON`)
	a.call("POST", ".", `{"a": x}`).want(t, http.StatusBadRequest, "BadRequestException", `Unexpected token 'x', "{"a": x}" is not valid JSON`)
	r = a.call("POST", ".", `{"email": "`+strings.Repeat("x", 150000)+`"}`)
	r.want(t, http.StatusRequestEntityTooLarge)
	r.call(t, false)
	if got := string(r.body); got != `{"statusCode":413,"message":"request entity too large"}` {
		t.Errorf("body %s", got)
	}
	form := a.as("x-cal-secret-key", "test-secret-1", "content-type", "application/x-www-form-urlencoded")
	r = form.call("POST", ".", "email=rec-x@example.com")
	r.want(t, http.StatusBadRequest)
	r.call(t, true)
	r.wantPart(t, `"errors":[{"target":{},"property":"email","children":[],"constraints":{"isString":"email must be a string"}},{"target":{},"property":"name","children":[],"constraints":{"isString":"name must be a string"}}]`)
}

var uuid = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

// call checks the headers that tell whether a call got past the body parser.
func (r *reply) call(tb testing.TB, past bool) {
	tb.Helper()
	if got := r.header.Get("X-Ratelimit-Limit-Default") != ""; got != past {
		tb.Errorf("rate limit headers: %v, want %v", got, past)
	}
	if got := uuid.MatchString(r.header.Get("X-Request-Id")); got != past {
		tb.Errorf("request ID: %v, want %v", got, past)
	}
	if got := r.header.Get("Content-Type"); got != "application/json; charset=utf-8" {
		tb.Errorf("content type %q", got)
	}
}

// TestCreateBadAddress: what no rule refuses is refused deep inside.
func TestCreateBadAddress(t *testing.T) {
	a := newAPI(t, recordedState(t, calcomtest.Options{}))
	for _, email := range []string{"", "not-an-email", " spaced@example.com ", "a@b", "a@b@c.com"} {
		r := a.call("POST", ".", `{"email": "`+email+`", "name": "X"}`)
		r.want(t, http.StatusBadRequest, "TRPCError", "Bad request: Please check your request data and try again")
	}
	for _, email := range []string{"zoë@exämple.com", strings.Repeat("l", 90) + "@example.com"} {
		a.call("POST", ".", `{"email": "`+email+`", "name": "X"}`).want(t, http.StatusCreated)
	}
}

// TestCreateSchedule: only a create with a time zone makes a schedule.
func TestCreateSchedule(t *testing.T) {
	a := newAPI(t, recordedState(t, calcomtest.Options{}))
	a.call("POST", ".", `{"email": "a@example.com", "name": "", "timeZone": "US/Pacific"}`).wantPart(t, `"timeZone":"Us/Pacific","weekStart":"Sunday"`)
	a.call("POST", ".", `{"email": "b@example.com", "name": "", "timeZone": "utc"}`).wantPart(t, `"defaultScheduleId":3`)
	a.call("POST", ".", `{"email": "c@example.com", "name": "", "weekStart": "Caturday"}`).wantPart(t, `"weekStart":"Caturday"`)
	r := a.call("PATCH", "./4", `{"timeZone": "Asia/Tokyo"}`)
	r.want(t, http.StatusOK)
	r.wantPart(t, `"timeZone":"Asia/Tokyo"`)
	r.wantPart(t, `"defaultScheduleId":null`)
}
