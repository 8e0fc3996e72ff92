// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package importer

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
)

const clientID = "cltestclient0000000000001"

// usual is a user as Cal.com makes one of an address and nothing else.
func usual(changes ...func(*calcom.User)) calcom.User {
	user := calcom.User{
		ClientID: clientID, ID: 742, Email: calcom.Hide("alice+" + clientID + "@example.com"),
		TimeZone: "Europe/London", WeekStart: "Sunday", TimeFormat: new(int32(12)), CreatedDate: "2026-11-23T08:49:59.791Z",
	}
	for _, change := range changes {
		change(&user)
	}
	return user
}

func email(plain string) func(*calcom.User) {
	return func(u *calcom.User) { u.Email = calcom.Hide(calcom.StoredEmail(plain, clientID)) }
}

func metadata(text string) func(*calcom.User) {
	return func(u *calcom.User) {
		var m calcom.Metadata
		if err := json.Unmarshal([]byte(text), &m); err != nil {
			panic(err)
		}
		u.Metadata = calcom.Hide(m)
	}
}

func TestConvert(t *testing.T) {
	long := strings.Repeat("x", 20001)
	for name, tc := range map[string]struct {
		user    calcom.User
		want    v1alpha1.ManagedUserSpec
		leftOut []string
	}{
		"NothingButDefaults": {user: usual()},
		"Everything": {
			user: usual(func(u *calcom.User) {
				u.Name, u.Bio, u.AvatarURL = calcom.Hide(new("Alicia Ω")), calcom.Hide(new("")), calcom.Hide(new("https://example.com/a.png"))
				u.TimeZone, u.WeekStart, u.TimeFormat, u.Locale = "America/Port-au-prince", "Monday", new(int32(24)), new("pt-BR")
			}, metadata(`{"plan":"gold","note":"","kubernetesOther":"x"}`)),
			want: v1alpha1.ManagedUserSpec{
				Name: "Alicia Ω", Bio: new(""), AvatarURL: "https://example.com/a.png", TimeZone: "America/Port-au-Prince", WeekStart: "Monday",
				TimeFormat: 24, Locale: "pt-BR", Metadata: map[string]string{"plan": "gold", "note": "", "kubernetesOther": "x"},
			},
		},
		"WhatNoManifestCanHave": {
			user: usual(func(u *calcom.User) {
				u.Name, u.Bio, u.AvatarURL = calcom.Hide(&long), calcom.Hide(&long), calcom.Hide(new("/api/avatar/x.png"))
				u.TimeZone, u.WeekStart, u.TimeFormat, u.Locale = "Mars/Olympus", "Someday", new(int32(0)), new("tlh")
			}, metadata(`{"seats":3,"beta":true,"`+strings.Repeat("k", 41)+`":"v","long":"`+strings.Repeat("é", 501)+`","gone":null}`)),
			leftOut: []string{
				"name", "timeZone", "weekStart", "locale", "avatarURL", "bio",
				"metadata.beta", "metadata.gone", "metadata." + strings.Repeat("k", 41), "metadata.long", "metadata.seats",
			},
		},
		"WhatKustomizeCannotWrite": {
			user: usual(func(u *calcom.User) {
				u.Name, u.Bio, u.AvatarURL = calcom.Hide(new("O\u0092Brien")), calcom.Hide(new("a\u0085b")), calcom.Hide(new("https://example.com/\u009f"))
			}, metadata(`{"quote":"it\u0092s","\u0080":"v"}`)),
			leftOut: []string{"name", "avatarURL", "bio", "metadata.quote", "metadata.\u0080"},
		},
		"KeysThatAreNotStored": {
			user: usual(metadata(`{"constructor":"v","toString":"v","__proto__":"v","plan":"gold"}`)),
			want: v1alpha1.ManagedUserSpec{Metadata: map[string]string{"plan": "gold"}}, leftOut: []string{"metadata.__proto__", "metadata.constructor", "metadata.toString"},
		},
		"NoTimeFormat":  {user: usual(func(u *calcom.User) { u.TimeFormat = nil })},
		"EmptyName":     {user: usual(func(u *calcom.User) { u.Name = calcom.Hide(new("")) })},
		"InternalKeys":  {user: usual(metadata(`{"isPremium":true,"sessionTimeout":5,"kubernetesOwner":"a/b/c/d"}`))},
		"LongestValues": {user: usual(metadata(`{"` + strings.Repeat("k", 40) + `":"` + strings.Repeat("é", 500) + `"}`)), want: v1alpha1.ManagedUserSpec{Metadata: map[string]string{strings.Repeat("k", 40): strings.Repeat("é", 500)}}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Convert(tc.user)
			if err != nil {
				t.Fatal(err)
			}
			tc.want.Email, tc.want.UserID, tc.want.DeletionPolicy = "alice@example.com", 742, v1alpha1.DeletionPolicyOrphan
			if d := cmp.Diff(Converted{Spec: tc.want, LeftOut: tc.leftOut}, got); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
		})
	}
}

func TestConvertManyKeys(t *testing.T) {
	all := make(map[string]string)
	for i := range 50 {
		all[fmt.Sprintf("key%02d", i)] = "v"
	}
	text, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Convert(usual(metadata(string(text))))
	want := []string{"metadata.key45", "metadata.key46", "metadata.key47", "metadata.key48", "metadata.key49"}
	if err != nil || len(got.Spec.Metadata) != 45 || !slices.Equal(got.LeftOut, want) {
		t.Errorf("%d keys, left out %v, %v", len(got.Spec.Metadata), got.LeftOut, err)
	}
}

// A user that a manifest would change gets none, and the reason does not show who it is.
func TestConvertRefuses(t *testing.T) {
	for words, user := range map[string]calcom.User{
		"capitals":            usual(email("Alice@example.com")),
		"longer":              usual(email(strings.Repeat("a", 39) + "@example.com")),
		"longer than":         usual(email("alice@" + strings.Repeat("abcdefgh.", 30) + "example")),
		"none that":           usual(email("alice@localhost")),
		"client":              usual(email("x" + clientID + "y@example.com")),
		"nested values":       usual(metadata(`{"defaultConferencingApp":{"appSlug":"zoom"},"plan":"gold"}`)),
		"list, list2":         usual(metadata(`{"list":[1], "list2": [] }`)),
		"its id is above 214": usual(func(u *calcom.User) { u.ID = 1 << 31 }),
	} {
		got, err := Convert(user)
		if err == nil || words != "client" && !strings.Contains(err.Error(), words) || strings.Contains(err.Error(), "@example") {
			t.Errorf("%s: %v, %+v", words, err, got)
		}
	}
}

// What is copied here from the custom resource is what stands there.
func TestRulesAreThoseOfTheCRD(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "config", "crd", "bases", "platform.cal.com_managedusers.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	type property struct {
		Enum        []any
		MaxLength   int
		Maximum     int64
		MaxProps    int                     `json:"maxProperties"`
		Validations []struct{ Rule string } `json:"x-kubernetes-validations"`
	}
	var crd struct {
		Spec struct {
			Versions []struct {
				Schema struct {
					Schema struct {
						Properties struct {
							Spec struct{ Properties map[string]property }
						}
					} `json:"openAPIV3Schema"`
				}
			}
		}
	}
	if err := yaml.Unmarshal(text, &crd); err != nil {
		t.Fatal(err)
	}
	spec := crd.Spec.Versions[0].Schema.Schema.Properties.Spec.Properties
	list := func(p property) []string {
		var all []string
		for _, value := range p.Enum {
			all = append(all, fmt.Sprint(value))
		}
		return all
	}
	if d := cmp.Diff(list(spec["locale"]), locales); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(list(spec["weekStart"]), weekDays); d != "" {
		t.Error(d)
	}
	got := []int64{
		spec["userID"].Maximum, int64(spec["email"].MaxLength), int64(spec["name"].MaxLength), int64(spec["bio"].MaxLength), int64(spec["avatarURL"].MaxLength),
		int64(spec["metadata"].MaxProps),
	}
	if want := []int64{maxID, maxEmail, maxName, maxBio, maxURL, maxMetadata}; !slices.Equal(got, want) {
		t.Errorf("the custom resource has the limits %v, want %v", got, want)
	}
	rules := func(name string) string {
		var all []string
		for _, validation := range spec[name].Validations {
			all = append(all, validation.Rule)
		}
		return strings.ReplaceAll(strings.Join(all, "\n"), `\\x`, `\x`)
	}
	wanted := map[string][]string{
		"email":    {address.String(), fmt.Sprintf("<= %d", maxLocalBytes)},
		"metadata": append([]string{fmt.Sprintf("size(k) <= %d", maxMetadataKey), fmt.Sprintf("size(self[k]) <= %d", maxMetadataValue)}, internalKeys...),
	}
	for field, texts := range wanted {
		for _, text := range texts {
			if !strings.Contains(rules(field), text) {
				t.Errorf("the rules of %s do not say %s:\n%s", field, text, rules(field))
			}
		}
	}
}
