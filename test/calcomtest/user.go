// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package calcomtest

import (
	"encoding/json"
	"time"
)

// User is a managed user as the API shows it. Pointers are fields that can be
// null; Metadata is nil when it is null, and the API then leaves it out.
type User struct {
	// ID is the number that the server gave to the user.
	ID int64
	// Email is the stored form, "alice+clientID@example.com".
	Email string
	// Username is made of the stored address; callers cannot set it.
	Username *string
	// Name and Bio are free text.
	Name, Bio *string
	// TimeZone is an IANA name in the server's own capitalisation, such as
	// "America/Port-au-prince".
	TimeZone string
	// WeekStart is a day's English name; a create stores any string.
	WeekStart string
	// CreatedDate is shown in UTC, to the millisecond.
	CreatedDate time.Time
	// TimeFormat is 12 or 24 hours.
	TimeFormat *int
	// DefaultScheduleID is set for a user who was created with a time zone.
	DefaultScheduleID *int64
	// Locale is a code such as "pt-BR", AvatarURL a URL.
	Locale, AvatarURL *string
	// Metadata has values of type string, float64 and bool. Other tools than
	// this API can store lists and objects, too.
	Metadata map[string]any
}

// user is a User with what the API does not show.
type user struct {
	User
	clientID     string
	organization string
	// step is the last step of the user's create that was done.
	step CreateStep
}

// linked reports whether the user is connected with its client. Nothing but
// the check for duplicates sees one that is not.
func (u *user) linked() bool { return u.step >= StepLink }

// clone copies what a caller could change.
func (u User) clone() User {
	u.Username = copied(u.Username)
	u.Name = copied(u.Name)
	u.Bio = copied(u.Bio)
	u.TimeFormat = copied(u.TimeFormat)
	u.DefaultScheduleID = copied(u.DefaultScheduleID)
	u.Locale = copied(u.Locale)
	u.AvatarURL = copied(u.AvatarURL)
	u.Metadata = copiedMetadata(u.Metadata)
	return u
}

func copied[T any](p *T) *T {
	if p == nil {
		return nil
	}
	return new(*p)
}

// copiedMetadata also turns every number into the float64 that the server
// would keep, so that what tests put in by hand reads as if it had been sent.
func copiedMetadata(m map[string]any) map[string]any {
	if m == nil {
		return nil
	}
	b, err := json.Marshal(m)
	if err != nil {
		panic("calcomtest: metadata that is no JSON: " + err.Error())
	}
	out := map[string]any{}
	if err := json.Unmarshal(b, &out); err != nil {
		panic("calcomtest: metadata that is no JSON: " + err.Error())
	}
	for key, value := range out {
		if f, ok := value.(float64); ok {
			out[key] = rounded(f)
		}
	}
	return out
}

// userView is the JSON form, with the real server's order of keys.
type userView struct {
	ID                int64   `json:"id"`
	Email             string  `json:"email"`
	Username          *string `json:"username"`
	Name              *string `json:"name"`
	Bio               *string `json:"bio"`
	TimeZone          string  `json:"timeZone"`
	WeekStart         string  `json:"weekStart"`
	CreatedDate       string  `json:"createdDate"`
	TimeFormat        *int    `json:"timeFormat"`
	DefaultScheduleID *int64  `json:"defaultScheduleId"`
	Locale            *string `json:"locale"`
	AvatarURL         *string `json:"avatarUrl"`
	Metadata          *object `json:"metadata,omitempty"`
}

func (u *user) view() userView {
	v := userView{
		ID:                u.ID,
		Email:             u.Email,
		Username:          u.Username,
		Name:              u.Name,
		Bio:               u.Bio,
		TimeZone:          u.TimeZone,
		WeekStart:         u.WeekStart,
		CreatedDate:       timestamp(u.CreatedDate),
		TimeFormat:        u.TimeFormat,
		DefaultScheduleID: u.DefaultScheduleID,
		Locale:            u.Locale,
		AvatarURL:         u.AvatarURL,
	}
	if u.Metadata != nil {
		v.Metadata = new(stored(u.Metadata))
	}
	return v
}
