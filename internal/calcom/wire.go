// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package calcom

import "encoding/json"

// The bodies of requests, with values revealed. They are made, encoded and dropped in Client.request and the mask, and
// kept nowhere.

type newUserBody struct {
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

func (u NewUser) body() any {
	return newUserBody{
		Email: u.Email.Reveal(), Name: u.Name.Reveal(), TimeFormat: u.TimeFormat, WeekStart: u.WeekStart, TimeZone: u.TimeZone,
		Locale: u.Locale, AvatarURL: u.AvatarURL.Reveal(), Bio: u.Bio.Reveal(), Metadata: u.Metadata.Reveal(),
	}
}

type userUpdateBody struct {
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

func (u UserUpdate) body() any {
	return userUpdateBody{
		Email: u.Email.Reveal(), Name: u.Name.Reveal(), TimeFormat: u.TimeFormat, WeekStart: u.WeekStart, TimeZone: u.TimeZone,
		Locale: u.Locale, AvatarURL: u.AvatarURL.Reveal(), Bio: u.Bio.Reveal(), Metadata: u.Metadata.Reveal(),
	}
}

type refreshBody struct {
	RefreshToken string `json:"refreshToken"`
}
