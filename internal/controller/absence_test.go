// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"
	"net/http"
	"path"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

// wrongTenant is a proxy that can lead to another tenant, where no user of the story exists: a GET is answered by 404
// and a list is empty. All else reaches the right one.
type wrongTenant struct{ on bool }

func (w *wrongTenant) RoundTrip(request *http.Request) (*http.Response, error) {
	if w.on && request.Method == http.MethodGet {
		request = request.Clone(request.Context())
		if last := path.Base(request.URL.Path); last != "users" {
			request.URL.Path = path.Join(path.Dir(request.URL.Path), "987654321")
		} else {
			query := request.URL.Query()
			query.Set("emails", "nobody@example.org")
			request.URL.RawQuery = query.Encode()
		}
	}
	return http.DefaultTransport.RoundTrip(request)
}

// absenceStory has users of one OAuth client, a limit for those that are gone, and a proxy before Cal.com.
type absenceStory struct {
	*sweepStory

	proxy *wrongTenant
}

func newAbsenceStory(t *testing.T, users, limit int) *absenceStory {
	t.Helper()
	proxy := &wrongTenant{}
	change := func(c *Config) {
		c.MassAbsenceLimit, c.Namespace, c.Transport = limit, "operator", proxy
		c.MaxConcurrentReconciles = 0 // No deletion counts as one that another process had begun.
	}
	return &absenceStory{newSweepStory(t, users, change), proxy}
}

// wipe removes users in Cal.com, by their number.
func (s *absenceStory) wipe(from, to int) {
	s.Helper()
	for _, mu := range s.users[from:to] {
		s.sandbox.RemoveUser(s.clientID(), mu.Status.User.ID)
	}
	s.advance(time.Minute) // Past the time in which a 404 may be a replica's.
}

// find reconciles objects as the sweep has them reconciled that finds their users gone.
func (s *absenceStory) find(users []*v1alpha1.ManagedUser) {
	s.Helper()
	for _, mu := range users {
		s.reconciler.sweeper.demand(client.ObjectKeyFromObject(mu))
		s.reconcile(mu)
	}
}

func (s *absenceStory) wantHeld(users ...*v1alpha1.ManagedUser) {
	s.Helper()
	for _, mu := range users {
		if !s.reload(mu) {
			s.Errorf("an object is gone, want all held")
			continue
		}
		synced := "Synced=Unknown/Progressing"
		if !mu.DeletionTimestamp.IsZero() {
			synced = "Synced=True/Created"
		}
		s.wantConditions(mu, "Ready=False/MassAbsence", "Reconciling=True/Progressing", synced, "CredentialsReady=True/Verified")
	}
}

// creations returns how many create calls there were.
func (s *absenceStory) creations() int {
	n := 0
	for _, call := range s.sandbox.Calls() {
		if call.Op == calcomtest.OpCreate {
			n++
		}
	}
	return n
}

// record returns the ConfigMap of the limits.
func (s *absenceStory) record() *corev1.ConfigMap {
	s.Helper()
	record := &corev1.ConfigMap{}
	s.must(s.client.Get(s.Context(), client.ObjectKey{Namespace: "operator", Name: limitsName}, record))
	return record
}

// A database that was wiped is noticed by the sweep before the first user is created anew.
func TestWipedDatabaseIsHeld(t *testing.T) {
	s := newAbsenceStory(t, 40, 10)
	s.round()
	s.forgetCalls()
	s.wipe(0, 40)
	if f := s.round(); f.Missing != 40 {
		t.Fatalf("the sweep found %+v", f)
	}
	s.forgetCalls()
	for _, mu := range s.users {
		s.reconcile(mu)
	}
	s.wantHeld(s.users...)
	if n := s.creations(); n != 0 {
		t.Errorf("%d users were created anew, want none", n)
	}
	if n := len(s.sandbox.Calls()); n != 3*40 {
		t.Errorf("there were %d calls, want the three that prove an absence for each", n)
	}
	s.wantMessage(s.users[0], "more than 10", "proxy", "allow-mass-absence=true on the object", "created anew")

	// It waits at the slow pace, says nothing new, and writes no more than the record now and then.
	s.forgetCalls()
	s.advance(resync)
	ended := s.reconcile(s.users[0])
	if ended.err != nil || ended.result.RequeueAfter < resync {
		t.Errorf("it ended with %+v, want the slow pace", ended)
	}
	if n := len(s.sandbox.Calls()); n != 3 {
		t.Errorf("there were %d calls, want 3", n)
	}
	s.wantWrites()
	s.wantEvents()
}

// A proxy to another tenant is noticed with the first object that is deleted, and not once the limit is used up.
// Afterwards all goes on by itself.
func TestWrongTenantReleasesNothing(t *testing.T) {
	s := newAbsenceStory(t, 20, 10)
	s.advance(time.Minute)
	s.proxy.on = true
	leaving, staying := s.users[:5], s.users[5:]
	for _, mu := range leaving {
		s.delete(mu)
	}
	s.find(staying)
	s.wantHeld(s.users...)
	s.wantMessage(leaving[0], "the object is not released")
	if n := s.remoteUsers(); n != 20 || s.creations() != 0 {
		t.Errorf("Cal.com has %d users after %d creations, want 20 after none", n, s.creations())
	}

	s.proxy.on = false
	s.advance(resync + time.Minute)
	for _, mu := range leaving {
		s.reconcile(mu)
		s.wantGone(mu)
	}
	for _, mu := range staying {
		s.reconcile(mu)
		s.wantReady(mu, "InSync")
	}
	if n := s.remoteUsers(); n != 15 {
		t.Errorf("Cal.com has %d users, want 15", n)
	}
}

// Objects that are all being deleted are no members of the sweep, and count all the same.
func TestWrongTenantWithoutMembers(t *testing.T) {
	s := newAbsenceStory(t, 4, 2)
	s.advance(time.Minute)
	s.proxy.on = true
	for _, mu := range s.users {
		s.delete(mu)
	}
	s.wantHeld(s.users...)
	// After the hold it begins anew: the cause is still there.
	for range 5 {
		s.advance(resync)
		for _, mu := range s.users {
			s.reconcile(mu)
		}
	}
	s.wantHeld(s.users...)
}

// Users that were removed by hand, no more than the limit, are created anew at once; that costs one call to ask for
// others.
func TestFewAbsencesAreNoAccident(t *testing.T) {
	s := newAbsenceStory(t, 8, 3)
	s.wipe(0, 3)
	s.forgetCalls()
	s.delete(s.users[2])
	s.wantGone(s.users[2])
	s.wantCalls(calcomtest.OpGet, calcomtest.OpList, calcomtest.OpGet, calcomtest.OpList)
	s.forgetCalls()
	s.find(s.users[:2])
	s.wantCalls(
		calcomtest.OpGet, calcomtest.OpList, calcomtest.OpGet, calcomtest.OpCreate,
		calcomtest.OpGet, calcomtest.OpList, calcomtest.OpGet, calcomtest.OpCreate)
	for _, mu := range s.users[:2] {
		s.wantReady(mu, "Created")
	}
	// One more within ten minutes is one too many. It is held, and not for ever.
	s.wipe(3, 4)
	s.find(s.users[3:4])
	s.wantHeld(s.users[3])
	s.advance(30 * time.Minute)
	s.reconcile(s.users[3])
	s.wantReady(s.users[3], "Created")
}

// What was allowed is known to the next process, and what was held too, even after a long time and without the record.
func TestAbsencesAcrossRestarts(t *testing.T) {
	t.Run("Allowed", func(t *testing.T) {
		s := newAbsenceStory(t, 6, 2)
		for i := range 3 { // One after the other, so that none is seen to be gone together with another.
			s.wipe(i, i+1)
			s.begin()
			s.find(s.users[i : i+1])
		}
		s.wantHeld(s.users[2])
		if n := s.creations(); n != 2 {
			t.Errorf("%d users were created anew, want 2", n)
		}
	})
	t.Run("Held", func(t *testing.T) {
		s := newAbsenceStory(t, 6, 2)
		s.wipe(0, 6)
		s.find(s.users)
		s.wantHeld(s.users...)
		s.must(s.client.Delete(t.Context(), s.record()))
		s.advance(24 * time.Hour)
		s.begin()
		s.forgetCalls()
		for _, mu := range s.users {
			s.reconcile(mu)
		}
		s.wantHeld(s.users...)
		s.wantEvents()
	})
}

// Two leaders together allow no more than one.
func TestAbsencesWithTwoLeaders(t *testing.T) {
	s := newAbsenceStory(t, 12, 2)
	first := s.reconciler
	s.begin()
	for i := range 4 {
		s.wipe(i, i+1)
		s.reconciler = []*ManagedUserReconciler{first, s.reconciler}[i%2]
		s.find(s.users[i : i+1])
		s.reconcile(s.users[i]) // A conflict is tried again.
	}
	if n := s.creations() - 12; n > 2 {
		t.Errorf("%d users were created anew, want 2 at most", n)
	}
}

// A person can say that the users are really gone; and a user that is to be kept never waits.
func TestMassAbsenceCanBeAllowed(t *testing.T) {
	allow := func(s *story, object client.Object) {
		patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:"true"}}}`, v1alpha1.AllowMassAbsenceAnnotation)
		s.must(s.client.Patch(s.Context(), object, client.RawPatch(client.Merge.Type(), patch)))
	}
	for name, act := range map[string]func(*story, *v1alpha1.ManagedUser, client.Object){
		"OnTheObject": func(s *story, mu *v1alpha1.ManagedUser, _ client.Object) { allow(s, mu.DeepCopy()) },
		"OnTheClient": func(s *story, _ *v1alpha1.ManagedUser, c client.Object) { allow(s, c) },
		"OnTheNamespace": func(s *story, _ *v1alpha1.ManagedUser, _ client.Object) {
			allow(s, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: s.namespace}})
		},
		"ByOrphan": func(s *story, mu *v1alpha1.ManagedUser, _ client.Object) { s.edit(mu, orphan) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newStory(t)
			s.config.MassAbsenceLimit, s.config.Namespace, s.config.ClusterClients = 1, s.namespace, true
			s.restart()
			acme := s.acme()
			users := make([]*v1alpha1.ManagedUser, 3)
			for i := range users {
				users[i] = s.user(byRef("", "acme"), func(spec *v1alpha1.ManagedUserSpec) { spec.Email = fmt.Sprintf("user%d@example.com", i) })
				users[i].Name = fmt.Sprint("user-", i)
				s.must(s.client.Create(t.Context(), users[i]))
				s.reconcile(users[i])
				s.wantReady(users[i], "Created")
			}
			s.advance(time.Minute)
			for _, mu := range users {
				s.sandbox.RemoveUser(s.clientID(), mu.Status.User.ID)
			}
			s.events.take()
			for _, mu := range users {
				s.request(mu, "now")
				s.reconcile(mu)
				s.wantMessage(mu, "more than 1 users", "on the object, its OAuth client or its namespace")
			}
			if events := s.events.take(); len(events) != 1 || events[0] != v1alpha1.ReasonMassAbsence {
				t.Errorf("events are %v, want one for all users, that on the OAuthClient", events)
			}
			s.must(s.client.Delete(t.Context(), users[2]))
			s.reconcile(users[2])
			s.wantMessage(users[2], "not released")
			act(s, users[2], acme)
			s.reconcile(users[2])
			s.wantGone(users[2])
			s.reconcile(users[0])
			if name == "OnTheClient" || name == "OnTheNamespace" {
				s.wantReady(users[0], "Created")
			} else {
				s.wantMessage(users[0], "more than 1 users")
			}
		})
	}
}

// Without rights on namespaces, the message names no annotation that would not be read.
func TestMassAbsenceWithoutNamespaces(t *testing.T) {
	s := newAbsenceStory(t, 3, 1)
	s.wipe(0, 3)
	s.find(s.users)
	s.wantHeld(s.users...)
	if message := show(s.users[0]); strings.Contains(message, "its namespace") {
		t.Errorf("the message names the namespace: %s", message)
	}
}

// A user that the operator has deleted itself is no accident, though the answer to the call was lost.
func TestOwnDeletionIsNoAbsence(t *testing.T) {
	s := newAbsenceStory(t, 3, 1)
	s.advance(time.Minute)
	for _, mu := range s.users {
		s.sandbox.Inject(calcomtest.Fault{Op: calcomtest.OpDelete, Status: http.StatusGatewayTimeout, After: true})
		s.delete(mu)
	}
	if n := s.remoteUsers(); n != 0 {
		t.Fatalf("Cal.com has %d users", n)
	}
	for _, mu := range s.users {
		s.reconcile(mu)
		s.wantGone(mu)
	}
}

// A process that is killed leaves as many deletions in their middle as it has places for. The next one takes them for
// what they are, and no more than these.
func TestDeletionsThatWereCutOffAreNoAbsences(t *testing.T) {
	s := newAbsenceStory(t, 8, 1)
	for _, mu := range s.users[:4] {
		s.must(s.client.Delete(t.Context(), mu))
	}
	s.wipe(0, 3)
	s.config.MaxConcurrentReconciles = 20 // Of which three delete.
	s.begin()
	for _, mu := range s.users[:3] {
		s.reconcile(mu)
		s.wantGone(mu)
	}
	s.wipe(3, 5)
	s.reconcile(s.users[3])
	s.find(s.users[4:5])
	s.wantHeld(s.users[3:5]...)
}

// Outside of a pod, and without the right to keep a record, the operator counts in memory.
func TestAbsencesInMemory(t *testing.T) {
	forbid := func(ctx context.Context, c client.WithWatch, object client.Object, options ...client.CreateOption) error {
		if _, ok := object.(*corev1.ConfigMap); ok {
			return apierrors.NewForbidden(schema.GroupResource{Resource: "configmaps"}, object.GetName(), nil)
		}
		return c.Create(ctx, object, options...)
	}
	for name, change := range map[string]func(*absenceStory){
		"NoNamespace": func(s *absenceStory) { s.config.Namespace = "" },
		"NoRight": func(s *absenceStory) {
			connect := s.connect
			s.connect = func() client.WithWatch {
				return interceptor.NewClient(connect(), interceptor.Funcs{Create: forbid})
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newAbsenceStory(t, 8, 2)
			change(s)
			s.begin()
			for i := range 3 {
				s.wipe(i, i+1)
				s.find(s.users[i : i+1])
			}
			s.wantReady(s.users[0], "Created")
			s.wantReady(s.users[1], "Created")
			s.wantHeld(s.users[2])
		})
	}
}

// A record that was edited never allows more, and takes no memory.
func TestAbsencesWithAnEditedRecord(t *testing.T) {
	for name, text := range map[string]string{
		"Unreadable": "spoilt",
		"Negative":   `{"grants":[{"until":"` + time.Unix(1_800_000_000, 0).UTC().Format(time.RFC3339) + `","count":-5}]}`,
		"Huge":       `{"grants":[{"until":"2999-01-01T00:00:00Z","count":2000000000}],"heldUntil":"2999-01-01T00:00:00Z"}`,
	} {
		t.Run(name, func(t *testing.T) {
			s := newAbsenceStory(t, 6, 1)
			s.wipe(0, 1)
			s.find(s.users[:1])
			record := s.record()
			for key := range record.Data {
				record.Data[key] = text
			}
			s.must(s.client.Update(t.Context(), record))
			s.begin()
			s.wipe(1, 3)
			s.find(s.users[1:3])
			s.wantHeld(s.users[1:3]...)
			s.advance(2 * time.Hour) // It heals, whatever was written.
			for range 4 {
				for _, mu := range s.users[1:3] {
					s.reconcile(mu)
				}
				s.advance(resync)
			}
			if strings.Contains(fmt.Sprint(s.record().Data), "2999") {
				t.Errorf("the record is %v", s.record().Data)
			}
		})
	}
}

// Entries of accounts that have no users any more go with the next write, and those that nobody can read in the end.
func TestRecordOfLimitsIsPruned(t *testing.T) {
	s := newAbsenceStory(t, 30, 10)
	s.must(s.client.Create(t.Context(), &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: "operator", Name: limitsName},
		Data: map[string]string{
			"clgone.00000000":          `[{"until":"2020-01-01T00:00:00Z","count":1}]`,
			"clspoilt.00000000":        "spoilt",
			"absences.clgone.00000000": `{"heldUntil":"2020-01-01T00:00:00Z"}`,
		},
	}))
	for i := range 4 {
		s.wipe(i, i+1)
		s.find(s.users[i : i+1])
		s.advance(resync)
	}
	if n := len(s.record().Data); n != 1 {
		t.Errorf("the record is %v, want the one account", s.record().Data)
	}
	// The reconciler keeps nothing of objects that are gone.
	for _, mu := range s.users {
		s.delete(mu)
		s.wantGone(mu)
	}
	s.advance(time.Hour)
	s.reconciler.forget(client.ObjectKey{Namespace: "team", Name: strconv.Itoa(1)})
	if n := len(s.reconciler.absences.byAccount) + len(s.reconciler.absences.deleted) + len(s.reconciler.deletions.byAccount); n != 0 {
		t.Errorf("%d entries stay in memory", n)
	}
}
