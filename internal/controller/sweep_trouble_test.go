// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/account"
	"github.com/calcom-operator/calcom-operator/internal/outcome"
	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

// wantAsked checks how many addresses each list since the last check asked for; 0 is a page of the census.
func (s *sweepStory) wantAsked(want ...int) {
	s.Helper()
	var have []int
	for _, call := range s.sandbox.CallsOf(calcomtest.OpList) {
		query := "&" + call.Query
		if _, emails, ok := strings.Cut(query, "&emails="); ok {
			emails, _, _ = strings.Cut(emails, "&")
			have = append(have, strings.Count(emails, "%2C")+1)
			continue
		}
		have = append(have, 0)
	}
	if d := cmp.Diff(want, have); d != "" {
		s.Errorf("addresses in each list (-want +got):\n%s", d)
	}
	s.forgetCalls()
}

// A refusal in the middle of a round costs the one call; the round goes on where it was and its findings are whole.
func TestSweepGoesOnAfterAFailure(t *testing.T) {
	for name, tc := range map[string]struct {
		fault calcomtest.Fault
		class string
	}{
		"RateLimited": {calcomtest.Fault{Status: http.StatusTooManyRequests}, v1alpha1.ReasonRateLimited},
		"ServerError": {calcomtest.Fault{Status: http.StatusBadGateway, Body: "<html>"}, v1alpha1.ReasonRemoteUnavailable},
		"Cut":         {calcomtest.Fault{Cut: true}, v1alpha1.ReasonRemoteUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSweepStory(t, 520)
			s.round()
			s.forgetCalls()
			var told []string
			s.reconciler.OnNews(func(_, clientID string) { told = append(told, clientID) })
			s.changed(s.users[0], renamed)
			s.changed(s.users[519], renamed)
			completed := s.findings().Completed
			s.oneStep()
			tc.fault.Op = calcomtest.OpList
			s.sandbox.Inject(tc.fault)
			s.oneStep()
			if f := s.findings(); f.LastError != tc.class || f.Completed != completed || f.Drifted != 0 {
				t.Errorf("in the middle, findings are %+v, want those of the last round and %s", f, tc.class)
			}
			f := s.round()
			if f.LastError != "" || f.Drifted != 2 || f.Calls != 4 {
				t.Errorf("in the end, findings are %+v", f)
			}
			s.wantAsked(0, 0, 0, 20)
			s.wantWoken(s.users[0], s.users[519])
			if want := []string{s.clientID(), s.clientID(), s.clientID()}; !cmp.Equal(told, want) { // Held up, going on, done.
				t.Errorf("told of %v, want %v", told, want)
			}
		})
	}
}

// A 401 in a sweep closes the client: each object says so without a call of its own, and there is one attempt in each
// interval. When the key is put right, one call opens it for all.
func TestSweepIsRefused(t *testing.T) {
	s := newSweepStory(t, 20)
	s.round()
	s.forgetCalls()
	s.sandbox.SetSecret(s.clientID(), "rotated")
	s.oneStep()
	s.wantAsked(0)
	if f := s.findings(); f.LastError != v1alpha1.ReasonUnauthorized {
		t.Errorf("findings are %+v", f)
	}
	s.wantWokenAndWaiting(s.users...)
	s.wantCalls()
	for _, mu := range s.users {
		s.wantConditions(mu, "Ready=False/Unauthorized", "Synced=True/Created", "CredentialsReady=False/Unauthorized", "Stalled=True/Unauthorized")
	}
	s.oneStep()
	s.wantCalls()
	if s.step != nil {
		t.Error("the sweep goes on with nobody to look after")
	}
	s.advance(resync)
	for _, mu := range s.users {
		s.reconcile(mu)
	}
	s.wantCalls(calcomtest.OpGet)
	s.writes.take()

	s.setKey("rotated")
	first := s.users[0]
	s.reconcile(first)
	s.wantReady(first, "Created")
	for _, mu := range s.users[1:] {
		s.reconcile(mu)
		s.wantReady(mu, "Created")
	}
	s.wantCalls(calcomtest.OpGet)
	s.changed(first, renamed)
	if f := s.round(); f.Members != 20 || f.LastError != "" || f.Drifted != 1 {
		t.Errorf("findings are %+v", f)
	}
	s.wantWoken(first)
}

// wantWokenAndWaiting is wantWoken for objects that do not come to rest.
func (s *sweepStory) wantWokenAndWaiting(want ...*v1alpha1.ManagedUser) {
	s.Helper()
	if len(s.woken) != len(want) {
		s.Errorf("%d were woken, want %d", len(s.woken), len(want))
	}
	s.woken = nil
	for _, mu := range want {
		s.reconcile(mu)
	}
}

func (s *sweepStory) setKey(key string) {
	s.Helper()
	secret := &corev1.Secret{}
	s.must(s.client.Get(s.Context(), client.ObjectKey{Namespace: s.namespace, Name: "calcom"}, secret))
	secret.Data["secretKey"] = []byte(key)
	s.must(s.client.Update(s.Context(), secret))
}

// An address that cannot stand in a list is nobody else's trouble: its object looks for itself.
func TestSweepLeavesOutWhoCannotBeAskedFor(t *testing.T) {
	s := newSweepStory(t, 0)
	s.addStrangers(500)
	s.populate(10)
	odd := s.add("odd", "ü@example.com")
	s.forgetCalls()
	f := s.round()
	if f.Calls != 3 || f.Drifted+f.Missing != 0 {
		t.Errorf("findings are %+v", f)
	}
	s.wantAsked(0, 0, 10)
	s.wantWoken(odd)
	s.wantCalls(calcomtest.OpGet)
}

// One address that the server does not take is found, and from then on left out.
func TestSweepFindsTheAddressThatIsRefused(t *testing.T) {
	s := newSweepStory(t, 0)
	s.addStrangers(500)
	s.populate(8)
	s.sandbox.Inject(calcomtest.Fault{Op: calcomtest.OpList, Status: http.StatusBadRequest, Times: -1, Match: func(r *http.Request) bool {
		return strings.Contains(r.URL.Query().Get("emails"), "user0005@")
	}})
	f := s.round()
	if f.Drifted+f.Missing != 0 || f.LastError != "" {
		t.Errorf("findings are %+v", f)
	}
	s.wantAsked(0, 0, 8, 4, 4, 2, 1, 2, 1, 1, 1)
	s.wantWoken(s.users[5])
	s.forgetCalls()
	s.round()
	s.wantAsked(0, 0, 7)
	s.wantWoken(s.users[5])
	s.wantCalls(calcomtest.OpGet)
}

// A census that cannot be read does not keep anybody from being looked at.
func TestSweepWithoutACensus(t *testing.T) {
	s := newSweepStory(t, 3)
	s.sandbox.Inject(calcomtest.Fault{Op: calcomtest.OpList, Status: http.StatusOK, Body: strings.Repeat(" ", 10<<20), Times: -1,
		Match: func(r *http.Request) bool { return !r.URL.Query().Has("emails") }})
	s.changed(s.users[2], renamed)
	f := s.round()
	if f.CensusComplete || f.Drifted != 1 || f.Calls != 4 {
		t.Errorf("findings are %+v", f)
	}
	s.wantAsked(0, 0, 0, 3)
	s.wantWoken(s.users[2])
}

// marked adds a user of somebody else's making that carries a mark.
func (s *sweepStory) marked(email, mark string) calcomtest.User {
	return s.sandbox.AddUser(s.clientID(), calcomtest.User{
		Email: email, Name: new("Ghost"), Metadata: map[string]any{v1alpha1.OwnerMetadataKey: mark},
	})
}

// A user whose object does not exist is reported from the second round on, and never touched; when an object takes it
// over, it is no leak any more.
func TestSweepReportsLeaks(t *testing.T) {
	s := newSweepStory(t, 2)
	ghost := s.marked("ghost@example.com", "test-cluster/team/ghost/gone")
	s.marked("foreign@example.com", "other-cluster/team/ghost/gone")
	if f := s.round(); f.Leaked != 0 || f.Strangers != 1 {
		t.Errorf("after one round, findings are %+v", f)
	}
	f := s.round()
	if f.Leaked != 1 || !cmp.Equal(f.LeakedIDs, []int64{ghost.ID}) {
		t.Errorf("after two rounds, findings are %+v, want user %d leaked", f, ghost.ID)
	}
	s.wantLists(2)
	s.wantWoken()
	if left, ok := s.sandbox.User(s.clientID(), ghost.ID); !ok || !cmp.Equal(left, ghost) {
		t.Errorf("the leak is %+v, want it untouched", left)
	}
	mu := s.user(func(spec *v1alpha1.ManagedUserSpec) { spec.Email, spec.Name = "ghost@example.com", "Ghost" })
	mu.Name = "ghost"
	s.apply(mu)
	s.settle(mu)
	if mu.Status.User == nil || mu.Status.User.ID != ghost.ID {
		t.Fatalf("the object did not take the user over:\n%s", show(mu))
	}
	if f := s.round(); f.Leaked != 0 || f.Members != 3 {
		t.Errorf("with its object there, findings are %+v", f)
	}
}

// An object that came back from a backup in which its user had an older address finds nobody under that, and creates a
// user anew. The one that it had before is reported, and not touched.
func TestSweepReportsTheUserThatARestoreLost(t *testing.T) {
	s := newSweepStory(t, 1)
	mu := s.users[0]
	lost := mu.Status.User.ID
	s.sandbox.UpdateUser(s.clientID(), lost, func(u *calcomtest.User) {
		u.Email, u.Username = "newer+"+s.clientID()+"@example.com", new("newer")
	})
	mu.Status = v1alpha1.ManagedUserStatus{ObservedGeneration: -1}
	s.must(s.client.Status().Update(t.Context(), mu))
	s.begin()
	s.advance(time.Hour)
	s.settle(mu)
	if mu.Status.User.ID == lost {
		t.Fatal("the user was found")
	}
	if f := s.round(); f.Leaked != 0 {
		t.Errorf("after one round, findings are %+v", f)
	}
	if f := s.round(); !cmp.Equal(f.LeakedIDs, []int64{lost}) {
		t.Errorf("after two rounds, findings are %+v, want user %d leaked", f, lost)
	}
	if _, ok := s.sandbox.User(s.clientID(), lost); !ok {
		t.Error("the leak was removed")
	}
}

func TestSweepNamesTenLeaks(t *testing.T) {
	s := newSweepStory(t, 1)
	for i := range 12 {
		s.marked(string(rune('a'+i))+"@example.com", "test-cluster/team/ghost-"+string(rune('a'+i))+"/gone")
	}
	s.round()
	if f := s.round(); f.Leaked != 12 || len(f.LeakedIDs) != mostLeakedIDs {
		t.Errorf("findings are %+v, want twelve leaks and ten ids", f)
	}
}

// Marks are written by whoever has the secret key. A shard knows nothing of the objects of another.
func TestSweepIgnoresOtherMarks(t *testing.T) {
	s := newSweepStory(t, 1, func(c *Config) { c.WatchNamespaces = []string{"team"} })
	for i, mark := range []string{
		"test-cluster/other-team/ghost/uid", "test-cluster/team/ghost", "test-cluster/team/gh ost/uid", "test-cluster/te am/ghost/uid",
		"test-cluster/../ghost/uid", "test-cluster//ghost/uid", "test-cluster/team//uid", "test-cluster/team/ghost/uid/more", "/", "",
		"test-cluster/team/" + strings.Repeat("x", 400) + "/uid",
	} {
		s.marked(string(rune('a'+i))+"@example.com", mark)
	}
	s.sandbox.AddUser(s.clientID(), calcomtest.User{Email: "z@example.com", Name: new("Z"), Metadata: map[string]any{
		v1alpha1.OwnerMetadataKey: map[string]any{"a": 1},
	}})
	s.round()
	if f := s.round(); f.Leaked != 0 || f.Strangers != 11 || !f.CensusComplete {
		t.Errorf("findings are %+v, want no leak", f)
	}
}

// An object that the cache does not know yet is no leak.
func TestSweepAsksTheAPIServerBeforeItReports(t *testing.T) {
	s := newSweepStory(t, 2)
	mu := s.users[1]
	s.reconciler.sweeper.client = blind{s.reconciler.sweeper.client, mu.Name}
	s.reconciler.sweeper.withdraw(keyOf(mu))
	s.round()
	if f := s.round(); f.Leaked != 0 || f.Members != 1 {
		t.Errorf("findings are %+v, want no leak", f)
	}
}

// A new secret key is tried by one visit; the others look again after a second, and nobody hears of it.
func TestANewKeyIsTriedOnce(t *testing.T) {
	d := newDoor(t)
	if err := d.knock("one", "right", "a"); err != nil {
		t.Fatal(err)
	}
	d.key = "new"
	first, second := d.session("one", "new", "a"), d.session("one", "new", "b")
	if err := first.reserve(1); err != nil {
		t.Fatal(err)
	}
	waits := func(err error) bool {
		p := outcome.Classify(err)
		return p != nil && p.Silent && p.Pace == outcome.Later && p.After == time.Second
	}
	if err := second.reserve(1); !waits(err) {
		t.Errorf("the second visit is told %v, want it to wait", err)
	}
	second.giveBack()
	first.giveBack() // It came to nothing.
	if _, err := second.User(t.Context(), 7); err != nil {
		t.Errorf("the second visit after the first has gone: %v", err)
	}
	second.giveBack()
	if err := d.knock("one", "new", "c"); err != nil {
		t.Error(err)
	}
	d.wantKnocks(map[string]int{"right": 1, "new": 2})
	if l := d.accounts.sweepLogin(account.Name{APIURL: "https://api.cal.com/v2", ClientID: "one"}); l != second.login {
		t.Error("the sweep does not call with the key that was accepted last")
	}
}

// A refused key is the sweep's last choice.
func TestSweepChoosesALogin(t *testing.T) {
	d := newDoor(t)
	name := account.Name{APIURL: "https://api.cal.com/v2", ClientID: "one"}
	if l := d.accounts.sweepLogin(name); l != nil {
		t.Error("there is a login before anybody came")
	}
	first, wrong := d.session("one", "right", "a"), d.session("one", "wrong", "b")
	if l := d.accounts.sweepLogin(name); l != first.login {
		t.Error("of two that were not tried, the first is not taken")
	}
	_, _ = first.User(t.Context(), 7)
	_, _ = wrong.User(t.Context(), 7)
	if l := d.accounts.sweepLogin(name); l != first.login {
		t.Error("one that is refused is taken")
	}
	d.key = "wrong"
	_, _ = first.User(t.Context(), 7)
	if l := d.accounts.sweepLogin(name); l != first.login || !l.isRefused() {
		t.Error("of two that are refused, the one that was accepted last is not taken")
	}
}
