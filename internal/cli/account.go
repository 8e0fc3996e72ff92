// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
	"github.com/calcom-operator/calcom-operator/internal/controller"
	"github.com/calcom-operator/calcom-operator/internal/quota"
	"github.com/calcom-operator/calcom-operator/internal/version"
)

// oauthClient says where the users of an OAuth client are, and how to call in its name.
type oauthClient struct {
	// ref names the object that says so; nil when a ManagedUser says it itself.
	ref *v1alpha1.OAuthClientReference
	// credentials is what it says.
	credentials v1alpha1.OAuthClientCredentials
	// namespace of the Secret.
	namespace string
}

// String names the client for a person.
func (c oauthClient) String() string {
	if c.ref == nil {
		return "OAuth client " + c.credentials.ID
	}
	return kindOf(*c.ref) + " " + c.ref.Name
}

// apiURL is where its users are.
func (c oauthClient) apiURL() string { return cmp.Or(c.credentials.APIURL, v1alpha1.DefaultAPIURL) }

// use makes it the OAuth client of a spec.
func (c oauthClient) use(spec *v1alpha1.ManagedUserSpec) {
	if c.ref == nil {
		spec.OAuthClient = &c.credentials
	} else {
		spec.OAuthClientRef = c.ref
	}
}

func kindOf(ref v1alpha1.OAuthClientReference) string {
	return cmp.Or(ref.Kind, v1alpha1.KindOAuthClient)
}

// parseClient reads the value of --client: NAME, oauthclient/NAME or clusteroauthclient/NAME.
func parseClient(value string) (v1alpha1.OAuthClientReference, error) {
	kind, name, ok := strings.Cut(value, "/")
	if !ok {
		kind, name = "oauthclient", value
	}
	if name != "" {
		switch strings.ToLower(kind) {
		case "oauthclient", "oauthclients", "caloauth":
			return v1alpha1.OAuthClientReference{Kind: v1alpha1.KindOAuthClient, Name: name}, nil
		case "clusteroauthclient", "clusteroauthclients", "calcoauth":
			return v1alpha1.OAuthClientReference{Kind: v1alpha1.KindClusterOAuthClient, Name: name}, nil
		}
	}
	return v1alpha1.OAuthClientReference{}, complain(fmt.Sprintf("--client=%s names no OAuth client", value),
		"give the name of an OAuthClient, or clusteroauthclient/NAME")
}

// referred reads the object that a reference in a namespace names.
func (s *session) referred(ctx context.Context, ref v1alpha1.OAuthClientReference, namespace string) (oauthClient, error) {
	c, err := s.kube()
	if err != nil {
		return oauthClient{}, err
	}
	found := oauthClient{ref: &ref, namespace: namespace}
	if kindOf(ref) == v1alpha1.KindOAuthClient {
		var object v1alpha1.OAuthClient
		if err := c.Get(ctx, client.ObjectKey{Namespace: namespace, Name: ref.Name}, &object); err != nil {
			return oauthClient{}, adviseIfMissing(fmt.Errorf("reading the OAuth client: %w", err), "see kubectl get oauthclients -n %s", namespace)
		}
		found.credentials = object.Spec.OAuthClientCredentials
		return found, nil
	}
	var object v1alpha1.ClusterOAuthClient
	if err := c.Get(ctx, client.ObjectKey{Name: ref.Name}, &object); err != nil {
		return oauthClient{}, adviseIfMissing(fmt.Errorf("reading the OAuth client: %w", err), "see kubectl get clusteroauthclients")
	}
	operator, err := s.operator(ctx)
	if err != nil {
		return oauthClient{}, err
	}
	if operator.namespace == "" {
		return oauthClient{}, complain("the Secret of a ClusterOAuthClient is in the operator's namespace, and the operator was not found", "name it by --operator-namespace")
	}
	found.credentials, found.namespace = object.Spec.OAuthClientCredentials, operator.namespace
	return found, nil
}

// clientOf returns the OAuth client of a user.
func (s *session) clientOf(ctx context.Context, mu *v1alpha1.ManagedUser) (oauthClient, error) {
	switch {
	case mu.Spec.OAuthClient != nil:
		return oauthClient{credentials: *mu.Spec.OAuthClient, namespace: mu.Namespace}, nil
	case mu.Spec.OAuthClientRef != nil:
		return s.referred(ctx, *mu.Spec.OAuthClientRef, mu.Namespace)
	}
	return oauthClient{}, complain(fmt.Sprintf("ManagedUser %s names no OAuth client", mu.Name), "set oauthClientRef or oauthClient")
}

// clientStatus reads what the operator knows of an OAuth client.
func (s *session) clientStatus(ctx context.Context, of oauthClient) (v1alpha1.OAuthClientStatus, error) {
	c, err := s.kube()
	if err != nil {
		return v1alpha1.OAuthClientStatus{}, err
	}
	if kindOf(*of.ref) == v1alpha1.KindClusterOAuthClient {
		var object v1alpha1.ClusterOAuthClient
		err = c.Get(ctx, client.ObjectKey{Name: of.ref.Name}, &object)
		return object.Status, client.IgnoreNotFound(err)
	}
	var object v1alpha1.OAuthClient
	err = c.Get(ctx, client.ObjectKey{Namespace: of.namespace, Name: of.ref.Name}, &object)
	return object.Status, client.IgnoreNotFound(err)
}

// secretKey reads the secret key of an OAuth client.
func (s *session) secretKey(ctx context.Context, of oauthClient) (calcom.Hidden[string], error) {
	var none calcom.Hidden[string]
	c, err := s.kube()
	if err != nil {
		return none, err
	}
	ref := of.credentials.SecretKeyRef
	var secret corev1.Secret
	err = c.Get(ctx, client.ObjectKey{Namespace: of.namespace, Name: ref.Name}, &secret)
	if apierrors.IsForbidden(err) {
		return none, advise(fmt.Errorf("reading the secret key of %s: %w", of, err), "calls to Cal.com need it; use a context that may get secrets in namespace %s", of.namespace)
	}
	if err != nil {
		return none, adviseIfMissing(fmt.Errorf("reading the secret key of %s: %w", of, err), "create the Secret")
	}
	key := bytes.TrimSpace(secret.Data[ref.Key])
	if len(key) == 0 {
		return none, complain(fmt.Sprintf("Secret %s in namespace %s has nothing under %s", ref.Name, of.namespace, ref.Key), "put the OAuth client's secret key there")
	}
	if err := calcom.CheckSecretKey(string(key)); err != nil {
		return none, complain(fmt.Sprintf("the %v", err), fmt.Sprintf("correct the value under %s of Secret %s in namespace %s", ref.Key, ref.Name, of.namespace))
	}
	return calcom.Hide(string(key)), nil
}

// account is an OAuth client in Cal.com as a command calls it: within the quota, and in no hurry. A command is
// somebody's who waits, so that unlike a worker of the operator it may sleep.
type account struct {
	oauthClient
	client *calcom.Client
	budget *quota.Budget
	clock  clock.Clock
	// limit is what the last answer said of the quota.
	limit calcom.RateLimit
	// waits, if set, is told before each wait of a second or more for the quota.
	waits func(time.Duration)
}

// account returns the way to Cal.com for an OAuth client.
func (s *session) account(ctx context.Context, of oauthClient) (*account, error) {
	if err := s.checkShare(); err != nil {
		return nil, err
	}
	key, err := s.secretKey(ctx, of)
	if err != nil {
		return nil, err
	}
	return newAccount(of, key, s.share, controller.NewTransport(1), clock.RealClock{})
}

func (s *session) checkShare() error {
	if s.share <= 0 || s.share > 1 {
		return complain(fmt.Sprintf("--rate-limit-share=%g is no part of a quota", s.share), "give a number above 0 and up to 1")
	}
	return nil
}

func newAccount(of oauthClient, key calcom.Hidden[string], share float64, transport http.RoundTripper, now clock.Clock) (*account, error) {
	a := &account{oauthClient: of, budget: quota.New(quota.Options{Share: share, Now: now.Now}), clock: now}
	observe := func(status int, limit calcom.RateLimit) {
		a.limit = limit
		a.budget.Observe(status, limit)
	}
	var err error
	a.client, err = calcom.New(calcom.Config{
		BaseURL: of.apiURL(), ClientID: of.credentials.ID, SecretKey: key,
		UserAgent: "kubectl-calcom/" + version.Version, Transport: transport, OnResponse: observe, Now: now.Now,
	})
	if err != nil {
		return nil, fmt.Errorf("calling Cal.com for %s: %w", of, err)
	}
	return a, nil
}

// attempts is how often a call is made that fails for a reason which passes.
const attempts = 5

// call makes one call to Cal.com when the quota lets it. It must be one that may be repeated: a GET, or an update that
// says the same however often it comes. What is refused for the quota's sake is repeated until it is not; other
// failures that pass are repeated a few times.
func call[T any](ctx context.Context, a *account, do func(context.Context) (T, error)) (T, error) {
	pause := time.Second
	for failures := 0; ; {
		if err := a.admit(ctx); err != nil {
			var none T
			return none, err
		}
		result, err := do(ctx)
		if calcom.IsRateLimited(err) {
			continue // The budget knows, and for how long.
		}
		failures++
		failure, ok := errors.AsType[*calcom.Error](err)
		if !ok || !failure.OutcomeUnknown() || failures == attempts || ctx.Err() != nil {
			return result, err
		}
		if err := a.wait(ctx, pause); err != nil {
			return result, err
		}
		pause *= 2
	}
}

// admit waits until the quota lets a call through.
func (a *account) admit(ctx context.Context) error {
	for {
		promise := a.budget.Take(quota.Request{Class: quota.Change, Key: "kubectl-calcom", Calls: 1})
		if promise.IsZero() {
			a.budget.Use()
			return ctx.Err()
		}
		d := promise.Sub(a.clock.Now())
		if a.waits != nil && d >= time.Second {
			a.waits(d)
		}
		if err := a.wait(ctx, d); err != nil {
			return err
		}
	}
}

func (a *account) wait(ctx context.Context, d time.Duration) error {
	timer := a.clock.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (a *account) user(ctx context.Context, id int64) (calcom.User, error) {
	return call(ctx, a, func(ctx context.Context) (calcom.User, error) { return a.client.User(ctx, id) })
}

func (a *account) usersByEmail(ctx context.Context, emails ...string) ([]calcom.User, error) {
	return call(ctx, a, func(ctx context.Context) ([]calcom.User, error) { return a.client.UsersByEmail(ctx, emails...) })
}

func (a *account) users(ctx context.Context, limit, offset int) ([]calcom.User, error) {
	return call(ctx, a, func(ctx context.Context) ([]calcom.User, error) { return a.client.Users(ctx, limit, offset) })
}

// update changes a user; the update must say the same however often it comes.
func (a *account) update(ctx context.Context, id int64, update calcom.UserFields) (calcom.User, error) {
	return call(ctx, a, func(ctx context.Context) (calcom.User, error) { return a.client.UpdateUser(ctx, id, update) })
}

// delete deletes a user. The call is sent once; of an unclear answer, a look tells the outcome.
func (a *account) delete(ctx context.Context, id int64) error {
	if err := a.admit(ctx); err != nil {
		return err
	}
	_, err := a.client.DeleteUser(ctx, id)
	failure, ok := errors.AsType[*calcom.Error](err)
	if !ok || !failure.OutcomeUnknown() && !calcom.IsNotFound(err) {
		return err
	}
	if _, lookErr := a.user(ctx, id); calcom.IsNotFound(lookErr) {
		return nil
	}
	return err
}
