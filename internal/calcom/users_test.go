// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package calcom

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

func raw(s string) json.RawMessage { return json.RawMessage(s) }

// revealed compares what is hidden by its value.
var revealed = cmp.Options{
	cmp.Transformer("Reveal", Hidden[string].Reveal),
	cmp.Transformer("Reveal", Hidden[*string].Reveal),
	cmp.Transformer("Reveal", Hidden[Metadata].Reveal),
}

// sent is a request as the server saw it.
type sent struct {
	Method, Path, Query, Body, ContentType string
}

func TestRequests(t *testing.T) {
	const users = "/v2/oauth-clients/" + testClientID + "/users"
	cases := map[string]struct {
		send func(context.Context, *Client) error
		want sent
	}{
		"CreateTheLeast": {
			func(ctx context.Context, c *Client) error {
				_, _, err := c.CreateUser(ctx, UserFields{Email: Hide(new("alice@example.com")), Name: Hide(new("Alice"))})
				return err
			},
			sent{"POST", users, "", `{"email":"alice@example.com","name":"Alice"}`, "application/json"},
		},
		"CreateWithEverything": {
			func(ctx context.Context, c *Client) error {
				_, _, err := c.CreateUser(ctx, UserFields{
					Email: Hide(new("alice@example.com")), Name: Hide(new("Alice")), TimeFormat: new(int32(24)), WeekStart: new("Monday"), TimeZone: new("Europe/Rome"),
					Locale: new("it"), AvatarURL: Hide(new("https://example.com/a.png")), Bio: Hide(new("Hi")),
					Metadata: Hide(Metadata{"a": raw(`"1"`), "b": raw(`2.50`)}),
				})
				return err
			},
			sent{"POST", users, "", `{"email":"alice@example.com","name":"Alice","timeZone":"Europe/Rome","weekStart":"Monday",` +
				`"timeFormat":24,"locale":"it","bio":"Hi","avatarUrl":"https://example.com/a.png",` +
				`"metadata":{"a":"1","b":2.50}}`, "application/json"},
		},
		"CreateWithEmptyBioAndMetadata": {
			func(ctx context.Context, c *Client) error {
				_, _, err := c.CreateUser(ctx, UserFields{Email: Hide(new("a@b.c")), Name: Hide(new("A")), Bio: Hide(new("")), Metadata: Hide(Metadata{})})
				return err
			},
			sent{"POST", users, "", `{"email":"a@b.c","name":"A","bio":"","metadata":{}}`, "application/json"},
		},
		"Get": {
			func(ctx context.Context, c *Client) error { _, err := c.User(ctx, math.MaxInt64); return err },
			sent{"GET", users + "/9223372036854775807", "", "", ""},
		},
		"List": {
			func(ctx context.Context, c *Client) error {
				_, err := c.UsersByEmail(ctx, "a+"+testClientID+"@example.com", "b&c=d@example.com", "ü@example.com")
				return err
			},
			sent{"GET", users, "emails=a%2B" + testClientID + "%40example.com%2Cb%26c%3Dd%40example.com%2C%C3%BC%40example.com&limit=250", "", ""},
		},
		"ListWithoutAFilter": {
			func(ctx context.Context, c *Client) error { _, err := c.Users(ctx, 250, 0); return err },
			sent{"GET", users, "limit=250&offset=0", "", ""},
		},
		"ListTheLastPage": {
			func(ctx context.Context, c *Client) error { _, err := c.Users(ctx, 1, 250); return err },
			sent{"GET", users, "limit=1&offset=250", "", ""},
		},
		"UpdateNothing": {
			func(ctx context.Context, c *Client) error { _, err := c.UpdateUser(ctx, 7, UserFields{}); return err },
			sent{"PATCH", users + "/7", "", `{}`, "application/json"},
		},
		"UpdateToEmpty": {
			func(ctx context.Context, c *Client) error {
				_, err := c.UpdateUser(ctx, 7, UserFields{Bio: Hide(new("")), Metadata: Hide(Metadata{})})
				return err
			},
			sent{"PATCH", users + "/7", "", `{"bio":"","metadata":{}}`, "application/json"},
		},
		"UpdateEverything": {
			func(ctx context.Context, c *Client) error {
				_, err := c.UpdateUser(ctx, 7, UserFields{
					Email: Hide(new("a@b.c")), Name: Hide(new("A")), TimeFormat: new(int32(12)), WeekStart: new("Sunday"), TimeZone: new("UTC"),
					Locale: new("de"), AvatarURL: Hide(new("https://b.c/d")), Bio: Hide(new("B")), Metadata: Hide(Metadata{"k": raw("true")}),
				})
				return err
			},
			sent{"PATCH", users + "/7", "", `{"email":"a@b.c","name":"A","timeZone":"UTC","weekStart":"Sunday","timeFormat":12,` +
				`"locale":"de","bio":"B","avatarUrl":"https://b.c/d","metadata":{"k":true}}`, "application/json"},
		},
		"Delete": {
			func(ctx context.Context, c *Client) error { _, err := c.DeleteUser(ctx, 7); return err },
			sent{"DELETE", users + "/7", "", "", ""},
		},
		"Refresh": {
			func(ctx context.Context, c *Client) error { _, err := c.Refresh(ctx, Hide("old")); return err },
			sent{"POST", "/v2/oauth/" + testClientID + "/refresh", "", `{"refreshToken":"old"}`, "application/json"},
		},
		"ForceRefresh": {
			func(ctx context.Context, c *Client) error { _, err := c.ForceRefresh(ctx, 7); return err },
			sent{"POST", users + "/7/force-refresh", "", "", ""},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			var got sent
			c := serve(t, func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				if len(body) > 0 {
					got.Body = compactJSON(t, body)
				}
				got.Method, got.Path, got.Query = r.Method, r.URL.EscapedPath(), r.URL.RawQuery
				got.ContentType = r.Header.Get("Content-Type")
				for header, want := range map[string]string{
					"x-cal-client-id": testClientID, "x-cal-secret-key": testSecretKey,
					"User-Agent": "calcom-operator/test", "Accept": "application/json", "Authorization": "",
				} {
					if value := r.Header.Get(header); value != want {
						t.Errorf("header %s is %q, want %q", header, value, want)
					}
				}
				w.WriteHeader(http.StatusTeapot)
			})
			if e := asError(t, tc.send(t.Context(), c)); e.Status != http.StatusTeapot {
				t.Fatal(e)
			}
			if d := cmp.Diff(tc.want, got); d != "" {
				t.Errorf("request (-want +got):\n%s", d)
			}
		})
	}
}

// TestNotSent has the calls that the client itself refuses.
func TestNotSent(t *testing.T) {
	c := serve(t, func(_ http.ResponseWriter, r *http.Request) { t.Errorf("%s was sent", r.Method) })
	page := func(limit, offset int) func() error {
		return func() error { _, err := c.Users(t.Context(), limit, offset); return err }
	}
	cases := map[string]struct {
		send func() error
		want string
	}{
		"EmptyEmail": {
			func() error { _, err := c.UpdateUser(t.Context(), 7, UserFields{Email: Hide(new(""))}); return err },
			"updating the user: e-mail is empty",
		},
		"NoEmail": {
			func() error { _, _, err := c.CreateUser(t.Context(), UserFields{Name: Hide(new("A"))}); return err },
			"creating the user: e-mail or name is missing",
		},
		"NoName": {
			func() error {
				_, _, err := c.CreateUser(t.Context(), UserFields{Email: Hide(new("a@b.c"))})
				return err
			},
			"creating the user: e-mail or name is missing",
		},
		"NoAddresses": {
			func() error { _, err := c.UsersByEmail(t.Context()); return err },
			"listing users: 1 to 250 addresses are needed",
		},
		"TooManyAddresses": {
			func() error { _, err := c.UsersByEmail(t.Context(), make([]string, MaxListed+1)...); return err },
			"listing users: 1 to 250 addresses are needed",
		},
		"NoLimit":       {page(0, 0), "listing users: limit must be 1 to 250 and offset 0 to 250"},
		"TooLarge":      {page(251, 0), "listing users: limit must be 1 to 250 and offset 0 to 250"},
		"BeforeTheList": {page(1, -1), "listing users: limit must be 1 to 250 and offset 0 to 250"},
		"OutOfReach":    {page(1, 251), "listing users: limit must be 1 to 250 and offset 0 to 250"},
		"BrokenMetadata": {
			func() error {
				_, err := c.UpdateUser(t.Context(), 7, UserFields{Metadata: Hide(Metadata{"k": raw("canary")})})
				return err
			},
			"updating the user: encoding the body: a metadata value is no JSON",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			e := asError(t, tc.send())
			if !e.NotSent || e.OutcomeUnknown() {
				t.Errorf("got %+v, want a call that was not sent", e)
			}
			if d := cmp.Diff(tc.want, e.Error()); d != "" {
				t.Errorf("text (-want +got):\n%s", d)
			}
		})
	}
}

// TestLifeOfAUser makes each call against a server with a memory.
func TestLifeOfAUser(t *testing.T) {
	server, c := sandbox(t)
	ctx := t.Context()
	created, tokens, err := c.CreateUser(ctx, UserFields{
		Email: Hide(new("alice@example.com")), Name: Hide(new("Alice")), TimeZone: new("America/Port-au-Prince"), Bio: Hide(new("")),
		Metadata: Hide(Metadata{"k": raw(`"v"`)}),
	})
	if err != nil {
		t.Fatal(err)
	}
	stored := StoredEmail("alice@example.com", testClientID)
	want := User{
		ClientID: testClientID, APIURL: server.URL(),
		ID: 1, Email: Hide(stored), Username: Hide(new("alice-" + testClientID + "-example-com")), Name: Hide(new("Alice")), Bio: Hide(new("")),
		TimeZone: "America/Port-au-prince", WeekStart: "Sunday", CreatedDate: created.CreatedDate, TimeFormat: new(int32(12)),
		DefaultScheduleID: new(int64(1)), Metadata: Hide(Metadata{"k": raw(`"v"`)}),
	}
	if d := cmp.Diff(want, created, revealed); d != "" {
		t.Errorf("created user (-want +got):\n%s", d)
	}
	if tokens.AccessToken.Reveal() == "" || tokens.RefreshToken.Reveal() == "" || tokens.AccessTokenExpiresAt >= tokens.RefreshTokenExpiresAt {
		t.Errorf("got tokens %q and %q", tokens.AccessToken, tokens.RefreshToken)
	}
	got, err := c.User(ctx, created.ID)
	if d := cmp.Diff(want, got, revealed); d != "" || err != nil {
		t.Errorf("user (-want +got, error %v):\n%s", err, d)
	}
	for _, email := range []string{"alice@example.com", stored} {
		listed, err := c.UsersByEmail(ctx, "nobody@example.com", email)
		if d := cmp.Diff([]User{want}, listed, revealed); d != "" || err != nil {
			t.Errorf("users with %s (-want +got, error %v):\n%s", email, err, d)
		}
	}
	if listed, err := c.UsersByEmail(ctx, "nobody@example.com"); len(listed) > 0 || err != nil {
		t.Errorf("got %v, %v for an address that nobody has", listed, err)
	}
	want.Name, want.Metadata = Hide(new("Bob")), Hide(Metadata{})
	updated, err := c.UpdateUser(ctx, created.ID, UserFields{Name: Hide(new("Bob")), Metadata: Hide(Metadata{})})
	if d := cmp.Diff(want, updated, revealed); d != "" || err != nil {
		t.Errorf("updated user (-want +got, error %v):\n%s", err, d)
	}
	_, _, err = c.CreateUser(ctx, UserFields{Email: Hide(new("alice@example.com")), Name: Hide(new("Alice"))})
	if id, ok := asError(t, err).ExistingUserID(); !ok || id != created.ID || !IsConflict(err) {
		t.Errorf("got %v, want a conflict with user %d", err, created.ID)
	}
	deleted, err := c.DeleteUser(ctx, created.ID)
	if d := cmp.Diff(want, deleted, revealed); d != "" || err != nil {
		t.Errorf("deleted user (-want +got, error %v):\n%s", err, d)
	}
	if _, err := c.User(ctx, created.ID); !IsNotFound(err) || IsNoSuchAPI(err) {
		t.Errorf("got %v, want that there is no such user", err)
	}
	if n := server.Count(calcomtest.OpAny); n != 9 {
		t.Errorf("the server saw %d calls, want 9", n)
	}
}

func TestCodesOfTheServer(t *testing.T) {
	server, c := sandbox(t)
	server.SetSecret(testClientID, "another")
	if _, err := c.User(t.Context(), 1); !IsUnauthorized(err) {
		t.Errorf("got %v, want a 401", err)
	}
	server.SetSecret(testClientID, testSecretKey)
	for status, is := range map[int]func(error) bool{403: IsForbidden, 404: IsNotFound, 409: IsConflict, 429: IsRateLimited} {
		server.Inject(calcomtest.Fault{Op: calcomtest.OpAny, Status: status})
		_, err := c.User(t.Context(), 1)
		if !is(err) || !is(fmt.Errorf("wrapped: %w", err)) || is(nil) {
			t.Errorf("got %v, want a %d", err, status)
		}
	}
}

func TestLargeNumbersSurvive(t *testing.T) {
	const body = `{"status":"success","data":{"id":9007199254740991,"email":"a@b.c","defaultScheduleId":9007199254740993,` +
		`"metadata":{"n":12345678901234567890,"f":1.10,"o":{"a":[1]}}}}`
	c := serve(t, answering(http.StatusOK, body))
	got, err := c.User(t.Context(), maxID)
	if err != nil {
		t.Fatal(err)
	}
	want := User{
		ClientID: testClientID, APIURL: c.apiURL,
		ID: maxID, Email: Hide("a@b.c"), DefaultScheduleID: new(int64(9007199254740993)),
		Metadata: Hide(Metadata{"n": raw("12345678901234567890"), "f": raw("1.10"), "o": raw(`{"a":[1]}`)}),
	}
	if d := cmp.Diff(want, got, revealed); d != "" {
		t.Errorf("user (-want +got):\n%s", d)
	}
}

func TestUnreadableUsers(t *testing.T) {
	const wrongShape, lacks, noJSON = "data of the answer has another shape than was expected",
		"answer lacks the status success or its data", "answer is not the JSON that was expected"
	padding := strings.Repeat(" ", 2<<20)
	cases := map[string]struct{ body, want string }{
		"HTML":          {"<html><body>canary@example.com</body></html>", noJSON},
		"Empty":         {"", noJSON},
		"Truncated":     {`{"status":"success","data":{"id":7,"email":"can`, noJSON},
		"EmptyObject":   {`{}`, lacks},
		"Null":          {`null`, lacks},
		"Array":         {`[]`, noJSON},
		"DataNull":      {`{"status":"success","data":null}`, lacks},
		"NoData":        {`{"status":"success"}`, lacks},
		"StatusError":   {`{"status":"error","data":{"id":7}}`, lacks},
		"StatusNumber":  {`{"status":1,"data":{"id":7}}`, noJSON},
		"DataString":    {`{"status":"success","data":"canary"}`, wrongShape},
		"DataArray":     {`{"status":"success","data":[{"id":7}]}`, wrongShape},
		"NoID":          {`{"status":"success","data":{}}`, "answer shows a user without an id"},
		"ZeroID":        {`{"status":"success","data":{"id":0}}`, "answer shows a user without an id"},
		"NegativeID":    {`{"status":"success","data":{"id":-7}}`, "answer shows a user without an id"},
		"StringID":      {`{"status":"success","data":{"id":"7"}}`, wrongShape},
		"FractionalID":  {`{"status":"success","data":{"id":7.5}}`, wrongShape},
		"InexactID":     {`{"status":"success","data":{"id":9007199254740992}}`, "answer shows a user with an id that cannot be exact"},
		"HugeID":        {`{"status":"success","data":{"id":9223372036854775808}}`, wrongShape},
		"AnotherID":     {`{"status":"success","data":{"id":8,"email":"canary@example.com"}}`, "answer shows another user than the one that was named"},
		"MetadataArray": {`{"status":"success","data":{"id":7,"metadata":["canary"]}}`, wrongShape},
		"TooLarge":      {`{"status":"success","data":{"id":7}}` + padding, "answer is larger than 1 MiB"},
		"TwoValues":     {`{"status":"success","data":{"id":7}}{}`, noJSON},
	}
	calls := map[Operation]func(context.Context, *Client) error{
		OpGet: operations()[OpGet], OpUpdate: operations()[OpUpdate], OpDelete: operations()[OpDelete],
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			c := serve(t, answering(http.StatusOK, tc.body))
			for operation, send := range calls {
				e := asError(t, send(t.Context(), c))
				if !e.Unreadable || !e.OutcomeUnknown() || e.Status != http.StatusOK {
					t.Errorf("got %+v, want an unreadable answer", e)
				}
				if d := cmp.Diff(string(operation)+": status 200: "+tc.want, e.Error()); d != "" {
					t.Errorf("text (-want +got):\n%s", d)
				}
				wantNoCanary(t, e)
			}
		})
	}
}

func TestUnreadableCreations(t *testing.T) {
	for name, body := range map[string]string{
		"UserAlone": `{"status":"success","data":{"id":7,"email":"a@b.c"}}`,
		"NoUser":    `{"status":"success","data":{"accessToken":"canary","refreshToken":"canary"}}`,
		"UserNull":  `{"status":"success","data":{"user":null,"accessToken":"canary","refreshToken":"canary"}}`,
		"UserArray": `{"status":"success","data":{"user":[],"accessToken":"canary","refreshToken":"canary"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			user, tokens, err := serve(t, answering(http.StatusCreated, body)).CreateUser(t.Context(), UserFields{Email: Hide(new("a@b.c")), Name: Hide(new("A"))})
			e := asError(t, err)
			if !e.Unreadable || !e.OutcomeUnknown() {
				t.Errorf("got %+v, want an unreadable answer", e)
			}
			if user.ID != 0 || !tokens.AccessToken.IsZero() || !tokens.RefreshToken.IsZero() {
				t.Error("got a user or tokens together with an error")
			}
			wantNoCanary(t, e)
		})
	}
}

func TestPages(t *testing.T) {
	server := calcomtest.New(t, calcomtest.Options{})
	client := calcomtest.DefaultClient()
	c, err := New(Config{BaseURL: server.URL(), ClientID: client.ID, SecretKey: Hide(client.Secret), Transport: http.DefaultTransport})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		server.AddUser(client.ID, calcomtest.User{Email: fmt.Sprintf("user%d@example.com", i)})
	}
	for _, tc := range []struct{ limit, offset, want int }{{2, 0, 2}, {2, 4, 1}, {250, 0, 5}, {250, 250, 0}} {
		users, err := c.Users(t.Context(), tc.limit, tc.offset)
		if err != nil || len(users) != tc.want {
			t.Errorf("limit %d after %d: %d users and %v, want %d", tc.limit, tc.offset, len(users), err, tc.want)
		}
	}
}

func TestPagesThatAreNone(t *testing.T) {
	row := `{"id":1,"email":"canary@example.com","bio":"` + strings.Repeat("x", maxRow) + `"}`
	cases := map[string]struct{ data, want string }{
		"MoreThanAsked": {`[{"id":1},{"id":2},{"id":3}]`, "knows no limit"},
		"WithoutID":     {`[{"id":1},{"email":"canary@example.com"}]`, "without an id"},
		"TooLarge":      {`[` + row + strings.Repeat(" ", maxBody+2*maxRow) + `]`, "larger than 1 MiB"},
		"Large":         {`[` + row + strings.Repeat(" ", maxBody) + `]`, ""},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := serve(t, answering(http.StatusOK, `{"status":"success","data":`+tc.data+`}`)).Users(t.Context(), 2, 0)
			if tc.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if e := asError(t, err); !e.Unreadable || !strings.Contains(e.Error(), tc.want) {
				t.Errorf("got %v, want %q", e, tc.want)
			}
			wantNoCanary(t, err)
		})
	}
}

func TestListOfOthers(t *testing.T) {
	const alice = `{"id":1,"email":"alice+` + testClientID + `@example.com"}`
	cases := map[string]struct {
		data string
		want string
	}{
		"Asked":          {`[` + alice + `]`, ""},
		"Nobody":         {`[]`, ""},
		"Other":          {`[` + alice + `,{"id":2,"email":"canary@example.com"}]`, "does not filter by e-mail"},
		"OtherCase":      {`[{"id":1,"email":"Alice+` + testClientID + `@example.com"}]`, "does not filter by e-mail"},
		"WithoutEmail":   {`[{"id":1}]`, "does not filter by e-mail"},
		"WithoutID":      {`[{"email":"alice@example.com"}]`, "without an id"},
		"NullRow":        {`[null]`, "without an id"},
		"ObjectOfOne":    {alice, "another shape"},
		"NumbersForRows": {`[1]`, "another shape"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			c := serve(t, answering(http.StatusOK, `{"status":"success","data":`+tc.data+`}`))
			got, err := c.UsersByEmail(t.Context(), "alice@example.com")
			if tc.want == "" {
				if err != nil || got == nil {
					t.Errorf("got %v, %v; want a list", got, err)
				}
				return
			}
			e := asError(t, err)
			if !e.Unreadable || got != nil || !strings.Contains(e.Error(), tc.want) {
				t.Errorf("got %v, %v; want an error with %q", got, e, tc.want)
			}
			wantNoCanary(t, e)
		})
	}
}

// schemas is testdata/openapi-managed-users.json, an extract of the API's own description.
type schemas struct {
	Paths map[string]map[string]struct {
		Query             []string
		Request, Response string
	}
	Schemas map[string]struct {
		Required   []string
		Properties map[string]struct {
			Type string
			Enum []any
		}
	}
}

func readSchemas(t *testing.T) schemas {
	t.Helper()
	body, err := os.ReadFile(filepath.Join("testdata", "openapi-managed-users.json"))
	if err != nil {
		t.Fatal(err)
	}
	var s schemas
	if err := json.Unmarshal(body, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestFieldsAreThoseOfTheAPI compares the structs with the API's description, by name and kind.
func TestFieldsAreThoseOfTheAPI(t *testing.T) {
	cases := map[string]struct {
		value  any
		unused []string
	}{
		"ManagedUserOutput":      {User{}, nil},
		"CreateManagedUserInput": {userBody{}, nil},
		"UpdateManagedUserInput": {userBody{}, []string{"defaultScheduleId"}},
		"KeysDto":                {Tokens{}, nil},
	}
	kinds := map[reflect.Kind]string{
		reflect.String: "string", reflect.Int32: "number", reflect.Int64: "number", reflect.Map: "object",
	}
	all := readSchemas(t)
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			want := map[string]string{}
			for field, property := range all.Schemas[name].Properties {
				if !slices.Contains(tc.unused, field) {
					want[field] = property.Type
				}
			}
			got := map[string]string{}
			for field := range reflect.TypeOf(tc.value).Fields() {
				inside := field.Type
				if reveal, ok := inside.MethodByName("Reveal"); ok {
					inside = reveal.Type.Out(0)
				}
				if inside.Kind() == reflect.Pointer {
					inside = inside.Elem()
				}
				tag, options, _ := strings.Cut(field.Tag.Get("json"), ",")
				if tag == "-" {
					continue
				}
				got[tag] = kinds[inside.Kind()]
				if strings.HasSuffix(name, "Input") && options == "" {
					t.Errorf("field %s is sent when it is nil", tag)
				}
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("fields (-API +ours):\n%s", d)
			}
		})
	}
}

// TestPathsAreThoseOfTheAPI compares every request with the API's description.
func TestPathsAreThoseOfTheAPI(t *testing.T) {
	got := map[string][]string{}
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		path := strings.Replace(strings.Replace(r.URL.Path, testClientID, "{clientId}", 1), "/7", "/{userId}", 1)
		got[path] = append(got[path], strings.ToLower(r.Method))
		w.WriteHeader(http.StatusTeapot)
	})
	for _, send := range operations() {
		if e := asError(t, send(t.Context(), c)); e.Status != http.StatusTeapot {
			t.Fatal(e)
		}
	}
	want := map[string][]string{}
	for path, methods := range readSchemas(t).Paths {
		for method := range methods {
			want[path] = append(want[path], method)
		}
		slices.Sort(want[path])
		slices.Sort(got[path])
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("paths and methods (-API +ours):\n%s", d)
	}
}

// TestExtractIsThatOfTheAPI compares the extract with the whole description, where that is at hand.
func TestExtractIsThatOfTheAPI(t *testing.T) {
	body, err := os.ReadFile(filepath.Join("..", "..", "..", "shared", "facts", "openapi-subset.json"))
	if err != nil {
		t.Skip("the whole description is not at hand")
	}
	var whole struct {
		Components struct{ Schemas map[string]json.RawMessage }
	}
	if err := json.Unmarshal(body, &whole); err != nil {
		t.Fatal(err)
	}
	extract := readSchemas(t)
	for name, schema := range extract.Schemas {
		other := schema
		other.Required, other.Properties = nil, nil
		if err := json.Unmarshal(whole.Components.Schemas[name], &other); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(slices.Sorted(slices.Values(other.Required)), slices.Sorted(slices.Values(schema.Required))); d != "" {
			t.Errorf("required fields of %s (-whole +extract):\n%s", name, d)
		}
		for field, property := range other.Properties {
			if field == "status" {
				property.Enum = nil // The same in every answer, and left out.
			}
			if d := cmp.Diff(property, schema.Properties[field]); d != "" {
				t.Errorf("%s.%s (-whole +extract):\n%s", name, field, d)
			}
		}
	}
}
