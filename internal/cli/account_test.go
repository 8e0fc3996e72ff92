// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/utils/clock"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

// inProcess answers requests without a network, so that time can be false.
type inProcess struct{ http.Handler }

func (p inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	recorder := httptest.NewRecorder()
	if r.Body == nil {
		r.Body = http.NoBody // As a server has it.
	}
	p.ServeHTTP(recorder, r)
	return recorder.Result(), nil
}

func testAccount(t *testing.T, sandbox *calcomtest.Server, share float64) *account {
	t.Helper()
	known := calcomtest.DefaultClient()
	of := oauthClient{credentials: v1alpha1.OAuthClientCredentials{ID: known.ID, APIURL: "http://cal.invalid/v2"}}
	a, err := newAccount(of, calcom.Hide(known.Secret), share, inProcess{sandbox}, clock.RealClock{})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// A command never takes more than its share of the quota, and comes to its end all the same.
func TestAccountKeepsToItsShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sandbox := calcomtest.NewHandler(calcomtest.Options{RateLimit: 100})
		defer sandbox.Close()
		user := sandbox.AddUser(calcomtest.DefaultClient().ID, calcomtest.User{Email: "alice@example.com"})
		a := testAccount(t, sandbox, 0.2)
		var waited time.Duration
		a.waits = func(d time.Duration) { waited += d }
		begin := time.Now()
		for range 50 {
			if _, err := a.user(t.Context(), user.ID); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(begin); took < 2*time.Minute || took > 3*time.Minute || waited == 0 {
			t.Errorf("50 calls with 20 a minute took %v, of which %v were told of", took, waited)
		}
	})
}

// What passes is waited for; what does not is told at once.
func TestAccountRepeats(t *testing.T) {
	for name, tc := range map[string]struct {
		fault calcomtest.Fault
		calls int
		fails bool
	}{
		"Well":         {calls: 1, fault: calcomtest.Fault{Op: calcomtest.OpDelete, Status: http.StatusTeapot}},
		"RateLimited":  {calls: 2, fault: calcomtest.Fault{Status: http.StatusTooManyRequests}},
		"FailsTwice":   {calls: 3, fault: calcomtest.Fault{Status: http.StatusBadGateway, Times: 2}},
		"FailsForever": {calls: attempts, fails: true, fault: calcomtest.Fault{Status: http.StatusBadGateway, Times: -1}},
		"Refused":      {calls: 1, fails: true, fault: calcomtest.Fault{Status: http.StatusUnauthorized}},
		"NotThere":     {calls: 1, fails: true, fault: calcomtest.Fault{Status: http.StatusNotFound}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sandbox := calcomtest.NewHandler(calcomtest.Options{})
				defer sandbox.Close()
				user := sandbox.AddUser(calcomtest.DefaultClient().ID, calcomtest.User{Email: "alice@example.com"})
				sandbox.Inject(tc.fault)
				_, err := testAccount(t, sandbox, 1).user(t.Context(), user.ID)
				if (err != nil) != tc.fails {
					t.Errorf("the call ended with %v", err)
				}
				if n := sandbox.Count(calcomtest.OpGet); n != tc.calls {
					t.Errorf("%d calls, want %d", n, tc.calls)
				}
			})
		})
	}
}

func TestParseClient(t *testing.T) {
	for value, want := range map[string]v1alpha1.OAuthClientReference{
		"acme":                    {Kind: "OAuthClient", Name: "acme"},
		"oauthclient/acme":        {Kind: "OAuthClient", Name: "acme"},
		"ClusterOAuthClient/acme": {Kind: "ClusterOAuthClient", Name: "acme"},
		"calcoauth/acme":          {Kind: "ClusterOAuthClient", Name: "acme"},
		"":                        {},
		"secret/acme":             {},
		"oauthclient/":            {},
	} {
		got, err := parseClient(value)
		if d := cmp.Diff(want, got); d != "" || (err == nil) != (want.Name != "") {
			t.Errorf("parseClient(%q): %v\n%s", value, err, d)
		}
	}
}

// TestOddSecretKey has a value in the Secret that cannot be a secret key. No command makes a call with one.
func TestOddSecretKey(t *testing.T) {
	secret := testSecret()
	secret.Data["secretKey"] = []byte("\ufeffcanary")
	s, _ := testSession(t, nil, secret)
	_, err := s.account(t.Context(), oauthClient{namespace: "team", credentials: v1alpha1.OAuthClientCredentials{
		ID: "x", SecretKeyRef: v1alpha1.SecretKeyReference{Name: "calcom", Key: "secretKey"},
	}})
	if err == nil || !strings.Contains(sentence(err), "byte order mark") || strings.Contains(sentence(err), "canary") ||
		!strings.Contains(sentence(err), "under secretKey of Secret calcom in namespace team") {
		t.Errorf("ends with %v", err)
	}
}
