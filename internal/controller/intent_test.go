// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
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

// A create call is not sent when its record has grown old meanwhile: whoever else found the record may have waited as long as it
// demands, and created the user, perhaps under another address.
func TestCreateCallDoesNotOutliveItsRecord(t *testing.T) {
	s := newStory(t)
	mu := s.user()
	s.must(s.client.Create(t.Context(), mu))
	slow := &slowWrites{Client: s.reconciler.client}
	slow.wait = func() { s.advance(UnknownOutcomeGrace - time.Second) }
	s.reconciler.client = slow
	s.reconcile(mu)
	s.wantCalls()
	s.reconcile(mu)
	s.wantCalls(calcomtest.OpList)
	s.advance(time.Second)
	s.reconcile(mu)
	s.wantCalls(calcomtest.OpList, calcomtest.OpCreate)
	s.wantReady(mu, "Created")
}
