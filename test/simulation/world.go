// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"
	testclock "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

const (
	clientID  = "clsim00000000000000000001"
	namespace = "sim"
)

// secretName is where every object's credentials are.
var secretName = types.NamespacedName{Namespace: namespace, Name: "calcom"}

// sweepName stands for the drift sweep where objects are named.
var sweepName = types.NamespacedName{Name: "drift-sweep"}

// paceName stands for the check of slow calls.
var paceName = types.NamespacedName{Name: "slow-calls"}

// Options say how a run goes.
type Options struct {
	// Trace keeps a line of each step.
	Trace bool
	// Stored is told each object as the API server has it from then on, and must not change it.
	Stored func(client.Object)
	// Hooks break the rules from outside the operator, to show that the simulation notices.
	Hooks Hooks
}

// World is one run: everything that there is, and everything that happens.
type World struct {
	options Options
	random  *rand.Rand
	clock   *testclock.FakePassiveClock
	began   time.Time
	cal     *calcomtest.Server
	// secret is the key that Cal.com takes.
	secret   string
	clusters []*cluster
	ledger   *ledger
	// tokens is set in a world that is about tokens.
	tokens *tokensWorld

	// loss is what the server accepts and does not store. failing is how it fails every call, if it does.
	loss    string
	failing *failure

	chaos     bool // Faults happen.
	faultRate int  // Per mille of the calls.
	// stopRate is how many of 1,000 creates stop in their middle. In some worlds the server dies again and again.
	stopRate int
	// halfMade are the addresses of users that the server may have made by half.
	halfMade map[string]bool
	// moved are the users whose address was changed by hand. A 404 and a list without the address are the operator's
	// proof that a user is gone, so these meet no false 404: that would be two lies at once.
	moved       map[int64]bool
	lateEffects []time.Time
	requests    int
	// massLimit is how many users may be deleted in any ten minutes, per cluster; 0 means any number.
	massLimit int
	disasters disasters
	// outages are when Cal.com answers every call by 503, and tenant is the other one to which a proxy may lead.
	outages []span
	tenant  *tenant
	// rewrites: other tools rewrite what the operator keeps on objects. backups are old states of objects, and rivals
	// the writers that remove finalizers just now, both by owner name.
	rewrites    bool
	backups     map[string]*v1alpha1.ManagedUser
	rivals      map[string]rival
	rewrittenAt map[string]time.Time
	// workers is how many objects a process works on at a time.
	workers int
	// callLimit is how many calls a minute Cal.com allows the client.
	callLimit int

	step int
	// What was done since somebody last counted: writes of a status and of an object's metadata, and calls that change
	// something in Cal.com or would have, but for a 409.
	statusWrites, metadataWrites, secretWrites, changes, attempts int
	// refreshes and tokenWrites are the calls for tokens and the writes of Secrets with them since; tokenStatuses are
	// the writes of a status that say something new of tokens: those of a user that nobody may touch come to their end.
	refreshes, tokenWrites, tokenStatuses int
	// lists is how many calls the sweep made since, and restless who else called although its object was Ready.
	lists    int
	restless []string

	trace      []string
	violations []string
	figures    Figures
}

// Report is how a run ended.
type Report struct {
	Seed       uint64
	Violations []string
	Trace      []string
	Figures    Figures
}

// Run lives through one seed.
func Run(ctx context.Context, seed uint64, options Options) Report {
	w := newWorld(seed, options)
	defer w.close()
	steps := 150 + w.random.IntN(450)
	for w.step < steps && len(w.violations) == 0 {
		w.chaoticStep(ctx)
	}
	if len(w.violations) == 0 {
		w.converge(ctx)
	}
	for _, c := range w.clusters { // Lets every goroutine end.
		for _, p := range c.processes {
			p.crash()
		}
	}
	w.figures.Seeds, w.figures.Steps = 1, w.step
	return Report{Seed: seed, Violations: w.violations, Trace: w.trace, Figures: w.figures}
}

func newWorld(seed uint64, options Options) *World {
	w := &World{
		options: options,
		random:  rand.New(rand.NewPCG(seed, 0x5ca1ab1e)), //nolint:gosec // A run has to be reproducible.
		began:   time.Date(2026, 1, 5, 9, 0, 0, 0, time.UTC),
		secret:  "canary-key-1", chaos: true, halfMade: map[string]bool{}, moved: map[int64]bool{},
		backups: map[string]*v1alpha1.ManagedUser{}, rivals: map[string]rival{}, rewrittenAt: map[string]time.Time{},
		figures: Figures{Faults: map[string]int{}},
		workers: []int{2, 2, 8, 16}[seed%4],
	}
	w.clock = testclock.NewFakePassiveClock(w.began)
	w.faultRate = []int{0, 50, 150, 250, 400}[w.random.IntN(5)]
	w.stopRate = []int{0, 0, 0, 100, 500}[w.random.IntN(5)]
	if options.Hooks.Stops {
		w.stopRate = 500
	}
	w.massLimit = []int{0, 0, 1, 1, 2}[w.random.IntN(5)]
	w.disasters = newDisasters([]int{0, 0, 0, 1, 2}[w.random.IntN(5)])
	if options.Hooks.Disaster != nil {
		w.disasters = newDisasters(1)
	}
	w.callLimit = []int{500, 500, 500, 10}[w.random.IntN(4)]
	w.rewrites = w.random.IntN(2) == 0
	w.loss = []string{loseNothing, loseNothing, loseNothing, loseKey, loseLetters}[seed%5]
	if options.Hooks.Lossy {
		w.loss = loseKey
	}
	w.cal = calcomtest.NewHandler(calcomtest.Options{
		Clients:   []calcomtest.OAuthClient{{ID: clientID, Secret: w.secret}},
		Now:       w.clock.Now,
		Sleep:     func(context.Context, time.Duration) {},
		RateLimit: w.callLimit,
	})
	w.ledger = newLedger(w)
	owners := []string{"cluster-1", "cluster-2"}
	if w.random.IntN(3) > 0 {
		owners = owners[:1]
	}
	for _, owner := range owners {
		c := &cluster{ownerID: owner, api: newAPIServer(w.now, w.stored)}
		w.clusters = append(w.clusters, c)
		w.setSecret(c, w.secret)
		c.api.addClient()
		w.startProcess(c)
	}
	return w
}

func (w *World) close() {
	w.cal.Close()
	if w.tenant != nil {
		w.tenant.server.Close()
	}
}

func (w *World) now() time.Time { return w.clock.Now() }

func (w *World) startProcess(c *cluster) {
	w.figures.Restarts++
	name := fmt.Sprintf("%s/%d", c.ownerID, w.figures.Restarts)
	w.tracef("%s starts", name)
	c.processes = append(c.processes, w.newProcess(c, name, w.random.IntN(4)))
}

func (w *World) stopProcess(c *cluster, p *process) {
	p.crash()
	c.processes = slices.DeleteFunc(c.processes, func(other *process) bool { return other == p })
}

// processes returns all that run.
func (w *World) processes() []*process {
	var all []*process
	for _, c := range w.clusters {
		all = append(all, c.processes...)
	}
	return all
}

// runnable returns the reconciles that do not sleep.
func (w *World) runnable() []*task {
	var tasks []*task
	for _, p := range w.processes() {
		for _, t := range p.tasks {
			if !t.wake.After(w.now()) {
				tasks = append(tasks, t)
			}
		}
	}
	return tasks
}

// run lets one reconcile go on to its next boundary.
func (w *World) run(t *task) {
	if t.resume() {
		t.process.ended(t)
	}
}

// chaoticStep does one thing, whatever the random source says.
func (w *World) chaoticStep(ctx context.Context) {
	tasks, processes := w.runnable(), w.processes()
	choice := w.random.IntN(100)
	switch {
	case choice < 45 && len(tasks) > 0:
		w.run(pick(w, tasks))
	case choice < 80 && len(processes) > 0:
		w.stir(ctx, pick(w, processes), choice < 65)
	case choice < 87:
		w.happen(ctx)
		w.endStep(true)
		return
	case choice < 89:
		w.disturb()
	default:
		w.advance(len(tasks) > 0)
	}
	w.endStep(false)
}

// stir lets a process begin a reconcile, or hear of some news.
func (w *World) stir(ctx context.Context, p *process, begin bool) {
	if begin {
		if keys := p.ready(); len(keys) > 0 {
			p.begin(ctx, pick(w, keys))
		}
		return
	}
	for range w.random.IntN(6) {
		if p.seen < len(p.cluster.api.log) {
			p.deliver()
		}
	}
}

// endStep checks what has to hold after every step.
func (w *World) endStep(byWorld bool) {
	w.step++
	if due := slices.ContainsFunc(w.lateEffects, func(at time.Time) bool { return !at.After(w.now()) }); due {
		w.lateEffects = slices.DeleteFunc(w.lateEffects, func(at time.Time) bool { return !at.After(w.now()) })
		w.ledger.sync(nil, nil)
	}
	w.strip()
	w.ledger.checkClaims(byWorld)
}

// disturb stops and starts processes. Two at a time are two leaders.
func (w *World) disturb() {
	c := w.clusters[w.random.IntN(len(w.clusters))]
	if len(c.processes) == 2 || len(c.processes) == 1 && w.random.IntN(2) == 0 {
		w.stopProcess(c, c.processes[w.random.IntN(len(c.processes))])
	}
	if len(c.processes) < 2 && (len(c.processes) == 0 || w.random.IntN(2) == 0) {
		w.startProcess(c)
	}
}

// advance lets time pass: little while somebody is at work, else up to what happens next, or some minutes.
func (w *World) advance(busy bool) {
	if busy {
		w.pass(time.Duration(w.random.Int64N(int64(500 * time.Millisecond))))
		return
	}
	next, ok := w.nextMoment()
	if asleep := slices.ContainsFunc(w.processes(), func(p *process) bool { return len(p.tasks) > 0 }); !asleep && (!ok || w.random.IntN(4) == 0) {
		w.pass(time.Duration(w.random.Int64N(int64(5 * time.Minute))))
		return
	}
	if ok && next.After(w.now()) {
		w.pass(next.Sub(w.now()))
	}
}

func (w *World) pass(d time.Duration) { w.clock.SetTime(w.now().Add(d)) }

// nextMoment is when next somebody wakes or is due, or the server ends a late piece of work.
func (w *World) nextMoment() (time.Time, bool) {
	var moments []time.Time
	for _, p := range w.processes() {
		for _, t := range p.tasks {
			moments = append(moments, t.wake)
		}
		for _, at := range p.due {
			moments = append(moments, at)
		}
	}
	moments = append(moments, w.lateEffects...)
	moments = slices.DeleteFunc(moments, func(at time.Time) bool { return !at.After(w.now()) })
	if len(moments) == 0 {
		return time.Time{}, false
	}
	return slices.MinFunc(moments, time.Time.Compare), true
}

func (w *World) tracef(format string, args ...any) {
	if w.options.Trace {
		w.trace = append(w.trace, fmt.Sprintf("%4d %10s  ", w.step, w.now().Sub(w.began).Round(time.Millisecond))+fmt.Sprintf(format, args...))
	}
}
