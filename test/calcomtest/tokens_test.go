// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package calcomtest_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

const refreshPath = "/v2/oauth/" + cid1 + "/refresh"

// me calls GET /v2/me with an access token.
func (a *api) me(token string) *reply {
	a.tb.Helper()
	return a.as("Authorization", "Bearer "+token).call("GET", "/v2/me", "")
}

func (a *api) refresh(token string) *reply {
	a.tb.Helper()
	return a.call("POST", refreshPath, `{"refreshToken": "`+token+`"}`)
}

// pair are the tokens of an answer.
func (r *reply) pair(tb testing.TB) (access, refresh string) {
	tb.Helper()
	r.want(tb, 200)
	var out struct {
		Data struct{ AccessToken, RefreshToken string }
	}
	if err := json.Unmarshal(r.body, &out); err != nil {
		tb.Fatal(err)
	}
	return out.Data.AccessToken, out.Data.RefreshToken
}

// TestMe compares the whole answer.
func TestMe(t *testing.T) {
	a := newAPI(t, recordedState(t, calcomtest.Options{}))
	id, token, _ := a.created(`{"email": "me@example.com", "name": "Me", "timeZone": "Europe/Rome"}`)
	want := fmt.Sprintf(`{"status":"success","data":{"id":%d,"email":"me+%s@example.com","name":"Me","avatarUrl":null,"bio":null,"timeFormat":12,"defaultScheduleId":2,"weekStart":"Sunday","timeZone":"Europe/Rome","username":"me-%s-example-com","organizationId":100,"organization":{"isPlatform":true,"id":100}}}`, id, cid1, cid1)
	if got := string(a.me(token).body); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	a.call("PATCH", "./2", `{"timeFormat": null}`).want(t, 200)
	r := a.me(token)
	r.want(t, 400, "BAD_REQUEST", "timeFormat - Expected number, received null, ")
	if d := r.problem(t).Details; d != nil {
		t.Errorf("details %s, want none", d)
	}
	a.as().call("GET", "/v2/me", "").want(t, 401)
	a.call("GET", "/v2/me", "").want(t, 401)
}

// TestForceRefresh kills every older token at once.
func TestForceRefresh(t *testing.T) {
	a := newAPI(t, recordedState(t, calcomtest.Options{Now: newClock().Now}))
	_, used, oldRefresh := a.created(`{"email": "t@example.com", "name": "T"}`)
	a.me(used).want(t, 200)
	_, unused, _ := a.created(`{"email": "u@example.com", "name": "U"}`)
	r := a.call("POST", "./2/force-refresh", "")
	access, refresh := r.pair(t)
	want := fmt.Sprintf(`{"status":"success","data":{"accessToken":%q,"refreshToken":%q,"accessTokenExpiresAt":1795427340000,"refreshTokenExpiresAt":1826928000000}}`, access, refresh)
	if string(r.body) != want {
		t.Errorf("got  %s\nwant %s", r.body, want)
	}
	a.me(used).want(t, 401, "UnauthorizedException", deadToken)
	a.me(access).want(t, 200)
	a.refresh(oldRefresh).want(t, 400, "BadRequestException", "Invalid refresh token")
	a.me(unused).want(t, 200)
	a.call("POST", "./99999999/force-refresh", "").want(t, 404)
	a.call("POST", "./3/force-refresh", "").pair(t)
	a.me(unused).want(t, 401, "UnauthorizedException", deadToken)
}

// TestRefresh uses the refresh token up and leaves the access token alone.
func TestRefresh(t *testing.T) {
	s := recordedState(t, calcomtest.Options{Now: newClock().Now})
	a := newAPI(t, s)
	_, access, refresh := a.created(`{"email": "t@example.com", "name": "T"}`)
	r := a.refresh(refresh)
	newAccess, newRefresh := r.pair(t)
	want := fmt.Sprintf(`{"status":"success","data":{"accessToken":%q,"accessTokenExpiresAt":1795427340000,"refreshToken":%q,"refreshTokenExpiresAt":1826928000000}}`, newAccess, newRefresh)
	if string(r.body) != want {
		t.Errorf("got  %s\nwant %s", r.body, want)
	}
	a.refresh(refresh).want(t, 400, "BadRequestException", "Invalid refresh token")
	a.me(access).want(t, 200)
	a.me(newAccess).want(t, 200)
	a.as("x-cal-secret-key", "wrong").refresh(newRefresh).want(t, 401, "UnauthorizedException", wrongSecret)
	bad := a.call("POST", refreshPath, `{}`)
	bad.want(t, 400)
	bad.wantPart(t, `[{"target":{},"property":"refreshToken","children":[],"constraints":{"isString":"refreshToken must be a string"}}]`)
	other := a.as("x-cal-secret-key", "test-secret-2")
	other.call("POST", "/v2/oauth/"+cid2+"/refresh", `{"refreshToken": "`+newRefresh+`"}`).want(t, 400, "BadRequestException", "Invalid refresh token")
	a.as("Authorization", "Bearer "+access).refresh(newRefresh).want(t, 200)
	if users := []int64{s.CallsOf(calcomtest.OpRefresh)[0].UserID, s.CallsOf(calcomtest.OpRefresh)[1].UserID}; !reflect.DeepEqual(users, []int64{2, 0}) {
		t.Errorf("the calls are of the users %v, want the owner of the token, and nobody where it is used up", users)
	}
	if effects := effects(s, calcomtest.OpRefresh); !reflect.DeepEqual(effects, []bool{true, false, false, false, false, true}) {
		t.Errorf("effects %v", effects)
	}
}

func effects(s *calcomtest.Server, op calcomtest.Op) []bool {
	var out []bool
	for _, c := range s.CallsOf(op) {
		out = append(out, c.Effect)
	}
	return out
}

// TestTokenExpiry: an access token lives for 60 minutes less some seconds.
func TestTokenExpiry(t *testing.T) {
	clock := newClock() // 8:49:59.791
	a := newAPI(t, recordedState(t, calcomtest.Options{Now: clock.Now}))
	_, token, refresh := a.created(`{"email": "t@example.com", "name": "T"}`)
	clock.advance(59 * time.Minute) // 9:48:59.791
	a.me(token).want(t, 200)
	clock.advance(209 * time.Millisecond) // 9:49:00.000
	a.me(token).want(t, 498, "TokenExpiredException", "ACCESS_TOKEN_IS_EXPIRED")
	clock.advance(400 * 24 * time.Hour)
	a.refresh(refresh).want(t, 200)
}

// TestTimeScale: tokens live shorter by the factor.
func TestTimeScale(t *testing.T) {
	clock := newClock()
	a := newAPI(t, recordedState(t, calcomtest.Options{Now: clock.Now, TimeScale: 60}))
	_, token, _ := a.created(`{"email": "t@example.com", "name": "T"}`)
	clock.advance(59 * time.Second)
	a.me(token).want(t, 200)
	clock.advance(time.Second)
	a.me(token).want(t, 498)
}

// TestDeletedUserTokens: the answer depends on whether the token was used.
func TestDeletedUserTokens(t *testing.T) {
	a := newAPI(t, recordedState(t, calcomtest.Options{}))
	_, used, refresh := a.created(`{"email": "t@example.com", "name": "T"}`)
	a.me(used).want(t, 200)
	_, unused, _ := a.created(`{"email": "u@example.com", "name": "U"}`)
	a.call("DELETE", "./2", "").want(t, 200)
	a.call("DELETE", "./3", "").want(t, 200)
	a.me(used).want(t, 401, "UnauthorizedException", deadToken)
	a.me(unused).want(t, 401, "UnauthorizedException", "Invalid Access Token.")
	a.refresh(refresh).want(t, 400, "BadRequestException", "Invalid refresh token")
}

// TestTokenShape: tokens are JWTs without exp, and unique.
func TestTokenShape(t *testing.T) {
	a := newAPI(t, recordedState(t, calcomtest.Options{}))
	seen := map[string]bool{}
	for range 3 {
		access, refresh := a.call("POST", "./1/force-refresh", "").pair(t)
		for _, token := range []string{access, refresh} {
			if seen[token] {
				t.Error("a token came twice")
			}
			seen[token] = true
			parts := strings.Split(token, ".")
			if len(parts) != 3 {
				t.Fatalf("%d parts, want 3", len(parts))
			}
			b, err := base64.RawURLEncoding.DecodeString(parts[1])
			if err != nil {
				t.Fatal(err)
			}
			var claims map[string]any
			if err := json.Unmarshal(b, &claims); err != nil {
				t.Fatal(err)
			}
			want := []string{"clientId", "expiresAt", "iat", "jti", "ownerId", "type"}
			if got := slices.Sorted(maps.Keys(claims)); !slices.Equal(got, want) {
				t.Errorf("claims %v, want %v", got, want)
			}
		}
	}
}
