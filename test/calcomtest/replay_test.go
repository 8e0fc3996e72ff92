// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package calcomtest_test

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

// recordings is where the calls recorded from a real Cal.com server (source of
// 2025-12-19) lie, beside the checkout. They are no part of the repository.
const recordings = "../../../shared/recordings/users.json"

// recorded is one call and its answer.
type recorded struct {
	N                 int
	Title             string
	Method, Path      string
	RequestHeaders    map[string]string
	Body              *string
	BodyTruncated     bool
	Status            int
	ResponseHeaders   map[string]string
	Response          json.RawMessage
	ResponseTruncated bool
	// JWTFrom is the call and the field whose token a masked one stands for.
	JWTFrom *struct {
		Call  int
		Field string
	}
}

// cutBodies stand for the bodies that the recording cut.
var cutBodies = map[int]func() string{
	19: func() string {
		var keys []string
		for i := range 51 {
			keys = append(keys, fmt.Sprintf(`"k%d": 1`, i))
		}
		return `{"email": "rec-x@example.com", "name": "X", "metadata": {` + strings.Join(keys, ", ") + `}}`
	},
	20: func() string {
		return `{"email": "rec-x@example.com", "name": "X", "metadata": {"k": "` + strings.Repeat("v", 501) + `"}}`
	},
	34: func() string {
		return `{"email": "rec-big@example.com", "name": "B", "bio": "` + strings.Repeat("x", 150000) + `"}`
	},
	35: func() string {
		return `{"email": "rec-big@example.com", "name": "B", "bio": "` + strings.Repeat("x", 90000) + `"}`
	},
}

func load(t *testing.T) []recorded {
	t.Helper()
	b, err := os.ReadFile(recordings)
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("the recordings are not beside this checkout")
	}
	if err != nil {
		t.Fatal(err)
	}
	var calls []recorded
	if err := json.Unmarshal(b, &calls); err != nil {
		t.Fatal(err)
	}
	if len(calls) != 118 {
		t.Fatalf("%d calls recorded, want 118", len(calls))
	}
	return calls
}

// replay keeps what later calls need of earlier ones.
type replay struct {
	api *api
	// ours maps recorded user IDs to those of this server.
	ours map[string]string
	// tokens are the data objects of our answers, which hold the tokens.
	tokens map[int]map[string]any
}

// TestReplay feeds every recorded call to a server in the recorded state.
func TestReplay(t *testing.T) {
	calls := load(t)
	s := recordedState(t, calcomtest.Options{RateLimit: 500, Now: newClock().Now})
	r := &replay{api: newAPI(t, s), ours: map[string]string{"1": "1"}, tokens: map[int]map[string]any{}}
	for _, c := range calls {
		t.Run(fmt.Sprintf("%d %s", c.N, c.Title), func(t *testing.T) {
			got := r.send(t, c)
			for _, d := range r.differences(t, c, got) {
				t.Error(d)
			}
		})
	}
}

// TestReplayDifferences makes sure that the comparison of TestReplay can fail.
func TestReplayDifferences(t *testing.T) {
	calls := load(t)
	s := recordedState(t, calcomtest.Options{RateLimit: 500, Now: newClock().Now})
	r := &replay{api: newAPI(t, s), ours: map[string]string{"1": "1"}, tokens: map[int]map[string]any{}}
	good, refused := calls[0], calls[2]
	answer, conflict := r.send(t, good), r.send(t, refused)
	edit := func(from *reply, old, with string) *reply {
		out := *from
		out.body = []byte(strings.Replace(string(from.body), old, with, 1))
		return &out
	}
	noLimit := *answer
	noLimit.header = answer.header.Clone()
	noLimit.header.Del("X-RateLimit-Remaining-Default")
	otherStatus := *answer
	otherStatus.status = http.StatusOK
	tests := map[string]struct {
		call recorded
		got  *reply
	}{
		"status":       {good, &otherStatus},
		"header":       {good, &noLimit},
		"value":        {good, edit(answer, "Rec A", "Rec B")},
		"null":         {good, edit(answer, `"bio":null`, `"bio":""`)},
		"missing key":  {good, edit(answer, `"locale":null,`, "")},
		"further key":  {good, edit(answer, `"locale":null`, `"locale":null,"more":1`)},
		"type":         {good, edit(answer, `"timeFormat":12`, `"timeFormat":"12"`)},
		"order":        {good, edit(edit(answer, `"id":2,`, ""), `"locale"`, `"id":2,"locale"`)},
		"error code":   {refused, edit(conflict, "ConflictException", "CONFLICT")},
		"message text": {refused, edit(conflict, "already", "perhaps")},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if len(r.differences(t, tt.call, tt.got)) == 0 {
				t.Error("the comparison does not see it")
			}
		})
	}
	if d := r.differences(t, good, answer); len(d) != 0 {
		t.Errorf("the answer itself differs: %v", d)
	}
}

var userInPath = regexp.MustCompile(`/users/([0-9]+)`)

// send makes the call, with our user IDs and tokens.
func (r *replay) send(t *testing.T, c recorded) *reply {
	t.Helper()
	path := userInPath.ReplaceAllStringFunc(c.Path, func(s string) string {
		id := strings.TrimPrefix(s, "/users/")
		return "/users/" + cmp.Or(r.ours[id], id)
	})
	body := ""
	switch {
	case c.BodyTruncated:
		body = cutBodies[c.N]()
	case c.Body != nil:
		body = *c.Body
	}
	caller := *r.api
	caller.header = http.Header{}
	for name, value := range c.RequestHeaders {
		caller.header.Set(name, r.withToken(t, c, value))
	}
	got := caller.call(c.Method, path, r.withToken(t, c, body))
	r.learn(c, got)
	return got
}

// withToken puts our token where the recording masked one.
func (r *replay) withToken(t *testing.T, c recorded, s string) string {
	t.Helper()
	if !strings.Contains(s, "<jwt>") {
		return s
	}
	token, ok := r.tokens[c.JWTFrom.Call][c.JWTFrom.Field].(string)
	if !ok {
		t.Fatalf("no %s from call %d", c.JWTFrom.Field, c.JWTFrom.Call)
	}
	return strings.Replace(s, "<jwt>", token, 1)
}

// learn keeps IDs and tokens of an answer.
func (r *replay) learn(c recorded, got *reply) {
	var out struct{ Data any }
	if json.Unmarshal(got.body, &out) != nil {
		return
	}
	data, ok := out.Data.(map[string]any)
	if !ok {
		return
	}
	r.tokens[c.N] = data
	var theirs struct {
		Data struct{ User struct{ ID int } }
	}
	if c.Status == http.StatusCreated && json.Unmarshal(c.Response, &theirs) == nil {
		r.ours[strconv.Itoa(theirs.Data.User.ID)] = fmt.Sprint(data["user"].(map[string]any)["id"])
	}
}

// volatile are the keys whose values are times or tokens; only their type is
// compared.
var volatile = []string{
	"createdDate", "timestamp", "accessToken", "refreshToken", "accessTokenExpiresAt", "refreshTokenExpiresAt",
}

func (r *replay) differences(t *testing.T, c recorded, got *reply) []string {
	t.Helper()
	var out []string
	if got.status != c.Status {
		out = append(out, fmt.Sprintf("status %d, want %d", got.status, c.Status))
	}
	if names := limitHeaders(got.header); !slices.Equal(names, recordedLimits(c)) {
		out = append(out, fmt.Sprintf("rate limit headers %v, want %v", names, recordedLimits(c)))
	}
	for _, name := range []string{"Content-Type", "X-RateLimit-Limit-Default", "X-RateLimit-Remaining-Default"} {
		if value := got.header.Get(name); value != c.ResponseHeaders[name] {
			out = append(out, fmt.Sprintf("%s: %q, want %q", name, value, c.ResponseHeaders[name]))
		}
	}
	if c.ResponseTruncated {
		return out
	}
	var want, body any
	if err := json.Unmarshal(got.body, &body); err != nil {
		return append(out, fmt.Sprintf("body is no JSON: %v", err))
	}
	if err := json.Unmarshal(c.Response, &want); err != nil {
		t.Fatal(err)
	}
	if mine, theirs := keyOrder(got.body), keyOrder(c.Response); !slices.Equal(mine, theirs) {
		out = append(out, fmt.Sprintf("order of keys\n%v\nwant\n%v", mine, theirs))
	}
	return append(out, r.compare("", want, body)...)
}

// keyOrder lists every key in the order of the body.
func keyOrder(body []byte) []string {
	var out []string
	for _, m := range quotedKey.FindAllSubmatch(body, -1) {
		out = append(out, string(m[1]))
	}
	return out
}

var quotedKey = regexp.MustCompile(`"([A-Za-z0-9]+)" ?:`)

func limitHeaders(h http.Header) []string {
	var out []string
	for name := range h {
		if strings.HasPrefix(name, "X-Ratelimit-") || name == "Retry-After" {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

func recordedLimits(c recorded) []string {
	h := http.Header{}
	for name, value := range c.ResponseHeaders {
		h.Set(name, value)
	}
	return limitHeaders(h)
}

// compare walks both values.
func (r *replay) compare(at string, want, got any) []string {
	switch want := want.(type) {
	case map[string]any:
		return r.compareObjects(at, want, got)
	case []any:
		list, ok := got.([]any)
		if !ok || len(list) != len(want) {
			return []string{fmt.Sprintf("%s: %v, want %v", at, got, want)}
		}
		var out []string
		for i := range want {
			out = append(out, r.compare(at+"."+strconv.Itoa(i), want[i], list[i])...)
		}
		return out
	}
	if fmt.Sprintf("%T %v", want, want) != fmt.Sprintf("%T %v", got, got) && !r.sameID(at, want, got) {
		return []string{fmt.Sprintf("%s: %#v, want %#v", at, got, want)}
	}
	return nil
}

func (r *replay) compareObjects(at string, want map[string]any, got any) []string {
	object, ok := got.(map[string]any)
	if !ok {
		return []string{fmt.Sprintf("%s: %v, want an object", at, got)}
	}
	keys := func(m map[string]any) []string { return slices.Sorted(maps.Keys(m)) }
	if !slices.Equal(keys(want), keys(object)) {
		return []string{fmt.Sprintf("%s: keys %v, want %v", at, keys(object), keys(want))}
	}
	var out []string
	for key := range want {
		if !slices.Contains(volatile, key) {
			out = append(out, r.compare(at+"."+key, want[key], object[key])...)
			continue
		}
		if fmt.Sprintf("%T", want[key]) != fmt.Sprintf("%T", object[key]) {
			out = append(out, fmt.Sprintf("%s.%s: %v, want something like %v", at, key, object[key], want[key]))
		}
	}
	return out
}

var numbers = regexp.MustCompile(`(ID[= ]|/users/)([0-9]+)`)

// sameID tells whether two values differ only by our numbers for the users.
func (r *replay) sameID(at string, want, got any) bool {
	if strings.HasSuffix(at, ".id") {
		return r.ours[fmt.Sprint(want)] == fmt.Sprint(got)
	}
	text, ok := want.(string)
	if !ok {
		return false
	}
	mapped := numbers.ReplaceAllStringFunc(text, func(s string) string {
		parts := numbers.FindStringSubmatch(s)
		return parts[1] + cmp.Or(r.ours[parts[2]], parts[2])
	})
	return mapped == got
}
