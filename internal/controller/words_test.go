// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/go-logr/logr/funcr"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/outcome"
)

// varyingBodies answers each call with an error whose texts differ from one answer to the next: NUMBER in the body is a
// counter.
func varyingBodies(status int, body string) http.RoundTripper {
	var n atomic.Int32
	return roundTrip(func(r *http.Request) (*http.Response, error) {
		number := fmt.Sprint(n.Add(1))
		return &http.Response{
			StatusCode: status, Request: r, Header: http.Header{"X-Request-Id": {number}}, ContentLength: -1,
			Body: io.NopCloser(strings.NewReader(strings.ReplaceAll(body, "NUMBER", number))),
		}, nil
	})
}

// A server whose words vary causes one write, and what it quotes is in no user's conditions.
func TestVaryingWords(t *testing.T) {
	const foreign = `cal_live_canary1 and 0123456789abcdef0123456789abcdef`
	for name, tc := range map[string]struct {
		status int
		body   string
		reason string
		words  string // In the message of Ready.
	}{
		"Unauthorized": {401, `{"error":{"code":"UnauthorizedException","message":"request NUMBER with ` + foreign + `"}}`, "Unauthorized", "(status 401 UnauthorizedException)"},
		"Forbidden":    {403, `{"error":{"code":"ForbiddenException","message":"request NUMBER with ` + foreign + `"}}`, "Forbidden", "(status 403 ForbiddenException)"},
		"Code":         {418, `{"error":{"code":"Teapot_NUMBER","message":"` + foreign + `"}}`, "UnexpectedResponse", "(status 418 Teapot_1)"},
		"CodeOfA401":   {401, `{"error":{"code":"E_NUMBER","message":"` + foreign + `"}}`, "Unauthorized", "(status 401 E_1)"},
		"Rules": {400, `{"error":{"code":"BadRequestException","message":"m","details":{"errors":[{"property":"name","constraints":{"x":"name NUMBER is bad, ` +
			foreign + `"}}]}}}`, "InvalidSpec", "(name 1 is bad, [key] and [key])"},
		"CodeOfA400": {400, `{"error":{"code":"E_NUMBER","message":"` + foreign + `"}}`, "InvalidSpec", "(status 400 E_1)"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStory(t)
			s.config.Transport = varyingBodies(tc.status, tc.body)
			s.restart()
			mu := s.create()
			s.wantMessage(mu, tc.words)
			for range 5 {
				s.writes.take()
				version := mu.ResourceVersion
				s.advance(2 * resync)
				s.reconcile(mu)
				s.reload(mu)
				if mu.ResourceVersion != version {
					t.Fatalf("another answer of the same kind was written, by %v:\n%s", s.writes.take(), show(mu))
				}
			}
			ready := meta.FindStatusCondition(mu.Status.Conditions, v1alpha1.ConditionReady)
			if ready.Reason != tc.reason || strings.Contains(show(mu), "canary") || strings.Contains(show(mu), "abcdef") {
				t.Errorf("conditions:\n%s", show(mu))
			}
		})
	}
}

// A deletion, a Ready user and a user's tokens keep their words too.
func TestVaryingWordsOfAReadyUser(t *testing.T) {
	for name, act := range map[string]func(*story, *v1alpha1.ManagedUser){
		"Change": func(s *story, mu *v1alpha1.ManagedUser) {
			s.edit(mu, func(spec *v1alpha1.ManagedUserSpec) { spec.Name = "Alicia" })
		},
		"Deletion": func(s *story, mu *v1alpha1.ManagedUser) { s.must(s.client.Delete(s.Context(), mu)) },
	} {
		for _, status := range []int{418, 500} {
			t.Run(fmt.Sprint(name, status), func(t *testing.T) {
				s := newStory(t)
				mu := s.create()
				s.config.Transport = varyingBodies(status, `{"error":{"code":"E_NUMBER","message":"request NUMBER"}}`)
				s.restart()
				act(s, mu)
				s.advance(2 * resync)
				s.reconcile(mu)
				version := mu.ResourceVersion
				for range 3 {
					s.advance(2 * resync)
					s.reconcile(mu)
				}
				if mu.ResourceVersion != version {
					t.Errorf("another answer of the same kind was written:\n%s", show(mu))
				}
			})
		}
	}
}

// Who asks for a reconcile, or changes the spec, sees the words of the last answer.
func TestWordsAreRenewedOnRequest(t *testing.T) {
	s := newStory(t)
	s.config.Transport = varyingBodies(400, `{"error":{"code":"E_NUMBER","message":"m"}}`)
	s.restart()
	mu := s.create()
	s.wantMessage(mu, "E_1")
	s.request(mu, "now")
	s.reconcile(mu)
	s.wantMessage(mu, "E_2")
	s.edit(mu, func(spec *v1alpha1.ManagedUserSpec) { spec.Name = "Alicia" })
	s.reconcile(mu)
	s.wantMessage(mu, "E_3")
}

// The server's message is written to the log once for credentials that stand in users, and to the condition of an OAuth
// client.
func TestServerMessageIsShownOnce(t *testing.T) {
	s := newStory(t)
	mu := s.create()
	s.config.Transport = varyingBodies(401, `{"error":{"code":"UnauthorizedException","message":"Invalid secret, request NUMBER, cal_live_canary1"}}`)
	s.restart()
	lines := 0
	logger := funcr.New(func(_, line string) {
		if strings.Contains(line, "Cal.com refuses the credentials") {
			lines++
			if !strings.Contains(line, "Invalid secret, request 1, [key]") {
				t.Errorf("the log says: %s", line)
			}
		}
	}, funcr.Options{})
	for i := range 4 {
		s.request(mu, fmt.Sprint(i))
		_, err := s.reconciler.Reconcile(log.IntoContext(t.Context(), logger), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(mu)})
		s.must(err)
	}
	if lines != 1 {
		t.Errorf("the log has %d lines of Cal.com's refusal, want 1", lines)
	}
}

// The OAuth client's condition has the server's message, in the words of the first answer, and users' conditions have
// not.
func TestServerMessageOfAnOAuthClient(t *testing.T) {
	s := newStory(t)
	s.config.Transport = varyingBodies(401, `{"error":{"code":"UnauthorizedException","message":"Invalid secret, request NUMBER, cal_live_canary1."}}`)
	s.restart()
	c := s.acme()
	mu := s.user(byRef("", "acme"))
	s.must(s.client.Create(t.Context(), mu))
	first := s.judged(c).Message
	if !strings.Contains(first, "(status 401 UnauthorizedException: Invalid secret, request 1, [key]); put") {
		t.Errorf("the condition is %q", first)
	}
	for range 3 {
		s.advance(2 * resync)
		if again := s.judged(c).Message; again != first {
			t.Errorf("after another answer the condition is %q", again)
		}
	}
	s.reconcile(mu)
	if text := show(mu); !strings.Contains(text, "(status 401 UnauthorizedException); put") || strings.Contains(text, "Invalid secret") {
		t.Errorf("conditions of the user:\n%s", text)
	}
}

// judged tries the credentials of an OAuth client and returns its condition Ready, without writing it.
func (s *story) judged(c *v1alpha1.OAuthClient) *metav1.Condition {
	s.Helper()
	clients := s.reconciler.OAuthClients(v1alpha1.KindOAuthClient)
	v := &clientVisit{oauthClient: asOAuthClient(c), key: client.ObjectKeyFromObject(c)}
	_, err := clients.verify(s.Context(), v)
	clients.judge(v, outcome.Classify(err))
	ready := meta.FindStatusCondition(c.Status.Conditions, v1alpha1.ConditionReady)
	if ready == nil {
		s.Fatalf("there is no condition Ready: %v", c.Status.Conditions)
	}
	return ready
}
