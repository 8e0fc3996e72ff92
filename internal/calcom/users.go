// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package calcom

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// MaxListed is the largest page that the server lists; a larger limit is refused.
const MaxListed = 250

// User is a managed user as the server returns it. Nil stands for null or absent.
type User struct {
	ID                int64   `json:"id"`
	Email             string  `json:"email"` // In the stored form, with +<client id>.
	Username          *string `json:"username"`
	Name              *string `json:"name"`
	Bio               *string `json:"bio"`
	TimeZone          string  `json:"timeZone"` // In the server's capitalisation.
	WeekStart         string  `json:"weekStart"`
	CreatedDate       string  `json:"createdDate"` // RFC 3339 with milliseconds.
	TimeFormat        *int32  `json:"timeFormat"`
	DefaultScheduleID *int64  `json:"defaultScheduleId"`
	Locale            *string `json:"locale"`
	AvatarURL         *string `json:"avatarUrl"`
	// Metadata holds each value as it came, so that it can be sent back the same.
	Metadata map[string]json.RawMessage `json:"metadata"`
}

// NewUser is the body of a create call. Email and Name are required by the server.
type NewUser struct {
	Email      string                     `json:"email"`
	Name       string                     `json:"name"`
	TimeFormat int32                      `json:"timeFormat,omitempty"`
	WeekStart  string                     `json:"weekStart,omitempty"`
	TimeZone   string                     `json:"timeZone,omitempty"`
	Locale     string                     `json:"locale,omitempty"`
	AvatarURL  string                     `json:"avatarUrl,omitempty"`
	Bio        *string                    `json:"bio,omitempty"`
	Metadata   map[string]json.RawMessage `json:"metadata,omitempty"`
}

// UserUpdate is the body of an update call: what is nil is not sent and stays as it is. Metadata replaces the
// whole object on the server; an empty map empties it.
type UserUpdate struct {
	Email      *string                    `json:"email,omitempty"`
	Name       *string                    `json:"name,omitempty"`
	TimeFormat *int32                     `json:"timeFormat,omitempty"`
	WeekStart  *string                    `json:"weekStart,omitempty"`
	TimeZone   *string                    `json:"timeZone,omitempty"`
	Locale     *string                    `json:"locale,omitempty"`
	AvatarURL  *string                    `json:"avatarUrl,omitempty"`
	Bio        *string                    `json:"bio,omitempty"`
	Metadata   map[string]json.RawMessage `json:"metadata,omitzero"`
}

// CreateUser creates a user and returns it with its first pair of tokens. There is no idempotency key: after an
// error for which OutcomeUnknown is true, the user may exist, or come to exist minutes later.
// A taken address is a 409 (see Error.ExistingUserID), and so is a taken username.
func (c *Client) CreateUser(ctx context.Context, user NewUser) (User, Tokens, error) {
	var created struct {
		User User `json:"user"`
		Tokens
	}
	call := call{name: OpCreate, method: http.MethodPost, path: c.usersPath(), body: user}
	if err := c.do(ctx, call, &created); err != nil {
		return User{}, Tokens{}, err
	}
	if err := checkUsers(call, created.User); err != nil {
		return User{}, Tokens{}, err
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
func (c *Client) UpdateUser(ctx context.Context, id int64, update UserUpdate) (User, error) {
	if update.Email != nil && *update.Email == "" {
		// The server stores an empty address, and then nothing finds the user any more.
		return User{}, &Error{Operation: OpUpdate, NotSent: true, err: errors.New("e-mail is empty")}
	}
	return c.one(ctx, id, call{name: OpUpdate, method: http.MethodPatch, path: c.userPath(id), body: update})
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
	call := call{name: OpList, method: http.MethodGet, path: c.usersPath(), query: url.Values{
		"emails": {strings.Join(emails, ",")},
		"limit":  {strconv.Itoa(MaxListed)},
	}}
	if len(emails) == 0 || len(emails) > MaxListed {
		return nil, &Error{Operation: call.name, NotSent: true, err: errors.New("1 to 250 addresses are needed")}
	}
	var users []User
	if err := c.do(ctx, call, &users); err != nil {
		return nil, err
	}
	if err := checkUsers(call, users...); err != nil {
		return nil, err
	}
	asked := make(map[string]bool, len(emails))
	for _, email := range emails {
		asked[PlainEmail(email, c.clientID)] = true
	}
	for _, user := range users {
		if !asked[PlainEmail(user.Email, c.clientID)] {
			return nil, &Error{
				Operation: call.name, Status: http.StatusOK, Unreadable: true,
				err: errors.New("list holds users that were not asked for; this server does not filter by e-mail"),
			}
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
	if err := checkUsers(call, user); err != nil {
		return User{}, err
	}
	if user.ID != id {
		return User{}, &Error{
			Operation: call.name, Status: http.StatusOK, Unreadable: true,
			err: errors.New("answer shows another user than the one that was named"),
		}
	}
	return user, nil
}

// checkUsers refuses a success that is none: without an id nothing could ever be done with the user again.
func checkUsers(call call, users ...User) error {
	for _, user := range users {
		if user.ID <= 0 {
			return &Error{
				Operation: call.name, Status: http.StatusOK, Unreadable: true,
				err: errors.New("answer shows a user without an id"),
			}
		}
	}
	return nil
}

func (c *Client) usersPath() []string {
	return []string{"oauth-clients", c.clientID, "users"}
}

func (c *Client) userPath(id int64) []string {
	return append(c.usersPath(), strconv.FormatInt(id, 10))
}
