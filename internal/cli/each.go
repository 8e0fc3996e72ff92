// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
)

// workers is how many objects a command works on at once. Most of the time it waits for an operator.
const workers = 8

// each does something with all objects, some at a time, and shows how far it is. What fails is told and does not keep
// the others from being done. It returns the number of failures, and an error only when the command was interrupted.
func (s *session) each(ctx context.Context, what string, objects []client.Object, do func(context.Context, client.Object) error) (failed int, err error) {
	p := s.progressOfMany(what, len(objects))
	defer p.end()
	var mu sync.Mutex
	var group errgroup.Group
	group.SetLimit(workers)
	for _, object := range objects {
		if ctx.Err() != nil {
			break
		}
		group.Go(func() error {
			err := do(ctx, object)
			mu.Lock()
			defer mu.Unlock()
			if err != nil && ctx.Err() == nil {
				failed++
				p.line("%s: %s", nameOf(object), sentence(err))
			}
			p.add(1)
			return nil
		})
	}
	_ = group.Wait() // Nobody returns an error.
	return failed, ctx.Err()
}

// failures is the error of a command that failed for some of its objects.
func failures(failed, of int, remedy string) error {
	if failed == 0 {
		return nil
	}
	return complain(fmt.Sprintf("%d of %d failed, as told above", failed, of), remedy)
}

// status is the Ready condition of an object, as far as there is one.
type status struct{ *metav1.Condition }

// isReady reports whether the object is as it should be.
func (r status) isReady() bool { return r.Condition != nil && r.Status == metav1.ConditionTrue }

// String says how the object is.
func (r status) String() string {
	if r.Condition == nil {
		return "nothing is known of it yet"
	}
	if r.isReady() {
		return r.Reason
	}
	return fmt.Sprintf("not Ready, %s: %s", r.Reason, strings.TrimRight(r.Message, "."))
}

// short says in a word how an object is that is as the command wants it.
func (r status) short() string {
	if r.Condition == nil {
		return r.String()
	}
	return r.Reason
}

// fewObjects is how many objects are read one by one while they are waited for; more are listed.
const fewObjects = 20

// await waits until something holds for all objects, which are read anew meanwhile, and tells how far they are. It
// returns those for which it did not come to hold in time.
func (s *session) await(ctx context.Context, what string, objects []client.Object, within time.Duration, holds func(client.Object) bool) (late []client.Object, err error) {
	c, err := s.kube()
	if err != nil {
		return nil, err
	}
	p := s.progressOfMany(what, len(objects))
	defer p.end()
	pending := append([]client.Object(nil), objects...)
	pause := 200 * time.Millisecond
	if len(objects) > fewObjects {
		pause = 2 * time.Second
	}
	err = wait.PollUntilContextTimeout(ctx, pause, within, true, func(ctx context.Context) (bool, error) {
		if err := refresh(ctx, c, pending); err != nil {
			return false, err
		}
		var still []client.Object
		for _, object := range pending {
			if !holds(object) {
				still = append(still, object)
			}
		}
		if done := len(pending) - len(still); done > 0 {
			p.add(done)
		}
		pending = still
		return len(pending) == 0, nil
	})
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil && !wait.Interrupted(err) {
		return nil, err
	}
	return pending, nil
}

// refresh reads objects anew. One that is gone gets a deletion time, so that nobody waits for it.
func refresh(ctx context.Context, c client.Reader, objects []client.Object) error {
	if len(objects) > fewObjects {
		return refreshUsers(ctx, c, objects)
	}
	for _, object := range objects {
		if err := c.Get(ctx, client.ObjectKeyFromObject(object), object); apierrors.IsNotFound(err) {
			object.SetDeletionTimestamp(new(metav1.Now()))
		} else if err != nil {
			return fmt.Errorf("reading %s: %w", nameOf(object), err)
		}
	}
	return nil
}

// refreshUsers reads many managed users by lists of their namespaces.
func refreshUsers(ctx context.Context, c client.Reader, objects []client.Object) error {
	found := make(map[client.ObjectKey]*v1alpha1.ManagedUser)
	listed := make(map[string]bool)
	for _, object := range objects {
		namespace := object.GetNamespace()
		if listed[namespace] {
			continue
		}
		listed[namespace] = true
		users, err := listUsers(ctx, c, namespace, "")
		if err != nil {
			return err
		}
		for i := range users {
			found[client.ObjectKeyFromObject(&users[i])] = &users[i]
		}
	}
	for _, object := range objects {
		mu, ok := object.(*v1alpha1.ManagedUser)
		if !ok {
			return errors.New("more than a few objects are managed users")
		}
		if now := found[client.ObjectKeyFromObject(mu)]; now != nil {
			now.DeepCopyInto(mu)
		} else {
			mu.SetDeletionTimestamp(new(metav1.Now()))
		}
	}
	return nil
}
