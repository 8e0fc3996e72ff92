// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package calcomtest_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

// A test makes a server with calcomtest.New(t) and gives server.URL() to the
// code under test. This example has no *testing.T and serves the handler itself.
func Example() {
	api := calcomtest.NewHandler(calcomtest.Options{})
	defer api.Close()
	server := httptest.NewServer(api)
	defer server.Close()
	client := calcomtest.DefaultClient()

	// The first create gets lost on its way back: the user exists all the same.
	api.Inject(calcomtest.Fault{Op: calcomtest.OpCreate, Cut: true, After: true})
	for range 2 {
		req, err := http.NewRequestWithContext(context.Background(), http.MethodPost,
			server.URL+"/v2/oauth-clients/"+client.ID+"/users",
			strings.NewReader(`{"email": "alice@example.com", "name": "Alice", "timeZone": "Europe/Rome"}`))
		if err != nil {
			fmt.Println(err)
			return
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("x-cal-client-id", client.ID)
		req.Header.Set("x-cal-secret-key", client.Secret)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			fmt.Println("no answer")
			continue
		}
		_ = resp.Body.Close()
		fmt.Println(resp.Status)
	}

	for _, u := range api.Users(client.ID) {
		fmt.Println(u.ID, u.Email, u.TimeZone)
	}
	for _, c := range api.CallsOf(calcomtest.OpCreate) {
		fmt.Println(c.Method, c.Status, c.Effect)
	}
	// Output:
	// no answer
	// 409 Conflict
	// 1 alice+cltestclient0000000000001@example.com Europe/Rome
	// POST 0 true
	// POST 409 false
}
