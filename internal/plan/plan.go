// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package plan foretells what the operator would do, by having its own reconciler do it: against a copy of the cluster
// in memory (kube.go), and a stage on which Cal.com's answers to reads are its own and those to everything else are
// made up (stage.go, remote.go). Nothing is written anywhere.
//
// So a plan cannot disagree with the operator about what to do, only with Cal.com about what comes of it: it takes for
// granted that Cal.com accepts what it documents to accept, and that nobody else changes anything meanwhile.
package plan

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/account"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
	"github.com/calcom-operator/calcom-operator/internal/controller"
	"github.com/calcom-operator/calcom-operator/internal/outcome"
)

// Users are the users of one OAuth client, to be read. *calcom.Client is one.
type Users interface {
	User(ctx context.Context, id int64) (calcom.User, error)
	UsersByEmail(ctx context.Context, emails ...string) ([]calcom.User, error)
}

// Account names an OAuth client of a server.
type Account = account.Name

// Options are what a rehearsal needs.
type Options struct {
	// Cluster is what objects are read from, each at most once.
	Cluster client.Reader
	// Scheme knows their types.
	Scheme *runtime.Scheme
	// Connect returns the users of an OAuth client. It is called once for each secret key.
	Connect func(ctx context.Context, account Account, secretKey calcom.Hidden[string]) (Users, error)
	// Config is that of the operator. Its Transport is not used and may be nil.
	Config controller.Config
}

// Rehearsal is a cluster and a Cal.com in memory, in which objects can be reconciled one after the other: each finds
// what those before it have left. It is not safe for concurrent use.
type Rehearsal struct {
	options Options
	kube    *kube
	stage   *stage
	steps   []Step
	events  []Event
}

// New returns a rehearsal in which nothing has happened yet.
func New(o Options) *Rehearsal {
	r := &Rehearsal{options: o}
	record := func(s Step) { r.steps = append(r.steps, s) }
	r.kube = newKube(o.Cluster, o.Scheme, o.Config.Clock.Now, record)
	r.stage = newStage(o.Connect, o.Config.Clock.Now, record)
	return r
}

// Put places an object into the rehearsal, whatever the cluster has.
func (r *Rehearsal) Put(object client.Object) error { return r.kube.put(object) }

// Know tells the rehearsal of users that Cal.com has. The more it knows, the more usernames it knows to be taken:
// nobody can ask Cal.com for these.
func (r *Rehearsal) Know(of Account, users []calcom.User) {
	for i := range users {
		r.stage.remote(of).know(&users[i])
	}
}

// Get reads an object as the rehearsal has it.
func (r *Rehearsal) Get(ctx context.Context, key client.ObjectKey, object client.Object) error {
	return r.kube.Get(withCaller(ctx), key, object)
}

// Outcome is what a rehearsal of one object came to.
type Outcome struct {
	// Object is how the object would be afterwards; nil if it would be gone.
	Object *v1alpha1.ManagedUser
	// Steps are the calls and writes, in order.
	Steps []Step
	// Events that would be sent.
	Events []Event
	// Next is when the operator would look again of its own accord; 0 if it would not.
	Next time.Duration
	// BacksOff is set when Next is the first of a series of ever longer waits.
	BacksOff bool
}

// Event is one that Kubernetes would show of the object.
type Event struct{ Reason, Note string }

// Rests reports whether there was nothing to do and nothing to look at.
func (o *Outcome) Rests() bool {
	return len(o.Steps) == 0 && o.Object != nil && meta.IsStatusConditionTrue(o.Object.Status.Conditions, v1alpha1.ConditionReady)
}

// Ready returns the condition that sums the outcome up; nil if there is none.
func (o *Outcome) Ready() *metav1.Condition {
	if o.Object == nil {
		return nil
	}
	return meta.FindStatusCondition(o.Object.Status.Conditions, v1alpha1.ConditionReady)
}

const (
	// again is the longest wait that is no wait: the reconciler wants to read an object anew.
	again = time.Second
	// mostAgain bounds how often it may.
	mostAgain = 10
	// firstBackOff is the queue's; see package controller.
	firstBackOff = time.Second
)

// Reconcile rehearses what the operator would do if it came by the object now, until it comes to rest or has to wait.
func (r *Rehearsal) Reconcile(ctx context.Context, key client.ObjectKey) (*Outcome, error) {
	config := r.options.Config
	config.Transport = r.stage
	// A reconciler of its own for each object: one that has just started, and has waited for nobody.
	reconciler, err := controller.New(r.kube, r.kube, recorder{r}, config)
	if err != nil {
		return nil, fmt.Errorf("taking over the operator's settings: %w", err)
	}
	ctx = withCaller(ctx)
	r.steps, r.events, r.kube.failure = nil, nil, nil
	r.stage.begin()
	o := &Outcome{}
	for range mostAgain {
		result, err := reconciler.Reconcile(ctx, ctrl.Request{NamespacedName: key})
		if failure := errors.Join(r.kube.failure, r.stage.failure); failure != nil {
			return nil, failure
		}
		o.Next, o.BacksOff = result.RequeueAfter, err != nil
		if err != nil && !outcome.IsTold(err) {
			return nil, fmt.Errorf("rehearsing the operator: %w", err)
		}
		if err != nil {
			o.Next = firstBackOff
			break
		}
		if result.RequeueAfter == 0 || result.RequeueAfter >= again {
			break
		}
	}
	o.Steps, o.Events = r.steps, r.events
	object := &v1alpha1.ManagedUser{}
	switch err := r.kube.Get(ctx, key, object); {
	case err == nil:
		o.Object = object
	case client.IgnoreNotFound(err) != nil:
		return nil, err
	}
	r.nameInvented(o)
	return o, nil
}

// Look rehearses a look at Cal.com that somebody asks for now, which even an object that is at rest gets.
func (r *Rehearsal) Look(ctx context.Context, key client.ObjectKey) (*Outcome, error) {
	object := &v1alpha1.ManagedUser{}
	if err := r.Get(ctx, key, object); err != nil {
		return nil, err
	}
	metav1.SetMetaDataAnnotation(&object.ObjectMeta, v1alpha1.ReconcileRequestedAtAnnotation, "rehearsal "+strconv.Itoa(r.kube.version))
	if err := r.Put(object); err != nil {
		return nil, err
	}
	return r.Reconcile(ctx, key)
}

// nameInvented puts words in the place of ids that only a rehearsed create call gave.
func (r *Rehearsal) nameInvented(o *Outcome) {
	if len(r.stage.invented) == 0 {
		return
	}
	var pairs []string
	for _, id := range r.stage.invented {
		pairs = append(pairs, strconv.FormatInt(id, 10), "(new)")
	}
	replace := strings.NewReplacer(pairs...).Replace
	for i := range o.Events {
		o.Events[i].Note = replace(o.Events[i].Note)
	}
	if o.Object == nil {
		return
	}
	for i := range o.Object.Status.Conditions {
		o.Object.Status.Conditions[i].Message = replace(o.Object.Status.Conditions[i].Message)
	}
}

// recorder takes the reconciler's events.
type recorder struct{ rehearsal *Rehearsal }

func (r recorder) Eventf(_, _ runtime.Object, _, reason, _, note string, args ...any) {
	r.rehearsal.events = append(r.rehearsal.events, Event{Reason: reason, Note: fmt.Sprintf(note, args...)})
}

// callerKey is where the caller's own context is kept beside the reconciler's, which ends neither when the caller gives
// up nor later than a call may take: reading here may have to wait for the quota.
type callerKey struct{}

func withCaller(ctx context.Context) context.Context {
	if ctx.Value(callerKey{}) != nil {
		return ctx
	}
	return context.WithValue(ctx, callerKey{}, ctx)
}

func caller(ctx context.Context) context.Context {
	if c, ok := ctx.Value(callerKey{}).(context.Context); ok {
		return c
	}
	return ctx
}
