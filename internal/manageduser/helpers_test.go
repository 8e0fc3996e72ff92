// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package manageduser

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/google/go-cmp/cmp"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
)

const pureClientID = "cid"

var pureMark = Mark{OwnerID: "cluster", Namespace: "ns", Name: "alice", UID: "u1"}

const pureMarkJSON = `"cluster/ns/alice/u1"`

func metadataOf(keysAndValues ...string) calcom.Hidden[calcom.Metadata] {
	m := calcom.Metadata{}
	for i := 0; i < len(keysAndValues); i += 2 {
		m[keysAndValues[i]] = json.RawMessage(keysAndValues[i+1])
	}
	return calcom.Hide(m)
}

// withMark is metadataOf with the mark of pureMark in it.
func withMark(keysAndValues ...string) calcom.Hidden[calcom.Metadata] {
	return metadataOf(append(keysAndValues, v1alpha1.OwnerMetadataKey, pureMarkJSON)...)
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func pureUser() *v1alpha1.ManagedUser {
	mu := &v1alpha1.ManagedUser{}
	mu.Spec.Email = "alice@example.com"
	mu.Spec.OAuthClient = &v1alpha1.OAuthClientCredentials{ID: pureClientID}
	return mu
}

func everything() calcom.User {
	return calcom.User{
		ID: 7, ClientID: pureClientID, Email: calcom.Hide("alice+cid@example.com"), Username: calcom.Hide(new("u")), Name: calcom.Hide(new("N")), Bio: calcom.Hide(new("B")), TimeZone: "UTC", WeekStart: "Friday",
		TimeFormat: new(int32(12)), DefaultScheduleID: new(int64(1)), Locale: new("en"), AvatarURL: calcom.Hide(new("https://x.y")), Metadata: withMark("k", `"v"`),
	}
}

var noMetadata calcom.Hidden[calcom.Metadata]

// revealed compares what is hidden by its value.
var revealed = cmp.Transformer("Reveal", calcom.Hidden[string].Reveal)

// pureNow is a time with nothing special about it.
var pureNow = time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)

// standsFor gives an object the finalizer and the user in its status.
func standsFor(mu *v1alpha1.ManagedUser, id int64) {
	mu.Finalizers = []string{v1alpha1.ManagedUserFinalizer}
	mu.Status.OAuthClientID = pureClientID
	mu.Status.User = &v1alpha1.CalcomUser{ID: id, Email: "alice+cid@example.com"}
}
