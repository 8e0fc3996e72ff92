// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package calcomtest

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
)

var (
	emailField = field{name: "email", rules: []rule{stringRule("email")}}
	nameField  = field{name: "name", rules: []rule{stringRule("name")}}
	formatRule = rule{"isIn", "timeFormat must be a number either 12 or 24", func(v any) bool { return v == 12.0 || v == 24.0 }}
	zoneRule   = rule{"isTimeZone", "timeZone must be a valid IANA time-zone", isTimeZone}
	avatarRule = rule{"isUrl", "avatarUrl must be a URL address", func(v any) bool { s, ok := v.(string); return ok && isURL(s) }}
)

// commonFields are checked alike on create and on update, and come in this
// order after those that are not.
var commonFields = []field{
	{name: "timeZone", transform: capitalZone, rules: []rule{zoneRule}},
	{name: "locale", rules: []rule{oneOf("isEnum", "locale", locales)}},
	{name: "avatarUrl", rules: []rule{avatarRule}},
	{name: "bio", rules: []rule{stringRule("bio")}},
	{name: "metadata", rules: []rule{
		{"ValidateMetadata", "Metadata must have at most 50 keys, each key up to 40 characters, and values up to 500 characters.", isMetadata},
		{"isObject", "metadata must be an object", func(v any) bool { _, ok := v.(object); return ok }},
	}},
}

var timeFormatField = field{name: "timeFormat", transform: toNumber, rules: []rule{formatRule}}

// createFields are those of POST users. Any string passes as weekStart.
var createFields = slices.Concat([]field{
	{name: "email", required: true, rules: emailField.rules},
	{name: "name", required: true, rules: nameField.rules},
	timeFormatField,
	{name: "weekStart", rules: []rule{stringRule("weekStart")}},
}, commonFields)

// updateFields are those of PATCH users/{id}.
var updateFields = slices.Concat([]field{
	emailField,
	nameField,
	timeFormatField,
	{name: "defaultScheduleId", rules: []rule{numberRule("defaultScheduleId")}},
	{name: "weekStart", rules: []rule{oneOf("isIn", "weekStart", weekDays), stringRule("weekStart")}},
}, commonFields)

var refreshFields = []field{{name: "refreshToken", required: true, rules: []rule{stringRule("refreshToken")}}}

// listFields are the query parameters of GET users.
var listFields = []field{
	{name: "limit", transform: parseInt, rules: between("limit", 1, 250)},
	{name: "offset", transform: parseInt, rules: between("offset", 0, 250)},
	{name: "emails", rules: []rule{{"arrayNotEmpty", "emails cannot be empty.", func(any) bool { return true }}}},
}

var weekDays = []string{"Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"}

// locales are the languages that the server knows, in the order of its error
// message.
var locales = strings.Fields(`ar ca de es eu he id ja lv pl ro sr th vi az cs el es-419 fi hr it km nl pt ru sv tr zh-CN
	bg da en et fr hu iw ko no pt-BR sk ta uk zh-TW bn`)

// The limits of metadata: number of keys, and lengths as JavaScript counts
// them, in UTF-16 units.
const (
	maxMetadataKeys  = 50
	maxMetadataKey   = 40
	maxMetadataValue = 500
)

// isMetadata looks into a list too, by which it is not refused; isObject does
// that.
func isMetadata(v any) bool {
	if list, ok := v.([]any); ok {
		return len(list) <= maxMetadataKeys && !slices.ContainsFunc(list, badMetadataValue)
	}
	o, ok := v.(object)
	if !ok || len(o) > maxMetadataKeys {
		return false
	}
	return !slices.ContainsFunc(o, func(m member) bool {
		return units(m.key) > maxMetadataKey || badMetadataValue(m.value)
	})
}

func badMetadataValue(v any) bool {
	switch v := v.(type) {
	case string:
		return units(v) > maxMetadataValue
	case float64, bool:
		return false
	}
	return true
}

func units(s string) int { return len(utf16.Encode([]rune(s))) }

// toNumber is JavaScript's Number for what a body can hold.
func toNumber(v any) any {
	switch v := v.(type) {
	case float64:
		return v
	case bool:
		if v {
			return 1.0
		}
		return 0.0
	case string:
		if f, err := strconv.ParseFloat(strings.TrimSpace(v), 64); err == nil {
			return f
		}
	}
	return math.NaN()
}

// parseInt is what the server makes of limit and offset: the number at the
// start of the text. It leaves an empty text as it is.
func parseInt(v any) any {
	s, ok := v.(string)
	if !ok || s == "" {
		return v
	}
	s = strings.TrimSpace(s)
	end := 0
	for end < len(s) && (s[end] >= '0' && s[end] <= '9' || end == 0 && (s[0] == '-' || s[0] == '+')) {
		end++
	}
	f, err := strconv.ParseFloat(s[:end], 64)
	if err != nil {
		return math.NaN()
	}
	return f
}
