// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/prometheus/client_golang/prometheus"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	testclock "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/config/crd"
	"github.com/calcom-operator/calcom-operator/internal/crdcheck"
	"github.com/calcom-operator/calcom-operator/internal/operator"
	"github.com/calcom-operator/calcom-operator/test/calcomtest"
	"github.com/calcom-operator/calcom-operator/test/stack"
)

const (
	patience  = time.Minute
	namespace = "default"
)

// installation is an operator whose CRDs a test changes.
type installation struct {
	*testing.T
	config  *rest.Config
	kube    client.Client
	sandbox *calcomtest.Server
	clock   *testclock.FakeClock
	began   time.Time
	probes  string
	ended   chan error
	stop    func() // Ends the operator and waits for its end.

	mu    sync.Mutex
	lines []string
}

// current is the installation whose operator logs: a program can set its logger once.
var current atomic.Pointer[installation]

var setLogger = sync.OnceFunc(func() {
	ctrl.SetLogger(funcr.New(func(prefix, line string) { current.Load().log(prefix, line) }, funcr.Options{}))
})

// start starts a control plane with some CRDs.
func start(t *testing.T, crds []*apiextensionsv1.CustomResourceDefinition) *installation {
	t.Helper()
	environment := &envtest.Environment{CRDInstallOptions: envtest.CRDInstallOptions{CRDs: crds}}
	config, err := environment.Start()
	if err != nil {
		t.Fatalf("starting the control plane (is KUBEBUILDER_ASSETS set?): %v", err)
	}
	t.Cleanup(func() {
		if err := environment.Stop(); err != nil {
			t.Errorf("stopping the control plane: %v", err)
		}
	})
	scheme := operator.NewScheme()
	kube, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	probes, err := stack.FreeAddress(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	i := &installation{
		T: t, config: config, kube: kube, sandbox: calcomtest.New(t, calcomtest.Options{}),
		clock: testclock.NewFakeClock(began), began: began, probes: "http://" + probes,
	}
	current.Store(i)
	setLogger()
	return i
}

// serve runs the operator as the program does, by one of its functions, until the test ends or stops it.
func (i *installation) serve(config *rest.Config, run func(*options, context.Context, *rest.Config, clock.Clock) error) {
	i.Helper()
	o, err := parseOptions([]string{
		"--metrics-bind-address=0", "--health-probe-bind-address=" + strings.TrimPrefix(i.probes, "http://"),
		"--leader-elect", "--leader-election-namespace=" + namespace, "--operator-namespace=" + namespace, "--allowed-api-urls=http://127.0.0.1",
	})
	if err != nil {
		i.Fatal(err)
	}
	o.operator.Registerer = prometheus.NewRegistry()
	ctx, cancel := context.WithCancel(i.Context())
	stopped := make(chan struct{})
	ended := make(chan error, 1)
	i.ended = ended
	go func() {
		defer close(stopped)
		ended <- run(o, ctx, config, i.clock)
	}()
	i.stop = func() {
		cancel()
		<-stopped
	}
	i.Cleanup(i.stop)
}

func (i *installation) log(_, line string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.lines = append(i.lines, line)
}

func (i *installation) text() string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return strings.Join(i.lines, "\n")
}

// logged counts the lines that contain some words.
func (i *installation) logged(words string) int {
	i.mu.Lock()
	defer i.mu.Unlock()
	n := 0
	for _, line := range i.lines {
		if strings.Contains(line, words) {
			n++
		}
	}
	return n
}

// eventually waits for something while the time of the checks goes by.
func (i *installation) eventually(what string, holds func(ctx context.Context) bool) {
	i.Helper()
	i.wait(what, func(ctx context.Context) bool {
		if i.clock.HasWaiters() {
			i.clock.Step(5 * time.Second)
		}
		return holds(ctx)
	})
}

// wait waits for something while the time of the checks stands still.
func (i *installation) wait(what string, holds func(ctx context.Context) bool) {
	i.Helper()
	poll := func(ctx context.Context) (bool, error) { return holds(ctx), nil }
	err := wait.PollUntilContextTimeout(i.Context(), 20*time.Millisecond, patience, true, poll)
	if err != nil {
		i.Fatalf("waiting for %s: %v; the log is\n%s", what, err, i.text())
	}
}

// probe returns the status of a probe, 0 while nothing answers.
func (i *installation) probe(path string) int {
	response, err := http.Get(i.probes + path)
	if err != nil {
		return 0
	}
	_ = response.Body.Close()
	return response.StatusCode
}

// refusesUnwatched has the operator work with an old CRD that it has not noticed yet. The API server refuses its
// writes then, in place of dropping fields.
func (i *installation) refusesUnwatched() {
	i.Helper()
	i.waitForOldCRD()
	bob := i.user("bob")
	if err := i.kube.Create(i.Context(), bob); err != nil {
		i.Fatal(err)
	}
	i.wait("a refused write", func(context.Context) bool { return i.logged("unknown field status.apiURL") > 0 })
	if err := i.kube.Get(i.Context(), client.ObjectKeyFromObject(bob), bob); err != nil || bob.Status.User != nil {
		i.Errorf("the status was written without the server: %+v, %v", bob.Status.User, err)
	}
}

// waitForOldCRD waits until the API server knows an old CRD that was applied.
func (i *installation) waitForOldCRD() {
	i.Helper()
	i.wait("the old CRD to be in force", func(ctx context.Context) bool {
		user := i.user("probe")
		user.Spec.DeletionPolicy = v1alpha1.DeletionPolicyOrphan
		return i.kube.Create(ctx, user, client.DryRunAll, client.FieldValidation(metav1.FieldValidationStrict)) != nil
	})
}

func (i *installation) apply(crds []*apiextensionsv1.CustomResourceDefinition) {
	i.Helper()
	if _, err := envtest.InstallCRDs(i.config, envtest.CRDInstallOptions{CRDs: crds}); err != nil {
		i.Fatal(err)
	}
}

// create creates a user and its Secret.
func (i *installation) create() *v1alpha1.ManagedUser {
	i.Helper()
	user := i.user("alice")
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "calcom"},
		StringData: map[string]string{"key": calcomtest.DefaultClient().Secret},
	}
	for _, object := range []client.Object{secret, user} {
		if err := i.kube.Create(i.Context(), object); err != nil {
			i.Fatal(err)
		}
	}
	return user
}

// user is a user that is not created yet.
func (i *installation) user(name string) *v1alpha1.ManagedUser {
	return &v1alpha1.ManagedUser{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: v1alpha1.ManagedUserSpec{
			OAuthClient: &v1alpha1.OAuthClientCredentials{
				ID: calcomtest.DefaultClient().ID, APIURL: i.sandbox.URL(),
				SecretKeyRef: v1alpha1.SecretKeyReference{Name: "calcom", Key: "key"},
			},
			Email: name + "@example.com", Name: name,
		},
	}
}

// oldCRDs are CRDs of a version that had neither status.apiURL nor spec.deletionPolicy.
func oldCRDs() []*apiextensionsv1.CustomResourceDefinition {
	crds := crd.Objects()
	for _, c := range crds {
		if c.Spec.Names.Kind != "ManagedUser" {
			continue
		}
		version := &c.Spec.Versions[0]
		fields := version.Schema.OpenAPIV3Schema.Properties
		version.SelectableFields = slices.DeleteFunc(version.SelectableFields, func(f apiextensionsv1.SelectableField) bool {
			return f.JSONPath == ".spec.deletionPolicy"
		})
		delete(fields["spec"].Properties, "deletionPolicy")
		delete(fields["status"].Properties, "apiURL")
	}
	return crds
}

// With an old CRD, the operator is alive and not ready, says what is lacking, takes no lease and reconciles
// nothing. It starts by itself once the CRD is current, and ends when the CRD is replaced by an old one.
func TestOldCRDs(t *testing.T) {
	const lacking = "managedusers.platform.cal.com lacks spec.deletionPolicy, status.apiURL;"
	i := start(t, oldCRDs())
	i.serve(i.config, (*options).serve)
	user := i.create()
	i.eventually("a reason to wait", func(context.Context) bool { return i.logged(lacking) > 0 })
	i.eventually("the end of several checks", func(context.Context) bool { return i.clock.Since(i.began) > time.Minute })
	if n := i.logged(lacking); n != 1 {
		t.Errorf("the reason is logged %d times", n)
	}
	alive, ready := i.probe("/healthz"), i.probe("/readyz")
	if alive != http.StatusOK || ready != http.StatusInternalServerError {
		t.Errorf("the probes answer %d and %d", alive, ready)
	}
	var leases coordinationv1.LeaseList
	if err := i.kube.List(t.Context(), &leases, client.InNamespace(namespace)); err != nil || len(leases.Items) != 0 {
		t.Errorf("there are %d leases, %v", len(leases.Items), err)
	}
	err := i.kube.Get(t.Context(), client.ObjectKeyFromObject(user), user)
	if err != nil || len(user.Finalizers) != 0 || len(user.Status.Conditions) != 0 {
		t.Errorf("the object was written to: %v, %v, %v", user.Finalizers, user.Status.Conditions, err)
	}
	if calls := i.sandbox.Calls(); len(calls) != 0 {
		t.Errorf("Cal.com was called %d times", len(calls))
	}

	i.apply(crd.Objects())
	i.eventually("readiness", func(context.Context) bool { return i.probe("/readyz") == http.StatusOK })
	i.eventually("a user that is Ready", func(ctx context.Context) bool {
		err := i.kube.Get(ctx, client.ObjectKeyFromObject(user), user)
		return err == nil && meta.IsStatusConditionTrue(user.Status.Conditions, v1alpha1.ConditionReady)
	})
	if user.Status.APIURL == "" {
		t.Error("the status does not say where the user is")
	}

	i.apply(oldCRDs())
	i.refusesUnwatched()
	i.eventually("the end of the operator", func(context.Context) bool { return len(i.ended) > 0 })
	err = <-i.ended
	if outdated, ok := errors.AsType[*crdcheck.OutdatedError](err); !ok || !strings.Contains(outdated.Error(), lacking) {
		t.Errorf("the operator ended with %v", err)
	}
}
