// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/calcom-operator/calcom-operator/internal/calcom"
	"github.com/calcom-operator/calcom-operator/internal/handover"
)

// errKilled is what a handover sees of everything after it was killed.
var errKilled = errors.New("killed")

// killer ends a handover at one of its writes, in whichever cluster or in Cal.com it happens: before the write, or
// right after it. What comes later does not happen.
type killer struct {
	at    int  // The number of the write, from 1; 0 never kills.
	after bool // Whether it is done.

	writes int
	dead   bool
}

func (k *killer) write(do func() error) error {
	if k.dead {
		return errKilled
	}
	k.writes++
	if k.writes != k.at {
		return do()
	}
	k.dead = true
	if k.after {
		_ = do() // Nobody hears how it went.
	}
	return errKilled
}

func (k *killer) read(do func() error) error {
	if k.dead {
		return errKilled
	}
	return do()
}

// mortal is a cluster's client in the hands of a handover that can be killed. Whatever the embedded client does
// otherwise, no handover uses.
type mortal struct {
	client.Client
	*killer
}

func (m mortal) Get(ctx context.Context, key client.ObjectKey, object client.Object, opts ...client.GetOption) error {
	return m.read(func() error { return m.Client.Get(ctx, key, object, opts...) })
}

func (m mortal) Create(ctx context.Context, object client.Object, opts ...client.CreateOption) error {
	return m.write(func() error { return m.Client.Create(ctx, object, opts...) })
}

func (m mortal) Patch(ctx context.Context, object client.Object, patch client.Patch, opts ...client.PatchOption) error {
	return m.write(func() error { return m.Client.Patch(ctx, object, patch, opts...) })
}

func (m mortal) Delete(ctx context.Context, object client.Object, opts ...client.DeleteOption) error {
	return m.write(func() error { return m.Client.Delete(ctx, object, opts...) })
}

// mortalRemote is the way to Cal.com of such a handover.
type mortalRemote struct {
	*calcom.Client
	*killer
}

var _ handover.Remote = mortalRemote{}

func (m mortalRemote) UpdateUser(ctx context.Context, id int64, update calcom.UserFields) (user calcom.User, err error) {
	err = m.write(func() (err error) {
		user, err = m.Client.UpdateUser(ctx, id, update)
		return err
	})
	return user, err
}
