// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
)

// reconcileTimeout is the operator's own bound of one reconcile, which its context would enforce by real time.
const reconcileTimeout = 3 * time.Minute

// errProcessDied is what the calls of a dead process return until its goroutine has wound up. Nobody sees it.
var errProcessDied = errors.New("the process is dead")

// task is one reconcile under way: a coroutine that runs until its next boundary when it is told to.
type task struct {
	process *process
	key     types.NamespacedName
	started time.Time
	wake    time.Time // It sleeps until then.
	dead    bool      // Its process crashed: nothing that it does has an effect any more.

	next  func() (struct{}, bool)
	yield func(struct{}) bool

	// object is what the task read from its cache, the truth by which its deeds are judged.
	object *v1alpha1.ManagedUser
	// shown is whose the users were when Cal.com last showed them to this task.
	shown map[int64]owner
	// misled: a call of the task reached another tenant.
	misled bool
	// unmarks is set when the task changed a user of an object that is being deleted.
	unmarks bool
	// denied is for a saboteur: the last answer about one user was a 404.
	denied bool
	result ctrl.Result
	err    error
}

type taskKey struct{}

// taskOf returns the task that a call belongs to.
func taskOf(ctx context.Context) *task {
	t, ok := ctx.Value(taskKey{}).(*task)
	if !ok {
		panic("simulation: a call without its task's context")
	}
	return t
}

// start readies a reconcile; it runs when it is first resumed.
func (p *process) start(ctx context.Context, key types.NamespacedName) *task {
	t := &task{process: p, key: key, started: p.world.now(), shown: map[int64]owner{}}
	ctx = log.IntoContext(context.WithValue(ctx, taskKey{}, t), logr.New(&sink{task: t}))
	t.next, _ = iter.Pull(func(yield func(struct{}) bool) {
		t.yield = yield
		switch key {
		case sweepName:
			t.result, t.err = p.reconciler.Sweeper().Reconcile(ctx, p.step)
			return
		case paceName:
			p.world.figures.SlowCalls++
			t.result, t.err = p.reconciler.Pacer().Reconcile(ctx, p.check)
			return
		}
		var reconciler reconcile.Reconciler = p.reconciler
		if isSecret(key) {
			reconciler = p.protector
		}
		if key == clientName {
			reconciler = p.keeper
		}
		t.result, t.err = reconciler.Reconcile(ctx, ctrl.Request{NamespacedName: key})
	})
	return t
}

// sweeps reports whether the task is a step of the drift sweep.
func (t *task) sweeps() bool { return t.key == sweepName }

// verifies reports whether the task is a look at the OAuthClient.
func (t *task) verifies() bool { return t.key == clientName }

// resume runs the task to its next boundary and reports whether it has ended.
func (t *task) resume() bool {
	_, more := t.next()
	return !more
}

// bury lets the goroutine of a crashed process end, without any effect on the world.
func (t *task) bury() {
	t.dead = true
	for !t.resume() {
		continue
	}
}

// pause is a boundary: somebody else may go on here, and the process may die.
func (t *task) pause() error {
	if t.dead {
		return errProcessDied
	}
	t.yield(struct{}{})
	switch {
	case t.dead:
		return errProcessDied
	case t.process.world.now().Sub(t.started) > reconcileTimeout:
		return context.DeadlineExceeded
	}
	return nil
}

// sleep is a boundary that takes time, during which everybody else goes on.
func (t *task) sleep(d time.Duration) error {
	if !t.dead {
		t.wake = t.process.world.now().Add(d)
	}
	return t.pause()
}
