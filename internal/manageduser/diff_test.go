// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package manageduser

import (
	"errors"
	"io"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
)

func TestDiff(t *testing.T) {
	type (
		spec = v1alpha1.ManagedUserSpec
		user = calcom.User
	)
	cases := map[string]struct {
		spec    func(*spec)
		user    func(*user)
		update  string
		fields  []string
		blocked []string
	}{
		"NothingSet":       {func(*spec) {}, func(*user) {}, `{}`, nil, nil},
		"NothingSetAllSet": {func(*spec) {}, func(u *user) { *u = everything() }, `{}`, nil, nil},

		"Email":                   {func(s *spec) { s.Email = "bob@example.com" }, func(*user) {}, `{"email":"bob@example.com"}`, []string{"email"}, nil},
		"EmailWithoutSuffix":      {func(*spec) {}, func(u *user) { u.Email = calcom.Hide("alice@example.com") }, `{}`, nil, nil},
		"EmailWithTwoSuffixes":    {func(*spec) {}, func(u *user) { u.Email = calcom.Hide("alice+cid+cid@example.com") }, `{"email":"alice@example.com"}`, []string{"email"}, nil},
		"EmailInOtherCase":        {func(*spec) {}, func(u *user) { u.Email = calcom.Hide("Alice+cid@example.com") }, `{"email":"alice@example.com"}`, []string{"email"}, nil},
		"EmailWithTag":            {func(s *spec) { s.Email = "alice+t@example.com" }, func(u *user) { u.Email = calcom.Hide("alice+t+cid@example.com") }, `{}`, nil, nil},
		"EmailDespiteCreateOnly":  {func(s *spec) { s.Email = "bob@example.com"; s.CreateOnly = allFields() }, func(*user) {}, `{"email":"bob@example.com"}`, []string{"email"}, nil},
		"EmptyEmailOnTheirSide":   {func(*spec) {}, func(u *user) { u.Email = calcom.Hide("") }, `{"email":"alice@example.com"}`, []string{"email"}, nil},
		"Name":                    {func(s *spec) { s.Name = "A" }, func(u *user) { u.Name = calcom.Hide(new("B")) }, `{"name":"A"}`, []string{"name"}, nil},
		"NameNull":                {func(s *spec) { s.Name = "A" }, func(*user) {}, `{"name":"A"}`, []string{"name"}, nil},
		"NameSame":                {func(s *spec) { s.Name = "A" }, func(u *user) { u.Name = calcom.Hide(new("A")) }, `{}`, nil, nil},
		"NameInOtherCase":         {func(s *spec) { s.Name = "a" }, func(u *user) { u.Name = calcom.Hide(new("A")) }, `{"name":"a"}`, []string{"name"}, nil},
		"TimeZone":                {func(s *spec) { s.TimeZone = "Europe/Rome" }, func(u *user) { u.TimeZone = "Europe/Paris" }, `{"timeZone":"Europe/Rome"}`, []string{"timeZone"}, nil},
		"TimeZoneInTheirSpelling": {func(s *spec) { s.TimeZone = "America/Port-au-Prince" }, func(u *user) { u.TimeZone = "America/Port-au-prince" }, `{}`, nil, nil},
		"TimeZoneEmpty":           {func(s *spec) { s.TimeZone = "UTC" }, func(u *user) { u.TimeZone = "" }, `{"timeZone":"UTC"}`, []string{"timeZone"}, nil},
		"WeekStart":               {func(s *spec) { s.WeekStart = "Monday" }, func(u *user) { u.WeekStart = "Sunday" }, `{"weekStart":"Monday"}`, []string{"weekStart"}, nil},
		"TimeFormat":              {func(s *spec) { s.TimeFormat = 24 }, func(u *user) { u.TimeFormat = new(int32(12)) }, `{"timeFormat":24}`, []string{"timeFormat"}, nil},
		"TimeFormatNull":          {func(s *spec) { s.TimeFormat = 24 }, func(*user) {}, `{"timeFormat":24}`, []string{"timeFormat"}, nil},
		"TimeFormatSame":          {func(s *spec) { s.TimeFormat = 24 }, func(u *user) { u.TimeFormat = new(int32(24)) }, `{}`, nil, nil},
		"Locale":                  {func(s *spec) { s.Locale = "de" }, func(u *user) { u.Locale = new("en") }, `{"locale":"de"}`, []string{"locale"}, nil},
		"LocaleNull":              {func(s *spec) { s.Locale = "de" }, func(*user) {}, `{"locale":"de"}`, []string{"locale"}, nil},
		"Bio":                     {func(s *spec) { s.Bio = new("A") }, func(u *user) { u.Bio = calcom.Hide(new("B")) }, `{"bio":"A"}`, []string{"bio"}, nil},
		"BioEmptied":              {func(s *spec) { s.Bio = new("") }, func(u *user) { u.Bio = calcom.Hide(new("B")) }, `{"bio":""}`, []string{"bio"}, nil},
		"BioEmptyOverNull":        {func(s *spec) { s.Bio = new("") }, func(*user) {}, `{"bio":""}`, []string{"bio"}, nil},
		"BioEmptyAlready":         {func(s *spec) { s.Bio = new("") }, func(u *user) { u.Bio = calcom.Hide(new("")) }, `{}`, nil, nil},
		"BioLeftAlone":            {func(*spec) {}, func(u *user) { u.Bio = calcom.Hide(new("B")) }, `{}`, nil, nil},
		"AvatarURL":               {func(s *spec) { s.AvatarURL = "https://a.b" }, func(*user) {}, `{"avatarUrl":"https://a.b"}`, []string{"avatarURL"}, nil},
		"AllInTheOrderOfTheSpec": {
			func(s *spec) { fill(s) }, func(u *user) { u.Email = calcom.Hide("bob+cid@example.com") },
			`{"email":"alice@example.com","name":"A","timeZone":"UTC","weekStart":"Monday","timeFormat":24,"locale":"de","bio":"","avatarUrl":"https://a.b",` +
				`"metadata":{"k":"v","kubernetesOwner":"cluster/ns/alice/u1"}}`,
			[]string{"email", "name", "timeZone", "weekStart", "timeFormat", "locale", "bio", "avatarURL", "metadata"}, nil,
		},
		"AllCreateOnly": {func(s *spec) { fill(s); s.CreateOnly = allFields() }, func(*user) {}, `{}`, nil, nil},

		"MetadataAdded":          {func(s *spec) { s.Metadata = map[string]string{"k": "v"} }, func(*user) {}, `{"metadata":{"k":"v","kubernetesOwner":"cluster/ns/alice/u1"}}`, []string{"metadata"}, nil},
		"MetadataSame":           {func(s *spec) { s.Metadata = map[string]string{"k": "v"} }, func(u *user) { u.Metadata = withMark("k", `"v"`, "x", `1`) }, `{}`, nil, nil},
		"MetadataSameSpelt":      {func(s *spec) { s.Metadata = map[string]string{"k": "<ü>"} }, func(u *user) { u.Metadata = withMark("k", ` "\u003c\u00FC>"`) }, `{}`, nil, nil},
		"MetadataEmptyValue":     {func(s *spec) { s.Metadata = map[string]string{"k": ""} }, func(*user) {}, `{"metadata":{"k":"","kubernetesOwner":"cluster/ns/alice/u1"}}`, []string{"metadata"}, nil},
		"MetadataTypeAware":      {func(s *spec) { s.Metadata = map[string]string{"k": "1"} }, func(u *user) { u.Metadata = withMark("k", `1`) }, `{"metadata":{"k":"1","kubernetesOwner":"cluster/ns/alice/u1"}}`, []string{"metadata"}, nil},
		"MetadataTrueIsNoString": {func(s *spec) { s.Metadata = map[string]string{"k": "true"} }, func(u *user) { u.Metadata = withMark("k", `true`) }, `{"metadata":{"k":"true","kubernetesOwner":"cluster/ns/alice/u1"}}`, []string{"metadata"}, nil},
		"ForeignScalarsStayRaw": {
			func(s *spec) { s.Metadata = map[string]string{"k": "v"} },
			func(u *user) {
				u.Metadata = withMark("b", `false`, "f", `1.50`, "n", `12345678901234567890`, "s", `"x"`, "e", `""`)
			},
			`{"metadata":{"b":false,"e":"","f":1.50,"k":"v","kubernetesOwner":"cluster/ns/alice/u1","n":12345678901234567890,"s":"x"}}`, []string{"metadata"}, nil,
		},
		"ForeignNullIsDropped":     {func(s *spec) { s.Metadata = map[string]string{"k": "v"} }, func(u *user) { u.Metadata = withMark("x", ` null `) }, `{"metadata":{"k":"v","kubernetesOwner":"cluster/ns/alice/u1"}}`, []string{"metadata"}, nil},
		"ForeignNestedBlocks":      {func(s *spec) { s.Metadata = map[string]string{"k": "v"} }, func(u *user) { u.Metadata = withMark("z", ` {"a":1}`, "b", `[]`, "s", `"x"`) }, `{}`, nil, []string{"b", "z"}},
		"ForeignNestedOtherFields": {func(s *spec) { s.Name = "A"; s.Metadata = map[string]string{"k": "v"} }, func(u *user) { u.Metadata = withMark("z", `{}`) }, `{"name":"A"}`, []string{"name"}, []string{"z"}},
		"ForeignNestedInSync":      {func(s *spec) { s.Metadata = map[string]string{"k": "v"} }, func(u *user) { u.Metadata = withMark("k", `"v"`, "z", `{"a":1}`) }, `{}`, nil, nil},
		"OwnNestedIsReplaced":      {func(s *spec) { s.Metadata = map[string]string{"k": "v"} }, func(u *user) { u.Metadata = withMark("k", `{"a":1}`) }, `{"metadata":{"k":"v","kubernetesOwner":"cluster/ns/alice/u1"}}`, []string{"metadata"}, nil},
		"RemovedKeyStays":          {func(*spec) {}, func(u *user) { u.Metadata = withMark("k", `"v"`) }, `{}`, nil, nil},
		"MarkMissing":              {func(*spec) {}, func(u *user) { u.Metadata = metadataOf("x", `1`) }, `{"metadata":{"kubernetesOwner":"cluster/ns/alice/u1","x":1}}`, []string{"metadata"}, nil},
		"MetadataMissing":          {func(*spec) {}, func(u *user) { u.Metadata = calcom.Hide[calcom.Metadata](nil) }, `{"metadata":{"kubernetesOwner":"cluster/ns/alice/u1"}}`, []string{"metadata"}, nil},
		"MarkOfAPredecessor":       {func(*spec) {}, func(u *user) { u.Metadata = metadataOf(v1alpha1.OwnerMetadataKey, `"cluster/ns/alice/u0"`) }, `{"metadata":{"kubernetesOwner":"cluster/ns/alice/u1"}}`, []string{"metadata"}, nil},
		"MarkNested":               {func(*spec) {}, func(u *user) { u.Metadata = metadataOf(v1alpha1.OwnerMetadataKey, `{"a":1}`) }, `{"metadata":{"kubernetesOwner":"cluster/ns/alice/u1"}}`, []string{"metadata"}, nil},
		"CreateOnlyKeepsTheMark": {
			func(s *spec) {
				s.Metadata = map[string]string{"k": "v"}
				s.CreateOnly = []v1alpha1.SpecField{v1alpha1.FieldMetadata}
			},
			func(u *user) { u.Metadata = metadataOf("k", `"theirs"`) }, `{"metadata":{"k":"theirs","kubernetesOwner":"cluster/ns/alice/u1"}}`, []string{"metadata"}, nil,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			mu := pureUser()
			tc.spec(&mu.Spec)
			was := mu.DeepCopy()
			have := calcom.User{ID: 7, ClientID: pureClientID, Email: calcom.Hide("alice+cid@example.com"), TimeZone: "Europe/London", WeekStart: "Sunday", Metadata: withMark()}
			tc.user(&have)
			d := Diff(mu, have, pureMark)
			if x := cmp.Diff(tc.update, sentUpdate(t, d.Update)); x != "" {
				t.Errorf("update (-want +got):\n%s", x)
			}
			if x := cmp.Diff(tc.fields, d.Fields); x != "" {
				t.Errorf("fields (-want +got):\n%s", x)
			}
			if x := cmp.Diff(tc.blocked, d.blocked); x != "" {
				t.Errorf("blocked (-want +got):\n%s", x)
			}
			if d.Empty() != (tc.update == `{}`) {
				t.Errorf("empty is %t for %s", d.Empty(), tc.update)
			}
			if x := cmp.Diff(was, mu); x != "" {
				t.Errorf("the object changed:\n%s", x)
			}
		})
	}
}

// sentUpdate returns the body of an update call as it goes to the server.
func sentUpdate(t *testing.T, update calcom.UserFields) string {
	t.Helper()
	var body []byte
	cal, err := calcom.New(calcom.Config{
		BaseURL: "https://api.cal.com", ClientID: pureClientID, SecretKey: calcom.Hide("k"),
		Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			body, _ = io.ReadAll(r.Body)
			return nil, errors.New("seen enough")
		}),
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cal.UpdateUser(t.Context(), 7, update); body == nil {
		t.Fatalf("nothing was sent: %v", err)
	}
	return string(body)
}

func fill(s *v1alpha1.ManagedUserSpec) {
	s.Name, s.TimeZone, s.WeekStart, s.TimeFormat, s.Locale = "A", "UTC", "Monday", 24, "de"
	s.Bio, s.AvatarURL, s.Metadata = new(""), "https://a.b", map[string]string{"k": "v"}
}

func allFields() []v1alpha1.SpecField {
	return []v1alpha1.SpecField{
		v1alpha1.FieldName, v1alpha1.FieldTimeZone, v1alpha1.FieldWeekStart, v1alpha1.FieldTimeFormat, v1alpha1.FieldLocale,
		v1alpha1.FieldBio, v1alpha1.FieldAvatarURL, v1alpha1.FieldMetadata,
	}
}
