// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package calcom

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// MaxListed is the largest page that the server lists; a larger limit is refused.
const MaxListed = 250

// MaxOffset is the farthest that the server pages; a larger offset is refused. So a list without a filter reaches no
// more than MaxOffset + MaxListed users (packages/platform/types/pagination).
const MaxOffset = 250

// User is a managed user as the server returns it. Nil stands for null or absent.
type User struct {
	// ClientID is the OAuth client under which the server returned the user.
	ClientID string `json:"-"`
	// APIURL is where it did, in the form of BaseURL.
	APIURL string `json:"-"`

	ID                int64           `json:"id"`
	Email             Hidden[string]  `json:"email"` // In the stored form, with +<client id>.
	Username          Hidden[*string] `json:"username"`
	Name              Hidden[*string] `json:"name"`
	Bio               Hidden[*string] `json:"bio"`
	TimeZone          string          `json:"timeZone"` // In the server's capitalisation.
	WeekStart         string          `json:"weekStart"`
	CreatedDate       string          `json:"createdDate"` // RFC 3339 with milliseconds.
	TimeFormat        *int32          `json:"timeFormat"`
	DefaultScheduleID *int64          `json:"defaultScheduleId"`
	Locale            *string         `json:"locale"`
	AvatarURL         Hidden[*string] `json:"avatarUrl"`
	// Metadata holds each value as it came, so that it can be sent back the same.
	Metadata Hidden[Metadata] `json:"metadata"`
}

// Metadata is what stands beside a user: keys, and values in JSON.
type Metadata = map[string]json.RawMessage

// UserFields is the body of a create or update call: what is nil is not sent, so that a user that exists keeps its
// value and a new one gets the server's. A create call needs Email and Name. Metadata replaces the whole object on
// the server; an empty map empties it.
type UserFields struct {
	Email      Hidden[*string]
	Name       Hidden[*string]
	TimeZone   *string
	WeekStart  *string
	TimeFormat *int32
	Locale     *string
	Bio        Hidden[*string]
	AvatarURL  Hidden[*string]
	Metadata   Hidden[Metadata]
}

// userBody is UserFields as it is sent, revealed, in the order of the custom resource. It is made, encoded and dropped
// in Client.request and the mask, and kept nowhere.
type userBody struct {
	Email      *string  `json:"email,omitempty"`
	Name       *string  `json:"name,omitempty"`
	TimeZone   *string  `json:"timeZone,omitempty"`
	WeekStart  *string  `json:"weekStart,omitempty"`
	TimeFormat *int32   `json:"timeFormat,omitempty"`
	Locale     *string  `json:"locale,omitempty"`
	Bio        *string  `json:"bio,omitempty"`
	AvatarURL  *string  `json:"avatarUrl,omitempty"`
	Metadata   Metadata `json:"metadata,omitzero"`
}

func (f UserFields) body() any {
	return userBody{
		Email: f.Email.Reveal(), Name: f.Name.Reveal(), TimeZone: f.TimeZone, WeekStart: f.WeekStart, TimeFormat: f.TimeFormat,
		Locale: f.Locale, Bio: f.Bio.Reveal(), AvatarURL: f.AvatarURL.Reveal(), Metadata: f.Metadata.Reveal(),
	}
}

// UserFieldNames returns the names of the fields of a create or update call, in the order of the custom resource.
func UserFieldNames() []string {
	var names []string
	for field := range reflect.TypeFor[userBody]().Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		names = append(names, name)
	}
	return names
}

// CreateUser creates a user and returns it with its first pair of tokens. There is no idempotency key: after an
// error for which OutcomeUnknown is true, the user may exist, or come to exist minutes later.
// A taken address is a 409 (see Error.ExistingUserID), and so is a taken username.
func (c *Client) CreateUser(ctx context.Context, fields UserFields) (User, Tokens, error) {
	email := fields.Email.Reveal()
	if email == nil || fields.Name.Reveal() == nil {
		return User{}, Tokens{}, &Error{Operation: OpCreate, NotSent: true, err: errors.New("e-mail or name is missing")}
	}
	var created struct {
		User User `json:"user"`
		Tokens
	}
	call := call{name: OpCreate, method: http.MethodPost, path: c.usersPath(), body: Hide(fields.body())}
	if err := c.do(ctx, call, &created); err != nil {
		return User{}, Tokens{}, err
	}
	if err := c.accept(call, &created.User); err != nil {
		return User{}, Tokens{}, err
	}
	if !c.sameAddress(created.User.Email.Reveal(), *email) {
		return User{}, Tokens{}, unreadable(call, "answer shows another user than the one that was to be created")
	}
	return created.User, created.Tokens, nil
}

// User returns the user with the id. A 404 means that it does not exist, or belongs to another client, or is not
// managed: the server does not tell these apart.
func (c *Client) User(ctx context.Context, id int64) (User, error) {
	return c.one(ctx, id, call{name: OpGet, method: http.MethodGet, path: c.userPath(id)})
}

// UpdateUser changes what the update names and returns the user as it is then. A changed e-mail renames the
// user, its username too; a taken one is a 409 and changes nothing.
func (c *Client) UpdateUser(ctx context.Context, id int64, fields UserFields) (User, error) {
	if email := fields.Email.Reveal(); email != nil && *email == "" {
		// The server stores an empty address, and then nothing finds the user any more.
		return User{}, &Error{Operation: OpUpdate, NotSent: true, err: errors.New("e-mail is empty")}
	}
	return c.one(ctx, id, call{name: OpUpdate, method: http.MethodPatch, path: c.userPath(id), body: Hide(fields.body())})
}

// DeleteUser deletes the user with its bookings and calendars and returns it as it was. A second call is a 404.
func (c *Client) DeleteUser(ctx context.Context, id int64) (User, error) {
	return c.one(ctx, id, call{name: OpDelete, method: http.MethodDelete, path: c.userPath(id)})
}

// UsersByEmail returns those users that have one of the addresses, plain or stored, in no certain order. The
// server compares them exactly and case-sensitively. At most MaxListed addresses fit into one call.
//
// It answers only what the server really said: a list that holds somebody who was not asked for, as from a
// server that does not know the filter, is an error, since an absence from it would prove nothing.
func (c *Client) UsersByEmail(ctx context.Context, emails ...string) ([]User, error) {
	call := call{name: OpList, method: http.MethodGet, path: c.usersPath(), query: Hide(url.Values{
		"emails": {strings.Join(emails, ",")},
		"limit":  {strconv.Itoa(MaxListed)},
	}), most: maxBody + len(emails)*maxRow}
	if len(emails) == 0 || len(emails) > MaxListed {
		return nil, &Error{Operation: call.name, NotSent: true, err: errors.New("1 to 250 addresses are needed")}
	}
	users, err := c.list(ctx, call)
	if err != nil {
		return nil, err
	}
	asked := make(map[string]bool, len(emails))
	for _, email := range emails {
		asked[PlainEmail(email, c.clientID)] = true
	}
	for _, user := range users {
		if !asked[PlainEmail(user.Email.Reveal(), c.clientID)] {
			return nil, unreadable(call, "list holds users that were not asked for; this server does not filter by e-mail")
		}
	}
	return users, nil
}

// Users returns one page of all the client's users: limit of them, 1 to MaxListed, after the first offset, 0 to
// MaxOffset. The server's pages are in no certain order: two of them may share users and leave others out. It tells no
// total.
func (c *Client) Users(ctx context.Context, limit, offset int) ([]User, error) {
	call := call{name: OpList, method: http.MethodGet, path: c.usersPath(), query: Hide(url.Values{
		"limit":  {strconv.Itoa(limit)},
		"offset": {strconv.Itoa(offset)},
	}), most: maxBody + limit*maxRow}
	if limit < 1 || limit > MaxListed || offset < 0 || offset > MaxOffset {
		return nil, &Error{Operation: call.name, NotSent: true, err: errors.New("limit must be 1 to 250 and offset 0 to 250")}
	}
	users, err := c.list(ctx, call)
	if err != nil {
		return nil, err
	}
	if len(users) > limit {
		return nil, unreadable(call, "list holds more users than were asked for; this server knows no limit")
	}
	return users, nil
}

// list makes a call that is answered with users.
func (c *Client) list(ctx context.Context, call call) ([]User, error) {
	var users []User
	if err := c.do(ctx, call, &users); err != nil {
		return nil, err
	}
	for i := range users {
		if err := c.accept(call, &users[i]); err != nil {
			return nil, err
		}
	}
	return users, nil
}

// one makes a call that is answered with the user that it names.
func (c *Client) one(ctx context.Context, id int64, call call) (User, error) {
	var user User
	if err := c.do(ctx, call, &user); err != nil {
		return User{}, err
	}
	if err := c.accept(call, &user); err != nil {
		return User{}, err
	}
	if user.ID != id {
		return User{}, unreadable(call, "answer shows another user than the one that was named")
	}
	return user, nil
}

// maxID is the largest id that the server, a JavaScript program, can tell from the next one. A larger one was rounded,
// by the server or by somebody in between.
const maxID = 1<<53 - 1

// accept notes whose a user is, and where, and refuses a success that is none: without an id nothing could ever be done
// with the user again.
func (c *Client) accept(call call, user *User) error {
	user.ClientID, user.APIURL = c.clientID, c.apiURL
	switch {
	case user.ID <= 0:
		return unreadable(call, "answer shows a user without an id")
	case user.ID > maxID:
		return unreadable(call, "answer shows a user with an id that cannot be exact")
	}
	return nil
}

// unreadable is the error of a success whose data cannot be what the server means.
func unreadable(call call, why string) *Error {
	return &Error{Operation: call.name, Status: http.StatusOK, Unreadable: true, err: errors.New(why)}
}

// sameAddress compares two addresses, plain or stored. A server that changes the case of one still means the same user.
func (c *Client) sameAddress(a, b string) bool {
	return strings.EqualFold(PlainEmail(a, c.clientID), PlainEmail(b, c.clientID))
}

// PlainEmail is the user's address as a spec has it.
func (u *User) PlainEmail() string { return PlainEmail(u.Email.Reveal(), u.ClientID) }

// Created returns CreatedDate as a time, or an error if the server's text is none.
func (u *User) Created() (time.Time, error) { return time.Parse(time.RFC3339, u.CreatedDate) }

func (c *Client) usersPath() []string {
	return []string{"oauth-clients", c.clientID, "users"}
}

func (c *Client) userPath(id int64) []string {
	return append(c.usersPath(), strconv.FormatInt(id, 10))
}
