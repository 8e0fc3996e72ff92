// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package metricsauth serves the metrics only to whom the API server authenticates and authorizes.
//
// It does what controller-runtime's metrics/filters does. That one links the whole API server library, gRPC and CEL
// included: a third of the binary, and 15 MiB of the memory of an operator that needs 60.
package metricsauth

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/go-logr/logr"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/cache"
	authenticationclient "k8s.io/client-go/kubernetes/typed/authentication/v1"
	authorizationclient "k8s.io/client-go/kubernetes/typed/authorization/v1"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

const (
	// allowedFor and deniedFor are how long the API server's word is taken as given. Who lost a right keeps it for that
	// long.
	allowedFor = time.Minute
	deniedFor  = 10 * time.Second
	// mostKnown bounds the answers that are remembered, mostAsking the questions under way, and mostWaiting the
	// requests that wait for one: a client that can reach the endpoint must not be able to flood the API server. Tokens
	// that were allowed within trustedFor have answers and questions of their own, which unknown tokens cannot take
	// from them.
	mostKnown   = 256
	mostAsking  = 4
	mostWaiting = 64
	trustedFor  = 24 * time.Hour

	askTimeout = 10 * time.Second
)

// filter decides about requests.
type filter struct {
	tokens authenticationclient.TokenReviewInterface
	access authorizationclient.SubjectAccessReviewInterface
	// allowed, denied and trusted are by the fingerprint of a question: answers that hold, and the questions that were
	// answered with yes lately. Denied ones come in any number, and must not displace the others.
	allowed, denied, trusted *cache.LRUExpireCache
	// asking and reasking are the turns of unknown and of trusted tokens.
	asking, reasking *turns
}

// Filter returns a filter for the metrics server. A request needs a bearer token, and its owner the right to the path
// and the verb, as the ClusterRole calcom-operator-metrics-reader gives it. It is answered 401 without the one, 403
// without the other, 503 while too many others of the same address are asked about, and 500 when the API server cannot
// be asked.
func Filter(config *rest.Config, httpClient *http.Client) (metricsserver.Filter, error) {
	tokens, err := authenticationclient.NewForConfigAndClient(config, httpClient)
	if err != nil {
		return nil, fmt.Errorf("making the client for token reviews: %w", err)
	}
	access, err := authorizationclient.NewForConfigAndClient(config, httpClient)
	if err != nil {
		return nil, fmt.Errorf("making the client for access reviews: %w", err)
	}
	f := newFilter(tokens.TokenReviews(), access.SubjectAccessReviews(), clock.RealClock{})
	return func(log logr.Logger, handler http.Handler) (http.Handler, error) { return f.wrap(log, handler), nil }, nil
}

func newFilter(
	tokens authenticationclient.TokenReviewInterface, access authorizationclient.SubjectAccessReviewInterface, now cache.Clock,
) *filter {
	return &filter{
		tokens: tokens, access: access, allowed: cache.NewLRUExpireCacheWithClock(mostKnown, now),
		denied: cache.NewLRUExpireCacheWithClock(mostKnown, now), trusted: cache.NewLRUExpireCacheWithClock(mostKnown, now),
		asking: newTurns(mostAsking, mostWaiting), reasking: newTurns(mostAsking, mostWaiting),
	}
}

func (f *filter) wrap(log logr.Logger, handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status, err := f.decide(r)
		if err != nil {
			log.Error(err, "Asking the API server who may read metrics")
		}
		if status != http.StatusOK {
			http.Error(w, http.StatusText(status), status)
			return
		}
		handler.ServeHTTP(w, r)
	})
}

// decide returns the status for a request, 200 to serve it. The error says why the API server could not be asked.
func (f *filter) decide(r *http.Request) (int, error) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if token = strings.TrimSpace(token); !strings.EqualFold(scheme, "Bearer") || token == "" {
		return http.StatusUnauthorized, nil
	}
	verb := strings.ToLower(r.Method)
	key := sha256.Sum256([]byte(token + "\n" + verb + "\n" + r.URL.Path))
	if status, ok := f.remembered(key); ok {
		return status, nil
	}
	asking := f.asking
	if _, trusted := f.trusted.Get(key); trusted {
		asking = f.reasking
	}
	ctx, cancel := context.WithTimeout(r.Context(), askTimeout)
	defer cancel()
	if asking.take(ctx, senderOf(r)) != nil {
		return http.StatusServiceUnavailable, nil
	}
	defer asking.end()
	if status, ok := f.remembered(key); ok { // The same question was answered meanwhile.
		return status, nil
	}
	status, err := f.ask(ctx, token, &authorizationv1.NonResourceAttributes{Path: r.URL.Path, Verb: verb})
	if err != nil {
		return http.StatusInternalServerError, err
	}
	if status == http.StatusOK {
		f.allowed.Add(key, status, allowedFor)
		f.trusted.Add(key, status, trustedFor)
		return status, nil
	}
	f.denied.Add(key, status, deniedFor)
	f.trusted.Remove(key)
	return status, nil
}

// remembered returns the answer to a question that holds still.
func (f *filter) remembered(key [sha256.Size]byte) (status int, ok bool) {
	for _, known := range []*cache.LRUExpireCache{f.allowed, f.denied} {
		if answer, found := known.Get(key); found {
			status, ok = answer.(int)
			return status, ok
		}
	}
	return 0, false
}

// senderOf returns the address that a request comes from.
func senderOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// ask asks the API server whose a token is, and whether its owner may do something.
func (f *filter) ask(ctx context.Context, token string, what *authorizationv1.NonResourceAttributes) (int, error) {
	who, err := f.tokens.Create(ctx, &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token}}, metav1.CreateOptions{})
	if err != nil {
		return 0, fmt.Errorf("reviewing a token: %w", err)
	}
	if !who.Status.Authenticated {
		return http.StatusUnauthorized, nil
	}
	user := who.Status.User
	extra := make(map[string]authorizationv1.ExtraValue, len(user.Extra))
	for key, values := range user.Extra {
		extra[key] = authorizationv1.ExtraValue(values)
	}
	may, err := f.access.Create(ctx, &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: user.Username, UID: user.UID, Groups: user.Groups, Extra: extra, NonResourceAttributes: what,
	}}, metav1.CreateOptions{})
	if err != nil {
		return 0, fmt.Errorf("reviewing access: %w", err)
	}
	if !may.Status.Allowed {
		return http.StatusForbidden, nil
	}
	return http.StatusOK, nil
}
