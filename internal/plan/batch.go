// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"context"
	"maps"
	"slices"

	"github.com/calcom-operator/calcom-operator/internal/calcom"
	"github.com/calcom-operator/calcom-operator/internal/sweep"
)

// Batched answers questions for single users from lists of up to 250, so that a plan for many takes a call for each 250
// and not for each one. What it was not told to fetch, and who is found by an id alone, it asks for one by one.
type Batched struct {
	users   Users
	account Account
	// byEmail has the users by their plain address, and nil for an address that Cal.com does not show.
	byEmail map[string]*calcom.User
	byID    map[int64]*calcom.User
	// refusal is the answer to all calls, once Cal.com has refused the credentials.
	refusal error
}

// NewBatched returns a Batched that has fetched nobody yet.
func NewBatched(users Users, account Account) *Batched {
	return &Batched{users: users, account: account, byEmail: make(map[string]*calcom.User), byID: make(map[int64]*calcom.User)}
}

// Fetch asks for the users with the plain addresses. done is told of each batch.
func (b *Batched) Fetch(ctx context.Context, emails []string, done func(addresses int)) error {
	asked := slices.DeleteFunc(slices.Clone(emails), func(email string) bool { return !sweep.Askable(email, b.account.ClientID) })
	room := sweep.Room(b.account.APIURL, b.account.ClientID)
	for len(asked) > 0 {
		n := sweep.Batch(asked, calcom.MaxListed, room)
		rows, err := b.users.UsersByEmail(ctx, asked[:n]...)
		if err != nil {
			return b.refused(err)
		}
		b.keep(asked[:n], rows)
		done(n)
		asked = asked[n:]
	}
	return nil
}

// refused sorts the failure of a list: what Cal.com refuses, it refuses each rehearsal, which then says what that
// means.
func (b *Batched) refused(err error) error {
	if calcom.IsUnauthorized(err) || calcom.IsForbidden(err) {
		b.refusal = err
		return nil
	}
	if _, err := refusal(err); err != nil {
		return err
	}
	return nil
}

// Known returns all users that were fetched, in the order of their ids.
func (b *Batched) Known() []calcom.User {
	known := make([]calcom.User, 0, len(b.byID))
	for _, id := range slices.Sorted(maps.Keys(b.byID)) {
		known = append(known, *b.byID[id])
	}
	return known
}

func (b *Batched) keep(asked []string, rows []calcom.User) {
	for _, email := range asked {
		b.byEmail[email] = nil
	}
	for i := range rows {
		b.byEmail[rows[i].PlainEmail()] = &rows[i]
		b.byID[rows[i].ID] = &rows[i]
	}
}

// User returns the user with the id.
func (b *Batched) User(ctx context.Context, id int64) (calcom.User, error) {
	if b.refusal != nil {
		return calcom.User{}, b.refusal
	}
	if user, ok := b.byID[id]; ok {
		return *user, nil
	}
	user, err := b.users.User(ctx, id)
	if err == nil {
		b.byID[id] = &user
	}
	return user, err
}

// UsersByEmail returns the users with the addresses.
func (b *Batched) UsersByEmail(ctx context.Context, emails ...string) ([]calcom.User, error) {
	if b.refusal != nil {
		return nil, b.refusal
	}
	var found []calcom.User
	for _, email := range emails {
		user, ok := b.byEmail[email]
		if !ok {
			rows, err := b.users.UsersByEmail(ctx, emails...)
			if err == nil {
				b.keep(emails, rows)
			}
			return rows, err
		}
		if user != nil {
			found = append(found, *user)
		}
	}
	return found, nil
}
