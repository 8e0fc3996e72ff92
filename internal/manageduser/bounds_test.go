// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package manageduser

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
)

func TestShorten(t *testing.T) {
	for name, tc := range map[string]struct {
		text string
		most int
		want string
	}{
		"Short":    {text: "abc", most: 4, want: "abc"},
		"Exact":    {text: "abcd", most: 4, want: "abcd"},
		"Long":     {text: "abcde", most: 4, want: "abc…"},
		"Wide":     {text: "äöüß", most: 4, want: "äöüß"},
		"WideLong": {text: "äöüßä", most: 4, want: "äöü…"},
		"Empty":    {most: 4},
	} {
		t.Run(name, func(t *testing.T) {
			got := tc.text
			if isLonger(tc.text, tc.most) {
				got = shorten(tc.text, tc.most)
			}
			if got != tc.want || !utf8.ValidString(got) {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

// large returns users of which one field each is too large.
func large() map[string]calcom.User {
	long := strings.Repeat("<", 250_000)
	text := calcom.Hide(&long)
	return map[string]calcom.User{
		"email": {Email: calcom.Hide(long)}, "username": {Username: text}, "name": {Name: text}, "bio": {Bio: text},
		"timeZone": {TimeZone: long}, "weekStart": {WeekStart: long}, "createdDate": {CreatedDate: long},
		"locale": {Locale: &long}, "avatarUrl": {AvatarURL: text},
		"metadata": {Metadata: calcom.Hide(calcom.Metadata{
			v1alpha1.OwnerMetadataKey: quoted("canary"), "long": quoted(long), "nested": json.RawMessage(`{"a":1}`),
		})},
	}
}

// What is mirrored of a large user is bounded, names the field, equals the user for the sweep, and does not change
// the user.
func TestMirrorIsBounded(t *testing.T) {
	for field, user := range large() {
		t.Run(field, func(t *testing.T) {
			before := imageOfWhole(user)
			mu := &v1alpha1.ManagedUser{}
			Mirror(mu, user)
			image := mu.Status.User
			if d := cmp.Diff([]string{field}, image.Truncated); d != "" {
				t.Errorf("truncated (-want +got):\n%s", d)
			}
			raw, err := json.Marshal(image)
			if err != nil || len(raw) > 6*maxMirroredBio+1000 {
				t.Errorf("the mirror has %d bytes, %v", len(raw), err)
			}
			if field == "metadata" && string(image.Metadata.Raw) != `{"kubernetesOwner":"canary"}` {
				t.Errorf("the metadata is %.200s", image.Metadata.Raw)
			}
			if !Mirrors(image, &user) {
				t.Error("the sweep takes the mirror for out of date")
			}
			if d := cmp.Diff(before, imageOfWhole(user)); d != "" {
				t.Errorf("the user was changed")
			}
			if !Reduce(image) || Reduce(image) || !Mirrors(image, &user) {
				t.Error("the sweep takes the reduced mirror for out of date")
			}
			user.ID = 7
			if Mirrors(image, &user) {
				t.Error("the sweep does not notice another user")
			}
		})
	}
}

// imageOfWhole returns the texts of a user, in full.
func imageOfWhole(user calcom.User) []any {
	return []any{
		user.Email.Reveal(), user.Username.Reveal(), user.Name.Reveal(), user.Bio.Reveal(), user.Locale,
		user.AvatarURL.Reveal(), user.Metadata.Reveal(),
	}
}

// A mirror of a small user is not what is held of a large one, in either direction.
func TestMirrorsNoticesBounds(t *testing.T) {
	for field, user := range large() {
		small := calcom.User{}
		mu := &v1alpha1.ManagedUser{}
		Mirror(mu, small)
		if Mirrors(mu.Status.User, &user) {
			t.Errorf("%s: that it became large is not noticed", field)
		}
		Mirror(mu, user)
		if Mirrors(mu.Status.User, &small) {
			t.Errorf("%s: that it became small is not noticed", field)
		}
	}
}

// The spec is compared with what Cal.com has, and not with what the status holds.
func TestDiffIgnoresBounds(t *testing.T) {
	bio := strings.Repeat("x", maxMirroredBio+1)
	user := calcom.User{Bio: calcom.Hide(&bio)}
	mu := &v1alpha1.ManagedUser{Spec: v1alpha1.ManagedUserSpec{Bio: new(shorten(bio, maxMirroredBio))}}
	Mirror(mu, user)
	if d := Diff(mu, user, Mark{}); !cmp.Equal(d.Fields, []string{"bio", "metadata"}) {
		t.Errorf("the fields that differ are %v", d.Fields)
	}
}
