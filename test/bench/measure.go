// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/calcom-operator/calcom-operator/test/calcomtest"
	"github.com/calcom-operator/calcom-operator/test/stack"
)

// phase is something that is done and measured.
type phase struct {
	name string
	// do does it and waits until it can be seen to be done. What it notes is checked with the rest.
	do func(context.Context, *measurement) error
	// targets adds figures and their targets once all has been counted.
	targets func(*measurement)
}

// measurement is a phase under way.
type measurement struct {
	*Phase
	world *world
	// began is the start, until the end of what do waited for, and elapsed the time that calls and writes were counted.
	began   time.Time
	until   time.Duration
	elapsed time.Duration
	// before are the calls up to the beginning, calls those since then.
	before, calls tallies
	// writes are those that the API server took, refused those that it did not.
	writes  map[stack.Operation]int
	refused map[refusal]int
	// latencies are those of the observer, which saw the first user become as expected at a moment.
	latencies []time.Duration
	first     time.Time
}

// refusal is a kind of write that was not taken, because somebody else was faster for one.
type refusal struct {
	stack.Operation
	code int
}

// quiet is how long nothing may be written before a phase is over.
const quiet = time.Second

// measure does a phase.
func (w *world) measure(ctx context.Context, p phase) (Phase, error) {
	m := &measurement{Phase: &Phase{Name: p.name}, world: w, writes: make(map[stack.Operation]int), refused: make(map[refusal]int)}
	operator := process(w.stack.OperatorPID())
	var err error
	if m.before, err = w.sandbox.calls(ctx); err != nil {
		return Phase{}, err
	}
	cpuBefore, err := operator.cpu()
	if err != nil {
		return Phase{}, err
	}
	w.seen.take()
	m.PeakSinceStart = !operator.forgetPeak()
	m.began = time.Now()
	if err := p.do(ctx, m); err != nil {
		return Phase{}, err
	}
	m.done()
	if err := m.settle(ctx); err != nil {
		return Phase{}, err
	}
	m.elapsed = time.Since(m.began)
	after, err := w.sandbox.calls(ctx)
	if err != nil {
		return Phase{}, err
	}
	m.calls = after.since(m.before)
	m.latencies, m.first = w.seen.take()
	if process(w.stack.OperatorPID()) != operator {
		operator, cpuBefore, m.PeakSinceStart = process(w.stack.OperatorPID()), 0, true
	}
	if err := m.costs(operator, cpuBefore); err != nil {
		return Phase{}, err
	}
	m.tell()
	p.targets(m)
	m.always()
	return *m.Phase, m.compareUsers(ctx)
}

// done notes that what the phase waits for was seen. The first time counts.
func (m *measurement) done() {
	if m.until == 0 {
		m.until = time.Since(m.began)
	}
}

// settle counts writes until there are none for a while, the leader's lease apart.
func (m *measurement) settle(ctx context.Context) error {
	last := time.Now()
	return m.world.until(ctx, "the writes to end", func(context.Context) (bool, error) {
		requests, err := m.world.audit.Read()
		if err != nil {
			return false, err
		}
		for _, r := range requests {
			switch {
			case !r.Writes():
			case isLeadership(r):
				m.LeaseWrites++
			case r.Code >= http.StatusBadRequest:
				m.refused[refusal{r.Operation, r.Code}]++
				last = time.Now()
			default:
				m.writes[r.Operation]++
				last = time.Now()
			}
		}
		return time.Since(last) > quiet, nil
	})
}

// isLeadership reports whether a write is about who leads: the lease, and the event about it in the operator's
// namespace.
func isLeadership(r stack.Request) bool {
	return r.Resource == "leases" || r.Resource == "events" && r.Namespace == stack.Namespace
}

func (m *measurement) costs(operator process, cpuBefore time.Duration) error {
	cpu, err := operator.cpu()
	if err != nil {
		return err
	}
	m.CPUSeconds = (cpu - cpuBefore).Seconds()
	if m.PeakMiB, err = operator.memory("VmHWM"); err != nil {
		return err
	}
	m.AnonymousMiB, err = operator.memory("RssAnon")
	return err
}

// tell puts what was counted into the report.
func (m *measurement) tell() {
	m.Seconds = m.until.Seconds()
	for kind, n := range m.calls {
		m.Calls = append(m.Calls, calcomtest.Tally{Op: kind.op, Status: kind.status, Calls: n})
	}
	slices.SortFunc(m.Calls, func(a, b calcomtest.Tally) int {
		return cmp.Or(cmp.Compare(a.Op, b.Op), cmp.Compare(a.Status, b.Status))
	})
	for operation, n := range m.writes {
		m.Writes = append(m.Writes, Write{Operation: operation.Verb + " " + operation.Resource, Count: n})
	}
	for kind, n := range m.refused {
		m.Writes = append(m.Writes, Write{Operation: fmt.Sprintf("%s %s (refused, %d)", kind.Verb, kind.Resource, kind.code), Count: n})
	}
	slices.SortFunc(m.Writes, func(a, b Write) int { return cmp.Compare(a.Operation, b.Operation) })
}

// written counts the writes to some resources.
func (m *measurement) written(resources ...string) int {
	sum := 0
	for operation, n := range m.writes {
		if len(resources) == 0 || slices.Contains(resources, operation.Resource) {
			sum += n
		}
	}
	return sum
}

// sweeps is the most calls that sweeps make in the time that was counted: one call for each 250 users, and as many
// sweeps as can begin in it.
func (m *measurement) sweeps() int {
	return (int(m.elapsed/m.world.config.Interval) + 1) * perSweep(m.world.users)
}

// perSweep is the number of calls of one sweep.
func perSweep(users int) int {
	const usersPerCall = 250
	return (users + usersPerCall - 1) / usersPerCall
}

// count adds a count.
func (m *measurement) count(kind Kind, what string, value int, relation string, target int) {
	m.Checks = append(m.Checks, Check{
		What: what, Kind: kind, Value: float64(value), Relation: relation, Target: float64(target),
	})
}

// routine adds a count that is only of interest when it misses.
func (m *measurement) routine(what string, value int, relation string, target int) {
	m.count(Count, what, value, relation, target)
	m.Checks[len(m.Checks)-1].Routine = true
}

// gauge adds a figure that decides nothing.
func (m *measurement) gauge(what string, value float64, unit, relation string, target float64) *Check {
	m.Checks = append(m.Checks, Check{What: what, Kind: Gauge, Value: value, Unit: unit, Relation: relation, Target: target})
	return &m.Checks[len(m.Checks)-1]
}

// latency adds the quantiles of what the observer saw.
func (m *measurement) latency(what string) {
	for _, q := range []struct {
		name  string
		share float64
	}{{"p50", 0.5}, {"p99", 0.99}} {
		m.gauge(what+", "+q.name, quantile(m.latencies, q.share).Seconds(), "s", "", 0).Scaled = true
	}
}

// perUser adds the usual counts of a phase in which so many users were worked on, with at most so many writes to each
// object and one event, and one event of each OAuth client.
func (m *measurement) perUser(users, writes int) { m.perUserAndMore(users, writes, 0) }

// perUserAndMore allows some writes more, for all users together.
func (m *measurement) perUserAndMore(users, writes, more int) {
	m.count(Count, fmt.Sprintf("writes to %s users and their statuses", number(users)), m.written("managedusers", "managedusers/status"), "≤", writes*users+more)
	m.count(Count, "events", m.written("events"), "≤", users+m.world.clients())
}

// always adds what holds in every phase.
func (m *measurement) always() {
	all := m.calls.of(calcomtest.OpAny)
	refused := m.calls.withStatus(http.StatusTooManyRequests)
	if most := (all - 1) / 1000; most > 0 {
		m.routine("calls answered 429 (less than one in a thousand)", refused, "≤", most)
	} else {
		m.routine("calls answered 429", refused, "=", 0)
	}
	conflicts := 0
	for _, n := range m.refused {
		conflicts += n
	}
	// Somebody else's write may come first now and then, such as another worker's to a Secret.
	m.routine("writes that the API server refused", conflicts, "≤", max(workers*namespaces, m.world.users/100))
	limit := 64.0
	if m.world.config.Users > 1000 {
		limit = 150
	}
	if m.world.config.Tokens {
		m.gauge("peak memory", m.PeakMiB, "MiB", "", 0) // The limits are for users without.
	} else {
		m.gauge("peak memory", m.PeakMiB, "MiB", "≤", limit)
	}
	m.gauge("of that data, and not the binary", m.AnonymousMiB, "MiB", "", 0)
}
