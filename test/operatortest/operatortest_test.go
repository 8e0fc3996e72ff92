// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package operatortest_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/config/crd"
	"github.com/calcom-operator/calcom-operator/test/calcomtest"
	"github.com/calcom-operator/calcom-operator/test/operatortest"
)

const patience = 30 * time.Second

var (
	bare *rest.Config // An API server without the CRDs, until withCRDs.
	kube client.Client
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) (code int) {
	ctrl.SetLogger(logr.Discard())
	environment := &envtest.Environment{}
	config, err := environment.Start()
	defer func() {
		if err := environment.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, "stopping the control plane:", err)
			code = 1
		}
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, "starting the control plane (is KUBEBUILDER_ASSETS set?):", err)
		return 1
	}
	bare = config
	if kube, err = client.New(config, client.Options{Scheme: scheme()}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	// Before there are CRDs, whatever order the tests come in.
	if _, err := operatortest.Launch(context.Background(), config, operatortest.Options{}); err == nil || !strings.Contains(err.Error(), "install the CRDs first") { //nolint:forbidigo // TestMain has no context of its own.
		fmt.Fprintln(os.Stderr, "without CRDs, the operator says:", err)
		return 1
	}
	if err := refusesOldCRDs(config); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if _, err := envtest.InstallCRDs(config, envtest.CRDInstallOptions{CRDs: crd.Objects()}); err != nil {
		fmt.Fprintln(os.Stderr, "installing the CRDs:", err)
		return 1
	}
	return m.Run()
}

// refusesOldCRDs returns an error unless the operator refuses to start with CRDs of another version. They stay
// installed.
func refusesOldCRDs(config *rest.Config) error {
	old := crd.Objects()
	for _, c := range old {
		delete(c.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["status"].Properties, "lastHandledReconcileAt")
	}
	if _, err := envtest.InstallCRDs(config, envtest.CRDInstallOptions{CRDs: old}); err != nil {
		return fmt.Errorf("installing old CRDs: %w", err)
	}
	_, err := operatortest.Launch(context.Background(), config, operatortest.Options{}) //nolint:forbidigo // TestMain has no context of its own.
	if err == nil || !strings.Contains(err.Error(), "managedusers.platform.cal.com lacks status.lastHandledReconcileAt") {
		return fmt.Errorf("with old CRDs, the operator says: %w", err)
	}
	return nil
}

func scheme() *runtime.Scheme {
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		panic(err)
	}
	return scheme
}

func newNamespace(tb testing.TB) string {
	tb.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"}}
	if err := kube.Create(tb.Context(), namespace); err != nil {
		tb.Fatal(err)
	}
	return namespace.Name
}

func create(tb testing.TB, namespace string, credentials *v1alpha1.OAuthClientCredentials) *v1alpha1.ManagedUser {
	tb.Helper()
	user := &v1alpha1.ManagedUser{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "alice"},
		Spec:       v1alpha1.ManagedUserSpec{OAuthClient: credentials, Email: "alice@example.com", Name: "Alice"},
	}
	if err := kube.Create(tb.Context(), user); err != nil {
		tb.Fatal(err)
	}
	return user
}

func eventually(tb testing.TB, user *v1alpha1.ManagedUser, what string, holds func() bool) {
	tb.Helper()
	err := wait.PollUntilContextTimeout(tb.Context(), 5*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
		err := kube.Get(ctx, client.ObjectKeyFromObject(user), user)
		return err == nil && holds(), client.IgnoreNotFound(err)
	})
	if err != nil {
		tb.Fatalf("waiting for %s: %v; the conditions are %+v", what, err, user.Status.Conditions)
	}
}

func eventuallyReady(tb testing.TB, user *v1alpha1.ManagedUser) {
	tb.Helper()
	eventually(tb, user, "Ready", func() bool { return meta.IsStatusConditionTrue(user.Status.Conditions, v1alpha1.ConditionReady) })
}

// Two operators of one process, each for its own namespace and with marks of its own.
func TestStart(t *testing.T) {
	for _, owner := range []string{"first", "second"} {
		t.Run(owner, func(t *testing.T) {
			t.Parallel()
			namespace := newNamespace(t)
			operatortest.Start(t, bare, operatortest.Options{OwnerID: owner, WatchNamespaces: []string{namespace}})
			sandbox, credentials := operatortest.NewSandbox(t, kube, namespace)
			user := create(t, namespace, credentials)
			eventuallyReady(t, user)
			stored, _ := sandbox.UserByEmail(credentials.ID, "alice@example.com")
			if mark, _ := stored.Metadata["kubernetesOwner"].(string); !strings.HasPrefix(mark, owner+"/"+namespace+"/alice/") {
				t.Errorf("the mark is %q", mark)
			}
		})
	}
}

// Of several clients, the credentials are those of the first; limits are observed.
func TestNewSandbox(t *testing.T) {
	namespace := newNamespace(t)
	operatortest.Start(t, bare, operatortest.Options{WatchNamespaces: []string{namespace}, ResyncInterval: time.Hour})
	acme := calcomtest.OAuthClient{ID: "acme", Secret: "key of acme"}
	sandbox, credentials := operatortest.NewSandbox(t, kube, namespace, calcomtest.Options{
		Clients: []calcomtest.OAuthClient{acme, calcomtest.DefaultClient()}, RateLimit: 10,
	})
	user := create(t, namespace, credentials)
	eventuallyReady(t, user)
	if len(sandbox.Users("acme")) != 1 {
		t.Errorf("the users of acme are %v", sandbox.Users("acme"))
	}
}

// A stopped operator works no more.
func TestStop(t *testing.T) {
	namespace := newNamespace(t)
	o, err := operatortest.Launch(t.Context(), bare, operatortest.Options{WatchNamespaces: []string{namespace}})
	if err != nil {
		t.Fatal(err)
	}
	sandbox, credentials := operatortest.NewSandbox(t, kube, namespace)
	user := create(t, namespace, credentials)
	eventuallyReady(t, user)
	for range 2 {
		if err := o.Stop(); err != nil {
			t.Fatal(err)
		}
	}
	sandbox.ResetCalls()
	user.Spec.Name = "Alicia"
	if err := kube.Update(t.Context(), user); err != nil {
		t.Fatal(err)
	}
	// The next one takes over where it stopped.
	operatortest.Start(t, bare, operatortest.Options{WatchNamespaces: []string{namespace}, ResyncInterval: time.Hour})
	eventually(t, user, "the new name", func() bool { return user.Status.User != nil && *user.Status.User.Name == "Alicia" })
	if n := sandbox.Count(calcomtest.OpUpdate); n != 1 {
		t.Errorf("there were %d updates", n)
	}
}

// Whatever a test gets wrong is said at once, and with a remedy.
func TestMistakes(t *testing.T) {
	strange, err := ctrl.NewManager(bare, ctrl.Options{Scheme: clientgoscheme.Scheme})
	if err != nil {
		t.Fatal(err)
	}
	if err := operatortest.SetupWithManager(t.Context(), strange, operatortest.Options{}); err == nil || !strings.Contains(err.Error(), "v1alpha1.AddToScheme") {
		t.Errorf("with a strange scheme: %v", err)
	}
	for words, options := range map[string]operatortest.Options{
		"AllowedAPIURLs":   {AllowedAPIURLs: "127.0.0.1"},
		"rate limit share": {RateLimitShare: 2},
		"owner id":         {OwnerID: "a/b"},
	} {
		if _, err := operatortest.Launch(t.Context(), bare, options); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("error is %v, want one with %q", err, words)
		}
	}
}

// How long a suite waits for what this package starts, once the control plane is up: CRDs, operator, sandbox, first
// user Ready.
func BenchmarkStart(b *testing.B) {
	for b.Loop() {
		if _, err := envtest.InstallCRDs(bare, envtest.CRDInstallOptions{CRDs: crd.Objects()}); err != nil {
			b.Fatal(err)
		}
		o, err := operatortest.Launch(b.Context(), bare, operatortest.Options{})
		if err != nil {
			b.Fatal(err)
		}
		namespace := newNamespace(b)
		_, credentials := operatortest.NewSandbox(b, kube, namespace)
		eventuallyReady(b, create(b, namespace, credentials))
		b.StopTimer()
		if err := o.Stop(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}
