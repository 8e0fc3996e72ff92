// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"testing"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
)

// Users whose objects write one server's URL in different ways share one way to Cal.com; those of different servers do
// not.
func TestClientKeyOfEachSpelling(t *testing.T) {
	key := func(apiURL string) remoteKey {
		mu := &v1alpha1.ManagedUser{}
		mu.Namespace = "team"
		mu.Spec.OAuthClient = &v1alpha1.OAuthClientCredentials{
			ID: "cid", APIURL: apiURL, SecretKeyRef: v1alpha1.SecretKeyReference{Name: "calcom", Key: "secretKey"},
		}
		return clientKey(mu)
	}
	for apiURL, same := range map[string]bool{
		"": true, "https://api.cal.com": true, "HTTPS://API.cal.com.:0443//%76%32/": true, "https://api.cal.com/a/../v2": true,
		"http://api.cal.com": false, "https://api.cal.com:8443": false, "https://api.cal.com/V2": false, "https://127.1": false,
	} {
		if (key(apiURL) == key("")) != same || sameURL(apiURL, "") != same {
			t.Errorf("%q is the hosted API: want %t", apiURL, same)
		}
	}
}
