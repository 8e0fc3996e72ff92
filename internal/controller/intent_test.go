// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/manageduser"
	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

// slowWrites is an API server that answers the next write of an object late.
type slowWrites struct {
	client.Client

	wait func()
}

func (c *slowWrites) Patch(ctx context.Context, object client.Object, patch client.Patch, options ...client.PatchOption) error {
	err := c.Client.Patch(ctx, object, patch, options...)
	if _, ok := object.(*v1alpha1.ManagedUser); ok && c.wait != nil {
		c.wait()
		c.wait = nil
	}
	return err
}

// A create call is not sent when its record has grown old meanwhile: whoever else found the record may have waited as
// long as it demands, and created the user, perhaps under another address. The process that did not send it records it
// anew, which the API server refuses if somebody else has; another process waits for an outcome.
func TestCreateCallDoesNotOutliveItsRecord(t *testing.T) {
	for _, restarts := range []bool{false, true} {
		t.Run(map[bool]string{false: "SameProcess", true: "AnotherProcess"}[restarts], func(t *testing.T) {
			s := newStory(t)
			mu := s.user()
			s.must(s.client.Create(t.Context(), mu))
			slow := &slowWrites{Client: s.reconciler.client}
			slow.wait = func() { s.advance(manageduser.UnknownOutcomeGrace - time.Second) }
			s.reconciler.client = slow
			s.reconcile(mu)
			s.wantCalls()
			old, _ := manageduser.RecordedIntent(mu)
			want := []calcomtest.Op{calcomtest.OpCreate}
			if restarts {
				s.restart()
				s.reconcile(mu)
				s.wantCalls(calcomtest.OpList)
				s.advance(time.Second)
				want = []calcomtest.Op{calcomtest.OpList, calcomtest.OpCreate}
			}
			s.reconcile(mu)
			s.wantReady(mu, "Created")
			s.wantCalls(want...)
			if i, _ := manageduser.RecordedIntent(mu); !i.Time.After(old.Time) {
				t.Error("the call was sent with the old record")
			}
		})
	}
}
