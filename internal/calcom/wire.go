// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package calcom

// The bodies of requests, with values revealed. They are made, encoded and dropped in Client.request and the mask, and
// kept nowhere.

type userBody struct {
	Email      *string  `json:"email,omitempty"`
	Name       *string  `json:"name,omitempty"`
	TimeFormat *int32   `json:"timeFormat,omitempty"`
	WeekStart  *string  `json:"weekStart,omitempty"`
	TimeZone   *string  `json:"timeZone,omitempty"`
	Locale     *string  `json:"locale,omitempty"`
	AvatarURL  *string  `json:"avatarUrl,omitempty"`
	Bio        *string  `json:"bio,omitempty"`
	Metadata   Metadata `json:"metadata,omitzero"`
}

func (f UserFields) body() any {
	return userBody{
		Email: f.Email.Reveal(), Name: f.Name.Reveal(), TimeFormat: f.TimeFormat, WeekStart: f.WeekStart, TimeZone: f.TimeZone,
		Locale: f.Locale, AvatarURL: f.AvatarURL.Reveal(), Bio: f.Bio.Reveal(), Metadata: f.Metadata.Reveal(),
	}
}

type refreshBody struct {
	RefreshToken string `json:"refreshToken"`
}
