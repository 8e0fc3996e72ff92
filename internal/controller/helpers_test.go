// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"encoding/json"
	"net/http"
	"time"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
	"github.com/calcom-operator/calcom-operator/internal/manageduser"
)

const pureClientID = "cid"

var pureMark = manageduser.Mark{OwnerID: "cluster", Namespace: "ns", Name: "alice", UID: "u1"}

func metadataOf(keysAndValues ...string) calcom.Hidden[calcom.Metadata] {
	m := calcom.Metadata{}
	for i := 0; i < len(keysAndValues); i += 2 {
		m[keysAndValues[i]] = json.RawMessage(keysAndValues[i+1])
	}
	return calcom.Hide(m)
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func pureUser() *v1alpha1.ManagedUser {
	mu := &v1alpha1.ManagedUser{}
	mu.Spec.Email = "alice@example.com"
	mu.Spec.OAuthClient = &v1alpha1.OAuthClientCredentials{ID: pureClientID}
	return mu
}

// pureNow is a time with nothing special about it.
var pureNow = time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)

// standsFor gives an object the finalizer and the user in its status.
func standsFor(mu *v1alpha1.ManagedUser, id int64) {
	mu.Finalizers = []string{v1alpha1.ManagedUserFinalizer}
	mu.Status.OAuthClientID = pureClientID
	mu.Status.User = &v1alpha1.CalcomUser{ID: id, Email: "alice+cid@example.com"}
}
