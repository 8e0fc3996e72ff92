// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/manageduser"
	"github.com/calcom-operator/calcom-operator/internal/metrics"
)

// BenchmarkScrape counts 10,000 objects in the real cache, as every scrape does.
func BenchmarkScrape(b *testing.B) {
	const users = 10_000
	r := &ManagedUserReconciler{client: cacheOf(b, users), clock: clock.RealClock{}, config: Config{UnknownOutcomeGrace: manageduser.UnknownOutcomeGrace}}
	registry := prometheus.NewRegistry()
	registry.MustRegister(metrics.NewUsers(func() ([]v1alpha1.ManagedUser, bool) { return r.allUsers(b.Context()) }, r.isOpen))
	b.ReportAllocs()
	for b.Loop() {
		families, err := registry.Gather()
		if err != nil {
			b.Fatal(err)
		}
		counted := 0.0
		for _, family := range families {
			for _, metric := range family.GetMetric() {
				if labels := metric.GetLabel(); len(labels) > 0 && labels[0].GetValue() == v1alpha1.ConditionReady {
					counted += metric.GetGauge().GetValue()
				}
			}
		}
		if counted != users {
			b.Fatalf("%v users were counted", counted)
		}
	}
}

// cacheOf returns a client of a cache that was filled by an API server which knows nothing but these users.
func cacheOf(b *testing.B, users int) client.Client {
	b.Helper()
	list := v1alpha1.ManagedUserList{
		TypeMeta: metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "ManagedUserList"},
		ListMeta: metav1.ListMeta{ResourceVersion: "1"},
	}
	for i := range users {
		mu := *pureUser()
		mu.Name, mu.ResourceVersion = fmt.Sprint("user-", i), "1"
		for _, condition := range []string{v1alpha1.ConditionReady, v1alpha1.ConditionSynced, v1alpha1.ConditionCredentialsReady} {
			mu.Status.Conditions = append(mu.Status.Conditions, metav1.Condition{Type: condition, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonAvailable})
		}
		list.Items = append(list.Items, mu)
	}
	body, err := json.Marshal(list)
	if err != nil {
		b.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch query := r.URL.Query(); {
		case query.Get("sendInitialEvents") != "": // It cannot stream a list.
			http.Error(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Invalid","code":422}`, http.StatusUnprocessableEntity)
		case query.Get("watch") != "":
			w.WriteHeader(http.StatusOK)
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		default:
			_, _ = w.Write(body)
		}
	}))
	b.Cleanup(server.CloseClientConnections)
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		b.Fatal(err)
	}
	mapper := meta.NewDefaultRESTMapper(nil)
	mapper.Add(v1alpha1.GroupVersion.WithKind("ManagedUser"), meta.RESTScopeNamespace)
	config := &rest.Config{Host: server.URL}
	filled, err := cache.New(config, cache.Options{Scheme: scheme, Mapper: mapper})
	if err != nil {
		b.Fatal(err)
	}
	go func() { _ = filled.Start(b.Context()) }()
	c, err := client.New(config, client.Options{Scheme: scheme, Mapper: mapper, Cache: &client.CacheOptions{Reader: filled}})
	if err != nil {
		b.Fatal(err)
	}
	if !filled.WaitForCacheSync(b.Context()) {
		b.Fatal("the cache does not start")
	}
	if err := c.List(b.Context(), &v1alpha1.ManagedUserList{}); err != nil { // It waits until the cache is full.
		b.Fatal(err)
	}
	return c
}
