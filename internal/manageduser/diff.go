// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package manageduser

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
	"github.com/calcom-operator/calcom-operator/internal/timezone"
)

// Difference is what an update has to send so that the user equals the spec.
type Difference struct {
	Update calcom.UserFields
	// Fields are the names of what differs, in the order of the spec, for messages.
	Fields []string
	// keys are the metadata keys of the update that differ, in order.
	keys []string
	// blocked are the metadata keys, of others, that a metadata update would erase: nested values, which the
	// server hands out and does not take back. While there are any, the update leaves the metadata alone.
	blocked []string
}

// Empty reports whether there is nothing to send.
func (d *Difference) Empty() bool { return len(d.Fields) == 0 }

// Diff compares the fields that the spec sets with the user as Cal.com returned it. A field that is absent from
// the spec, or named in createOnly, is never part of it. Both sides are normalised first: the address loses
// its +<client id>, and time zones are compared without regard to case.
func Diff(mu *v1alpha1.ManagedUser, user calcom.User, m Mark) *Difference {
	d := &Difference{}
	want := specified(&mu.Spec)
	if email := want.Email.Reveal(); email != nil && *email != user.PlainEmail() {
		d.Update.Email = want.Email
		d.Fields = append(d.Fields, "email")
	}
	zone := user.TimeZone
	if timezone.Equal(zone, mu.Spec.TimeZone) {
		zone = mu.Spec.TimeZone
	}
	fixed := mu.Spec.CreateOnly
	d.Update.Name = hidden(d, fixed, v1alpha1.FieldName, want.Name, user.Name)
	d.Update.TimeZone = changed(d, fixed, v1alpha1.FieldTimeZone, want.TimeZone, &zone)
	d.Update.WeekStart = changed(d, fixed, v1alpha1.FieldWeekStart, want.WeekStart, &user.WeekStart)
	d.Update.TimeFormat = changed(d, fixed, v1alpha1.FieldTimeFormat, want.TimeFormat, user.TimeFormat)
	d.Update.Locale = changed(d, fixed, v1alpha1.FieldLocale, want.Locale, user.Locale)
	d.Update.Bio = hidden(d, fixed, v1alpha1.FieldBio, want.Bio, user.Bio)
	d.Update.AvatarURL = hidden(d, fixed, v1alpha1.FieldAvatarURL, want.AvatarURL, user.AvatarURL)
	d.compareMetadata(mu, user, m)
	return d
}

// specified returns the fields that a spec sets, as a call sends them, but for the metadata. An empty address, which
// the API server refuses, must not come through in spite of it: Cal.com would store it.
func specified(spec *v1alpha1.ManagedUserSpec) calcom.UserFields {
	return calcom.UserFields{
		Email:      calcom.Hide(optional(spec.Email)),
		Name:       calcom.Hide(optional(spec.Name)),
		TimeZone:   optional(spec.TimeZone),
		WeekStart:  optional(spec.WeekStart),
		TimeFormat: optional(spec.TimeFormat),
		Locale:     optional(spec.Locale),
		Bio:        calcom.Hide(spec.Bio),
		AvatarURL:  calcom.Hide(optional(spec.AvatarURL)),
	}
}

// NewUser is the body of the create call: every field that the spec sets, and the mark.
func NewUser(mu *v1alpha1.ManagedUser, m Mark) calcom.UserFields {
	fields := specified(&mu.Spec)
	fields.Metadata = calcom.Hide(ownMetadata(mu, m))
	return fields
}

// changed returns the value to send for a field, and nil when it is not managed, as what is in createOnly, or right
// already.
func changed[T comparable](d *Difference, createOnly []v1alpha1.SpecField, field v1alpha1.SpecField, want, have *T) *T {
	if want == nil || have != nil && *have == *want || slices.Contains(createOnly, field) {
		return nil
	}
	d.Fields = append(d.Fields, string(field))
	return want
}

func hidden(d *Difference, createOnly []v1alpha1.SpecField, field v1alpha1.SpecField, want, have calcom.Hidden[*string]) calcom.Hidden[*string] {
	return calcom.Hide(changed(d, createOnly, field, want.Reveal(), have.Reveal()))
}

// optional returns a pointer to an optional value, and nil for one that the spec leaves out.
func optional[T comparable](value T) *T {
	var unset T
	if value == unset {
		return nil
	}
	return &value
}

// compareMetadata compares only the keys that are ours, the mark among them. The server replaces the whole
// object, so what is there is sent back with ours laid over it.
func (d *Difference) compareMetadata(mu *v1alpha1.ManagedUser, user calcom.User, m Mark) {
	want := ownMetadata(mu, m)
	if slices.Contains(mu.Spec.CreateOnly, v1alpha1.FieldMetadata) {
		want = ownMetadata(nil, m)
	}
	have := user.Metadata.Reveal()
	var differs []string
	for _, key := range slices.Sorted(maps.Keys(want)) {
		if !sameJSON(have[key], want[key]) {
			differs = append(differs, key)
		}
	}
	if len(differs) == 0 {
		return
	}
	kept, lost := sendable(have, want)
	if len(lost) > 0 {
		d.blocked = lost
		return
	}
	maps.Copy(kept, want)
	d.Update.Metadata, d.keys = calcom.Hide(kept), differs
	d.Fields = append(d.Fields, string(v1alpha1.FieldMetadata))
}

// ownMetadata returns the keys that an object owns, as JSON; without an object, the mark alone.
func ownMetadata(mu *v1alpha1.ManagedUser, m Mark) calcom.Metadata {
	own := make(calcom.Metadata)
	if mu != nil {
		for key, value := range mu.Spec.Metadata {
			own[key] = quoted(value)
		}
	}
	// The CRD refuses this key in a spec. Should an object come past it, the mark is the operator's all the same.
	own[v1alpha1.OwnerMetadataKey] = quoted(m.String())
	return own
}

// sendable splits a user's metadata into what the server takes back, which is scalars, and the keys with nested
// values that it would refuse. Keys in replaced do not count. A null says nothing and is dropped.
func sendable(metadata, replaced map[string]json.RawMessage) (map[string]json.RawMessage, []string) {
	kept := make(map[string]json.RawMessage, len(metadata)+1)
	var lost []string
	for key, value := range metadata {
		if _, ok := replaced[key]; ok {
			continue
		}
		switch value = bytes.TrimSpace(value); {
		case len(value) == 0 || string(value) == "null":
		case value[0] == '{' || value[0] == '[':
			lost = append(lost, key)
		default:
			kept[key] = value
		}
	}
	slices.Sort(lost)
	return kept, lost
}

// quoted returns s as a JSON string.
func quoted(s string) json.RawMessage {
	raw, err := json.Marshal(s)
	if err != nil { // Not possible for a string.
		panic(err)
	}
	return raw
}
