// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"regexp"
	"testing"

	"github.com/go-logr/logr/funcr"
	"github.com/google/go-cmp/cmp"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

// Each decision is logged at debug level: the way of a create call that meets a conflict, and of an adoption after that.
func TestDecisionsAreLogged(t *testing.T) {
	s := newStory(t)
	user := s.existing("")
	var actions []string
	action := regexp.MustCompile(`"msg"="Decided" "action"="([^"]*)"`)
	write := func(_, args string) {
		if match := action.FindStringSubmatch(args); match != nil {
			actions = append(actions, match[1])
		}
	}
	reconcile := func(mu *v1alpha1.ManagedUser, verbosity int) []string {
		actions = nil
		ctx := log.IntoContext(t.Context(), funcr.New(write, funcr.Options{Verbosity: verbosity}))
		_, err := s.reconciler.Reconcile(ctx, ctrl.Request{NamespacedName: client.ObjectKeyFromObject(mu)})
		s.must(err)
		return actions
	}
	mu := s.user()
	s.must(s.client.Create(t.Context(), mu))
	if d := cmp.Diff([]string{"connect", "create", "get 1", "stop Synced/AlreadyExists"}, reconcile(mu, 1)); d != "" {
		t.Errorf("decisions of a create call that meets a conflict (-want +got):\n%s", d)
	}
	s.edit(mu, byEmail)
	if d := cmp.Diff([]string{"connect", "list", "claim 1", "get 1", "update 1 metadata", "done 1"}, reconcile(mu, 1)); d != "" {
		t.Errorf("decisions of an adoption (-want +got):\n%s", d)
	}
	s.sandbox.UpdateUser(s.clientID(), user.ID, func(u *calcomtest.User) { u.Name = new("Drifted") })
	s.request(mu, "now")
	if got := reconcile(mu, 0); len(got) > 0 {
		t.Errorf("at the default level the log has %v", got)
	}
}
