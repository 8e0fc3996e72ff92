// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/controller"
	"github.com/calcom-operator/calcom-operator/internal/gate"
	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

const resync = 10 * time.Minute

// cluster is one Kubernetes cluster with the operator in it.
type cluster struct {
	ownerID   string
	api       *apiServer
	processes []*process
	// deletions is when users were deleted lately.
	deletions []time.Time
	// forced: somebody has deleted the Secret by force.
	forced bool
}

// process is one run of the operator: a reconciler, its cache and its queue. A restart is a new process.
type process struct {
	world      *World
	cluster    *cluster
	name       string
	reconciler *controller.ManagedUserReconciler
	protector  *controller.SecretReconciler
	keeper     *controller.OAuthClientReconciler

	// view is the cache: the state of the API server after the first seen entries of its log.
	view map[types.NamespacedName]*v1alpha1.ManagedUser
	seen int
	// secrets is the same for Secrets, of which only metadata is cached.
	secrets map[types.NamespacedName]*metav1.PartialObjectMetadata
	// client is the OAuthClient as the cache has it.
	client *v1alpha1.OAuthClient
	// started is when the process began.
	started time.Time
	// cutOff is how many releases it took for the end of deletions that the process before had begun.
	cutOff int
	// called is when the calls of the last minute were made, to another tenant and to the right one: each counts by
	// itself.
	called map[bool][]time.Time

	// creating is how many create calls are under way, and check the request for the next check of slow calls.
	creating int
	check    controller.PaceRequest
	// step is the sweep's request for its next step, which is due as sweepName.
	step controller.SweepRequest
	// restored is when records of an object were put back lately.
	restored map[types.NamespacedName][]time.Time
	due      map[types.NamespacedName]time.Time
	// limiter delays reconciles that fail.
	limiter workqueue.TypedRateLimiter[reconcile.Request]
	tasks   []*task
}

// newProcess starts the operator. Its first list may come from a watch cache that lags behind by some entries.
func (w *World) newProcess(c *cluster, name string, lag int) *process {
	p := &process{
		world: w, cluster: c, name: name, started: w.now(),
		view:     map[types.NamespacedName]*v1alpha1.ManagedUser{},
		secrets:  map[types.NamespacedName]*metav1.PartialObjectMetadata{},
		due:      map[types.NamespacedName]time.Time{},
		restored: map[types.NamespacedName][]time.Time{},
		called:   map[bool][]time.Time{},
	}
	kube, live := &kubeClient{process: p}, &liveReader{process: p}
	var err error
	p.reconciler, err = controller.New(kube, live, &recorder{process: p}, w.configOf(p))
	if err != nil {
		panic("simulation: " + err.Error())
	}
	p.limiter = p.reconciler.RateLimiter()
	p.keeper = p.reconciler.OAuthClients(v1alpha1.KindOAuthClient)
	p.protector = p.reconciler.Secrets()
	p.reconciler.Sweeper().Connect(p.wake, p.schedule)
	p.reconciler.Pacer().Connect(p.goOn, p.checkLater)
	p.reconciler.OnNews(func(string, string) { p.enqueue(clientName, w.now()) })
	p.seen = max(0, len(c.api.log)-lag)
	for _, e := range c.api.log[:p.seen] {
		switch {
		case e.secret:
			p.keepSecret(e)
		case e.isClient:
			p.client = e.client
		case e.user == nil:
			delete(p.view, e.key)
		default:
			p.view[e.key] = e.user
		}
	}
	for key := range p.view {
		p.enqueue(key, w.now())
	}
	for key := range p.secrets {
		p.enqueue(key, w.now())
	}
	p.enqueue(secretName, w.now())
	p.enqueue(clientName, w.now())
	return p
}

// enqueue asks for a reconcile at a time, or earlier if one is due earlier.
func (p *process) enqueue(key types.NamespacedName, at time.Time) {
	if before, ok := p.due[key]; !ok || at.Before(before) {
		p.due[key] = at
	}
}

// wake is how the sweep asks for a reconcile.
func (p *process) wake(key types.NamespacedName) {
	if p.world.options.Hooks.DeafToSweep {
		return
	}
	p.world.tracef("%s's sweep wakes %s", p.name, key.Name)
	p.enqueue(key, p.world.now())
}

// schedule is how the sweep asks for its next step.
func (p *process) schedule(step controller.SweepRequest, after time.Duration) {
	if p.step != (controller.SweepRequest{}) && p.step != step {
		p.world.violate("%s sweeps one OAuth client twice", p.name)
	}
	p.step = step
	p.enqueue(sweepName, p.world.now().Add(after))
}

// goOn is how the gate of the OAuth client asks for a reconcile.
func (p *process) goOn(key types.NamespacedName) {
	if p.world.options.Hooks.DeafToPlaces {
		return
	}
	p.world.figures.Woken++
	p.world.tracef("%s's gate wakes %s", p.name, key.Name)
	p.enqueue(key, p.world.now())
}

// checkLater is how the gate asks for a check of slow calls.
func (p *process) checkLater(check controller.PaceRequest, after time.Duration) {
	p.check = check
	p.enqueue(paceName, p.world.now().Add(after))
}

// beginCall notes that a call begins, and returns what notes its end. A server without transactions bears only few
// create calls at a time.
func (p *process) beginCall(x *exchange) (end func()) {
	if x.op != calcomtest.OpCreate {
		return func() {}
	}
	p.creating++
	if most := gate.LimitsFor(p.world.workers)[gate.Create]; p.creating > most {
		p.world.violate("%s has %d create calls under way at a time; %d may be", p.name, p.creating, most)
	}
	p.world.figures.MostCreates = max(p.world.figures.MostCreates, p.creating)
	return func() { p.creating-- }
}

// deliver lets the next entry of the watch reach the cache, and the queue if it is worth a look.
func (p *process) deliver() {
	e := p.cluster.api.log[p.seen]
	p.seen++
	switch {
	case e.secret:
		p.deliverSecret(e)
	case e.isClient:
		p.deliverClient(e)
	default:
		p.deliverUser(e)
	}
}

// deliverSecret wakes whoever has to do with the Secret: all objects have the same one.
func (p *process) deliverSecret(e watchEvent) {
	now := p.world.now()
	releasing, justMarked := p.keepSecret(e)
	if justMarked {
		p.enqueue(e.key, now.Add(reconcileTimeout))
	} else {
		p.enqueue(e.key, now)
	}
	if isTokens(e.key) {
		p.wakeForTokens(e.key)
		return
	}
	if releasing || justMarked {
		return
	}
	p.enqueue(clientName, now)
	for _, key := range sortedKeys(p.view) {
		p.enqueue(key, now)
	}
}

func (p *process) deliverUser(e watchEvent) {
	now, before := p.world.now(), p.view[e.key]
	p.clearTokens(before, e.user)
	p.wakeContenders(before, e.user)
	if e.user == nil {
		delete(p.view, e.key)
		p.enqueue(e.key, now)
		p.tellNeeded(before)
		return
	}
	p.view[e.key] = e.user
	const request = v1alpha1.ReconcileRequestedAtAnnotation
	if before == nil || before.UID != e.user.UID || before.Generation != e.user.Generation ||
		before.Annotations[request] != e.user.Annotations[request] ||
		before.Annotations[v1alpha1.AllowMassDeletionAnnotation] != e.user.Annotations[v1alpha1.AllowMassDeletionAnnotation] ||
		lacksRecords(e.user) && !lacksRecords(before) {
		p.enqueue(e.key, now)
	}
	if before == nil || isBound(before) != isBound(e.user) {
		p.tellNeeded(e.user)
	}
}

// tellNeeded wakes the reconciler of what an object needs, when the object may have come to need it, or no longer to.
func (p *process) tellNeeded(mu *v1alpha1.ManagedUser) {
	switch {
	case mu == nil: // The cache had never heard of it.
	case mu.Spec.OAuthClientRef != nil:
		p.enqueue(clientName, p.world.now().Add(gathering))
	default:
		p.enqueue(secretName, p.world.now().Add(gathering))
	}
}

// keepSecret takes a Secret's metadata into the cache and reports whether the operator's sign of a release came or
// went, and whether its finalizer was put on.
func (p *process) keepSecret(e watchEvent) (releasing, justMarked bool) {
	before := p.secrets[e.key]
	if e.metadata == nil {
		delete(p.secrets, e.key)
		return false, false
	}
	p.secrets[e.key] = e.metadata
	const finalizer, sign = v1alpha1.InUseFinalizer, v1alpha1.ReleasingAnnotation
	if before == nil {
		return false, false
	}
	was, is := slices.Contains(before.Finalizers, finalizer), slices.Contains(e.metadata.Finalizers, finalizer)
	return before.Annotations[sign] != e.metadata.Annotations[sign], !was && is
}

func sortedKeys[V any](m map[types.NamespacedName]V) []types.NamespacedName {
	return slices.SortedFunc(maps.Keys(m), func(x, y types.NamespacedName) int { return strings.Compare(x.String(), y.String()) })
}

// others are what controllers of their own work on, beside Secrets.
var others = []types.NamespacedName{clientName, sweepName, paceName}

// ready returns the objects that may be reconciled now.
func (p *process) ready() []types.NamespacedName {
	var keys []types.NamespacedName
	for _, key := range sortedKeys(p.due) {
		if len(p.tasks) >= p.world.workers && !isSecret(key) && !slices.Contains(others, key) {
			continue
		}
		busy := slices.ContainsFunc(p.tasks, func(t *task) bool { return t.key == key })
		if !busy && !p.due[key].After(p.world.now()) {
			keys = append(keys, key)
		}
	}
	return keys
}

// begin takes an object from the queue.
func (p *process) begin(ctx context.Context, key types.NamespacedName) {
	delete(p.due, key)
	p.world.figures.Reconciles++
	t := p.start(ctx, key)
	p.tasks = append(p.tasks, t)
	p.world.tracef("%s begins %s", p.name, key.Name)
	p.world.run(t)
}

// ended takes a finished reconcile's wish for the next one.
func (p *process) ended(t *task) {
	p.tasks = slices.DeleteFunc(p.tasks, func(other *task) bool { return other == t })
	now := p.world.now()
	switch {
	case t.err != nil:
		wait := p.limiter.When(reconcile.Request{NamespacedName: t.key})
		p.enqueue(t.key, now.Add(wait))
		p.world.showing("a returned error", t.err.Error())
		p.world.tracef("%s ends %s: error %v, again in %v", p.name, t.key.Name, t.err, wait)
	case t.result.RequeueAfter > 0:
		p.limiter.Forget(reconcile.Request{NamespacedName: t.key})
		p.enqueue(t.key, now.Add(t.result.RequeueAfter))
		p.world.tracef("%s ends %s: again in %v", p.name, t.key.Name, t.result.RequeueAfter)
	default:
		p.limiter.Forget(reconcile.Request{NamespacedName: t.key})
		p.world.tracef("%s ends %s", p.name, t.key.Name)
	}
}

// crash ends the process where each of its reconciles stands.
func (p *process) crash() {
	p.world.tracef("%s crashes%s", p.name, p.under())
	tasks := p.tasks
	p.tasks = nil
	for _, t := range tasks {
		t.bury()
	}
}

func (p *process) under() string {
	var b strings.Builder
	for _, t := range p.tasks {
		fmt.Fprintf(&b, ", in the middle of %s", t.key.Name)
	}
	return b.String()
}
