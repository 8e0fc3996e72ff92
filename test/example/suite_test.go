// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package onboarding

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/config/crd"
	"github.com/calcom-operator/calcom-operator/test/operatortest"
)

// patience bounds each wait. It is long so that a busy machine fails no test.
const patience = 30 * time.Second

// kube talks to the API server that all tests share; each has a namespace and a sandbox of its own.
var kube client.Client

func TestMain(m *testing.M) {
	ctrl.SetLogger(logr.Discard())
	environment := &envtest.Environment{CRDInstallOptions: envtest.CRDInstallOptions{CRDs: crd.Objects()}}
	code, err := run(m, environment)
	if err := errors.Join(err, environment.Stop()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// run starts a control plane with the CRDs, and on one manager the operator and the controller under test.
func run(m *testing.M, environment *envtest.Environment) (int, error) {
	config, err := environment.Start()
	if err != nil {
		return 1, fmt.Errorf("starting the control plane (is KUBEBUILDER_ASSETS set?): %w", err)
	}
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return 1, err
	}
	if kube, err = client.New(config, client.Options{Scheme: scheme}); err != nil {
		return 1, err
	}
	mgr, err := ctrl.NewManager(config, ctrl.Options{Scheme: scheme, Metrics: metricsserver.Options{BindAddress: "0"}})
	if err != nil {
		return 1, err
	}
	ctx, stop := context.WithCancel(context.Background()) //nolint:forbidigo // TestMain has no context of its own.
	if err := errors.Join(
		operatortest.SetupWithManager(ctx, mgr, operatortest.Options{}),
		(&Reconciler{Client: mgr.GetClient(), OAuthClient: "acme"}).SetupWithManager(mgr),
	); err != nil {
		stop()
		return 1, err
	}
	ended := make(chan error, 1)
	go func() { ended <- mgr.Start(ctx) }()
	code := m.Run()
	stop()
	return code, <-ended
}

// newNamespace makes a namespace, so that tests can run at the same time.
func newNamespace(t *testing.T) string {
	t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"}}
	if err := kube.Create(t.Context(), namespace); err != nil {
		t.Fatal(err)
	}
	return namespace.Name
}

// eventually reads the object until the condition holds. The object may be gone: then exists is false.
func eventually(t *testing.T, object client.Object, what string, holds func(exists bool) bool) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
		err := kube.Get(ctx, client.ObjectKeyFromObject(object), object)
		if client.IgnoreNotFound(err) != nil {
			return false, err
		}
		return holds(!apierrors.IsNotFound(err)), nil
	})
	if err != nil {
		t.Fatalf("waiting for %s: %v; the object is\n%+v", what, err, object)
	}
}
