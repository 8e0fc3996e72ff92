// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package manageduser

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
)

func TestParseMark(t *testing.T) {
	good := Mark{OwnerID: "c", Namespace: "n", Name: "m", UID: "u"}
	for raw, want := range map[string]*Mark{
		`"c/n/m/u"`:   &good,
		`"c\/n/m/u"`:  &good,
		`"///"`:       nil,
		`"c/n/m"`:     nil,
		`"c/n/m/u/x"`: nil,
		`""`:          nil,
		`null`:        nil,
		`7`:           nil,
		`{"c":1}`:     nil,
		`["c/n/m/u"]`: nil,
		`c/n/m/u`:     nil,
		``:            nil,
	} {
		got, ok := parseMark(json.RawMessage(raw))
		if ok != (want != nil) || ok && got != *want {
			t.Errorf("%s was read as %+v, %t", raw, got, ok)
		}
	}
	if got, ok := parseMark(quoted(good.String())); !ok || got != good {
		t.Errorf("what was written was read as %+v, %t", got, ok)
	}
}

func TestOwnershipOf(t *testing.T) {
	cases := map[string]struct {
		metadata calcom.Hidden[calcom.Metadata]
		want     Ownership
	}{
		"NoMetadata":      {noMetadata, Unowned},
		"NoMark":          {metadataOf("k", `"cluster/ns/alice/u1"`), Unowned},
		"Ours":            {withMark(), Ours},
		"Predecessor":     {metadataOf(v1alpha1.OwnerMetadataKey, `"cluster/ns/alice/u0"`), Ours},
		"WithoutUID":      {metadataOf(v1alpha1.OwnerMetadataKey, `"cluster/ns/alice/"`), Ours},
		"OtherCluster":    {metadataOf(v1alpha1.OwnerMetadataKey, `"other/ns/alice/u1"`), Foreign},
		"OtherNamespace":  {metadataOf(v1alpha1.OwnerMetadataKey, `"cluster/other/alice/u1"`), Foreign},
		"OtherName":       {metadataOf(v1alpha1.OwnerMetadataKey, `"cluster/ns/bob/u1"`), Foreign},
		"OtherCase":       {metadataOf(v1alpha1.OwnerMetadataKey, `"Cluster/ns/alice/u1"`), Foreign},
		"ShiftedSlashes":  {metadataOf(v1alpha1.OwnerMetadataKey, `"cluster/ns/alice/u1/"`), Foreign},
		"Unreadable":      {metadataOf(v1alpha1.OwnerMetadataKey, `{"a":1}`), Foreign},
		"EmptyString":     {metadataOf(v1alpha1.OwnerMetadataKey, `""`), Foreign},
		"KeyInOtherCase":  {metadataOf("KubernetesOwner", pureMarkJSON), Unowned},
		"MarkAmongOthers": {withMark("a", `1`, "z", `{"b":2}`), Ours},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := pureMark.OwnershipOf(calcom.User{Metadata: tc.metadata}); got != tc.want {
				t.Errorf("got %d, want %d", got, tc.want)
			}
		})
	}
}

func TestIntent(t *testing.T) {
	minuteAgo := Intent{Time: pureNow.Add(-time.Minute), Email: calcom.Hide("old@example.com")}
	careful := Intent{Time: pureNow, Email: calcom.Hide("alice@example.com")}
	cases := map[string]struct {
		annotation string
		object     func(*v1alpha1.ManagedUser)
		want       Intent
		counts     time.Duration
	}{
		"None":                  {"", nil, Intent{}, 0},
		"MinuteAgo":             {`{"time":"2026-11-23T07:59:00Z","email":"old@example.com"}`, nil, minuteAgo, time.Minute},
		"OtherZone":             {`{"time":"2026-11-23T08:59:00+01:00","email":"old@example.com"}`, nil, minuteAgo, time.Minute},
		"JustOver":              {`{"time":"2026-11-23T07:58:00Z","email":"old@example.com"}`, nil, Intent{Time: pureNow.Add(-2 * time.Minute), Email: calcom.Hide("old@example.com")}, 0},
		"LongAgo":               {`{"time":"2020-01-01T00:00:00Z","email":"old@example.com"}`, nil, Intent{Time: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), Email: calcom.Hide("old@example.com")}, 0},
		"InTheFuture":           {`{"time":"2026-11-23T09:00:00Z","email":"old@example.com"}`, nil, Intent{Time: pureNow, Email: calcom.Hide("old@example.com")}, 2 * time.Minute},
		"NoTime":                {`{"email":"old@example.com"}`, nil, Intent{Time: pureNow, Email: calcom.Hide("old@example.com")}, 2 * time.Minute},
		"NoJSON":                {"yesterday", nil, careful, 2 * time.Minute},
		"OtherJSON":             {`[1]`, nil, careful, 2 * time.Minute},
		"NoEmail":               {`{"time":"2026-11-23T07:59:00Z"}`, nil, careful, 2 * time.Minute},
		"BrokenTime":            {`{"time":"soon","email":"old@example.com"}`, nil, careful, 2 * time.Minute},
		"BrokenReplaces":        {`{"time":"2020-01-01T00:00:00Z","email":"old@example.com","replaces":"7"}`, nil, careful, 2 * time.Minute},
		"Null":                  {`null`, nil, careful, 2 * time.Minute},
		"Settled":               {`{"time":"2026-11-23T07:59:55Z","email":"old@example.com"}`, func(mu *v1alpha1.ManagedUser) { standsFor(mu, 7) }, Intent{Time: pureNow.Add(-5 * time.Second), Email: calcom.Hide("old@example.com")}, 5 * time.Second},
		"SettledAndOver":        {`{"time":"2026-11-23T07:59:50Z","email":"old@example.com"}`, func(mu *v1alpha1.ManagedUser) { standsFor(mu, 7) }, Intent{Time: pureNow.Add(-10 * time.Second), Email: calcom.Hide("old@example.com")}, 0},
		"ReplacedStillInStatus": {`{"time":"2026-11-23T07:59:00Z","email":"old@example.com","replaces":7}`, func(mu *v1alpha1.ManagedUser) { standsFor(mu, 7) }, Intent{Time: pureNow.Add(-time.Minute), Email: calcom.Hide("old@example.com"), Replaces: 7}, time.Minute},
		"ReplacedBySuccessor":   {`{"time":"2026-11-23T07:59:55Z","email":"old@example.com","replaces":7}`, func(mu *v1alpha1.ManagedUser) { standsFor(mu, 8) }, Intent{Time: pureNow.Add(-5 * time.Second), Email: calcom.Hide("old@example.com"), Replaces: 7}, 5 * time.Second},
		"StatusOfAnotherClient": {
			`{"time":"2026-11-23T07:59:00Z","email":"old@example.com"}`,
			func(mu *v1alpha1.ManagedUser) { standsFor(mu, 7); mu.Status.OAuthClientID = "another" }, minuteAgo, time.Minute,
		},
		"StatusWithoutFinalizer": {
			`{"time":"2026-11-23T07:59:00Z","email":"old@example.com"}`,
			func(mu *v1alpha1.ManagedUser) { standsFor(mu, 7); mu.Finalizers = nil }, minuteAgo, time.Minute,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			mu := pureUser()
			if tc.annotation != "" {
				SetAnnotation(mu, v1alpha1.CreateIntentAnnotation, tc.annotation)
			}
			if tc.object != nil {
				tc.object(mu)
			}
			got, ok := IntentOf(mu, pureNow)
			if ok != (tc.annotation != "") {
				t.Errorf("there is an intent: %t", ok)
			}
			if d := cmp.Diff(tc.want, got, revealed); d != "" {
				t.Errorf("intent (-want +got):\n%s", d)
			}
			if counts := AbsenceCountsIn(mu, UnknownOutcomeGrace, pureNow); counts != tc.counts {
				t.Errorf("absence counts in %v, want %v", counts, tc.counts)
			}
		})
	}
}

func TestAddresses(t *testing.T) {
	record := func(email string) func(*v1alpha1.ManagedUser) {
		return func(mu *v1alpha1.ManagedUser) {
			SetAnnotation(mu, v1alpha1.CreateIntentAnnotation, `{"time":"2026-11-23T07:59:00Z","email":"`+email+`"}`)
		}
	}
	cases := map[string]struct {
		change []func(*v1alpha1.ManagedUser)
		want   []string
	}{
		"SpecAlone":      {nil, []string{"alice@example.com"}},
		"AllTheSame":     {[]func(*v1alpha1.ManagedUser){func(mu *v1alpha1.ManagedUser) { standsFor(mu, 7) }, record("alice@example.com")}, []string{"alice@example.com"}},
		"IntentOfAnEdit": {[]func(*v1alpha1.ManagedUser){record("old@example.com")}, []string{"old@example.com", "alice@example.com"}},
		"AllDifferent": {[]func(*v1alpha1.ManagedUser){
			func(mu *v1alpha1.ManagedUser) { standsFor(mu, 7); mu.Status.User.Email = "bob+cid@example.com" }, record("old@example.com"),
		}, []string{"bob@example.com", "old@example.com", "alice@example.com"}},
		"EmptyStatusEmail": {[]func(*v1alpha1.ManagedUser){func(mu *v1alpha1.ManagedUser) { mu.Status.User = &v1alpha1.CalcomUser{} }}, []string{"alice@example.com"}},
		"UnreadableIntent": {[]func(*v1alpha1.ManagedUser){func(mu *v1alpha1.ManagedUser) { SetAnnotation(mu, v1alpha1.CreateIntentAnnotation, "x") }}, []string{"alice@example.com"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			mu := pureUser()
			for _, change := range tc.change {
				change(mu)
			}
			if d := cmp.Diff(tc.want, addresses(mu, pureNow)); d != "" {
				t.Errorf("addresses (-want +got):\n%s", d)
			}
		})
	}
}

func TestMirror(t *testing.T) {
	cases := map[string]struct {
		was  string // The metadata in the status, as the API server spells it.
		now  calcom.Hidden[calcom.Metadata]
		want string
	}{
		"First":            {"", metadataOf("b", `1`, "a", `"x"`), `{"a":"x","b":1}`},
		"None":             {"", noMetadata, ""},
		"GoneNow":          {`{"a":"x"}`, noMetadata, ""},
		"EmptyIsNotNone":   {"", metadataOf(), `{}`},
		"SameOtherwise":    {`{"b": 1.0, "a":"\u0078"}`, metadataOf("b", `1`, "a", `"x"`), `{"b": 1.0, "a":"\u0078"}`},
		"Changed":          {`{"b": 1, "a":"x"}`, metadataOf("b", `2`, "a", `"x"`), `{"a":"x","b":2}`},
		"OtherType":        {`{"b":"1"}`, metadataOf("b", `1`), `{"b":1}`},
		"BrokenInStatus":   {`{"b":`, metadataOf("b", `1`), `{"b":1}`},
		"NestedInAnyOrder": {`{"o":{"x":1,"y":[true,null]}}`, metadataOf("o", `{"y":[true,null],"x":1}`), `{"o":{"x":1,"y":[true,null]}}`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			mu := pureUser()
			if tc.was != "" {
				mu.Status.User = &v1alpha1.CalcomUser{ID: 6, Metadata: &runtime.RawExtension{Raw: []byte(tc.was)}}
			}
			user := everything()
			user.Metadata = tc.now
			Mirror(mu, user)
			got := ""
			if mu.Status.User.Metadata != nil {
				got = string(mu.Status.User.Metadata.Raw)
			}
			if d := cmp.Diff(tc.want, got); d != "" {
				t.Errorf("metadata (-want +got):\n%s", d)
			}
			mu.Status.User.Metadata = nil
			want := v1alpha1.ManagedUserStatus{OAuthClientID: pureClientID, User: &v1alpha1.CalcomUser{
				ID: 7, Email: "alice+cid@example.com", Username: new("u"), Name: new("N"), Bio: new("B"), TimeZone: "UTC", WeekStart: "Friday",
				TimeFormat: new(int32(12)), DefaultScheduleID: new(int64(1)), Locale: new("en"), AvatarURL: new("https://x.y"),
			}}
			if d := cmp.Diff(want, mu.Status); d != "" {
				t.Errorf("status (-want +got):\n%s", d)
			}
		})
	}
}

// An object that is older than the rule of the CRD makes no call.
func TestCheckSpecOfInheritedKeys(t *testing.T) {
	mu := pureUser()
	mu.Spec.Metadata = map[string]string{"plan": "gold", "toString": "v"}
	if p := checkSpec(mu); p == nil || p.Reason != v1alpha1.ReasonInvalidSpec || !strings.Contains(p.Message, "metadata key toString") {
		t.Errorf("got %v", p)
	}
	delete(mu.Spec.Metadata, "toString")
	if p := checkSpec(mu); p != nil {
		t.Error(p)
	}
}
