// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"bytes"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

const tokensName = "alice-tokens"

func withTokens(spec *v1alpha1.ManagedUserSpec) {
	spec.Tokens = &v1alpha1.TokensSpec{SecretName: tokensName}
}

// published returns the Secret with alice's tokens.
func (s *story) published(name string) *corev1.Secret {
	s.Helper()
	secret := &corev1.Secret{}
	s.must(s.client.Get(s.Context(), types.NamespacedName{Namespace: s.namespace, Name: name}, secret))
	return secret
}

func (s *story) wantNoSecret(name string) {
	s.Helper()
	err := s.client.Get(s.Context(), types.NamespacedName{Namespace: s.namespace, Name: name}, &corev1.Secret{})
	if !apierrors.IsNotFound(err) {
		s.Errorf("Secret %s is there (%v)", name, err)
	}
}

// isValid asks Cal.com whether an access token is good.
func (s *story) isValid(token []byte) bool {
	s.Helper()
	base, err := calcom.BaseURL(s.sandbox.URL())
	s.must(err)
	request, err := http.NewRequestWithContext(s.Context(), http.MethodGet, base+"/me", http.NoBody)
	s.must(err)
	request.Header.Set("Authorization", "Bearer "+string(token))
	response, err := http.DefaultClient.Do(request)
	s.must(err)
	s.must(response.Body.Close())
	s.sandbox.ResetCalls()
	return response.StatusCode == http.StatusOK
}

// wantValid checks that the Secret holds a pair that works, and returns it.
func (s *story) wantValid() *corev1.Secret {
	s.Helper()
	secret := s.published(tokensName)
	if !s.isValid(secret.Data["accessToken"]) {
		s.Error("the published access token is not valid")
	}
	return secret
}

// withFresh are the conditions of a user whose tokens are as they should be.
func (s *story) wantFresh(mu *v1alpha1.ManagedUser, synced string) {
	s.Helper()
	s.wantConditions(mu, "Ready=True/Available", "Synced=True/"+synced, "CredentialsReady=True/Verified", "TokensReady=True/Fresh")
	s.wantHidden(mu)
}

// wantHidden looks for the tokens where they must not be.
func (s *story) wantHidden(mu *v1alpha1.ManagedUser) {
	s.Helper()
	secret := s.published(mu.Spec.Tokens.SecretName)
	shown := show(mu) + mu.Status.Tokens.SecretName
	for _, annotation := range secret.Annotations {
		shown += annotation
	}
	for _, key := range []string{"accessToken", "refreshToken"} {
		if token := string(secret.Data[key]); token != "" && strings.Contains(shown, token) {
			s.Errorf("the %s is shown", key)
		}
	}
}

// toRenewal lets the time pass until the tokens are due.
func (s *story) toRenewal(mu *v1alpha1.ManagedUser) {
	s.Helper()
	s.advance(46 * time.Minute)
	s.forgetHistory()
	_ = mu
}

func (s *story) forgetHistory() {
	s.sandbox.ResetCalls()
	s.events.take()
	s.writes.take()
}

func TestTokensOfTheCreateCallArePublished(t *testing.T) {
	s := newStory(t)
	mu := s.create(withTokens)
	s.wantCalls(calcomtest.OpCreate)
	s.wantWrites("patch", "create", "patch status")
	s.wantFresh(mu, "Created")
	secret := s.wantValid()
	if !metav1.IsControlledBy(secret, mu) || secret.Type != v1alpha1.TokensSecretType {
		t.Errorf("the Secret is owned by %v and of type %s", secret.OwnerReferences, secret.Type)
	}
	keys := slices.Sorted(maps.Keys(secret.Data))
	want := []string{"accessToken", "accessTokenExpiresAt", "apiURL", "clientID", "email", "refreshToken", "refreshTokenExpiresAt", "userID"}
	if d := cmp.Diff(want, keys); d != "" {
		t.Errorf("keys (-want +got):\n%s", d)
	}
	base, err := calcom.BaseURL(s.sandbox.URL())
	s.must(err)
	for key, value := range map[string]string{
		"email": "alice@example.com", "clientID": s.clientID(), "apiURL": base, "userID": strconv.FormatInt(mu.Status.User.ID, 10),
		"accessTokenExpiresAt":  mu.Status.Tokens.AccessTokenExpiresAt.UTC().Format(time.RFC3339),
		"refreshTokenExpiresAt": mu.Status.Tokens.RefreshTokenExpiresAt.UTC().Format(time.RFC3339),
	} {
		if got := string(secret.Data[key]); got != value {
			t.Errorf("%s is %q, want %q", key, got, value)
		}
	}
	if mu.Status.Tokens.SecretName != tokensName {
		t.Errorf("the status names Secret %q", mu.Status.Tokens.SecretName)
	}
}

// A settled user is left alone until its tokens are due, after a restart too.
func TestFreshTokensCostNothing(t *testing.T) {
	s := newStory(t)
	mu := s.create(withTokens)
	s.forgetHistory()
	for range 2 {
		result, err := s.reconcile(mu).unpack()
		if err != nil || result.RequeueAfter < 41*time.Minute || result.RequeueAfter > 45*time.Minute {
			t.Errorf("looking again in %v, error %v", result.RequeueAfter, err)
		}
		s.wantCalls()
		s.wantWrites()
	}
	s.config.Jitter = func(d time.Duration) time.Duration { return d / 2 }
	s.restart()
	for range 3 {
		if result, _ := s.reconcile(mu).unpack(); result.RequeueAfter < time.Second {
			t.Errorf("after a restart, looking again in %v", result.RequeueAfter)
		}
		s.advance(time.Minute) // In the meantime the Secret is read.
		s.wantCalls()
		s.wantWrites()
		s.wantEvents()
	}
}

func TestTokensAreRenewed(t *testing.T) {
	s := newStory(t)
	mu := s.create(withTokens)
	for range 3 {
		before := s.wantValid()
		s.toRenewal(mu)
		s.reconcile(mu)
		s.wantCalls(calcomtest.OpRefresh)
		s.wantWrites("apply", "apply", "patch status")
		s.wantEvents()
		s.wantFresh(mu, "Created")
		after := s.wantValid()
		if bytes.Equal(after.Data["accessToken"], before.Data["accessToken"]) {
			t.Error("the token was not replaced")
		}
		if !s.isValid(before.Data["accessToken"]) {
			t.Error("the token from before does not live to its end")
		}
		s.restart() // Nothing but the Secret is needed.
	}
}

// The call failed, or its answer was lost: what follows depends on whether it had its effect.
func TestRefreshThatFailed(t *testing.T) {
	lost := []calcomtest.Op{calcomtest.OpRefresh, calcomtest.OpGet, calcomtest.OpForceRefresh}
	for name, tc := range map[string]struct {
		fault  calcomtest.Fault
		calls  []calcomtest.Op
		events []string
	}{
		"RequestLost":  {calcomtest.Fault{Status: http.StatusServiceUnavailable}, []calcomtest.Op{calcomtest.OpRefresh}, nil},
		"NoAnswer":     {calcomtest.Fault{Cut: true}, []calcomtest.Op{calcomtest.OpRefresh}, nil},
		"AnswerLost":   {calcomtest.Fault{Cut: true, After: true}, lost, []string{"TokensForceRefreshed"}},
		"AnswerHalved": {calcomtest.Fault{CutBody: true}, lost, []string{"TokensForceRefreshed"}},
		"StatusLost":   {calcomtest.Fault{Status: http.StatusBadGateway, After: true}, lost, []string{"TokensForceRefreshed"}},
	} {
		for _, restarts := range []bool{false, true} {
			t.Run(name+map[bool]string{true: "AndRestart"}[restarts], func(t *testing.T) {
				s := newStory(t)
				mu := s.create(withTokens)
				s.toRenewal(mu)
				tc.fault.Op = calcomtest.OpRefresh
				s.sandbox.Inject(tc.fault)
				if _, err := s.reconcile(mu).unpack(); err == nil {
					t.Error("the queue does not back off")
				}
				s.wantFresh(mu, "Created") // There is a quarter of its life left.
				s.wantEvents()
				s.wantValid()
				s.forgetHistory()
				if restarts {
					s.restart()
					if result, _ := s.reconcile(mu).unpack(); result.RequeueAfter == 0 || result.RequeueAfter > time.Minute {
						t.Errorf("the call may be another operator's, and is looked at again in %v", result.RequeueAfter)
					}
					s.wantCalls()
					s.advance(time.Minute)
				}
				s.reconcile(mu)
				s.wantCalls(tc.calls...)
				s.wantEvents(tc.events...)
				s.wantFresh(mu, "Created")
				s.wantValid()
			})
		}
	}
}

// Somebody else used the refresh token: it is said, the operator's way out is the same, and it does not start a war.
func TestSomebodyElseRotates(t *testing.T) {
	s := newStory(t)
	mu := s.create(withTokens)
	s.advance(46 * time.Minute)
	s.rotate(mu)
	s.reconcile(mu)
	s.wantCalls(calcomtest.OpRefresh, calcomtest.OpGet, calcomtest.OpForceRefresh)
	s.wantEvents("TokensForceRefreshed")
	s.wantFresh(mu, "Created")
	s.wantValid()

	s.advance(10 * time.Minute)
	s.rotate(mu)
	s.request(mu, "now") // Somebody wonders.
	s.reconcile(mu)
	s.wantCalls(calcomtest.OpGet, calcomtest.OpRefresh)
	s.wantConditions(mu, "Ready=False/RefreshFailed", "Synced=True/Created", "CredentialsReady=True/Verified", "TokensReady=False/RefreshFailed", "Reconciling=True/Progressing")
	s.wantMessage(mu, "Somebody else uses or ends the tokens")
	s.wantEvents("RefreshFailed")
	s.advance(21 * time.Minute)
	s.reconcile(mu)
	s.wantFresh(mu, "Created")
	s.wantValid()
}

func TestSecretIsRepaired(t *testing.T) {
	edits := map[string]func(*corev1.Secret){
		"AccessToken":  func(secret *corev1.Secret) { secret.Data["accessToken"] = []byte("edited by hand") },
		"RefreshToken": func(secret *corev1.Secret) { secret.Data["refreshToken"] = []byte("edited by hand") },
		"Everything":   func(secret *corev1.Secret) { secret.Data = nil },
		"Email":        func(secret *corev1.Secret) { secret.Data["email"] = []byte("edited by hand") },
		"Record":       func(secret *corev1.Secret) { secret.Annotations = nil },
		"Immutable":    func(secret *corev1.Secret) { delete(secret.Data, "userID"); secret.Immutable = new(true) },
	}
	for name, edit := range edits {
		t.Run(name, func(t *testing.T) {
			s := newStory(t)
			mu := s.create(withTokens)
			before := s.published(tokensName)
			secret := before.DeepCopy()
			edit(secret)
			s.must(s.client.Update(t.Context(), secret))
			s.forgetHistory()
			s.reconcile(mu)
			s.wantCalls()
			if d := cmp.Diff(before.Data, s.published(tokensName).Data); d != "" {
				t.Errorf("the Secret (-want +got):\n%s", d)
			}
			s.wantFresh(mu, "Created")
		})
	}
	t.Run("Deleted", func(t *testing.T) {
		s := newStory(t)
		mu := s.create(withTokens)
		before := s.published(tokensName)
		s.must(s.client.Delete(t.Context(), before))
		s.forgetHistory()
		s.reconcile(mu)
		s.wantCalls()
		if d := cmp.Diff(before.Data, s.published(tokensName).Data); d != "" {
			t.Errorf("the Secret (-want +got):\n%s", d)
		}
	})
}

// After a restart the process knows no tokens. What is left decides whether all have to be ended.
func TestSecretIsRepairedAfterARestart(t *testing.T) {
	forced := []calcomtest.Op{calcomtest.OpGet, calcomtest.OpForceRefresh}
	for name, tc := range map[string]struct {
		edit  func(*corev1.Secret)
		calls []calcomtest.Op
	}{
		"AccessToken":  {func(secret *corev1.Secret) { secret.Data["accessToken"] = []byte("edited by hand") }, []calcomtest.Op{calcomtest.OpRefresh}},
		"Email":        {func(secret *corev1.Secret) { secret.Data["email"] = []byte("edited by hand") }, nil},
		"Record":       {func(secret *corev1.Secret) { secret.Annotations = nil }, []calcomtest.Op{calcomtest.OpRefresh}},
		"RefreshToken": {func(secret *corev1.Secret) { secret.Data["refreshToken"] = []byte("edited by hand") }, forced},
		"Deleted":      {nil, forced},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStory(t)
			mu := s.create(withTokens)
			secret := s.published(tokensName)
			if tc.edit == nil {
				s.must(s.client.Delete(t.Context(), secret))
			} else {
				tc.edit(secret)
				s.must(s.client.Update(t.Context(), secret))
			}
			s.forgetHistory()
			s.restart()
			s.reconcile(mu)
			s.wantCalls(tc.calls...)
			s.wantFresh(mu, "Created")
			if got := s.wantValid(); string(got.Data["email"]) != "alice@example.com" {
				t.Errorf("the e-mail is %q", got.Data["email"])
			}
		})
	}
}

func TestTokensOfAUserThatWasThereBefore(t *testing.T) {
	s := newStory(t)
	user := s.sandbox.AddUser(s.clientID(), calcomtest.User{Email: "alice@example.com", Name: new("Alice"), TimeFormat: new(12)})
	mu := s.create(withTokens, func(spec *v1alpha1.ManagedUserSpec) { spec.UserID = user.ID })
	s.wantFresh(mu, "Adopted")
	s.wantEvents("Adopted", "TokensForceRefreshed")
	s.wantValid()
	s.reconcile(mu)
	s.wantEvents()
}

// The answer to the create call is there, and the Secret cannot be written.
func TestCrashBeforeTheSecretIsWritten(t *testing.T) {
	for name, restarts := range map[string]bool{"Restart": true, "NoRestart": false} {
		t.Run(name, func(t *testing.T) {
			s := newStory(t)
			s.writes.fail = func(write string) error {
				if write == "create" {
					return apierrors.NewForbidden(corev1.Resource("secrets"), tokensName, errAgain)
				}
				return nil
			}
			mu := s.create(withTokens)
			s.wantConditions(mu, "Ready=False/RefreshFailed", "Synced=True/Created", "CredentialsReady=True/Verified", "TokensReady=False/RefreshFailed", "Reconciling=True/Progressing")
			s.wantEvents("Created", "RefreshFailed")
			s.writes.fail = nil
			s.forgetHistory()
			want := []calcomtest.Op{calcomtest.OpGet}
			if restarts {
				s.restart()
				want = append(want, calcomtest.OpForceRefresh)
			}
			s.reconcile(mu)
			s.wantCalls(want...)
			s.wantFresh(mu, "Created")
			s.wantValid()
		})
	}
}

// Two leaders at once: the second leaves the call on record to the first, and takes over what this one published.
func TestTwoOperatorsDoNotRotateEachOthersTokens(t *testing.T) {
	s := newStory(t)
	mu := s.create(withTokens)
	first := s.reconciler
	s.restart()
	second := s.reconciler
	s.advance(resync)
	s.reconcile(mu) // It reads the Secret.
	s.toRenewal(mu)
	s.writes.fail = func(string) error { // Between the record and the answer, the second one comes.
		if len(s.writes.seen) == 1 {
			s.writes.fail = nil
			s.writes.mu.Unlock()
			defer s.writes.mu.Lock()
			if _, err := second.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(mu)}); err != nil {
				t.Error(err)
			}
		}
		return nil
	}
	s.reconciler = first
	s.reconcile(mu)
	s.wantCalls(calcomtest.OpRefresh)
	s.wantEvents()
	s.reconciler = second
	s.advance(time.Minute)
	s.reconcile(mu)
	s.wantCalls()
	s.wantFresh(mu, "Created")
	s.toRenewal(mu)
	s.reconcile(mu)
	s.wantCalls(calcomtest.OpRefresh)
	s.reconciler = first
	s.reconcile(mu)
	s.wantCalls()
	s.wantValid()
}

func TestTokensOfAUserThatIsGone(t *testing.T) {
	s := newStory(t)
	mu := s.create(withTokens)
	gone := mu.Status.User.ID
	s.sandbox.RemoveUser(s.clientID(), gone)
	s.toRenewal(mu)
	s.reconcile(mu)
	if mu.Status.User.ID == gone {
		t.Fatalf("the user was not created anew:\n%s", show(mu))
	}
	s.wantEvents("Created")
	s.wantFresh(mu, "Created")
	if got := string(s.wantValid().Data["userID"]); got != strconv.FormatInt(mu.Status.User.ID, 10) {
		t.Errorf("the Secret is of user %s", got)
	}
}

func TestSuspendStopsRenewal(t *testing.T) {
	s := newStory(t)
	mu := s.create(withTokens)
	s.edit(mu, func(spec *v1alpha1.ManagedUserSpec) { spec.ReconcilePolicy = v1alpha1.ReconcilePolicySuspend })
	s.toRenewal(mu)
	result, err := s.reconcile(mu).unpack()
	s.wantCalls()
	s.wantConditions(mu, "Ready=False/Suspended", "Synced=True/Created", "CredentialsReady=True/Verified", "TokensReady=False/Suspended")
	if result.RequeueAfter != 0 || err != nil {
		t.Errorf("a suspended object comes again in %v, error %v", result.RequeueAfter, err)
	}
	s.edit(mu, func(spec *v1alpha1.ManagedUserSpec) { spec.ReconcilePolicy = "" })
	s.reconcile(mu)
	s.wantFresh(mu, "InSync")
	s.wantCalls(calcomtest.OpGet, calcomtest.OpRefresh)
}

// A user whose spec cannot be written has consumers of its tokens all the same.
func TestTokensAreRenewedWhateverBecomesOfTheRest(t *testing.T) {
	s := newStory(t)
	mu := s.create(withTokens)
	s.edit(mu, func(spec *v1alpha1.ManagedUserSpec) { spec.TimeZone = "Europe/Nowhere" })
	result, _ := s.reconcile(mu).unpack()
	s.wantConditions(mu, "Ready=False/InvalidSpec", "Synced=False/InvalidSpec", "CredentialsReady=True/Verified", "TokensReady=True/Fresh", "Stalled=True/InvalidSpec")
	if result.RequeueAfter == 0 {
		t.Error("nobody looks after the tokens")
	}
	s.toRenewal(mu)
	s.reconcile(mu)
	s.wantCalls(calcomtest.OpRefresh)
	s.wantValid()
}

// While Cal.com is down, a Ready user stays Ready as long as its token lives, and somebody is told in time.
func TestTokensThatCannotBeRenewed(t *testing.T) {
	s := newStory(t)
	mu := s.create(withTokens)
	s.toRenewal(mu)
	s.sandbox.Inject(calcomtest.Fault{Op: calcomtest.OpRefresh, Status: http.StatusServiceUnavailable, Times: -1})
	s.reconcile(mu)
	s.wantFresh(mu, "Created")
	s.advance(5 * time.Minute)
	s.reconcile(mu)
	s.wantConditions(mu, "Ready=True/Available", "Synced=True/Created", "CredentialsReady=True/Verified", "TokensReady=False/RefreshFailed")
	s.wantEvents("RefreshFailed")
	if o := s.reconciler.tokens.outlook(s.clock.Now()); o.Late != 1 || !o.Any || o.Least > 10*time.Minute {
		t.Errorf("the metrics show %+v", o)
	}
	s.advance(10 * time.Minute)
	s.reconcile(mu)
	s.wantConditions(mu, "Ready=False/RefreshFailed", "Synced=True/Created", "CredentialsReady=True/Verified", "TokensReady=False/RefreshFailed", "Reconciling=True/Progressing")
	s.sandbox.ClearFaults()
	s.reconcile(mu)
	s.wantFresh(mu, "Created")
	s.wantValid()
}

// The e-mail is published too.
func TestNewEmailIsPublished(t *testing.T) {
	s := newStory(t)
	mu := s.create(withTokens)
	before := s.published(tokensName)
	s.edit(mu, func(spec *v1alpha1.ManagedUserSpec) { spec.Email = "alicia@example.com" })
	s.reconcile(mu)
	after := s.wantValid()
	if string(after.Data["email"]) != "alicia@example.com" || !bytes.Equal(before.Data["accessToken"], after.Data["accessToken"]) {
		t.Errorf("the Secret has e-mail %q", after.Data["email"])
	}
	s.wantFresh(mu, "Updated")
}

// A secret key that Cal.com refuses shows at the first renewal, and is the credentials' problem.
func TestTokensWithRefusedCredentials(t *testing.T) {
	s := newStory(t)
	mu := s.create(withTokens)
	s.toRenewal(mu)
	s.sandbox.SetSecret(s.clientID(), "another")
	s.reconcile(mu)
	s.wantConditions(mu, "Ready=False/Unauthorized", "Synced=True/Created", "CredentialsReady=False/Unauthorized", "TokensReady=True/Fresh", "Stalled=True/Unauthorized")
	s.wantCalls(calcomtest.OpRefresh)
	s.advance(20 * time.Minute)
	s.reconcile(mu)
	s.wantConditions(mu, "Ready=False/Unauthorized", "Synced=True/Created", "CredentialsReady=False/Unauthorized", "TokensReady=False/RefreshFailed", "Stalled=True/Unauthorized")
	s.setSecret("another")
	s.reconcile(mu)
	s.reconcile(mu)
	s.wantFresh(mu, "Created")
	s.wantValid()
}

// The object goes, and with it, in a cluster that collects garbage, its Secret.
func TestTokensOfAnObjectThatIsDeleted(t *testing.T) {
	s := newStory(t)
	mu := s.create(withTokens)
	secret := s.published(tokensName)
	s.toRenewal(mu)
	s.delete(mu)
	s.wantGone(mu)
	s.wantCalls(calcomtest.OpGet, calcomtest.OpDelete)
	if owner := metav1.GetControllerOf(secret); owner == nil || owner.UID != mu.UID || owner.BlockOwnerDeletion != nil {
		t.Errorf("the Secret is owned by %+v", owner)
	}
	if o := s.reconciler.tokens.outlook(s.clock.Now()); o.Any || len(s.reconciler.tokens.kept) != 0 {
		t.Errorf("the process remembers %+v", o)
	}
}
