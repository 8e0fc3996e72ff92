// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
	"github.com/calcom-operator/calcom-operator/internal/handover"
	"github.com/calcom-operator/calcom-operator/test/calcomtest"
	"github.com/calcom-operator/calcom-operator/test/stack"
	"github.com/calcom-operator/calcom-operator/test/stack/stacktest"
)

// callerHeader tells in the call log who called: each caller has a proxy of its own.
const callerHeader = "X-Test-Caller"

// proxied returns the base URL, with /v2, of the sandbox for one caller.
func proxied(t *testing.T, cal *calcomtest.Server, caller string) string {
	t.Helper()
	target, err := url.Parse(strings.TrimSuffix(cal.URL(), "/v2"))
	if err != nil {
		t.Fatal(err)
	}
	proxy := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Header.Set(callerHeader, caller)
	}})
	t.Cleanup(proxy.Close)
	return proxy.URL + "/v2"
}

// kube returns a client for the world's cluster.
func (w *world) kube() client.Client {
	w.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", w.Kubeconfig)
	if err != nil {
		w.Fatal(err)
	}
	config.QPS = -1
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		w.Fatal(err)
	}
	c, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		w.Fatal(err)
	}
	return c
}

// movers makes moves that can be killed, in both directions.
type movers struct {
	*testing.T
	here, there handover.Cluster
	cal         *calcom.Client
}

func (m *movers) move(k *killer, back bool) *handover.Move {
	here, there := m.here, m.there
	here.Client, there.Client = mortal{here.Client, k}, mortal{there.Client, k}
	if back {
		here, there = there, here
	}
	return &handover.Move{Here: here, There: there, Remote: func(context.Context, *v1alpha1.ManagedUser) (handover.Remote, error) {
		return mortalRemote{m.cal, k}, nil
	}}
}

// at runs the moves of all users at once, and wants every error to be one that may be.
func (m *movers) at(names []string, may func(error) bool, do func(name string) error) {
	m.Helper()
	var group sync.WaitGroup
	for _, name := range names {
		group.Go(func() {
			if err := do(name); err != nil && !may(err) {
				m.Errorf("moving %s: %v", name, err)
			}
		})
	}
	group.Wait()
	if m.Failed() {
		m.FailNow()
	}
}

func killed(err error) bool { return errors.Is(err, errKilled) }

func never(error) bool { return false }

// mostWrites is how many writes a move of one user takes, a kind of user that takes fewer included.
const mostWrites = 7

// Moves of users of every kind are killed before and after each of their writes, whether in a cluster or in Cal.com.
// Some are then started again, some go back, and some of these are killed on the way back as well. In the end everybody
// is where the last move was to bring them, has lost nothing, and not one call was made by an operator that it had not
// been for to make.
func TestMoveKilledAtEveryStep(t *testing.T) {
	t.Parallel()
	cal := newSandbox(t, calcomtest.Options{})
	fast := []string{"--rate-limit-share=1"}
	here := newWorld(t, cal, stack.Config{API: proxied(t, cal, "here"), OperatorArgs: fast, ControllerManager: true})
	there := newWorld(t, cal, stack.Config{API: proxied(t, cal, "there"), OperatorArgs: fast, ControllerManager: true})
	here.client("team")
	there.client("team")
	kinds := map[string][]string{
		"managed": {`metadata: {plan: gold}`},
		"adopted": {"adoptionPolicy: ByEmail"}, // And so outliving its object.
		"paused":  {"bio: Paused"},
		"watched": {"reconcilePolicy: Observe"},
		"token":   nil,
		"never":   {"timeZone: Europe/Nowhere"}, // The operator refuses it, so that there is no user.
	}
	points := 2*mostWrites + 1 // Before each write, after each, and never.
	for kind, spec := range kinds {
		if kind == "watched" || kind == "adopted" {
			for i := range points {
				cal.AddUser(acme.ID, calcomtest.User{Email: fmt.Sprintf("%s.%d@example.com", kind, i)})
			}
		}
		if kind == "token" {
			for i := range points {
				here.users("team", fmt.Sprintf("token-%d", i), 1, fmt.Sprintf("tokens: {secretName: token-%d}", i))
			}
			continue
		}
		here.users("team", kind, points, spec...)
	}
	names := func(kind string) (all []string) {
		for i := range points {
			name := fmt.Sprintf("%s-%d", kind, i)
			if kind == "token" {
				name += "-0"
			}
			all = append(all, name)
		}
		return all
	}
	var all []string
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		if kind != "never" {
			for _, name := range names(kind) {
				here.MustKubectl("", "wait", "-n", "team", "--for=condition=Ready", "manageduser/"+name, "--timeout="+stacktest.Patience.String())
			}
		}
		all = append(all, names(kind)...)
	}
	here.Eventually("the refusals", func() bool {
		return strings.Count(here.MustKubectl("", "get", "managedusers", "-n", "team"), "InvalidSpec") == points
	})
	for _, name := range names("paused") {
		here.MustKubectl("", "patch", "manageduser", name, "-n", "team", "--type=merge", "-p", `{"spec":{"reconcilePolicy":"Suspend"}}`)
	}
	began := len(cal.Users(acme.ID))
	cal.ResetCalls()

	api, err := calcom.New(calcom.Config{BaseURL: proxied(t, cal, "mover"), ClientID: acme.ID, SecretKey: calcom.Hide(acme.Secret)})
	if err != nil {
		t.Fatal(err)
	}
	m := &movers{T: t, cal: api}
	m.here = handover.Cluster{Client: here.kube(), OwnerID: here.ownerID(), Name: "here", Patience: stacktest.Patience}
	m.there = handover.Cluster{Client: there.kube(), OwnerID: there.ownerID(), Name: "there", Patience: stacktest.Patience}
	point := func(name string) *killer {
		var i int
		_, rest, _ := strings.Cut(name, "-")
		if _, err := fmt.Sscanf(rest, "%d", &i); err != nil {
			t.Error(err)
		}
		return &killer{at: (i + 1) / 2, after: i%2 == 0}
	}
	key := func(name string) client.ObjectKey { return client.ObjectKey{Namespace: "team", Name: name} }

	m.at(all, killed, func(name string) error { return m.move(point(name), false).User(t.Context(), key(name)) })
	// Somebody changes users by hand meanwhile, and asks for a look: only an operator whose the user is may see to it.
	for _, user := range cal.Users(acme.ID) {
		cal.UpdateUser(acme.ID, user.ID, func(u *calcomtest.User) { u.Name = new("Changed By Hand") })
	}
	for _, w := range []*world{here, there} {
		w.MustKubectl("", "annotate", "managedusers", "--all", "-n", "team", "--overwrite", v1alpha1.ReconcileRequestedAtAnnotation+"=now")
	}
	m.at(all, never, func(name string) error { return m.move(&killer{}, false).User(t.Context(), key(name)) })
	m.wantMoved(here, there, all, began)

	// Back, killed at every step, and forth again with the half of them that was killed after a write; the others go on
	// back.
	m.at(all, killed, func(name string) error { return m.move(point(name), true).User(t.Context(), key(name)) })
	var forth, back []string
	for _, name := range all {
		if point(name).after {
			forth = append(forth, name)
		} else {
			back = append(back, name)
		}
	}
	m.at(forth, never, func(name string) error { return m.move(&killer{}, false).User(t.Context(), key(name)) })
	m.at(back, never, func(name string) error { return m.move(&killer{}, true).User(t.Context(), key(name)) })
	m.wantMoved(here, there, forth, began)
	m.wantMoved(there, here, back, began)
	wantOneWriter(t, cal, map[string]string{m.here.OwnerID: "here", m.there.OwnerID: "there"})
}

// ownerID is what the cluster's operator marks its users with.
func (w *world) ownerID() string {
	w.Helper()
	return w.MustKubectl("", "get", "namespace", "kube-system", "-o", "jsonpath={.metadata.uid}")
}

// wantMoved wants users to be in one cluster, as they were in the other, and in it no more.
func (m *movers) wantMoved(from, to *world, names []string, users int) {
	m.Helper()
	if n := len(to.cal.Users(acme.ID)); n != users {
		m.Errorf("Cal.com has %d users, and had %d", n, users)
	}
	c, left := to.kube(), from.kube()
	for _, name := range names {
		key := client.ObjectKey{Namespace: "team", Name: name}
		if err := left.Get(m.Context(), key, &v1alpha1.ManagedUser{}); err == nil {
			m.Errorf("%s is still in both clusters", name)
		}
		var mu v1alpha1.ManagedUser
		var ready *metav1.Condition
		err := wait.PollUntilContextTimeout(m.Context(), 100*time.Millisecond, stacktest.Patience, true, func(context.Context) (bool, error) {
			if err := c.Get(m.Context(), key, &mu); err != nil {
				return false, err
			}
			ready = meta.FindStatusCondition(mu.Status.Conditions, v1alpha1.ConditionReady)
			return ready != nil && ready.ObservedGeneration == mu.Generation && ready.Reason == wantReason(name), nil
		})
		if err != nil {
			m.Fatalf("waiting for %s to be %s there: %v; it is %+v", name, wantReason(name), err, ready)
		}
		if _, ok := mu.Annotations[v1alpha1.HandoverAnnotation]; ok {
			m.Errorf("%s has a record of its move still", name)
		}
		m.wantKept(to, name, &mu)
	}
}

func wantReason(name string) string {
	switch kind, _, _ := strings.Cut(name, "-"); kind {
	case "paused":
		return v1alpha1.ReasonSuspended
	case "watched":
		return v1alpha1.ReasonObserved
	case "never":
		return v1alpha1.ReasonInvalidSpec
	}
	return v1alpha1.ReasonAvailable
}

// wantKept wants one user to be as it was, and its owner's.
func (m *movers) wantKept(w *world, name string, mu *v1alpha1.ManagedUser) {
	m.Helper()
	kind, _, _ := strings.Cut(name, "-")
	policy := map[string]v1alpha1.DeletionPolicy{
		"adopted": v1alpha1.DeletionPolicyOrphan, "managed": v1alpha1.DeletionPolicyDelete, "paused": v1alpha1.DeletionPolicyDelete, "token": v1alpha1.DeletionPolicyDelete,
	}[kind]
	if mu.Spec.DeletionPolicy != policy {
		m.Errorf("%s has the deletionPolicy %q, want %q", name, mu.Spec.DeletionPolicy, policy)
	}
	if kind == "never" || kind == "watched" {
		return
	}
	if !slices.Contains(mu.Finalizers, v1alpha1.ManagedUserFinalizer) {
		m.Errorf("%s does not hold its user", name)
	}
	user, ok := w.cal.User(acme.ID, mu.Spec.UserID)
	if !ok {
		m.Fatalf("%s has lost user %d", name, mu.Spec.UserID)
	}
	// To the object there, the user is one that existed before.
	want := strings.Join([]string{w.ownerID(), "team", name, string(mu.UID)}, "/") + ":adopted"
	if got := user.Metadata[v1alpha1.OwnerMetadataKey]; got != want {
		m.Errorf("%s is marked %v, want %s", name, got, want)
	}
	if kind == "managed" && user.Metadata["plan"] != "gold" {
		m.Errorf("%s has the metadata %v", name, user.Metadata)
	}
}

// wantOneWriter goes through the call log: nobody was made or deleted, the mover wrote nothing but marks, and an
// operator wrote only to users that had its mark then. operators are their names in the log by their owner ids; all
// users began here.
func wantOneWriter(t *testing.T, cal *calcomtest.Server, operators map[string]string) {
	t.Helper()
	owner := make(map[int64]string)
	writes, marks := 0, 0
	for _, call := range cal.Calls() {
		caller := call.Header.Get(callerHeader)
		switch call.Op { //nolint:exhaustive // The others only read.
		case calcomtest.OpCreate, calcomtest.OpDelete:
			t.Errorf("%s made a call to %s user %d", caller, call.Op, call.UserID)
		case calcomtest.OpUpdate, calcomtest.OpForceRefresh, calcomtest.OpRefresh:
			if caller == "mover" {
				owner[call.UserID] = operators[ownerIn(t, &call)]
				marks++
				continue
			}
			writes++
			if by := cmp.Or(owner[call.UserID], "here"); by != caller {
				t.Errorf("%s made a call to %s user %d, which was to be written by the operator %s: %s", caller, call.Op, call.UserID, by, call.Body)
			}
		}
	}
	if writes == 0 || marks == 0 {
		t.Errorf("there were %d marks and %d other writes, so that little was tested", marks, writes)
	}
}

// ownerIn returns the owner id of the mark that a mover's call writes. It may write nothing else.
func ownerIn(t *testing.T, call *calcomtest.Call) string {
	t.Helper()
	var body struct{ Metadata map[string]any }
	decoder := json.NewDecoder(bytes.NewReader(call.Body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&body); err != nil || call.Status != http.StatusOK {
		t.Errorf("the mover made the call %s, answered by %d: %v", call.Body, call.Status, err)
	}
	mark, _ := body.Metadata[v1alpha1.OwnerMetadataKey].(string)
	ownerID, _, _ := strings.Cut(mark, "/")
	return ownerID
}
