// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package manageduser

import (
	"encoding/json"
	"slices"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/runtime"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
)

// What the status holds of a user, at most. Each bound is above what a spec may have and what Cal.com accepts: only
// values that came to Cal.com in another way are cut. A character takes up to six bytes of JSON, so a mirror takes
// less than 600 kB. With a spec of the largest size and the records of the API server, the object stays below the
// 1.5 MB that etcd accepts.
const (
	maxMirroredName     = 8_000   // Characters; a spec may have 4,000.
	maxMirroredBio      = 32_000  // Characters; a spec may have 20,000.
	maxMirroredURL      = 4_000   // Characters; a spec may have 2,048, and Cal.com accepts 2,083.
	maxMirroredWord     = 1_000   // Characters of an e-mail address, a username, a zone, a date or a code.
	maxMirroredMetadata = 200_000 // Bytes of JSON; fifty keys of 40 characters with values of 500 take 165,000.
	maxMirroredMark     = 1_000   // Bytes of the mark as JSON, which is kept when the metadata is left out.

	// maxRequest bounds the value of an annotation that is copied into the status, in bytes.
	maxRequest = 1_000
)

// The fields of a mirrored user that a reduced one lacks, by their names in status.user.truncated.
const (
	mirroredName     = "name"
	mirroredBio      = "bio"
	mirroredAvatar   = "avatarUrl"
	mirroredMetadata = "metadata"
)

// imageOf returns what the status holds of a user, but for the metadata: the values as Cal.com returned them. Texts
// that are too long are shortened, or left out, and listed in truncated.
func imageOf(user calcom.User) *v1alpha1.CalcomUser {
	var truncated []string
	cut := func(field string, text *string, most int) *string {
		if text == nil || !isLonger(*text, most) {
			return text
		}
		truncated = append(truncated, field)
		if field == mirroredAvatar {
			return nil // A part of an address leads nowhere.
		}
		return new(shorten(*text, most)) // The user that Cal.com returned is not changed.
	}
	word := func(field, text string) string { return *cut(field, &text, maxMirroredWord) }
	image := &v1alpha1.CalcomUser{
		ID:                user.ID,
		Email:             word("email", user.Email.Reveal()),
		Username:          cut("username", user.Username.Reveal(), maxMirroredWord),
		Name:              cut(mirroredName, user.Name.Reveal(), maxMirroredName),
		Bio:               cut(mirroredBio, user.Bio.Reveal(), maxMirroredBio),
		TimeZone:          word("timeZone", user.TimeZone),
		WeekStart:         word("weekStart", user.WeekStart),
		CreatedDate:       word("createdDate", user.CreatedDate),
		TimeFormat:        user.TimeFormat,
		DefaultScheduleID: user.DefaultScheduleID,
		Locale:            cut("locale", user.Locale, maxMirroredWord),
		AvatarURL:         cut(mirroredAvatar, user.AvatarURL.Reveal(), maxMirroredURL),
	}
	image.Truncated = truncated
	return image
}

// isLonger reports whether a text has more than a number of characters.
func isLonger(text string, most int) bool {
	return len(text) > most && utf8.RuneCountInString(text) > most
}

// shorten cuts a text to a number of characters, the last of which shows the cut.
func shorten(text string, most int) string {
	n := 0
	for i := range text {
		n++
		if n == most {
			return text[:i] + "…"
		}
	}
	return text
}

// boundMetadata returns the metadata that the status holds of a user: all of it, or the mark alone when it is too
// large.
func boundMetadata(metadata calcom.Metadata) (kept calcom.Metadata, whole bool) {
	const escaped = 6 // The longest form of a byte in JSON.
	size := 0
	for key, value := range metadata {
		size += len(key) + len(value) + len(`"":,`)
	}
	if size*escaped <= maxMirroredMetadata {
		return metadata, true
	}
	if raw, err := json.Marshal(metadata); err == nil && len(raw) <= maxMirroredMetadata {
		return metadata, true
	}
	return markAlone(metadata), false
}

// markAlone returns the part of the metadata that says whose the user is.
func markAlone(metadata calcom.Metadata) calcom.Metadata {
	if metadata == nil {
		return nil
	}
	kept := make(calcom.Metadata)
	if mark, ok := metadata[v1alpha1.OwnerMetadataKey]; ok && len(mark) <= maxMirroredMark {
		kept[v1alpha1.OwnerMetadataKey] = mark
	}
	return kept
}

// Reduce leaves out of a mirrored user all that can be large. It reports whether there was anything to leave out.
func Reduce(image *v1alpha1.CalcomUser) bool {
	if image == nil || IsReduced(image) {
		return false
	}
	image.Name, image.Bio, image.AvatarURL = nil, nil, nil
	for _, field := range []string{mirroredName, mirroredBio, mirroredAvatar, mirroredMetadata} {
		if !slices.Contains(image.Truncated, field) {
			image.Truncated = append(image.Truncated, field)
		}
	}
	if image.Metadata == nil {
		return true
	}
	var metadata calcom.Metadata
	if json.Unmarshal(image.Metadata.Raw, &metadata) != nil {
		metadata = calcom.Metadata{}
	}
	raw, err := json.Marshal(markAlone(metadata))
	if err != nil { // Not possible: the value was decoded from JSON.
		panic(err)
	}
	image.Metadata = &runtime.RawExtension{Raw: raw}
	return true
}

// IsReduced reports whether a mirrored user lacks all that can be large, since the API server refused it otherwise.
func IsReduced(image *v1alpha1.CalcomUser) bool {
	return image.Name == nil && slices.Contains(image.Truncated, mirroredName)
}
