// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

// module is the beginning of the packages whose memory is measured.
const module = "github.com/calcom-operator/calcom-operator/internal/"

// held returns how many entries there are in each map, and in each slice of structs or pointers, that can be reached
// from values. What belongs to other modules, such as the client and its cache, is left out, but for sync.Map.
func held(roots ...any) map[string]int {
	sizes, seen := make(map[string]int), make(map[uintptr]bool)
	var walk func(path string, v reflect.Value)
	walk = func(path string, v reflect.Value) {
		switch v.Kind() { //nolint:exhaustive // Other kinds hold no entries.
		case reflect.Pointer:
			if !v.IsNil() && !seen[v.Pointer()] {
				seen[v.Pointer()] = true
				walk(path, v.Elem())
			}
		case reflect.Struct:
			if v.Type().String() == "sync.Map" {
				(*sync.Map)(v.Addr().UnsafePointer()).Range(func(_, _ any) bool { sizes[path]++; return true })
			}
			if !strings.HasPrefix(v.Type().PkgPath(), module) {
				return
			}
			for i := range v.NumField() {
				walk(path+"."+v.Type().Field(i).Name, v.Field(i))
			}
		case reflect.Map:
			sizes[path] += v.Len()
			for entry := v.MapRange(); entry.Next(); {
				walk(path+"[]", entry.Value())
			}
		case reflect.Slice:
			if kind := v.Type().Elem().Kind(); kind == reflect.Struct || kind == reflect.Pointer {
				sizes[path] += v.Len()
			}
			for i := range v.Len() {
				walk(path+"[]", v.Index(i))
			}
		case reflect.Array:
			for i := range v.Len() {
				walk(path+"[]", v.Index(i))
			}
		}
	}
	for _, root := range roots {
		walk(reflect.TypeOf(root).Elem().Name(), reflect.ValueOf(root))
	}
	maps.DeleteFunc(sizes, func(path string, size int) bool {
		return size == 0 || strings.HasSuffix(path, ".config.AllowedAPIURLs") || strings.Contains(path, ".config.")
	})
	return sizes
}

// crowd is a story with objects that come and go.
type crowd struct {
	*sweepStory

	keeper *OAuthClientReconciler
}

// generation creates, uses and deletes some objects of all kinds, each namespace with a Secret and an OAuth client of
// its own, and each spelled for another server.
func (c *crowd) generation(number, users int) {
	c.Helper()
	c.namespace = fmt.Sprint("team-", number)
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: c.namespace, Name: "calcom"}, Data: map[string][]byte{"secretKey": []byte(calcomtest.DefaultClient().Secret)},
	}
	c.must(c.client.Create(c.Context(), secret))
	oauth := &v1alpha1.OAuthClient{
		ObjectMeta: metav1.ObjectMeta{Namespace: c.namespace, Name: "acme", UID: types.UID(c.namespace), Generation: 1},
		Spec:       v1alpha1.OAuthClientSpec{OAuthClientCredentials: c.credentialsAt(number)},
	}
	c.must(c.client.Create(c.Context(), oauth))
	oauth.Status.ObservedGeneration = -1 // The CRD's default.
	c.must(c.client.Status().Update(c.Context(), oauth))
	request := ctrl.Request{NamespacedName: types.NamespacedName{Namespace: c.namespace, Name: "acme"}}
	_, err := c.keeper.Reconcile(c.Context(), request)
	c.must(err)
	var all []*v1alpha1.ManagedUser
	for i := range users {
		mu := c.user(func(spec *v1alpha1.ManagedUserSpec) {
			spec.Email, spec.OAuthClient = fmt.Sprintf("user-%d-%d@example.com", number, i), new(c.credentialsAt(number))
			if i%2 == 0 {
				spec.Tokens = &v1alpha1.TokensSpec{SecretName: fmt.Sprint("tokens-", i)}
			}
		})
		mu.Name = fmt.Sprint("user-", i)
		c.apply(mu)
		c.settleOnce(mu)
		all = append(all, mu)
	}
	c.reconciler.sweeper.mu.Lock()
	c.reconciler.sweeper.summon([]types.NamespacedName{keyOf(all[0])})
	c.reconciler.sweeper.mu.Unlock()
	for _, mu := range all {
		c.must(c.client.Delete(c.Context(), mu))
		c.settleOnce(mu)
		c.reconcile(mu) // As the cache shows that it is gone.
	}
	for range 3 {
		_, err = c.keeper.Reconcile(c.Context(), request)
		c.must(err)
	}
	c.must(c.client.Delete(c.Context(), oauth))
	for range 3 {
		_, err = c.keeper.Reconcile(c.Context(), request)
		c.must(err)
	}
	c.must(c.client.Delete(c.Context(), secret))
}

// credentialsAt names another API URL for each number, all of which the sandbox serves.
func (c *crowd) credentialsAt(number int) v1alpha1.OAuthClientCredentials {
	return v1alpha1.OAuthClientCredentials{
		ID: c.clientID(), APIURL: fmt.Sprintf("%s/%d", strings.TrimSuffix(c.sandbox.URL(), "/v2"), number),
		SecretKeyRef: v1alpha1.SecretKeyReference{Name: "calcom", Key: "secretKey"},
	}
}

// settleOnce reconciles an object until it rests or is gone.
func (c *crowd) settleOnce(mu *v1alpha1.ManagedUser) {
	c.Helper()
	for range 20 {
		result, err := c.reconcile(mu).unpack()
		c.must(err)
		if result.RequeueAfter == 0 || result.RequeueAfter > resync {
			return
		}
		c.advance(result.RequeueAfter)
		if !c.reload(mu) {
			return
		}
	}
}

// What is kept in memory of objects, of their accounts and of their secret keys goes with them, whatever map it is in.
func TestMemoryShrinksWhenObjectsGo(t *testing.T) {
	generations, users := 250, 40 // 10,000 users.
	if underRace {
		generations = 25
	}
	s := newSweepStory(t, 0, func(c *Config) { c.Transport = withoutPrefix{} })
	c := &crowd{sweepStory: s, keeper: s.reconciler.OAuthClients(v1alpha1.KindOAuthClient)}
	most := 0
	for number := range generations {
		c.generation(number, users)
		c.sandbox.ResetCalls()
		c.events.take()
		c.writes.take()
		c.woken = nil
		for _, u := range c.sandbox.Users(c.clientID()) {
			t.Fatalf("user %d is left", u.ID)
		}
		if n := len(held(s.reconciler, c.keeper)); n > most {
			most = n
		}
	}
	s.advance(3 * time.Minute) // The last calls count no longer.
	s.reconciler.Quotas()
	s.reconciler.writes.lacks(&v1alpha1.ManagedUser{}) // Any reconcile asks.
	if d := cmp.Diff(map[string]int{}, held(s.reconciler, c.keeper)); d != "" {
		t.Errorf("entries left (-want +got):\n%s", d)
	}
	if most == 0 {
		t.Error("no map ever held anything, the test sees nothing")
	}
}

// A new map is measured without being named anywhere: the way to it is found.
func TestHeldSeesMaps(t *testing.T) {
	s := newSweepStory(t, 2)
	s.reconciler.gone.Store(keyOf(s.users[0]), "uid")
	sizes := held(s.reconciler)
	for _, path := range []string{
		"accounts.byName", "accounts.users.of", "accounts.byName[].logins", "credentials.known", "credentials.known[]", "sweeper.swept[].members", "gone",
	} {
		if sizes["ManagedUserReconciler."+path] == 0 {
			t.Errorf("nothing is seen in %s, but in %v", path, sizes)
		}
	}
}

// withoutPrefix takes the number off the paths of calls.
type withoutPrefix struct{}

func (withoutPrefix) RoundTrip(request *http.Request) (*http.Response, error) {
	request = request.Clone(request.Context())
	_, path, _ := strings.Cut(request.URL.Path, "/v2/")
	request.URL.Path, request.URL.RawPath = "/v2/"+path, ""
	return http.DefaultTransport.RoundTrip(request)
}
