// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/calcom-operator/calcom-operator/internal/calcom"
)

// stage takes the place of the network between the reconciler and Cal.com. Reads go on to Cal.com, through Users;
// whatever would change something stops here and is answered by a remote (remote.go).
type stage struct {
	connect func(context.Context, Account, calcom.Hidden[string]) (Users, error)
	now     func() time.Time
	record  func(Step)

	users   map[string]Users // By account and secret key.
	remotes map[Account]*remote
	// invented are the ids of users that only rehearsed calls have created.
	invented []int64
	// failure is the first read for which Cal.com gave no answer. Nobody can tell what the operator would be answered.
	failure error
}

func newStage(
	connect func(context.Context, Account, calcom.Hidden[string]) (Users, error), now func() time.Time, record func(Step),
) *stage {
	return &stage{connect: connect, now: now, record: record, users: make(map[string]Users), remotes: make(map[Account]*remote)}
}

// The paths of the API, below its base.
var (
	usersPath   = regexp.MustCompile(`^(.*)/oauth-clients/([^/]+)/users(?:/(\d{1,18}))?(/force-refresh)?$`)
	refreshPath = regexp.MustCompile(`^(.*)/oauth/([^/]+)/refresh$`)
)

// request is a call as the stage understands it.
type request struct {
	operation calcom.Operation
	account   Account
	id        int64
	emails    []string
	body      map[string]json.RawMessage
}

// parse reads a call off its HTTP request.
func parse(r *http.Request) (request, error) {
	q := request{account: Account{ClientID: r.Header.Get("x-cal-client-id")}}
	// Escaped, as in the API URL of the OAuth client: an encoded slash is part of its path.
	origin, path := (&url.URL{Scheme: r.URL.Scheme, Host: r.URL.Host}).String(), r.URL.EscapedPath()
	if match := refreshPath.FindStringSubmatch(path); match != nil && r.Method == http.MethodPost {
		q.operation, q.account.APIURL = calcom.OpRefresh, origin+match[1]
		return q, nil
	}
	match := usersPath.FindStringSubmatch(path)
	if match == nil {
		return request{}, fmt.Errorf("a rehearsal knows no %s %s", r.Method, r.URL.Path)
	}
	q.account.APIURL = origin + match[1]
	q.id, _ = strconv.ParseInt(match[3], 10, 64) // 18 digits at most, or none.
	q.operation = operations[r.Method]
	switch {
	case match[4] != "":
		q.operation = calcom.OpForceRefresh
	case r.Method == http.MethodGet && q.id == 0:
		q.operation, q.emails = calcom.OpList, strings.Split(r.URL.Query().Get("emails"), ",")
	case q.operation == calcom.OpCreate, q.operation == calcom.OpUpdate:
		if err := json.NewDecoder(r.Body).Decode(&q.body); err != nil {
			return request{}, fmt.Errorf("reading the body of a call: %w", err)
		}
	}
	return q, nil
}

// operations are the calls for one user, by their method.
var operations = map[string]calcom.Operation{
	http.MethodGet: calcom.OpGet, http.MethodPost: calcom.OpCreate, http.MethodPatch: calcom.OpUpdate, http.MethodDelete: calcom.OpDelete,
}

// RoundTrip answers a call.
func (s *stage) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		defer r.Body.Close() //nolint:errcheck // It is in memory.
	}
	q, err := parse(r)
	if err != nil {
		return nil, s.fail(err)
	}
	users, err := s.usersOf(r, q.account)
	if err != nil {
		return nil, s.fail(err)
	}
	a, err := s.remote(q.account).answer(caller(r.Context()), users, q)
	if err != nil {
		if a, err = refusal(err); err != nil {
			return nil, s.fail(err)
		}
	}
	s.record(q.step(r.Method, a))
	return a.response(r)
}

// begin forgets what another object's calls were shown: with another secret key, they might be refused.
func (s *stage) begin() {
	s.failure = nil
	for _, r := range s.remotes {
		clear(r.seen)
	}
}

func (s *stage) remote(account Account) *remote {
	r, ok := s.remotes[account]
	if !ok {
		r = newRemote(account.ClientID, s)
		s.remotes[account] = r
	}
	return r
}

func (s *stage) fail(err error) error {
	s.failure = errors.Join(s.failure, err)
	return err
}

// usersOf returns the way to the users of an account with the secret key that the call carries.
func (s *stage) usersOf(r *http.Request, account Account) (Users, error) {
	secretKey := r.Header.Get("x-cal-secret-key")
	key := account.APIURL + " " + account.ClientID + " " + secretKey
	if users, ok := s.users[key]; ok {
		return users, nil
	}
	users, err := s.connect(caller(r.Context()), account, calcom.Hide(secretKey))
	if err == nil {
		s.users[key] = users
	}
	return users, err
}

// step is what is told of a call.
func (q *request) step(method string, a answer) Step {
	step := Step{
		At: CalCom, Verb: method, Operation: q.operation, UserID: q.id, Status: a.status, Changes: a.changes, Summary: deeds[q.operation],
	}
	if Invented(q.id) {
		step.UserID = 0
	}
	return step
}

// deeds are what calls do, in the words in which a plan tells of them.
var deeds = map[calcom.Operation]string{
	calcom.OpCreate: "create the user", calcom.OpGet: "look at the user", calcom.OpList: "look for the user by e-mail", calcom.OpUpdate: "update the user",
	calcom.OpDelete: "delete the user", calcom.OpRefresh: "renew the tokens", calcom.OpForceRefresh: "end all tokens of the user and get new ones",
}

// answer is what Cal.com says, or would say.
type answer struct {
	status int
	body   any
	// changes are those that the call makes.
	changes []Change
}

func success(status int, data any) answer {
	return answer{status: status, body: map[string]any{"status": "success", "data": data}}
}

func failed(status int, code, message string) answer {
	return answer{status: status, body: map[string]any{"status": "error", "error": map[string]any{"code": code, "message": message}}}
}

// response puts an answer into HTTP. Its headers tell of a quota that no rehearsal exhausts: the true one is kept where
// the reads are made.
func (a answer) response(r *http.Request) (*http.Response, error) {
	body, err := json.Marshal(a.body)
	if err != nil {
		return nil, fmt.Errorf("encoding an answer: %w", err)
	}
	header := http.Header{}
	header.Set("Content-Type", "application/json")
	header.Set("X-RateLimit-Limit-Rehearsal", "1000000")
	header.Set("X-RateLimit-Remaining-Rehearsal", "999999")
	header.Set("X-RateLimit-Reset-Rehearsal", "60")
	return &http.Response{
		Status: http.StatusText(a.status), StatusCode: a.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: header, Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)), Request: r,
	}, nil
}

// refusal is the answer that an error of a read came from. One that is no answer stays an error: the operator may be
// luckier.
func refusal(err error) (answer, error) {
	e, ok := errors.AsType[*calcom.Error](err)
	if !ok || e.NotSent || e.OutcomeUnknown() {
		return answer{}, err
	}
	return failed(e.Status, e.Code, e.Message), nil
}
