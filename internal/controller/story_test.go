// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/retry"
	testclock "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/manageduser"
	"github.com/calcom-operator/calcom-operator/test/calcomtest"
	"github.com/calcom-operator/calcom-operator/test/shapes"
)

// resync is the interval of the drift checks in the tests.
const resync = 10 * time.Minute

// seen are the states in which the stories saw objects between reconciles.
var seen shapes.Set

// cluster is the control plane that all tests of the package share; each test has a namespace of its own.
var cluster *rest.Config

// shared is what clients of that control plane need, made once: every restart of a reconciler has a new client.
var shared struct {
	scheme *runtime.Scheme
	http   *http.Client
	mapper meta.RESTMapper
}

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	flag.Parse()
	if flag.Lookup("test.fuzz").Value.String() != "" || flag.Lookup("test.fuzzworker").Value.String() == "true" {
		return m.Run() // Fuzz targets are pure, and every worker would start a control plane of its own.
	}
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		fmt.Fprintln(os.Stderr, `KUBEBUILDER_ASSETS is not set: run "make test", or export KUBEBUILDER_ASSETS=$(hack/controlplane/assets.sh)`)
		return 1
	}
	ctrl.SetLogger(logr.Discard()) // What the tests look at is what users see.
	environment := &envtest.Environment{
		CRDDirectoryPaths:     []string{filepath.Join("..", "..", "config", "crd", "bases")},
		ErrorIfCRDPathMissing: true,
	}
	var err error
	if cluster, err = environment.Start(); err != nil {
		fmt.Fprintln(os.Stderr, "starting the control plane:", err)
		return 1
	}
	cluster.QPS = -1
	if err := share(); err != nil {
		fmt.Fprintln(os.Stderr, "making the clients' parts:", err)
		return 1
	}
	code := m.Run()
	if err := seen.Check(filepath.Join("..", "..", "test", "gitops", "testdata")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	if err := environment.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, "stopping the control plane:", err)
		return 1
	}
	return code
}

func share() (err error) {
	shared.scheme = runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(shared.scheme), v1alpha1.AddToScheme(shared.scheme)); err != nil {
		return err
	}
	if shared.http, err = rest.HTTPClientFor(cluster); err != nil {
		return err
	}
	shared.mapper, err = apiutil.NewDynamicRESTMapper(cluster, shared.http)
	return err
}

// story is one test's world: a namespace, a Cal.com, a clock that moves when told, and a reconciler that is called
// and not awaited.
type story struct {
	*testing.T

	client     client.Client
	namespace  string
	sandbox    *calcomtest.Server
	clock      *testclock.FakePassiveClock
	events     *recordedEvents
	config     Config
	reconciler *ManagedUserReconciler
	// cached is the cache of the manager that runs, if one does.
	cached client.Reader
	// connect makes the client of a new reconciler.
	connect func() client.WithWatch
	// writes counts what the reconciler writes to the API server, as "patch managedusers/status".
	writes *writeCounter
}

func newStory(t *testing.T) *story {
	t.Helper()
	clock := testclock.NewFakePassiveClock(time.Now())
	s := &story{
		T: t, client: newClient(t), clock: clock, events: &recordedEvents{}, writes: &writeCounter{},
		sandbox: calcomtest.New(t, calcomtest.Options{Now: clock.Now}),
	}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "story-"}}
	s.must(s.client.Create(t.Context(), namespace))
	s.namespace = namespace.Name
	s.connect = func() client.WithWatch { return newClient(t) }
	s.configure()
	return s
}

// configure gives the story a reconciler with its settings, and the Secret.
func (s *story) configure() {
	s.Helper()
	allowed, err := ParseURLPrefixes("http://127.0.0.1,https://")
	s.must(err)
	s.config = Config{
		OwnerID: "test-cluster", AllowedAPIURLs: allowed, ResyncInterval: resync, RateLimitShare: 0.8, UnknownOutcomeGrace: manageduser.UnknownOutcomeGrace,
		MaxConcurrentReconciles: 2, UserAgent: "calcom-operator/test", Transport: http.DefaultTransport,
		Clock: s.clock, Jitter: func(time.Duration) time.Duration { return 0 },
	}
	s.restart()
	s.createSecret(calcomtest.DefaultClient().Secret)
}

func newClient(t *testing.T) client.WithWatch {
	t.Helper()
	c, err := client.NewWithWatch(cluster, client.Options{Scheme: shared.scheme, HTTPClient: shared.http, Mapper: shared.mapper})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// restart replaces the reconciler by a new one, which knows nothing but what is stored.
func (s *story) restart() {
	s.Helper()
	counted := s.writes.wrap(s.connect())
	r, err := New(counted, counted, s.events, s.config)
	s.must(err)
	s.reconciler = r
}

func (s *story) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *story) createSecret(secretKey string) {
	s.Helper()
	s.must(s.client.Create(s.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "calcom"},
		Data:       map[string][]byte{"secretKey": []byte(secretKey)},
	}))
}

func (s *story) setSecret(secretKey string) {
	s.Helper()
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "calcom"}}
	s.must(s.client.Patch(s.Context(), secret, client.RawPatch(client.Merge.Type(), fmt.Appendf(nil, `{"stringData":{"secretKey":%q}}`, secretKey))))
}

func (s *story) deleteSecret() {
	s.Helper()
	s.must(s.client.Delete(s.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "calcom"}}))
}

// user returns a manifest for alice; changes are applied on top.
func (s *story) user(changes ...func(*v1alpha1.ManagedUserSpec)) *v1alpha1.ManagedUser {
	mu := &v1alpha1.ManagedUser{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "alice"},
		Spec: v1alpha1.ManagedUserSpec{
			OAuthClient: &v1alpha1.OAuthClientCredentials{
				ID: s.clientID(), APIURL: s.sandbox.URL(),
				SecretKeyRef: v1alpha1.SecretKeyReference{Name: "calcom", Key: "secretKey"},
			},
			Email: "alice@example.com",
			Name:  "Alice",
		},
	}
	for _, change := range changes {
		change(&mu.Spec)
	}
	return mu
}

func (s *story) clientID() string { return calcomtest.DefaultClient().ID }

// create applies a manifest and reconciles it once.
func (s *story) create(changes ...func(*v1alpha1.ManagedUserSpec)) *v1alpha1.ManagedUser {
	s.Helper()
	mu := s.user(changes...)
	s.must(s.client.Create(s.Context(), mu))
	s.reconcile(mu)
	return mu
}

// edit changes the spec as kubectl apply would.
func (s *story) edit(mu *v1alpha1.ManagedUser, change func(*v1alpha1.ManagedUserSpec)) {
	s.Helper()
	s.must(retry.RetryOnConflict(retry.DefaultRetry, func() error { // A manager may be writing to it.
		s.reload(mu)
		change(&mu.Spec)
		return s.client.Update(s.Context(), mu)
	}))
}

// request asks for a look at Cal.com now.
func (s *story) request(mu *v1alpha1.ManagedUser, value string) {
	s.Helper()
	patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%q}}}`, v1alpha1.ReconcileRequestedAtAnnotation, value)
	s.must(s.client.Patch(s.Context(), mu, client.RawPatch(client.Merge.Type(), patch)))
}

// ending is how one reconcile ended.
type ending struct {
	result ctrl.Result
	err    error
}

func (o ending) unpack() (ctrl.Result, error) { return o.result, o.err }

// reconcile calls the reconciler once, reloads the object and checks what has to hold for every status. An error is
// what the queue would back off for.
func (s *story) reconcile(mu *v1alpha1.ManagedUser) ending {
	s.Helper()
	result, err := s.reconciler.Reconcile(s.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(mu)})
	if s.reload(mu) {
		seen.Add(mu)
		checkLegal(s.T, mu)
	}
	return ending{result, err}
}

// due lets the time until the next drift check pass, and reconciles as if the sweep had found something.
func (s *story) due(mu *v1alpha1.ManagedUser) ending {
	s.Helper()
	s.advance(resync + time.Minute)
	s.reconciler.sweeper.demand(client.ObjectKeyFromObject(mu))
	return s.reconcile(mu)
}

// demand is what the sweep does when a user needs a look.
func (s *Sweeper) demand(name client.ObjectKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.summon([]client.ObjectKey{name})
}

func (s *story) advance(d time.Duration) { s.clock.SetTime(s.clock.Now().Add(d)) }

// reload reads the object afresh and reports whether it exists.
func (s *story) reload(mu *v1alpha1.ManagedUser) bool {
	s.Helper()
	fresh := &v1alpha1.ManagedUser{}
	err := s.client.Get(s.Context(), client.ObjectKeyFromObject(mu), fresh)
	if apierrors.IsNotFound(err) {
		return false
	}
	s.must(err)
	*mu = *fresh
	return true
}

// delete asks for the object's deletion and reconciles once.
func (s *story) delete(mu *v1alpha1.ManagedUser) ending {
	s.Helper()
	s.must(s.client.Delete(s.Context(), mu))
	return s.reconcile(mu)
}

// wantGone checks that the object is gone from the API server.
func (s *story) wantGone(mu *v1alpha1.ManagedUser) {
	s.Helper()
	if s.reload(mu) {
		s.Errorf("object is still there, finalizers %v, conditions:\n%s", mu.Finalizers, show(mu))
	}
}

// wantConditions compares all conditions, each as "Type=Status/Reason", so that a leftover fails the test.
func (s *story) wantConditions(mu *v1alpha1.ManagedUser, want ...string) {
	s.Helper()
	slices.Sort(want)
	if d := cmp.Diff(want, conditions(mu)); d != "" {
		s.Errorf("conditions (-want +got):\n%s\n%s", d, show(mu))
	}
}

func conditions(mu *v1alpha1.ManagedUser) []string {
	var have []string
	for _, c := range mu.Status.Conditions {
		have = append(have, fmt.Sprintf("%s=%s/%s", c.Type, c.Status, c.Reason))
	}
	slices.Sort(have)
	return have
}

// wantReady checks for the conditions of a user that is as it should be.
func (s *story) wantReady(mu *v1alpha1.ManagedUser, synced string) {
	s.Helper()
	s.wantConditions(mu, "Ready=True/Available", "Synced=True/"+synced, "CredentialsReady=True/Verified")
	if mu.Status.ObservedGeneration != mu.Generation {
		s.Errorf("observedGeneration is %d at generation %d", mu.Status.ObservedGeneration, mu.Generation)
	}
}

// wantMessage checks that the message of Ready holds each of some words.
func (s *story) wantMessage(mu *v1alpha1.ManagedUser, words ...string) {
	s.Helper()
	ready := meta.FindStatusCondition(mu.Status.Conditions, v1alpha1.ConditionReady)
	for _, word := range words {
		if ready == nil || !strings.Contains(ready.Message, word) {
			s.Errorf("message of Ready lacks %q:\n%s", word, show(mu))
		}
	}
}

// wantCalls compares the operations that Cal.com saw since the last check.
func (s *story) wantCalls(want ...calcomtest.Op) {
	s.Helper()
	var have []calcomtest.Op
	for _, call := range s.sandbox.Calls() {
		have = append(have, call.Op)
	}
	if d := cmp.Diff(want, have); d != "" {
		s.Errorf("calls to Cal.com (-want +got):\n%s", d)
	}
	s.sandbox.ResetCalls()
}

// wantEvents compares the reasons of the events since the last check.
func (s *story) wantEvents(want ...string) {
	s.Helper()
	if d := cmp.Diff(want, s.events.take()); d != "" {
		s.Errorf("events (-want +got):\n%s", d)
	}
}

// wantWrites compares the writes to the API server since the last check.
func (s *story) wantWrites(want ...string) {
	s.Helper()
	if d := cmp.Diff(want, s.writes.take()); d != "" {
		s.Errorf("writes to Kubernetes (-want +got):\n%s", d)
	}
}

func show(mu *v1alpha1.ManagedUser) string {
	var b strings.Builder
	for _, c := range mu.Status.Conditions {
		fmt.Fprintf(&b, "  %s=%s %s (generation %d): %s\n", c.Type, c.Status, c.Reason, c.ObservedGeneration, c.Message)
	}
	return b.String()
}

// checkLegal checks what has to hold for every status that is ever written: the rules of kstatus, and nothing in a
// message that must not be shown.
func checkLegal(t *testing.T, mu *v1alpha1.ManagedUser) {
	t.Helper()
	if len(mu.Status.Conditions) == 0 {
		return
	}
	is := func(kind string) bool { return meta.IsStatusConditionTrue(mu.Status.Conditions, kind) }
	ready := meta.FindStatusCondition(mu.Status.Conditions, v1alpha1.ConditionReady)
	switch {
	case ready == nil:
		t.Errorf("there is no condition Ready:\n%s", show(mu))
	case is(v1alpha1.ConditionReconciling) && is(v1alpha1.ConditionStalled):
		t.Errorf("Reconciling and Stalled at once:\n%s", show(mu))
	case ready.Status == metav1.ConditionTrue && (is(v1alpha1.ConditionReconciling) || is(v1alpha1.ConditionStalled)):
		t.Errorf("Ready together with Reconciling or Stalled:\n%s", show(mu))
	case is(v1alpha1.ConditionStalled) && mu.Status.ObservedGeneration != mu.Generation && mu.DeletionTimestamp.IsZero():
		t.Errorf("Stalled at an old generation, which kstatus takes for progress:\n%s", show(mu))
	}
	for _, c := range mu.Status.Conditions {
		local, _, _ := strings.Cut(mu.Spec.Email, "@")
		for _, secret := range []string{"@", local + " ", calcomtest.DefaultClient().Secret} {
			if strings.Contains(c.Message, secret) {
				t.Errorf("message of %s shows %q: %s", c.Type, secret, c.Message)
			}
		}
		first, _ := strings.CutSuffix(c.Message, ".")
		if first != c.Message || c.Message == "" || strings.ToUpper(c.Message[:1]) != c.Message[:1] || len(c.Message) > 1024 {
			t.Errorf("message of %s is not a line as it should be: %q", c.Type, c.Message)
		}
	}
}

// recordedEvents is an event recorder that keeps the reasons.
type recordedEvents struct {
	mu             sync.Mutex
	reasons, notes []string
}

func (e *recordedEvents) Eventf(_, _ runtime.Object, _, reason, _, note string, args ...any) {
	e.mu.Lock()
	defer e.mu.Unlock()
	text := fmt.Sprintf(note, args...)
	e.notes = append(e.notes, text)
	if strings.Contains(text, "@") {
		reason += " SHOWS AN ADDRESS: " + text
	}
	e.reasons = append(e.reasons, reason)
}

func (e *recordedEvents) take() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	taken := e.reasons
	e.reasons = nil
	return taken
}

// writeCounter counts writes on their way to the API server, and can make one fail.
type writeCounter struct {
	mu   sync.Mutex
	seen []string
	// fail, when set, is asked before each write; an error it returns is what the reconciler gets.
	fail func(write string) error
	// failStatus, when set, is asked before each write of a status, with the patch.
	failStatus func(patch string) error
}

func (w *writeCounter) wrap(c client.WithWatch) client.Client {
	return interceptor.NewClient(c, interceptor.Funcs{
		Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
			if err := w.note("patch"); err != nil {
				return err
			}
			return c.Patch(ctx, o, p, opts...)
		},
		Apply: func(ctx context.Context, c client.WithWatch, o runtime.ApplyConfiguration, opts ...client.ApplyOption) error {
			if err := w.note("apply"); err != nil {
				return err
			}
			return c.Apply(ctx, o, opts...)
		},
		Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			if err := w.note("create"); err != nil {
				return err
			}
			return c.Create(ctx, o, opts...)
		},
		Delete: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.DeleteOption) error {
			if err := w.note("delete"); err != nil {
				return err
			}
			return c.Delete(ctx, o, opts...)
		},
		SubResourcePatch: func(ctx context.Context, c client.Client, sub string, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
			if w.failStatus != nil {
				data, err := p.Data(o)
				if err != nil {
					return err
				}
				if err := w.failStatus(string(data)); err != nil {
					return err
				}
			}
			if err := w.note("patch " + sub); err != nil {
				return err
			}
			return c.SubResource(sub).Patch(ctx, o, p, opts...)
		},
	})
}

func (w *writeCounter) note(write string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fail != nil {
		if err := w.fail(write); err != nil {
			return err
		}
	}
	w.seen = append(w.seen, write)
	return nil
}

func (w *writeCounter) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	taken := w.seen
	w.seen = nil
	return taken
}
