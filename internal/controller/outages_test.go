// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/google/go-cmp/cmp"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/account"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
	"github.com/calcom-operator/calcom-operator/internal/outcome"
	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

// outageEvents returns which lines about outages a log has, in order.
func outageEvents(lines []string) []string {
	events := []string{}
	for _, line := range lines {
		for begin, event := range map[string]string{`"msg"="Cal.com fails`: "begin", `"msg"="Cal.com answers again"`: "end"} {
			if strings.Contains(line, begin) {
				events = append(events, event)
			}
		}
	}
	return events
}

func TestOutage(t *testing.T) {
	down := &calcom.Error{Status: http.StatusServiceUnavailable, Operation: calcom.OpGet}
	unreached := &calcom.Error{Operation: calcom.OpList}
	type attempt struct {
		at  time.Duration
		err error
	}
	for name, tc := range map[string]struct {
		attempts []attempt
		want     []string
	}{
		"NoOutage":    {[]attempt{{0, nil}, {1, nil}}, nil},
		"Outage":      {[]attempt{{0, down}, {1, unreached}, {2, down}, {3, nil}, {4, nil}}, []string{"begin", "end"}},
		"TwoOutages":  {[]attempt{{0, down}, {1, nil}, {1 + settledOutage, down}, {2 + settledOutage, nil}}, []string{"begin", "end", "begin", "end"}},
		"Flapping":    {[]attempt{{0, down}, {1, nil}, {2, down}, {3, nil}, {4, down}, {5, nil}}, []string{"begin", "end"}},
		"GoesOnAfter": {[]attempt{{0, down}, {1, nil}, {2, down}, {2 + lastingOutage, down}, {3 + lastingOutage, nil}}, []string{"begin", "end", "begin", "end"}},
		"OtherAnswers": {[]attempt{
			{0, &calcom.Error{Status: http.StatusUnauthorized}}, {1, &calcom.Error{Status: http.StatusTooManyRequests}},
			{2, &calcom.Error{Status: http.StatusBadRequest, Operation: calcom.OpUpdate}}, {3, errors.New("the API server is gone")},
		}, nil},
		"UnknownAnswer": {[]attempt{{0, &calcom.Error{Status: http.StatusTeapot}}, {1, &calcom.Error{Status: http.StatusTeapot}}}, []string{"begin"}},
	} {
		t.Run(name, func(t *testing.T) {
			var lines []string
			ctx := log.IntoContext(t.Context(), funcr.New(func(_, line string) { lines = append(lines, line) }, funcr.Options{}))
			var o outage
			for _, a := range tc.attempts {
				o.note(ctx, account.Name{APIURL: "https://api.cal.com/v2", ClientID: "client"}, pureNow.Add(a.at), a.err)
			}
			if d := cmp.Diff(append([]string{}, tc.want...), outageEvents(lines)); d != "" {
				t.Errorf("lines (-want +got):\n%s", d)
			}
		})
	}
}

// Many users of a client whose server is away: the log has a line when it goes and one when it is back.
func TestOutageIsLoggedOncePerClient(t *testing.T) {
	s := newStory(t)
	var lines []string
	ctx := log.IntoContext(t.Context(), funcr.New(func(_, line string) { lines = append(lines, line) }, funcr.Options{}))
	var users []*v1alpha1.ManagedUser
	for _, name := range []string{"a", "b", "c"} {
		mu := s.user(func(spec *v1alpha1.ManagedUserSpec) { spec.Email = name + "@example.com" })
		mu.Name = name
		s.must(s.client.Create(ctx, mu))
		s.reconcile(mu)
		users = append(users, mu)
	}
	look := func() {
		for _, mu := range users {
			key := client.ObjectKeyFromObject(mu)
			s.reconciler.sweeper.demand(key)
			_, err := s.reconciler.Reconcile(ctx, ctrl.Request{NamespacedName: key})
			if err != nil && !outcome.IsTold(err) {
				t.Error(err)
			}
		}
	}
	lines = nil
	s.sandbox.Inject(calcomtest.Fault{Op: calcomtest.OpGet, Status: http.StatusServiceUnavailable, Times: 6})
	for range 3 { // Twice in the outage, once after it.
		look()
		s.advance(10 * time.Second)
	}
	if d := cmp.Diff([]string{"begin", "end"}, outageEvents(lines)); d != "" {
		t.Errorf("lines (-want +got):\n%s\n%s", d, strings.Join(lines, "\n"))
	}
	if slices.ContainsFunc(lines, func(line string) bool { return strings.Contains(line, "@") }) {
		t.Errorf("an address is logged: %v", lines)
	}
}
