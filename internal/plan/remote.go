// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/calcom-operator/calcom-operator/internal/calcom"
)

// remote is one OAuth client in Cal.com as a rehearsal sees it: what Cal.com shows, and on top of it what rehearsed
// calls have done.
type remote struct {
	clientID string
	stage    *stage
	// touched are the users that rehearsed calls have created or changed, nil those that they have deleted.
	touched map[int64]*user
	// seen are users as Cal.com showed them to calls. Nobody else changes anything in a rehearsal, so that nobody has
	// to ask again.
	seen map[int64]*user
	// usernames are those that are known to be taken, and by whom.
	usernames map[string]int64
}

// user is a managed user in JSON, as Cal.com writes it.
type user struct {
	ID                int64           `json:"id"`
	Email             string          `json:"email"`
	Username          *string         `json:"username"`
	Name              *string         `json:"name"`
	Bio               *string         `json:"bio"`
	TimeZone          string          `json:"timeZone"`
	WeekStart         string          `json:"weekStart"`
	CreatedDate       string          `json:"createdDate"`
	TimeFormat        *int32          `json:"timeFormat"`
	DefaultScheduleID *int64          `json:"defaultScheduleId"`
	Locale            *string         `json:"locale"`
	AvatarURL         *string         `json:"avatarUrl"`
	Metadata          calcom.Metadata `json:"metadata,omitzero"`
}

// maxID is below every id that is made up: Cal.com's ids have 31 bits.
const maxID = 1 << 52

func newRemote(clientID string, s *stage) *remote {
	return &remote{clientID: clientID, stage: s, touched: make(map[int64]*user), seen: make(map[int64]*user), usernames: make(map[string]int64)}
}

func (r *remote) answer(ctx context.Context, users Users, q request) (answer, error) {
	switch q.operation {
	case calcom.OpGet:
		u, err := r.find(ctx, users, q.id)
		return success(http.StatusOK, u), err
	case calcom.OpList:
		found, err := r.list(ctx, users, q.emails)
		return success(http.StatusOK, found), err
	case calcom.OpCreate:
		return r.create(ctx, users, q.body)
	case calcom.OpUpdate:
		return r.update(ctx, users, q.id, q.body)
	case calcom.OpDelete:
		u, err := r.find(ctx, users, q.id)
		if err == nil {
			r.touched[q.id] = nil
			maps.DeleteFunc(r.usernames, func(_ string, id int64) bool { return id == q.id })
		}
		return success(http.StatusOK, u), err
	case calcom.OpForceRefresh:
		_, err := r.find(ctx, users, q.id)
		return success(http.StatusOK, r.tokens()), err
	case calcom.OpRefresh:
		return success(http.StatusOK, r.tokens()), nil
	}
	return answer{}, fmt.Errorf("a rehearsal knows no call for %s", q.operation)
}

// find returns a user by its id, or the 404.
func (r *remote) find(ctx context.Context, users Users, id int64) (*user, error) {
	if u, ok := r.touched[id]; ok {
		if u == nil {
			return nil, &calcom.Error{Operation: calcom.OpGet, Status: http.StatusNotFound, Code: "NotFoundException", Message: "User not found"}
		}
		return u, nil
	}
	if u, ok := r.seen[id]; ok {
		return u, nil
	}
	found, err := users.User(ctx, id)
	if err != nil {
		return nil, err
	}
	return r.see(&found), nil
}

// list returns the users that have one of the addresses.
func (r *remote) list(ctx context.Context, users Users, emails []string) ([]*user, error) {
	rows, err := users.UsersByEmail(ctx, emails...)
	if err != nil {
		return nil, err
	}
	found := []*user{}
	for i := range rows {
		if _, ok := r.touched[rows[i].ID]; !ok {
			found = append(found, r.see(&rows[i]))
		}
	}
	wanted := func(stored string) bool {
		return slices.Contains(emails, stored) || slices.Contains(emails, calcom.PlainEmail(stored, r.clientID))
	}
	for _, id := range slices.Sorted(maps.Keys(r.touched)) {
		if u := r.touched[id]; u != nil && wanted(u.Email) {
			found = append(found, u)
		}
	}
	return found, nil
}

// see copies a user that a call was shown.
func (r *remote) see(u *calcom.User) *user {
	r.know(u)
	seen := &user{
		ID: u.ID, Email: u.Email.Reveal(), Username: u.Username.Reveal(), Name: u.Name.Reveal(), Bio: u.Bio.Reveal(), TimeZone: u.TimeZone,
		WeekStart: u.WeekStart, CreatedDate: u.CreatedDate, TimeFormat: u.TimeFormat, DefaultScheduleID: u.DefaultScheduleID,
		Locale: u.Locale, AvatarURL: u.AvatarURL.Reveal(), Metadata: u.Metadata.Reveal(),
	}
	r.seen[u.ID] = seen
	return seen
}

// know notes whose a username is. It is not enough for an answer: a call with other credentials could have been
// refused.
func (r *remote) know(u *calcom.User) {
	if _, ok := r.touched[u.ID]; !ok {
		r.takeUsername(&user{ID: u.ID, Username: u.Username.Reveal()})
	}
}

func (r *remote) takeUsername(u *user) {
	maps.DeleteFunc(r.usernames, func(_ string, id int64) bool { return id == u.ID })
	if u.Username != nil {
		r.usernames[*u.Username] = u.ID
	}
}

// taken returns the answer to a call for an address that another user has, or whose username another user is known to
// have; nil if it is free, as far as anybody can see.
func (r *remote) taken(ctx context.Context, users Users, email string, id int64) (*answer, error) {
	rows, err := r.list(ctx, users, []string{email})
	if err != nil {
		return nil, err
	}
	for _, row := range rows {
		if row.ID != id {
			if id == 0 { // The create call tells who it is.
				return new(failed(http.StatusConflict, "ConflictException",
					fmt.Sprintf("User with the provided e-mail already exists. Existing user ID=%d", row.ID))), nil
			}
			return new(errTaken), nil
		}
	}
	name := username(calcom.StoredEmail(email, r.clientID))
	if owner, ok := r.usernames[name]; ok && owner != id && name != "" {
		return new(errTaken), nil
	}
	return nil, nil
}

var errTaken = failed(http.StatusConflict, "CONFLICT", "Invalid Input: Trying to create a record that already exists.")

// create answers a create call, with what a server of December 2025 puts where nothing is given (recorded).
func (r *remote) create(ctx context.Context, users Users, body map[string]json.RawMessage) (answer, error) {
	var in user
	if err := remarshal(body, &in); err != nil {
		return answer{}, err
	}
	if taken, err := r.taken(ctx, users, in.Email, 0); err != nil || taken != nil {
		return valueOf(taken), err
	}
	in.ID = maxID + 1 + int64(len(r.stage.invented))
	r.stage.invented = append(r.stage.invented, in.ID)
	in.CreatedDate = r.stage.now().UTC().Format("2006-01-02T15:04:05.000Z")
	in.Email = calcom.StoredEmail(in.Email, r.clientID)
	in.name()
	if in.TimeZone != "" {
		in.DefaultScheduleID = &in.ID
	} else {
		in.TimeZone = "Europe/London"
	}
	if in.WeekStart == "" {
		in.WeekStart = "Sunday"
	}
	if in.TimeFormat == nil {
		in.TimeFormat = new(int32(12))
	}
	r.touched[in.ID] = &in
	r.takeUsername(&in)
	data := r.tokens()
	data["user"] = &in
	a := success(http.StatusCreated, data)
	a.changes = changes(nil, body, r.clientID)
	return a, nil
}

// update answers an update call.
func (r *remote) update(ctx context.Context, users Users, id int64, body map[string]json.RawMessage) (answer, error) {
	u, err := r.find(ctx, users, id)
	if err != nil {
		return answer{}, err
	}
	var before map[string]json.RawMessage
	if err := remarshal(u, &before); err != nil {
		return answer{}, err
	}
	after := maps.Clone(before)
	maps.Copy(after, body)
	var updated user
	if err := remarshal(after, &updated); err != nil {
		return answer{}, err
	}
	if _, renames := body["email"]; renames {
		if taken, err := r.taken(ctx, users, updated.Email, id); err != nil || taken != nil {
			return valueOf(taken), err
		}
		updated.Email = calcom.StoredEmail(updated.Email, r.clientID)
		updated.name()
	}
	r.touched[id] = &updated
	r.takeUsername(&updated)
	a := success(http.StatusOK, &updated)
	a.changes = changes(before, body, r.clientID)
	return a, nil
}

func valueOf(a *answer) answer {
	if a == nil {
		return answer{}
	}
	return *a
}

// name gives the user the username that follows from its address.
func (u *user) name() {
	u.Username = nil
	if name := username(u.Email); name != "" {
		u.Username = &name
	}
}

// tokens are made up like everything that a call would return. They last an hour and a year, cut as Cal.com cuts them.
func (r *remote) tokens() map[string]any {
	now := r.stage.now().UTC()
	return map[string]any{
		"accessToken": "rehearsed-access-token", "refreshToken": "rehearsed-refresh-token",
		"accessTokenExpiresAt":  now.Add(time.Hour).Truncate(time.Minute).UnixMilli(),
		"refreshTokenExpiresAt": now.AddDate(1, 0, 0).Truncate(24 * time.Hour).UnixMilli(),
	}
}

// remarshal reads a value in another form, by way of JSON.
func remarshal(from, into any) error {
	raw, err := json.Marshal(from)
	if err == nil {
		err = json.Unmarshal(raw, into)
	}
	if err != nil {
		return fmt.Errorf("reading the body of a call: %w", err)
	}
	return nil
}

var (
	unslugged = regexp.MustCompile(`[^a-z0-9.*]+`)
	dots      = regexp.MustCompile(`\.{2,}`)
)

// username returns what Cal.com makes of a stored address: its local part and the first two labels of its domain
// (recorded). Of one that is not ASCII it returns nothing.
func username(stored string) string {
	local, domain, ok := strings.Cut(stored, "@")
	for _, letter := range stored {
		ok = ok && letter < 0x80
	}
	labels := strings.SplitN(domain, ".", 3)
	if !ok || len(labels) < 2 {
		return ""
	}
	name := unslugged.ReplaceAllString(strings.ToLower(local+"-"+labels[0]+"-"+labels[1]), "-")
	name = strings.TrimLeft(dots.ReplaceAllString(strings.TrimLeft(name, "-"), "."), ".")
	return strings.TrimRight(strings.TrimRight(name, "-"), ".")
}

// Invented reports whether an id is one that only a rehearsed create call gave.
func Invented(id int64) bool { return id > maxID }
