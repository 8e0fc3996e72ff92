// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/config/crd"
	"github.com/calcom-operator/calcom-operator/internal/operator"
)

// writes notes the requests of an operator that change something in Kubernetes.
type writes struct {
	next http.RoundTripper

	mu   sync.Mutex
	made []string
}

func (w *writes) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.Method != http.MethodGet {
		w.mu.Lock()
		w.made = append(w.made, request.Method+" "+request.URL.Path)
		w.mu.Unlock()
	}
	return w.next.RoundTrip(request)
}

func (w *writes) all() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.made)
}

// watched returns a configuration whose writes are noted.
func watched(config *rest.Config) (*rest.Config, *writes) {
	w := &writes{}
	copied := rest.CopyConfig(config)
	copied.Wrap(func(next http.RoundTripper) http.RoundTripper {
		w.next = next
		return w
	})
	return copied, w
}

// serveUnchecked runs the operator as it would run without the check of the CRDs.
func (o *options) serveUnchecked(ctx context.Context, config *rest.Config, _ clock.Clock) error {
	inner := o.inner()
	inner.Controller.SkipNameValidation = new(true) // It is not the only one in this process.
	mgr, err := ctrl.NewManager(config, inner)
	if err != nil {
		return err
	}
	if err := operator.Add(ctx, mgr, &o.operator); err != nil {
		return err
	}
	return mgr.Start(ctx)
}

// An operator that starts while a CRD is old writes nothing and calls nobody, whatever there is to do: a new object, an
// edited one, and one that is being deleted. The same objects keep an operator busy that does not check.
func TestOldCRDsLeaveAllAsItIs(t *testing.T) {
	i := start(t, crd.Objects())
	i.serve(i.config, (*options).serveUnchecked)
	edited, leaving := i.create(), i.user("carol")
	if err := i.kube.Create(t.Context(), leaving); err != nil {
		t.Fatal(err)
	}
	for _, user := range []*v1alpha1.ManagedUser{edited, leaving} {
		i.eventually("a user that is Ready", func(ctx context.Context) bool {
			err := i.kube.Get(ctx, client.ObjectKeyFromObject(user), user)
			return err == nil && meta.IsStatusConditionTrue(user.Status.Conditions, v1alpha1.ConditionReady)
		})
	}
	i.stop()

	i.apply(oldCRDs())
	i.waitForOldCRD()
	edited.Spec.Name = "Another name"
	for what, err := range map[string]error{
		"editing": i.kube.Update(t.Context(), edited), "deleting": i.kube.Delete(t.Context(), leaving), "creating": i.kube.Create(t.Context(), i.user("bob")),
	} {
		if err != nil {
			t.Fatalf("%s an object: %v", what, err)
		}
	}
	i.sandbox.ResetCalls()
	began := i.clock.Now()
	config, made := watched(i.config)
	i.serve(config, (*options).serve)
	i.eventually("the end of several checks", func(context.Context) bool { return i.clock.Since(began) > time.Minute })
	if ready := i.probe("/readyz"); ready == http.StatusOK {
		t.Error("it is ready, so that a rollout would end the replica before")
	}
	i.stop()
	if all, calls := made.all(), i.sandbox.Calls(); len(all) != 0 || len(calls) != 0 {
		t.Errorf("it made %d calls to Cal.com and these writes: %v", len(calls), all)
	}

	config, made = watched(i.config)
	i.serve(config, (*options).serveUnchecked)
	i.eventually("calls and writes of an operator that does not check", func(context.Context) bool {
		return len(i.sandbox.Calls()) > 0 && len(made.all()) > 0
	})
}
