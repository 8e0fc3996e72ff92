// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package calcom

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

// wantNoCanary prints an error in every way and looks for what was planted.
func wantNoCanary(t *testing.T, err error, canaries ...string) {
	t.Helper()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		for text, shown := range map[string]any{fmt.Sprintf(verb, err): err, fmt.Sprintf(verb, fmt.Errorf("wrapped: %w", err)): "wrapped"} {
			for _, canary := range append(canaries, "canary", "@", "%40") {
				if strings.Contains(strings.ToLower(text), strings.ToLower(canary)) {
					t.Errorf("%s of %T shows %q: %s", verb, shown, canary, text)
				}
			}
		}
	}
}

// TestErrorBodies has the bodies of a real server and of what may stand in front of it.
func TestErrorBodies(t *testing.T) {
	const rule = "timeZone must be a valid IANA time-zone"
	cases := map[string]struct {
		status int
		body   string
		want   Error
		text   string
	}{
		"DetailsObject": {
			404, `{"status":"error","timestamp":"…","path":"/v2/x","error":{"code":"NotFoundException","message":"User with ID 7 is not part of this OAuth client.","details":{"message":"User with ID 7 is not part of this OAuth client.","error":"Not Found","statusCode":404}}}`,
			Error{FromServer: true, Code: "NotFoundException", Message: "User with ID 7 is not part of this OAuth client."}, "status 404 NotFoundException",
		},
		"DetailsString": {
			429, `{"status":"error","error":{"code":"ThrottlerException","message":"CustomThrottlerGuard - Too many requests. Please try again later.","details":"CustomThrottlerGuard - Too many requests. Please try again later."}}`,
			Error{FromServer: true, Code: "ThrottlerException", Message: "CustomThrottlerGuard - Too many requests. Please try again later."}, "status 429 ThrottlerException",
		},
		"DetailsMissing": {
			409, `{"status":"error","error":{"code":"CONFLICT","message":"Invalid Input: Trying to create a record that already exists."}}`,
			Error{FromServer: true, Code: "CONFLICT", Message: "Invalid Input: Trying to create a record that already exists."}, "status 409 CONFLICT",
		},
		"DetailsNull": {
			500, `{"status":"error","error":{"code":"INTERNAL_SERVER_ERROR","message":"There was an error, please try again later.","details":null}}`,
			Error{FromServer: true, Code: "INTERNAL_SERVER_ERROR", Message: "There was an error, please try again later."}, "status 500 INTERNAL_SERVER_ERROR",
		},
		"DetailsArray": {400, `{"error":{"code":"X","message":"m","details":[1]}}`, Error{Code: "X", Message: "m"}, "status 400 X"},
		"Constraints": {
			400, `{"status":"error","error":{"code":"BadRequestException","message":"Bad Request Exception","details":{"errors":[{"target":{"email":"canary@example.com","timeZone":"Mars/Phobos"},"value":"Mars/Phobos","property":"timeZone","children":[],"constraints":{"isTimeZone":"timeZone must be a valid IANA time-zone"}},{"target":{},"property":"name","children":[],"constraints":{"isString":"name must be a string","b":"another"}}]}}}`,
			Error{
				FromServer: true, Code: "BadRequestException", Message: "Bad Request Exception",
				Constraints: []Constraint{{"name", "another"}, {"name", "name must be a string"}, {"timeZone", rule}},
			}, "status 400 BadRequestException: another; name must be a string; " + rule,
		},
		"WeekDays": {
			400, `{"error":{"code":"BadRequestException","details":{"errors":[{"property":"weekStart","constraints":{"isIn":"weekStart must be one of the following values: Monday, Sunday"}}]}}}`,
			Error{Code: "BadRequestException", Constraints: []Constraint{{"weekStart", "weekStart must be one of the following values: Monday, Sunday"}}},
			"status 400 BadRequestException: weekStart must be one of the following values: Monday, Sunday",
		},
		"ConstraintsOfAnotherShape": {
			400, `{"error":{"code":"BadRequestException","message":"m","details":{"errors":[{"property":"name","constraints":["canary"]}]}}}`,
			Error{Code: "BadRequestException", Message: "m"}, "status 400 BadRequestException",
		},
		"ShortForm":         {413, `{"statusCode":413,"message":"request entity too large"}`, Error{FromServer: true, Message: "request entity too large"}, "status 413"},
		"ShortFormWith500":  {500, `{"statusCode":500,"message":"Internal server error"}`, Error{FromServer: true, Message: "Internal server error"}, "status 500"},
		"ErrorIsAString":    {404, `{"message":"Cannot POST /v2/x","error":"Not Found","statusCode":404}`, Error{FromServer: true, Message: "Cannot POST /v2/x"}, "status 404"},
		"MessageIsAList":    {400, `{"message":["canary"],"error":"Bad Request","statusCode":400}`, Error{}, "status 400"},
		"MessageIsAnObject": {400, `{"error":{"code":"X","message":{"canary":1}}}`, Error{Code: "X"}, "status 400 X"},
		"CodeIsANumber":     {400, `{"error":{"code":7,"message":"m"}}`, Error{Message: "m"}, "status 400"},
		"CodeIsASentence":   {400, `{"error":{"code":"the canary sang","message":"m"}}`, Error{Message: "m"}, "status 400"},
		"ErrorIsNull":       {400, `{"error":null,"message":"m"}`, Error{Message: "m"}, "status 400"},
		"ErrorIsAnArray":    {400, `{"error":["canary"],"message":"m"}`, Error{Message: "m"}, "status 400"},
		"HTML":              {502, "<html><body>canary@example.com</body></html>", Error{}, "status 502"},
		"Empty":             {503, "", Error{}, "status 503"},
		"Truncated":         {400, `{"status":"error","error":{"code":"canary","mess`, Error{}, "status 400"},
		"Null":              {400, "null", Error{}, "status 400"},
		"Array":             {400, `["canary"]`, Error{}, "status 400"},
		"String":            {400, `"canary"`, Error{}, "status 400"},
		"TooLarge":          {500, `{"message":"canary` + strings.Repeat(" ", 2<<20) + `"}`, Error{}, "status 500"},
		"SuccessBody":       {404, `{"status":"success","data":{"id":7}}`, Error{}, "status 404"},
		"ControlCharacters": {400, `{"message":"a\nb\u0000c\td"}`, Error{Message: "a b c d"}, "status 400"},
		"AtSigns":           {400, `{"message":"a @b c@ d @ e%40f <@>"}`, Error{Message: "a [address] [address] d [address] [address] <[address]>"}, "status 400"},
		"LongMessage":       {400, `{"message":"` + strings.Repeat("ä", 400) + `"}`, Error{Message: strings.Repeat("ä", 300) + "…"}, "status 400"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			c := serve(t, func(w http.ResponseWriter, r *http.Request) {
				for header, value := range map[string]string{
					"X-Request-Id": "6ab100ae-33c4", "Retry-After": "17",
					"X-RateLimit-Limit-Default": "500", "X-RateLimit-Remaining-Default": "3", "X-RateLimit-Reset-Default": "42",
				} {
					w.Header().Set(header, value)
				}
				answering(tc.status, tc.body)(w, r)
			})
			want := tc.want
			want.Status, want.RequestID, want.RetryAfter = tc.status, "6ab100ae-33c4", 17*time.Second
			want.RateLimit = RateLimit{Known: true, Limit: 500, Remaining: 3, Reset: 42 * time.Second}
			for operation, send := range operations() {
				want.Operation = operation
				e := asError(t, send(t.Context(), c))
				if d := cmp.Diff(want, *e, cmpopts.IgnoreUnexported(Error{})); d != "" {
					t.Errorf("error of %s (-want +got):\n%s", operation, d)
				}
				if d := cmp.Diff(string(operation)+": "+tc.text+" (request 6ab100ae-33c4)", e.Error()); d != "" {
					t.Errorf("text (-want +got):\n%s", d)
				}
				if d := cmp.Diff(e.Error(), fmt.Sprintf("%#v", e)); d != "" {
					t.Errorf("text in Go syntax (-want +got):\n%s", d)
				}
				wantNoCanary(t, e)
			}
		})
	}
}

func TestManyConstraintsAreCut(t *testing.T) {
	var list []string
	for i := range 15 {
		list = append(list, fmt.Sprintf(`{"property":"p%02d","constraints":{"r":"rule %02d"}}`, i, i))
	}
	body := `{"error":{"details":{"errors":[` + strings.Join(list, ",") + `]}}}`
	e := asError(t, operations()[OpGet](t.Context(), serve(t, answering(400, body))))
	if n := len(e.Constraints); n != 10 || e.Constraints[9].Property != "p09" {
		t.Errorf("got %d constraints, want the first 10: %v", n, e.Constraints)
	}
}

// TestCutAnswers cuts at every place, in errors too, whose status must survive.
func TestCutAnswers(t *testing.T) {
	cases := map[string]struct {
		fault  calcomtest.Fault
		status int
	}{
		"NoHeaders":       {calcomtest.Fault{Cut: true}, 0},
		"HalfABody":       {calcomtest.Fault{CutBody: true}, 200},
		"HalfAnErrorBody": {calcomtest.Fault{CutBody: true, Status: 400}, 400},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			server, c := sandbox(t)
			server.AddUser(testClientID, calcomtest.User{Email: "alice@example.com"})
			tc.fault.Op = calcomtest.OpUpdate
			server.Inject(tc.fault)
			_, err := c.UpdateUser(t.Context(), 1, UserFields{Name: Hide(new("Bob"))})
			e := asError(t, err)
			if e.Status != tc.status || e.OutcomeUnknown() != (tc.status != 400) || e.NotSent {
				t.Errorf("got %#v with status %d, want %d", e, e.Status, tc.status)
			}
			if n := server.Count(calcomtest.OpUpdate); n != 1 {
				t.Errorf("the server saw %d calls, want 1", n)
			}
		})
	}
}

// TestCanaries plants what must not be shown in a request and has the server quote it wherever it can.
func TestCanaries(t *testing.T) {
	const (
		plain = "olga.o'canary+x@mail.example.com"
		name  = "Zanzibar Quux"
		token = "eyJhbGciOiJIUzI1NiJ9.eyJjYW5hcnkiOjF9abcdefgh.c2lnbmF0dXJlX29mX2l0"
	)
	stored := StoredEmail(plain, testClientID)
	metadata := map[string]json.RawMessage{"k": raw(`"Grault"`), "n": raw("8675309"), "o": raw(`["Waldo",{"x":"Plugh"}]`)}
	bio := "Call " + plain + " or say " + testSecretKey + " to Xyzzy"
	quoted := []string{
		testSecretKey, token, plain, stored, url.QueryEscape(plain), url.QueryEscape(stored), url.PathEscape(stored), name,
		url.QueryEscape(name), bio, "Grault", "8675309", "Waldo", "Plugh", "Foo@Bar.Example.net", "foo%2540bar.example.net",
		"olga.o'canary+x " + testClientID + "@mail.example.com", "https://canary.example.com/a.png", "x" + name + "y",
	}
	hidden := []string{
		"olga", "eyJ", "c2ln", "Zanzibar", "Quux", "Xyzzy", "Grault", "8675309", "Waldo", "Plugh", "Foo", "Bar.", "mail.example",
	}
	sends := map[Operation]func(context.Context, *Client) error{
		OpCreate: func(ctx context.Context, c *Client) error {
			_, _, err := c.CreateUser(ctx, UserFields{
				Email: Hide(new(plain)), Name: Hide(new(name)), Bio: Hide(&bio), AvatarURL: Hide(new("https://canary.example.com/a.png")), Metadata: Hide(metadata),
			})
			return err
		},
		OpUpdate: func(ctx context.Context, c *Client) error {
			_, err := c.UpdateUser(ctx, 7, UserFields{
				Email: Hide(new(plain)), Name: Hide(new(name)), Bio: Hide(&bio), AvatarURL: Hide(new("https://canary.example.com/a.png")), Metadata: Hide(metadata),
			})
			return err
		},
	}
	for _, quote := range quoted {
		place, err := json.Marshal(quote)
		if err != nil {
			t.Fatal(err)
		}
		sentence, err := json.Marshal("Invalid: '" + quote + "', sorry")
		if err != nil {
			t.Fatal(err)
		}
		bodies := []string{
			`{"message":SENTENCE}`, `{"message":QUOTE,"error":QUOTE}`, `{"error":{"code":QUOTE,"message":SENTENCE,"details":SENTENCE}}`,
			`{"error":{"code":"X","message":"m","details":{"message":QUOTE,"errors":[{"target":{"x":QUOTE},"value":QUOTE,"property":QUOTE,"constraints":{QUOTE:SENTENCE}}]}}}`,
			`<h1>QUOTE</h1>`, `{"status":"success","data":{"id":QUOTE,QUOTE:1}}`, `{"status":QUOTE,"data":SENTENCE}`,
		}
		for i, body := range bodies {
			for _, status := range []int{200, 302, 400, 403, 409, 500} {
				c := &Client{clientID: testClientID, secretKey: Hide(testSecretKey), base: &url.URL{Scheme: "http", Host: "x"}}
				c.http.Transport = roundTrip(func(*http.Request) *http.Response {
					return reply(status, strings.NewReplacer("QUOTE", string(place), "SENTENCE", string(sentence)).Replace(body), http.Header{
						"X-Request-Id": {quote}, "Location": {"https://example.net/?" + url.QueryEscape(quote)}, "X-Other": {quote},
					})
				})
				c.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
				for operation, send := range sends {
					e := asError(t, send(t.Context(), c))
					wantNoCanary(t, e, hidden...)
					shown := fmt.Sprint(e.Code, " ", e.Message, " ", e.Constraints, " ", e.RequestID)
					wantNoCanary(t, errors.New(shown), hidden...)
					if t.Failed() {
						t.Fatalf("%s, body %d, status %d, quote %q", operation, i, status, quote)
					}
				}
			}
		}
	}
}

// TestMaskKeepsWhatIsRead masks values that look like the words by which the package knows an answer.
func TestMaskKeepsWhatIsRead(t *testing.T) {
	user := UserFields{Email: Hide(new("a@b.c")), Name: Hide(new("Existing user")), Metadata: Hide(Metadata{"a": raw(`"4711"`), "b": raw(`"Cannot POST"`), "c": raw(`"ID="`)})}
	const conflict = `{"error":{"code":"ConflictException","message":"User with the provided e-mail already exists. Existing user ID=4711"}}`
	_, _, err := serve(t, answering(409, conflict)).CreateUser(t.Context(), user)
	if id, ok := asError(t, err).ExistingUserID(); id != 4711 || !ok {
		t.Errorf("got %d, %t from %q; want 4711", id, ok, asError(t, err).Message)
	}
	_, _, err = serve(t, answering(404, `{"message":"Cannot POST /v2/oauth-clients/x/users"}`)).CreateUser(t.Context(), user)
	if !IsNoSuchAPI(err) {
		t.Errorf("got %q, want that there is no such API", asError(t, err).Message)
	}
	// Short and chosen values stay: they say nothing of anybody, and the rules are full of them.
	user = UserFields{Email: Hide(new("a@b.c")), Name: Hide(new("is")), TimeZone: new("Europe/Rome"), WeekStart: new("Monday"), Locale: new("es-419")}
	const text = "this is for Monday in Europe/Rome, es-419"
	_, _, err = serve(t, answering(400, `{"message":"`+text+`"}`)).CreateUser(t.Context(), user)
	if d := cmp.Diff(text, asError(t, err).Message); d != "" {
		t.Errorf("message (-want +got):\n%s", d)
	}
}

type roundTrip func(*http.Request) *http.Response

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) {
	response := f(r)
	response.Request = r
	return response, nil
}

func reply(status int, body string, header http.Header) *http.Response {
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(body)), ContentLength: -1}
}

func TestRequestID(t *testing.T) {
	for id, want := range map[string]string{
		"6ab100ae-33c4-46f7-b40b-9717a27326e3": "6ab100ae-33c4-46f7-b40b-9717a27326e3",
		"a.B:c_d":                              "a.B:c_d",
		strings.Repeat("x", 64):                strings.Repeat("x", 64),
		strings.Repeat("x", 65):                "",
		"":                                     "",
		"two words":                            "",
		"alice@example.com":                    "",
		"alice%40example.com":                  "",
		testSecretKey:                          "",
		"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOjF9.abcdef": "",
	} {
		c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Request-Id", id)
			w.WriteHeader(http.StatusOK)
		})
		e := asError(t, operations()[OpGet](t.Context(), c))
		if e.RequestID != want {
			t.Errorf("%q became %q, want %q", id, e.RequestID, want)
		}
	}
}

func TestOutcomeUnknown(t *testing.T) {
	cases := map[string]struct {
		err  Error
		want bool
	}{
		"NotSent":     {Error{NotSent: true}, false},
		"NoAnswer":    {Error{}, true},
		"Unreadable":  {Error{Status: 201, Unreadable: true}, true},
		"Redirect":    {Error{Status: 302}, true},
		"NotModified": {Error{Status: 304}, true},
		"400":         {Error{Status: 400}, false},
		"401":         {Error{Status: 401}, false},
		"403":         {Error{Status: 403}, false},
		"404":         {Error{Status: 404}, false},
		"408":         {Error{Status: 408}, true},
		"409":         {Error{Status: 409}, false},
		"410":         {Error{Status: 410}, false},
		"413":         {Error{Status: 413}, false},
		"422":         {Error{Status: 422}, false},
		"425":         {Error{Status: 425}, true},
		"429":         {Error{Status: 429}, false},
		"500":         {Error{Status: 500}, true},
		"503":         {Error{Status: 503}, true},
		"599":         {Error{Status: 599}, true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := tc.err.OutcomeUnknown(); got != tc.want {
				t.Errorf("got %t, want %t", got, tc.want)
			}
		})
	}
}

func TestExistingUserID(t *testing.T) {
	const exists = "User with the provided e-mail already exists. Existing user ID="
	cases := map[string]struct {
		err  Error
		want int64
	}{
		"Named":            {Error{Status: 409, Message: exists + "2"}, 2},
		"LargeID":          {Error{Status: 409, Message: exists + "999999999999999999"}, 999999999999999999},
		"TooLargeID":       {Error{Status: 409, Message: exists + "9999999999999999999"}, 0},
		"ZeroID":           {Error{Status: 409, Message: exists + "0"}, 0},
		"NegativeID":       {Error{Status: 409, Message: exists + "-2"}, 0},
		"WordForID":        {Error{Status: 409, Message: exists + "2x"}, 0},
		"NoID":             {Error{Status: 409, Message: exists}, 0},
		"UsernameConflict": {Error{Status: 409, Message: "Invalid Input: Trying to create a record that already exists."}, 0},
		"OtherStatus":      {Error{Status: 400, Message: exists + "2"}, 0},
		"NoMessage":        {Error{Status: 409}, 0},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got, ok := tc.err.ExistingUserID(); got != tc.want || ok != (tc.want != 0) {
				t.Errorf("got %d, %t; want %d", got, ok, tc.want)
			}
		})
	}
}

func TestIsNoSuchAPI(t *testing.T) {
	cases := map[string]struct {
		err  error
		want bool
	}{
		"RoutersOwn404":     {&Error{Status: 404, Message: "Cannot POST /v2/oauth-clients/x/users"}, true},
		"Gone":              {&Error{Status: 410}, true},
		"Wrapped":           {fmt.Errorf("wrapped: %w", &Error{Status: 410}), true},
		"NoSuchUser":        {&Error{Status: 404, Message: "User with ID 7 is not part of this OAuth client."}, false},
		"ForeignPage":       {&Error{Status: 404}, false},
		"OtherStatus":       {&Error{Status: 400, Message: "Cannot POST /v2"}, false},
		"NotOneOfOurs":      {errors.New("Cannot POST"), false},
		"Nil":               {nil, false},
		"NotAtTheBeginning": {&Error{Status: 404, Message: "We Cannot POST"}, false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := IsNoSuchAPI(tc.err); got != tc.want {
				t.Errorf("got %t, want %t", got, tc.want)
			}
		})
	}
}
