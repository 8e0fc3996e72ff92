// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"net/http"
	"testing"
)

// The account of a call has the API URL in its canonical form, with what is encoded in it.
func TestAccountOfACall(t *testing.T) {
	for _, base := range []string{"https://api.cal.com/v2", "https://x.org/a%2Fb/v2", "https://x.org/a%20b/v2", "http://[::1]:5555/v2", "http://[fe80::1%25eth0]/v2"} {
		for method, path := range map[string]string{http.MethodGet: "/oauth-clients/cid/users/7", http.MethodPost: "/oauth/cid/refresh"} {
			r, err := http.NewRequestWithContext(t.Context(), method, base+path, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("x-cal-client-id", "cid")
			q, err := parse(r)
			if want := (Account{APIURL: base, ClientID: "cid"}); err != nil || q.account != want {
				t.Errorf("%s %s is of %+v, %v, want %+v", method, path, q.account, err, want)
			}
		}
	}
}
