// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package metricsauth

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	authenticationclient "k8s.io/client-go/kubernetes/typed/authentication/v1"
	"k8s.io/utils/clock"
)

// slow is an API server that needs a second for each review, and counts how many it does at once.
type slow struct {
	authenticationclient.TokenReviewInterface

	gate *gate

	mu           sync.Mutex
	atOnce, most int
}

func (s *slow) Create(ctx context.Context, review *authenticationv1.TokenReview, options metav1.CreateOptions) (*authenticationv1.TokenReview, error) {
	s.mu.Lock()
	s.atOnce++
	s.most = max(s.most, s.atOnce)
	s.mu.Unlock()
	<-time.After(time.Second)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.atOnce--
	return tokens{gate: s.gate}.Create(ctx, review, options)
}

// flooded is a filter that unknown tokens come to, without an end, from a number of addresses.
type flooded struct {
	*testing.T

	handler http.Handler
	server  *slow
}

func newFlooded(t *testing.T) *flooded {
	t.Helper()
	g := newGate(t)
	server := &slow{gate: g}
	f := newFilter(server, access{gate: g}, clock.RealClock{})
	return &flooded{T: t, server: server, handler: f.wrap(logr.Discard(), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusTeapot)
	}))}
}

// get returns the status of a request, and how long it took.
func (f *flooded) get(address, token string) (int, time.Duration) {
	began := time.Now()
	request := httptest.NewRequestWithContext(f.Context(), http.MethodGet, "/metrics", http.NoBody)
	request.RemoteAddr = address
	request.Header.Set("Authorization", "Bearer "+token)
	recorded := httptest.NewRecorder()
	f.handler.ServeHTTP(recorded, request)
	return recorded.Code, time.Since(began)
}

// flood sends requests from some addresses for a time: hundreds at once, each followed by the next.
func (f *flooded) flood(addresses int, during time.Duration) {
	end := time.Now().Add(during)
	for sender := range 300 {
		go func() {
			for n := 0; time.Now().Before(end); n++ {
				f.get(fmt.Sprintf("10.0.0.%d:%d", sender%addresses, 1000+sender), fmt.Sprintf("bad-%d-%d", sender, n))
				<-time.After(500 * time.Millisecond)
			}
		}()
	}
	<-time.After(time.Second)
}

// A scraper whose token was allowed before gets its answer in time, from whatever address the flood comes, and long
// after the answer that was remembered has expired.
func TestFloodDoesNotKeepOutAnAllowedToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFlooded(t)
		if status, _ := f.get("10.0.0.1:7", "good"); status != http.StatusTeapot {
			t.Fatalf("status %d", status)
		}
		f.flood(1, 3*time.Minute)
		for range 5 {
			if status, took := f.get("10.0.0.0:7", "good"); status != http.StatusTeapot || took > 2*time.Second {
				t.Errorf("status %d after %v", status, took)
			}
			<-time.After(30 * time.Second)
		}
		<-time.After(time.Hour)
	})
}

// A valid token that was never seen before is asked about in its address's turn: after a review or two for each other
// address.
func TestFloodDelaysANewTokenOnly(t *testing.T) {
	for _, addresses := range []int{1, 4, 16} {
		synctest.Test(t, func(t *testing.T) {
			f := newFlooded(t)
			f.flood(addresses, time.Minute)
			bound := time.Duration(3+2*addresses/mostAsking) * time.Second
			if status, took := f.get("10.1.0.1:7", "good"); status != http.StatusTeapot || took > bound {
				t.Errorf("with a flood from %d addresses, status %d after %v, want it within %v", addresses, status, took, bound)
			}
			<-time.After(time.Hour)
			if f.server.most > mostAsking {
				t.Errorf("%d questions at once, want %d at most", f.server.most, mostAsking)
			}
		})
	}
}

// The requests that wait are bounded, and one whose client has gone waits no longer.
func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		line := newTurns(1, 2)
		if err := line.take(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		results := make(chan string, 10)
		wait := func(ctx context.Context, sender string) {
			go func() {
				err := line.take(ctx, sender)
				results <- fmt.Sprint(sender, " ", err)
			}()
			synctest.Wait()
		}
		want := func(want string) {
			t.Helper()
			synctest.Wait()
			select {
			case have := <-results:
				if have != want {
					t.Errorf("result is %q, want %q", have, want)
				}
			default:
				t.Errorf("no result, want %q", want)
			}
		}
		gone, leave := context.WithCancel(t.Context())
		wait(t.Context(), "a")
		wait(gone, "a")
		wait(t.Context(), "a")
		want("a too many requests wait")
		wait(t.Context(), "b") // It displaces the second one of a.
		want("a too many requests wait")
		wait(gone, "b")
		want("b too many requests wait")
		line.end()
		want("a <nil>")
		wait(gone, "c")
		leave()
		want("c context canceled")
		line.end()
		want("b <nil>")
		line.end()
		if line.free != 1 || len(line.waiting)+len(line.last) != 0 {
			t.Errorf("in the end the line is %+v", line)
		}
	})
}
