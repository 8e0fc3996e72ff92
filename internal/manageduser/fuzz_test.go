// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package manageduser

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
	"github.com/calcom-operator/calcom-operator/internal/outcome"
)

// FuzzDiff compares any spec with any user that a server can answer with. What is sent is enough, and does no harm.
func FuzzDiff(f *testing.F) {
	f.Add(`{"email":"alice@example.com","name":"A","metadata":{"k":"v"}}`, `{"id":7,"email":"alice+cid@example.com","metadata":{"x":1,"n":null}}`)
	f.Add(`{"email":"alice@example.com","createOnly":["metadata"],"bio":""}`, `{"metadata":{"kubernetesOwner":{"a":1},"z":[]}}`)
	f.Add(`{"email":"a@b.c","timeZone":"America/Port-au-Prince","timeFormat":12}`, `{"email":"a@b.c","timeZone":"America/Port-au-prince","timeFormat":24}`)
	f.Add(`{"email":""}`, `{"email":"@"}`)
	f.Add(`{"email":"a@b.c","name":"\ud800"}`, `{"name":"\ufffd","locale":null}`)
	f.Add(`{"email":"a@b.c","metadata":{"a":"1"}}`, `{"metadata":{"a":1.0,"A":true,"b":1e999,"c":"\u0000"}}`)
	f.Fuzz(func(t *testing.T, specJSON, userJSON string) {
		mu, user := pureUser(), calcom.User{ClientID: pureClientID}
		if json.Unmarshal([]byte(specJSON), &mu.Spec) != nil || json.Unmarshal([]byte(userJSON), &user) != nil {
			return
		}
		wantGoodDiff(t, mu, user)
	})
}

// FuzzDiffFields is FuzzDiff with fields that need not be found by guessing JSON. The bits of set say which of them
// there are.
func FuzzDiffFields(f *testing.F) {
	f.Add("alice@example.com", "A", "k", "v", "alice+cid@example.com", "B", "k", `"v"`, uint16(0xffff))
	f.Add("alice@example.com", "", "kubernetesOwner", "v", "", "", "kubernetesOwner", `"cluster/ns/bob/u"`, uint16(0x0f0f))
	f.Add("a+t@b.c", "x", "k", "1", "a+t+cid@b.c", "x", "k", `1`, uint16(0xf0f0))
	f.Add("a@b.c", "x", "", "", "a+cid+cid@b.c", "x", "z", ` {"a":[]}`, uint16(0xff))
	f.Fuzz(func(t *testing.T, email, text, key, value, stored, theirs, theirKey, theirValue string, set uint16) {
		has := func(bit int) bool { return set&(1<<bit) != 0 }
		pick := func(bit int, s string) string {
			if has(bit) {
				return s
			}
			return ""
		}
		mu := pureUser()
		spec := &mu.Spec
		spec.Email, spec.Name, spec.TimeZone, spec.Locale, spec.AvatarURL = email, pick(0, text), pick(1, text), pick(2, text), pick(3, text)
		if has(4) {
			spec.Bio = &text
		}
		if has(5) {
			spec.Metadata = map[string]string{key: value, "k": text}
		}
		if has(6) {
			spec.CreateOnly = []v1alpha1.SpecField{v1alpha1.FieldMetadata, v1alpha1.FieldName}
		}
		if has(7) {
			spec.TimeFormat, spec.WeekStart = 24, text
		}
		metadata := calcom.Metadata{theirKey: json.RawMessage(theirValue), "k": quoted(theirs)}
		if !json.Valid([]byte(theirValue)) {
			metadata[theirKey] = quoted(theirValue)
		}
		user := calcom.User{ID: 7, ClientID: pureClientID, Email: calcom.Hide(stored), TimeZone: pick(8, theirs), WeekStart: pick(9, text)}
		if has(10) {
			user.Name, user.Bio, user.Locale = calcom.Hide(&theirs), calcom.Hide(&text), &theirs
		}
		if has(11) {
			user.Metadata = calcom.Hide(metadata)
		}
		wantGoodDiff(t, mu, user)
	})
}

// wantGoodDiff compares a spec with a user and checks what would be sent.
func wantGoodDiff(t *testing.T, mu *v1alpha1.ManagedUser, user calcom.User) {
	t.Helper()
	mu.Spec.OAuthClient = &v1alpha1.OAuthClientCredentials{ID: pureClientID}
	if local, _, ok := strings.Cut(mu.Spec.Email, "@"); mu.Spec.Email != "" && !ok || strings.HasSuffix(local, "+"+pureClientID) {
		return // The CRD refuses these.
	}
	d := Diff(mu, user, pureMark)
	if email := d.Update.Email.Reveal(); email != nil && *email == "" {
		t.Error("an empty address would be sent")
	}
	for _, text := range []*string{d.Update.TimeZone, d.Update.WeekStart, d.Update.Locale, d.Update.AvatarURL.Reveal()} {
		if text != nil && *text == "" {
			t.Error("an empty text would be sent for a field that cannot be empty")
		}
	}
	wantNoKeyLost(t, d, user)
	u := d.Update
	if nothing := u.Email.Reveal() == nil && u.Name.Reveal() == nil && u.Bio.Reveal() == nil && u.AvatarURL.Reveal() == nil &&
		u.Metadata.Reveal() == nil && u.TimeZone == nil && u.WeekStart == nil && u.TimeFormat == nil && u.Locale == nil; nothing != d.Empty() {
		t.Errorf("empty is %t for %v", d.Empty(), d.Fields)
	}
	again := Diff(mu, applied(d.Update, user), pureMark)
	if !again.Empty() || !slices.Equal(again.blocked, d.blocked) {
		t.Errorf("after the update of %v there is another: %v, blocked %v, then %v", d.Fields, again.Fields, d.blocked, again.blocked)
	}
	Mirror(mu, user)
	if metadata := user.Metadata.Reveal(); metadata != nil && !json.Valid(mu.Status.User.Metadata.Raw) {
		t.Errorf("status would hold %q", mu.Status.User.Metadata.Raw)
	}
}

// wantNoKeyLost wants each key of others to stay as it is in a metadata update, but for nulls, which say nothing. While
// one cannot, nothing is to be sent.
func wantNoKeyLost(t *testing.T, d *Difference, user calcom.User) {
	t.Helper()
	sent := d.Update.Metadata.Reveal()
	if sent == nil {
		return
	}
	if len(d.blocked) > 0 {
		t.Errorf("metadata is sent although %q would be lost", d.blocked)
	}
	if string(sent[v1alpha1.OwnerMetadataKey]) != pureMarkJSON {
		t.Errorf("the mark would be %s", sent[v1alpha1.OwnerMetadataKey])
	}
	for key, value := range user.Metadata.Reveal() {
		got, ok := sent[key]
		if value = bytes.TrimSpace(value); !ok && string(value) != "null" {
			t.Errorf("key %q of %s would be lost", key, value)
		}
		if slices.Contains([]byte("{["), append(got, ' ')[0]) {
			t.Errorf("the nested %s would be sent under %q", got, key)
		}
	}
}

// applied is what the server has after an update.
func applied(update calcom.UserFields, user calcom.User) calcom.User {
	if email := update.Email.Reveal(); email != nil {
		user.Email = calcom.Hide(calcom.StoredEmail(*email, pureClientID))
	}
	for to, from := range map[*calcom.Hidden[*string]]calcom.Hidden[*string]{
		&user.Name: update.Name, &user.Bio: update.Bio, &user.AvatarURL: update.AvatarURL,
	} {
		if from.Reveal() != nil {
			*to = from
		}
	}
	if update.TimeZone != nil {
		user.TimeZone = *update.TimeZone
	}
	if update.WeekStart != nil {
		user.WeekStart = *update.WeekStart
	}
	if update.TimeFormat != nil {
		user.TimeFormat = update.TimeFormat
	}
	if update.Locale != nil {
		user.Locale = update.Locale
	}
	if update.Metadata.Reveal() != nil {
		user.Metadata = calcom.Hide(maps.Clone(update.Metadata.Reveal()))
	}
	return user
}

// FuzzMark reads any metadata value as a mark.
func FuzzMark(f *testing.F) {
	for _, seed := range []string{pureMarkJSON, `"cluster/ns/alice/"`, `"///"`, `"cluster/ns/alice@example.com/u"`, `{"a":1}`, `"a/b/c/d/e"`, `null`, `"\u002f/ns/a/"`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		user := calcom.User{ID: 7, Metadata: calcom.Hide(calcom.Metadata{v1alpha1.OwnerMetadataKey: json.RawMessage(raw)})}
		found, ok := parseMark(json.RawMessage(raw))
		var text string
		isText := json.Unmarshal([]byte(raw), &text) == nil
		if ok && found.String() != text {
			t.Errorf("%q is read as %q", text, found)
		}
		want := Foreign
		if isText && strings.HasPrefix(text, "cluster/ns/alice/") && strings.Count(text, "/") == 3 {
			want = Ours
		}
		if got := pureMark.OwnershipOf(user); got != want {
			t.Errorf("%q: ownership is %d, want %d", raw, got, want)
		}
		f := &Facts{Object: pureUser(), Mark: pureMark}
		if message := f.OwnedElsewhere(&user).Error(); strings.ContainsAny(message, "@\n\x00\x1b") || len(message) > 2*outcome.MaxMessage {
			t.Errorf("the message quotes the mark: %q", message)
		}
	})
}

// FuzzIntent reads any annotation as a record of a create call. It can make the operator more careful and never less:
// there is a call, not in the future, with an address to look for.
func FuzzIntent(f *testing.F) {
	f.Add(`{"time":"2026-11-23T07:59:00Z","email":"old@example.com"}`, true)
	f.Add(`{"time":"2026-11-23T07:59:00+25:00","email":"old@example.com","replaces":7}`, false)
	f.Add(`{"time":"9999-12-31T23:59:59Z","email":"x"}`, true)
	f.Add(`{"time":"0001-01-01T00:00:00Z","email":"x","replaces":-1}`, true)
	f.Add(`{"time":null,"email":["x"]}`, true)
	f.Add("", true)
	f.Fuzz(func(t *testing.T, annotation string, known bool) {
		mu := pureUser()
		SetAnnotation(mu, v1alpha1.CreateIntentAnnotation, annotation)
		if known {
			standsFor(mu, 7)
		}
		i, exists, sound := ReadIntent(mu, pureNow)
		if !exists || i.Email.Reveal() == "" || i.Time.IsZero() || i.Time.After(pureNow) {
			t.Errorf("got %+v, exists %t", i, exists)
		}
		wait := AbsenceCountsIn(mu, UnknownOutcomeGrace, pureNow)
		if wait < 0 || wait > UnknownOutcomeGrace || !sound && !i.Settled(mu) && wait != UnknownOutcomeGrace {
			t.Errorf("absence counts in %v, sound %t", wait, sound)
		}
		if !slices.Contains(addresses(mu, pureNow), i.Email.Reveal()) {
			t.Error("the address of the record is not looked for")
		}
		SetAnnotation(mu, v1alpha1.CreateIntentAnnotation, i.Encode())
		again, _, sound := ReadIntent(mu, pureNow)
		if d := gocmp.Diff(i, again, revealed, gocmp.Comparer(time.Time.Equal)); d != "" || !sound {
			t.Errorf("written and read again, sound %t (-want +got):\n%s", sound, d)
		}
	})
}
