// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package importer turns users that exist in Cal.com into manifests that leave them as they are.
//
// A manifest names only what differs from what Cal.com gives a new user, so that it reads as somebody would have
// written it: a field that is absent is not managed. Whatever the API server would refuse in a manifest is left out of
// it, and told. A user of whom not even the rest can be managed without a change to it gets no manifest.
package importer

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
	"github.com/calcom-operator/calcom-operator/internal/timezone"
)

// What Cal.com gives a user that is created without these fields; all others it leaves empty (columns of the table
// users, and answers recorded from a real server).
const (
	defaultTimeZone   = "Europe/London"
	defaultWeekStart  = "Sunday"
	defaultTimeFormat = 12
)

// What the custom resource takes; lengths are in characters where nothing else is said.
const (
	maxID            = 1<<31 - 1
	maxEmail         = 254
	maxLocalBytes    = 38
	maxName          = 4000
	maxBio           = 20000
	maxURL           = 2048
	maxMetadata      = 45
	maxMetadataKey   = 40
	maxMetadataValue = 500
)

// address is the shape of an address that the custom resource takes.
var address = regexp.MustCompile(`^[a-zA-Z0-9!#$%&\x27*+/=?^_` + "`" + `{|}~\x{00a1}-\x{ffff}-]+([.][a-zA-Z0-9!#$%&\x27*+/=?^_` + "`" +
	`{|}~\x{00a1}-\x{ffff}-]+)*@([a-zA-Z0-9\x{00a1}-\x{ffff}]([a-zA-Z0-9\x{00a1}-\x{ffff}-]{0,61}[a-zA-Z0-9\x{00a1}-\x{ffff}])?[.])+([a-zA-Z\x{00a1}-\x{ffff}]{2,63}|(xn|XN)[a-zA-Z0-9-]{2,61})$`)

var weekDays = []string{"Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"}

var locales = strings.Fields(`ar az bg bn ca cs da de el en es es-419 et eu fi fr he hr hu id it iw ja km ko lv nl no pl pt pt-BR ro ru
	sk sr sv ta th tr uk vi zh-CN zh-TW`)

// internalKeys are the metadata keys that Cal.com itself uses, or the operator.
var internalKeys = []string{
	"proPaidForByTeamId", "stripeCustomerId", "vitalSettings", "isPremium", "sessionTimeout", "defaultConferencingApp",
	"defaultBookerLayouts", "emailChangeWaitingForVerification", "migratedToOrgFrom", v1alpha1.OwnerMetadataKey,
}

// Converted is a user as a manifest has it.
type Converted struct {
	Spec v1alpha1.ManagedUserSpec
	// LeftOut are fields, and metadata keys as metadata.<key>, that a manifest cannot have with the value that they
	// have in Cal.com. Not managed, they stay as they are.
	LeftOut []string
}

// Convert returns the spec of a user, without an OAuth client, or why it cannot have one. The reason begins with a
// small letter and holds no address.
func Convert(user calcom.User) (Converted, error) {
	email := user.PlainEmail()
	if err := refuse(user, email); err != nil {
		return Converted{}, err
	}
	c := &Converted{Spec: v1alpha1.ManagedUserSpec{
		Email: email, UserID: user.ID, DeletionPolicy: v1alpha1.DeletionPolicyOrphan,
	}}
	c.Spec.Name = take(c, v1alpha1.FieldName, user.Name.Reveal(), "", atMost(maxName))
	if zone, ok := timezone.Canonical(user.TimeZone); ok {
		c.Spec.TimeZone = take(c, v1alpha1.FieldTimeZone, &zone, defaultTimeZone, anything)
	} else {
		c.LeftOut = append(c.LeftOut, string(v1alpha1.FieldTimeZone))
	}
	c.Spec.WeekStart = take(c, v1alpha1.FieldWeekStart, &user.WeekStart, defaultWeekStart, oneOf(weekDays))
	c.Spec.TimeFormat = take(c, v1alpha1.FieldTimeFormat, user.TimeFormat, defaultTimeFormat, func(f int32) bool { return f == 24 })
	c.Spec.Locale = take(c, v1alpha1.FieldLocale, user.Locale, "", oneOf(locales))
	c.Spec.AvatarURL = take(c, v1alpha1.FieldAvatarURL, user.AvatarURL.Reveal(), "", isWebAddress)
	if bio := user.Bio.Reveal(); bio != nil {
		if atMost(maxBio)(*bio) {
			c.Spec.Bio = bio
		} else {
			c.LeftOut = append(c.LeftOut, string(v1alpha1.FieldBio))
		}
	}
	c.metadata(user.Metadata.Reveal())
	return *c, nil
}

// refuse returns why a user cannot be managed without being changed.
func refuse(user calcom.User, email string) error {
	local, _, _ := strings.Cut(email, "@")
	switch {
	case user.ID > maxID:
		return fmt.Errorf("its id is above %d, which no manifest can name", maxID)
	case email != strings.ToLower(email):
		return fmt.Errorf("its address has capitals, and one in a manifest must not: managing it would rename the user; change the address in Cal.com first")
	case len(local) > maxLocalBytes, utf8.RuneCountInString(email) > maxEmail:
		return fmt.Errorf("its address is longer than Cal.com lets a new one be (%d bytes before the @); change it in Cal.com first", maxLocalBytes)
	case !address.MatchString(email), user.ClientID != "" && strings.Contains(email, strings.ToLower(user.ClientID)):
		return fmt.Errorf("its address is none that a manifest can have; change it in Cal.com first")
	}
	if nested := nestedKeys(user.Metadata.Reveal()); len(nested) > 0 {
		return fmt.Errorf("its metadata has nested values that Cal.com hands out and does not take back, and the mark would erase them; remove in Cal.com first: %s", strings.Join(nested, ", "))
	}
	return nil
}

// nestedKeys returns the metadata keys whose values are objects or lists.
func nestedKeys(metadata calcom.Metadata) []string {
	var nested []string
	for _, key := range slices.Sorted(maps.Keys(metadata)) {
		if value := strings.TrimSpace(string(metadata[key])); value != "" && strings.ContainsRune("{[", rune(value[0])) {
			nested = append(nested, key)
		}
	}
	return nested
}

// take returns a value that a manifest can have, and the zero value, which leaves the field out, for all others.
func take[T comparable](c *Converted, field v1alpha1.SpecField, have *T, usual T, allowed func(T) bool) T {
	var unset T
	if have == nil || *have == unset || *have == usual {
		return unset
	}
	if !allowed(*have) {
		c.LeftOut = append(c.LeftOut, string(field))
		return unset
	}
	return *have
}

func anything(string) bool { return true }

func atMost(characters int) func(string) bool {
	return func(s string) bool { return isText(s) && utf8.RuneCountInString(s) <= characters }
}

// isText reports whether a text survives kustomize, which cannot write the control characters beyond ASCII (old Windows
// quotes that were taken for Latin-1 are some) and makes a space of U+0085.
func isText(s string) bool {
	return utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool {
		return r >= 0x7f && r < 0xa0 || r == 0xfffe || r == 0xffff
	}) < 0
}

func oneOf(values []string) func(string) bool {
	return func(s string) bool { return slices.Contains(values, s) }
}

// isWebAddress is what the custom resource asks of an avatarURL, by the parser that the API server uses.
func isWebAddress(s string) bool {
	u, err := url.ParseRequestURI(s)
	return err == nil && isText(s) && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" && utf8.RuneCountInString(s) <= maxURL
}

// metadata takes the texts that are the customer's own.
func (c *Converted) metadata(metadata calcom.Metadata) {
	for _, key := range slices.Sorted(maps.Keys(metadata)) {
		var value *string
		switch {
		case slices.Contains(internalKeys, key):
			continue // Nobody expects these in a manifest.
		case json.Unmarshal(metadata[key], &value) != nil, value == nil, !atMost(maxMetadataValue)(*value),
			key == "", !calcom.IsStorableKey(key), !atMost(maxMetadataKey)(key), len(c.Spec.Metadata) == maxMetadata:
			c.LeftOut = append(c.LeftOut, "metadata."+key)
		default:
			if c.Spec.Metadata == nil {
				c.Spec.Metadata = make(map[string]string)
			}
			c.Spec.Metadata[key] = *value
		}
	}
}
