// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package metricsauth

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	authenticationclient "k8s.io/client-go/kubernetes/typed/authentication/v1"
	authorizationclient "k8s.io/client-go/kubernetes/typed/authorization/v1"
	testclock "k8s.io/utils/clock/testing"
)

// gate is a filter before an API server that knows one token.
type gate struct {
	*testing.T

	handler http.Handler
	clock   *testclock.FakeClock
	allowed bool
	mu      sync.Mutex
	asked   []runtime.Object
	// fails lets the reviews of a kind fail.
	fails string
	// during is called while a token is reviewed.
	during func()
	log    strings.Builder
}

func newGate(t *testing.T) *gate {
	t.Helper()
	g := &gate{T: t, clock: testclock.NewFakeClock(time.Unix(1_000_000_000, 0)), allowed: true}
	f := newFilter(tokens{gate: g}, access{gate: g}, g.clock)
	log := funcr.New(func(_, args string) { g.log.WriteString(args) }, funcr.Options{})
	g.handler = f.wrap(log, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	return g
}

// tokens and access are the API server's reviews.
type tokens struct {
	authenticationclient.TokenReviewInterface

	gate *gate
}

func (t tokens) Create(_ context.Context, review *authenticationv1.TokenReview, _ metav1.CreateOptions) (*authenticationv1.TokenReview, error) {
	if err := t.gate.ask("tokenreviews", review); err != nil {
		return nil, err
	}
	if t.gate.during != nil {
		t.gate.during()
	}
	answer := review.DeepCopy()
	if review.Spec.Token == "good" {
		answer.Status = authenticationv1.TokenReviewStatus{Authenticated: true, User: authenticationv1.UserInfo{
			Username: "prometheus", UID: "7", Groups: []string{"a", "b"}, Extra: map[string]authenticationv1.ExtraValue{"k": {"v", "w"}},
		}}
	}
	return answer, nil
}

type access struct {
	authorizationclient.SubjectAccessReviewInterface

	gate *gate
}

func (a access) Create(_ context.Context, review *authorizationv1.SubjectAccessReview, _ metav1.CreateOptions) (*authorizationv1.SubjectAccessReview, error) {
	if err := a.gate.ask("subjectaccessreviews", review); err != nil {
		return nil, err
	}
	answer := review.DeepCopy()
	answer.Status.Allowed = a.gate.allowed
	return answer, nil
}

func (g *gate) ask(resource string, review runtime.Object) error {
	if g.fails == resource {
		return errors.New("etcdserver: leader changed")
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.asked = append(g.asked, review)
	return nil
}

// get returns the status of a request; 418 is that of the handler behind the filter.
func (g *gate) get(authorization string) int {
	g.Helper()
	request := httptest.NewRequestWithContext(g.Context(), http.MethodGet, "/metrics", http.NoBody)
	if authorization != "" {
		request.Header.Set("Authorization", authorization)
	}
	recorded := httptest.NewRecorder()
	g.handler.ServeHTTP(recorded, request)
	return recorded.Code
}

func TestDecisions(t *testing.T) {
	cases := map[string]struct {
		authorization string
		prepare       func(*gate)
		status, asked int
	}{
		"Allowed":           {"Bearer good", func(*gate) {}, http.StatusTeapot, 2},
		"NoHeader":          {"", func(*gate) {}, http.StatusUnauthorized, 0},
		"EmptyToken":        {"Bearer  ", func(*gate) {}, http.StatusUnauthorized, 0},
		"AnotherScheme":     {"Basic good", func(*gate) {}, http.StatusUnauthorized, 0},
		"UnknownToken":      {"Bearer bad", func(*gate) {}, http.StatusUnauthorized, 1},
		"NotAllowed":        {"Bearer good", func(g *gate) { g.allowed = false }, http.StatusForbidden, 2},
		"NoTokenReview":     {"Bearer good", func(g *gate) { g.fails = "tokenreviews" }, http.StatusInternalServerError, 0},
		"NoAccessReview":    {"Bearer good", func(g *gate) { g.fails = "subjectaccessreviews" }, http.StatusInternalServerError, 1},
		"CaseOfScheme":      {"bearer good", func(*gate) {}, http.StatusTeapot, 2},
		"SpaceAfterTheName": {"Bearer   good ", func(*gate) {}, http.StatusTeapot, 2},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			g := newGate(t)
			tc.prepare(g)
			if status := g.get(tc.authorization); status != tc.status || len(g.asked) != tc.asked {
				t.Errorf("status %d after %d questions, want %d after %d", status, len(g.asked), tc.status, tc.asked)
			}
			if failed := tc.status == http.StatusInternalServerError; failed != (g.log.Len() > 0) || strings.Contains(g.log.String(), "good") {
				t.Errorf("the log has %q", g.log.String())
			}
		})
	}
}

// The API server is asked about the whole identity, and about just what is requested.
func TestQuestion(t *testing.T) {
	g := newGate(t)
	g.get("Bearer good")
	want := authorizationv1.SubjectAccessReviewSpec{
		User: "prometheus", UID: "7", Groups: []string{"a", "b"}, Extra: map[string]authorizationv1.ExtraValue{"k": {"v", "w"}},
		NonResourceAttributes: &authorizationv1.NonResourceAttributes{Path: "/metrics", Verb: "get"},
	}
	review, ok := g.asked[1].(*authorizationv1.SubjectAccessReview)
	if !ok {
		t.Fatalf("asked %T", g.asked[1])
	}
	if d := cmp.Diff(want, review.Spec); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// An answer holds for a while, a failure not at all.
func TestAnswersAreRemembered(t *testing.T) {
	g := newGate(t)
	for _, step := range []struct {
		after   time.Duration
		allowed bool
		token   string
		status  int
		asked   int
	}{
		{0, true, "good", http.StatusTeapot, 2},
		{allowedFor - time.Second, false, "good", http.StatusTeapot, 2},
		{2 * time.Second, false, "good", http.StatusForbidden, 4},
		{deniedFor - time.Second, true, "good", http.StatusForbidden, 4},
		{2 * time.Second, true, "good", http.StatusTeapot, 6},
		{0, true, "bad", http.StatusUnauthorized, 7},
		{0, true, "bad", http.StatusUnauthorized, 7},
	} {
		g.clock.Step(step.after)
		g.allowed = step.allowed
		if status := g.get("Bearer " + step.token); status != step.status || len(g.asked) != step.asked {
			t.Errorf("%+v: status %d after %d questions", step, status, len(g.asked))
		}
	}
	g.fails = "tokenreviews"
	if status := g.get("Bearer other"); status != http.StatusInternalServerError {
		t.Errorf("status %d", status)
	}
	g.fails = ""
	if status := g.get("Bearer other"); status != http.StatusUnauthorized {
		t.Errorf("status %d after a failure", status)
	}
}
