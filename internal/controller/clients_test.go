// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

// byRef makes a user refer to an OAuthClient, or to a ClusterOAuthClient.
func byRef(kind, name string) func(*v1alpha1.ManagedUserSpec) {
	return func(spec *v1alpha1.ManagedUserSpec) {
		spec.OAuthClient, spec.OAuthClientRef = nil, &v1alpha1.OAuthClientReference{Kind: kind, Name: name}
	}
}

// credentialsHere are those of the sandbox, with the key in the Secret that the story has.
func (s *story) credentialsHere() v1alpha1.OAuthClientCredentials {
	return v1alpha1.OAuthClientCredentials{
		ID: s.clientID(), APIURL: s.sandbox.URL(), SecretKeyRef: v1alpha1.SecretKeyReference{Name: "calcom", Key: "secretKey"},
	}
}

// acme creates an OAuthClient.
func (s *story) acme(changes ...func(*v1alpha1.OAuthClientSpec)) *v1alpha1.OAuthClient {
	s.Helper()
	c := &v1alpha1.OAuthClient{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "acme"},
		Spec:       v1alpha1.OAuthClientSpec{OAuthClientCredentials: s.credentialsHere()},
	}
	for _, change := range changes {
		change(&c.Spec)
	}
	s.must(s.client.Create(s.Context(), c))
	return c
}

// clusterAcme creates a ClusterOAuthClient, whose Secret is in the story's namespace. It ends with the story.
func (s *story) clusterAcme(allowed v1alpha1.NamespaceSelection) *v1alpha1.ClusterOAuthClient {
	s.Helper()
	c := &v1alpha1.ClusterOAuthClient{
		ObjectMeta: metav1.ObjectMeta{Name: s.namespace},
		Spec:       v1alpha1.ClusterOAuthClientSpec{OAuthClientCredentials: s.credentialsHere(), AllowedNamespaces: allowed},
	}
	s.must(s.client.Create(s.Context(), c))
	s.Cleanup(func() {
		ctx := context.WithoutCancel(s.Context())
		patch := client.RawPatch(client.Merge.Type(), []byte(`{"metadata":{"finalizers":null}}`))
		s.must(client.IgnoreNotFound(s.client.Patch(ctx, c, patch)))
		s.must(client.IgnoreNotFound(s.client.Delete(ctx, c)))
	})
	return c
}

// A user that refers to its client lives as one does that names it itself.
func TestUserOfAnOAuthClient(t *testing.T) {
	for _, kind := range []string{"", v1alpha1.KindOAuthClient, v1alpha1.KindClusterOAuthClient} {
		t.Run(kind, func(t *testing.T) {
			s := newStory(t)
			s.config.ProtectSecrets, s.config.ClusterClients, s.config.Namespace = true, true, s.namespace
			s.restart()
			mu := s.user(byRef(kind, "acme"))
			var c client.Object
			if kind == v1alpha1.KindClusterOAuthClient {
				c = s.clusterAcme(v1alpha1.NamespaceSelection{Names: []string{s.namespace}})
				mu.Spec.OAuthClientRef.Name = s.namespace
			} else {
				c = s.acme()
			}
			s.must(s.client.Create(t.Context(), mu))
			s.reconcile(mu)
			s.wantReady(mu, "Created")
			s.wantCalls(calcomtest.OpCreate)
			if mu.Status.OAuthClientID != s.clientID() {
				t.Errorf("status names client %q", mu.Status.OAuthClientID)
			}
			for _, needed := range []client.Object{c, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "calcom"}}} {
				s.must(s.client.Get(t.Context(), client.ObjectKeyFromObject(needed), needed))
				if !controllerutil.ContainsFinalizer(needed, v1alpha1.InUseFinalizer) {
					t.Errorf("%T is not protected", needed)
				}
			}
			s.wantWrites("patch", "patch", "patch", "patch status")
			s.config.Jitter = func(most time.Duration) time.Duration { return most }
			s.restart()
			s.reconcile(mu)
			s.wantWrites()
			s.wantCalls()
			s.edit(mu, func(spec *v1alpha1.ManagedUserSpec) { spec.Name = "Alicia" })
			s.reconcile(mu)
			s.wantReady(mu, "Updated")
			s.wantCalls(calcomtest.OpGet, calcomtest.OpUpdate)
			s.delete(mu)
			s.wantGone(mu)
			if n := len(s.sandbox.Users(s.clientID())); n != 0 {
				t.Errorf("%d users left in Cal.com", n)
			}
		})
	}
}

// What keeps a user from its client is said, and no call is made.
func TestClientThatCannotBeUsed(t *testing.T) {
	cluster := func(spec *v1alpha1.ManagedUserSpec) { spec.OAuthClientRef.Kind = v1alpha1.KindClusterOAuthClient }
	cases := map[string]struct {
		prepare func(*story, *v1alpha1.ManagedUser)
		reason  string
		words   string
	}{
		"NoClient":        {func(*story, *v1alpha1.ManagedUser) {}, "ClientNotFound", "There is no OAuthClient acme in this namespace; create it"},
		"NoClusterClient": {func(_ *story, mu *v1alpha1.ManagedUser) { cluster(&mu.Spec) }, "ClientNotFound", "There is no ClusterOAuthClient acme; create it"},
		"ClusterClientsAreOff": {func(s *story, mu *v1alpha1.ManagedUser) {
			s.config.ClusterClients = false
			s.restart()
			cluster(&mu.Spec)
		}, "ClientNotFound", "--cluster-oauth-clients"},
		"NoSecret": {func(s *story, _ *v1alpha1.ManagedUser) {
			s.acme()
			s.deleteSecret()
		}, "SecretNotFound", "There is no Secret calcom in this namespace; create it with the OAuth client's secret key under secretKey, or correct secretKeyRef of OAuthClient acme"},
		"NoSecretOfTheOperator": {func(s *story, mu *v1alpha1.ManagedUser) {
			s.clusterAcme(v1alpha1.NamespaceSelection{Selector: &metav1.LabelSelector{}})
			cluster(&mu.Spec)
			mu.Spec.OAuthClientRef.Name = s.namespace
			s.deleteSecret()
		}, "SecretNotFound", "There is no Secret calcom in the operator's namespace"},
		"NoNamespaceOfTheOperator": {func(s *story, mu *v1alpha1.ManagedUser) {
			s.config.Namespace = ""
			s.restart()
			s.clusterAcme(v1alpha1.NamespaceSelection{Selector: &metav1.LabelSelector{}})
			cluster(&mu.Spec)
			mu.Spec.OAuthClientRef.Name = s.namespace
		}, "SecretNotFound", "--operator-namespace"},
		"NoKey": {func(s *story, _ *v1alpha1.ManagedUser) {
			s.acme(func(spec *v1alpha1.OAuthClientSpec) { spec.SecretKeyRef.Key = "other" })
		}, "KeyNotFound", "There is nothing under other in Secret calcom"},
		"URLThatIsNotAllowed": {func(s *story, _ *v1alpha1.ManagedUser) {
			s.acme(func(spec *v1alpha1.OAuthClientSpec) { spec.APIURL = "http://elsewhere.example.com" })
		}, "APIURLNotAllowed", "apiURL of OAuthClient acme"},
		"NamespaceThatIsNotNamed": {func(s *story, mu *v1alpha1.ManagedUser) {
			s.clusterAcme(v1alpha1.NamespaceSelection{Names: []string{"other", s.namespace + "x"}})
			cluster(&mu.Spec)
			mu.Spec.OAuthClientRef.Name = s.namespace
		}, "NamespaceNotAllowed", "does not allow this namespace to use it; have the namespace's name or labels added to its allowedNamespaces"},
		"NamespaceThatIsNotSelected": {func(s *story, mu *v1alpha1.ManagedUser) {
			s.clusterAcme(v1alpha1.NamespaceSelection{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"calcom": "yes"}}})
			cluster(&mu.Spec)
			mu.Spec.OAuthClientRef.Name = s.namespace
		}, "NamespaceNotAllowed", "allowedNamespaces"},
		"EmailInItsStoredForm": {func(s *story, mu *v1alpha1.ManagedUser) {
			s.acme()
			mu.Spec.Email = "alice+" + s.clientID() + "@example.com"
		}, "InvalidSpec", "must be the plain address"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s := newStory(t)
			s.config.ClusterClients, s.config.Namespace = true, s.namespace
			s.restart()
			mu := s.user(byRef("", "acme"))
			tc.prepare(s, mu)
			s.must(s.client.Create(t.Context(), mu))
			s.reconcile(mu)
			if !slices.Contains(conditions(mu), "Ready=False/"+tc.reason) {
				t.Errorf("conditions:\n%s", show(mu))
			}
			s.wantMessage(mu, tc.words)
			s.wantCalls()
			if len(mu.Finalizers) > 0 {
				t.Errorf("finalizers %v", mu.Finalizers)
			}
			s.delete(mu)
			s.wantGone(mu)
		})
	}
}

// A namespace that loses its right keeps its users as they are, and can still have them deleted.
func TestNamespaceThatIsNoLongerAllowed(t *testing.T) {
	s := newStory(t)
	s.config.ClusterClients, s.config.Namespace = true, s.namespace
	s.restart()
	selector := v1alpha1.NamespaceSelection{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": s.namespace}}}
	c := s.clusterAcme(selector)
	mu := s.create(byRef(v1alpha1.KindClusterOAuthClient, s.namespace))
	s.wantReady(mu, "Created")
	c.Spec.AllowedNamespaces = v1alpha1.NamespaceSelection{Names: []string{"other"}}
	s.must(s.client.Update(t.Context(), c))
	s.edit(mu, func(spec *v1alpha1.ManagedUserSpec) { spec.Name = "Alicia" })
	s.sandbox.ResetCalls()
	s.reconcile(mu)
	if !slices.Contains(conditions(mu), "Ready=False/NamespaceNotAllowed") || !slices.Contains(conditions(mu), "Stalled=True/NamespaceNotAllowed") {
		t.Errorf("conditions:\n%s", show(mu))
	}
	s.wantCalls()
	s.delete(mu)
	s.wantGone(mu)
	s.wantCalls(calcomtest.OpGet, calcomtest.OpDelete)
}

// An OAuthClient that was deleted by force and made anew with another id proves nothing about the users of the first.
func TestClientThatBecomesAnother(t *testing.T) {
	for name, lost := range map[string]bool{"OutcomeKnown": false, "OutcomeUnknown": true} {
		t.Run(name, func(t *testing.T) {
			s := newStory(t)
			c := s.acme()
			if lost {
				s.sandbox.Inject(calcomtest.Fault{Op: calcomtest.OpCreate, Cut: true, After: true})
			}
			mu := s.create(byRef("", "acme"))
			other := "clother00000000000000001"
			s.must(s.client.Delete(t.Context(), c))
			s.acme(func(spec *v1alpha1.OAuthClientSpec) { spec.ID = other })
			for _, act := range []func(){
				func() { s.edit(mu, func(spec *v1alpha1.ManagedUserSpec) { spec.Name = "Alicia" }) },
				func() { s.advance(time.Hour) },
				func() { s.must(s.client.Delete(t.Context(), mu)) },
			} {
				act()
				s.sandbox.ResetCalls()
				s.reconcile(mu)
				s.wantMessage(mu, "OAuthClient acme has the id "+other, "exists under OAuth client "+s.clientID())
				s.wantCalls()
			}
			s.must(s.client.Delete(t.Context(), &v1alpha1.OAuthClient{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "acme"}}))
			s.acme()
			s.reconcile(mu)
			s.wantGone(mu)
			if n := len(s.sandbox.Users(s.clientID())); n != 0 {
				t.Errorf("%d users left in Cal.com", n)
			}
		})
	}
}

// A user whose client has gone can be left behind.
func TestOrphanWithoutItsClient(t *testing.T) {
	s := newStory(t)
	c := s.acme()
	mu := s.create(byRef("", "acme"), orphan)
	s.wantReady(mu, "Created")
	s.must(s.client.Delete(t.Context(), c))
	s.delete(mu)
	s.wantGone(mu)
}

// A Secret is read once for all its users, and again when it changes.
func TestSecretIsReadOnce(t *testing.T) {
	s := newStory(t)
	reads := &countedReads{Reader: s.reconciler.reader}
	s.reconciler.credentials.reader = reads
	first := s.create()
	s.wantReady(first, "Created")
	for i := range 3 {
		mu := s.user(func(spec *v1alpha1.ManagedUserSpec) { spec.Email = fmt.Sprintf("user-%d@example.com", i) })
		mu.Name = fmt.Sprintf("user-%d", i)
		s.must(s.client.Create(t.Context(), mu))
		s.reconcile(mu)
		s.wantReady(mu, "Created")
	}
	if reads.secrets != 1 {
		t.Errorf("the Secret was read %d times, want once", reads.secrets)
	}
	s.setSecret("wrong")
	s.due(first)
	if !slices.Contains(conditions(first), "CredentialsReady=False/Unauthorized") || reads.secrets != 2 {
		t.Errorf("the Secret was read %d times, want twice:\n%s", reads.secrets, show(first))
	}
	s.setSecret("no\nkey")
	for range 3 {
		s.due(first)
	}
	if !slices.Contains(conditions(first), "CredentialsReady=False/KeyNotFound") || reads.secrets != 3 {
		t.Errorf("the Secret was read %d times, want three times:\n%s", reads.secrets, show(first))
	}
}

type countedReads struct {
	client.Reader

	secrets int
}

func (c *countedReads) Get(ctx context.Context, key client.ObjectKey, object client.Object, options ...client.GetOption) error {
	if _, ok := object.(*corev1.Secret); ok {
		c.secrets++
	}
	return c.Reader.Get(ctx, key, object, options...)
}

// clientStatus waits until an OAuth client's status is as wanted.
func (s *story) eventuallyClient(c client.Object, what string, holds func(*v1alpha1.OAuthClientStatus) bool) {
	s.Helper()
	err := wait.PollUntilContextTimeout(s.Context(), 20*time.Millisecond, patience, true, func(context.Context) (bool, error) {
		err := s.client.Get(s.Context(), client.ObjectKeyFromObject(c), c)
		if apierrors.IsNotFound(err) {
			return holds(nil), nil
		}
		return err == nil && holds(asOAuthClient(c).status), err
	})
	if err != nil {
		s.Fatalf("waiting for %s: %v\n%+v", what, err, asOAuthClient(c).status)
	}
}

func clientConditions(status *v1alpha1.OAuthClientStatus) []string {
	return conditions(&v1alpha1.ManagedUser{Status: v1alpha1.ManagedUserStatus{Conditions: status.Conditions}})
}

// The life of a client under a manager: its Secret is wrong and is corrected, which wakes its users; it is verified by
// one call each time; it counts its users; and it stays, with its Secret, until the last of them has gone.
func TestLifeOfAnOAuthClient(t *testing.T) {
	for _, kind := range []string{v1alpha1.KindOAuthClient, v1alpha1.KindClusterOAuthClient} {
		t.Run(kind, func(t *testing.T) {
			s := newStory(t)
			s.config.ProtectSecrets, s.config.ClusterClients, s.config.Namespace = true, true, s.namespace
			s.setSecret("wrong")
			defer s.startManager()()
			name := "acme"
			if kind == v1alpha1.KindClusterOAuthClient {
				name = s.namespace
			}
			alice, bob := s.user(byRef(kind, name)), s.user(byRef(kind, name))
			bob.Name, bob.Spec.Email = "bob", "bob@example.com"
			s.must(s.client.Create(t.Context(), alice))
			s.eventuallyReason(alice, v1alpha1.ReasonClientNotFound)
			s.wantCalls()
			var c client.Object
			if kind == v1alpha1.KindOAuthClient {
				c = s.acme()
			} else {
				c = s.clusterAcme(v1alpha1.NamespaceSelection{Names: []string{s.namespace}})
			}
			s.eventuallyReason(alice, v1alpha1.ReasonUnauthorized) // The client's coming woke it.
			s.eventuallyClient(c, "the refusal", func(status *v1alpha1.OAuthClientStatus) bool {
				return cmp.Equal(clientConditions(status), []string{"CredentialsReady=False/Unauthorized", "Ready=False/Unauthorized", "Stalled=True/Unauthorized"}) &&
					status.ObservedGeneration == c.GetGeneration()
			})
			s.setSecret(calcomtest.DefaultClient().Secret)
			s.eventuallyReady(alice)
			s.eventuallyClient(c, "Ready", func(status *v1alpha1.OAuthClientStatus) bool {
				return cmp.Equal(clientConditions(status), []string{"CredentialsReady=True/Verified", "Ready=True/Available"}) && status.Quota != nil
			})
			if d := cmp.Diff(&v1alpha1.QuotaStatus{Limit: 1_000_000, Allowed: 800_000}, asOAuthClient(c).status.Quota); d != "" {
				t.Errorf("quota (-want +got):\n%s", d)
			}
			s.must(s.client.Create(t.Context(), bob))
			s.eventuallyReady(bob)

			s.must(s.client.Delete(t.Context(), c))
			s.deleteSecret()
			s.eventuallyClient(c, "Deleting", func(status *v1alpha1.OAuthClientStatus) bool {
				return slices.Contains(clientConditions(status), "Ready=False/Deleting") && strings.Contains(status.Conditions[0].Message+status.Conditions[1].Message, "2 refer to it")
			})
			if kind == v1alpha1.KindOAuthClient {
				s.eventuallyEvent(v1alpha1.EventInUse, "OAuthClient acme is being deleted and stays until all objects that need it are deleted too, such as ManagedUser ")
				s.eventuallyEvent(v1alpha1.EventInUse, "Secret calcom is being deleted and stays until all objects that need it are deleted too, such as OAuthClient acme")
			}
			carol := s.user(byRef(kind, name))
			carol.Name, carol.Spec.Email = "carol", "carol@example.com"
			s.must(s.client.Create(t.Context(), carol))
			s.eventuallyReason(carol, v1alpha1.ReasonClientNotFound) // Nobody new comes to need it.
			for _, mu := range []*v1alpha1.ManagedUser{alice, bob} {
				s.eventuallySecret(true, true)
				s.must(s.client.Delete(t.Context(), mu))
				s.eventually(mu, "the end of "+mu.Name, func(exists bool) bool { return !exists })
			}
			s.eventuallyClient(c, "the client's end", func(status *v1alpha1.OAuthClientStatus) bool { return status == nil })
			s.eventuallySecret(false, false)
			if n := len(s.sandbox.Users(s.clientID())); n != 0 {
				t.Errorf("%d users left in Cal.com", n)
			}
		})
	}
}

// What its client and its namespace come to allow wakes a user.
func TestAllowedNamespacesUnderAManager(t *testing.T) {
	s := newStory(t)
	s.config.ClusterClients, s.config.Namespace = true, s.namespace
	defer s.startManager()()
	c := s.clusterAcme(v1alpha1.NamespaceSelection{Names: []string{"other"}})
	mu := s.user(byRef(v1alpha1.KindClusterOAuthClient, s.namespace))
	s.must(s.client.Create(t.Context(), mu))
	s.eventuallyReason(mu, v1alpha1.ReasonNamespaceNotAllowed)
	s.eventuallyClient(c, "its state", func(status *v1alpha1.OAuthClientStatus) bool { return len(status.Conditions) > 0 })
	before := c.DeepCopy()
	c.Spec.AllowedNamespaces = v1alpha1.NamespaceSelection{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"calcom": "yes"}}}
	s.must(s.client.Patch(t.Context(), c, client.MergeFrom(before))) // The operator writes the status meanwhile.
	patch := client.RawPatch(client.Merge.Type(), []byte(`{"metadata":{"labels":{"calcom":"yes"}}}`))
	s.must(s.client.Patch(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: s.namespace}}, patch))
	s.eventuallyReady(mu)
}

// A client is verified by one call per value of its key, whoever makes it; not after a restart; and when somebody asks.
func TestClientIsVerifiedOnce(t *testing.T) {
	s := newStory(t)
	s.config.Jitter = func(most time.Duration) time.Duration { return most }
	stop := s.startManager()
	c := s.acme()
	verified := func(status *v1alpha1.OAuthClientStatus) bool {
		return slices.Contains(clientConditions(status), "Ready=True/Available") && status.LastHandledReconcileAt == c.GetAnnotations()[v1alpha1.ReconcileRequestedAtAnnotation]
	}
	s.eventuallyClient(c, "Ready", verified)
	s.wantCalls(calcomtest.OpList)
	mu := s.user(byRef("", "acme"))
	s.must(s.client.Create(t.Context(), mu))
	s.eventuallyReady(mu)
	s.wantCalls(calcomtest.OpCreate)
	stop()

	version := c.ResourceVersion
	stop = s.startManager()
	defer stop()
	s.must(s.client.Get(t.Context(), client.ObjectKeyFromObject(c), c))
	annotated := c.DeepCopy()
	annotated.Annotations = map[string]string{v1alpha1.ReconcileRequestedAtAnnotation: "now"}
	s.must(s.client.Patch(t.Context(), annotated, client.MergeFrom(c)))
	s.eventuallyClient(c, "the answer to the request", verified)
	if c.ResourceVersion == version {
		t.Error("the request left no trace")
	}
	s.wantCalls(calcomtest.OpList)
}

// A client that nobody refers to is swept all the same: its users may have leaked. They are told of once, and not
// touched.
func TestLeakOfAClientWithoutUsers(t *testing.T) {
	s := newStory(t)
	s.config.ResyncInterval = 200 * time.Millisecond
	leaked := s.sandbox.AddUser(s.clientID(), calcomtest.User{
		Email: "gone@example.com", Metadata: map[string]any{"kubernetesOwner": "test-cluster/" + s.namespace + "/gone/uid"},
	})
	s.sandbox.AddUser(s.clientID(), calcomtest.User{Email: "stranger@example.com"})
	defer s.startManager()()
	c := s.acme()
	s.eventuallyClient(c, "the leak", func(status *v1alpha1.OAuthClientStatus) bool {
		return status.Sweep != nil && status.Sweep.Leaked == 1
	})
	want := &v1alpha1.SweepStatus{Since: c.Status.Sweep.Since, Leaked: 1, LeakedUserIDs: []int64{leaked.ID}, Census: "Complete"}
	if d := cmp.Diff(want, c.Status.Sweep); d != "" {
		t.Errorf("sweep (-want +got):\n%s", d)
	}
	var list eventsv1.EventList
	err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, patience, true, func(context.Context) (bool, error) {
		err := s.client.List(t.Context(), &list, client.InNamespace(s.namespace))
		return slices.ContainsFunc(list.Items, func(e eventsv1.Event) bool { return e.Reason == v1alpha1.EventUsersLeaked }), err
	})
	if err != nil {
		t.Errorf("no event tells of it: %v", err)
	}
	for _, call := range s.sandbox.Calls() {
		if call.Op != calcomtest.OpList {
			t.Errorf("the sweep calls %s", call.Op)
		}
	}
}
