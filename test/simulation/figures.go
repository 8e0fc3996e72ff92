// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Figures count what happened.
type Figures struct {
	Seeds, Steps, Reconciles, Calls, Writes, Restarts       int
	Duplicates, Leaks, ForeignTouched, Stuck, Shown, Others int
	Faults                                                  map[string]int
	// MostCreates is how many create calls one process had under way at a time, Woken how often a free place woke an
	// object, and SlowCalls how many checks of slow calls there were.
	MostCreates, Woken, SlowCalls int
}

// Add sums up.
func (f *Figures) Add(g Figures) {
	f.Seeds += g.Seeds
	f.Steps += g.Steps
	f.Reconciles += g.Reconciles
	f.Calls += g.Calls
	f.Writes += g.Writes
	f.Restarts += g.Restarts
	f.Duplicates += g.Duplicates
	f.Leaks += g.Leaks
	f.ForeignTouched += g.ForeignTouched
	f.Stuck += g.Stuck
	f.Shown += g.Shown
	f.Others += g.Others
	f.MostCreates = max(f.MostCreates, g.MostCreates)
	f.Woken += g.Woken
	f.SlowCalls += g.SlowCalls
	if f.Faults == nil {
		f.Faults = map[string]int{}
	}
	for name, n := range g.Faults {
		f.Faults[name] += n
	}
}

// String is a table.
func (f *Figures) String() string {
	var b strings.Builder
	row := func(name string, n int) { fmt.Fprintf(&b, "  %-36s %9d\n", name, n) }
	row("seeds", f.Seeds)
	row("steps", f.Steps)
	row("reconciles", f.Reconciles)
	row("HTTP calls", f.Calls)
	row("Kubernetes writes", f.Writes)
	row("starts and restarts of the operator", f.Restarts)
	row("create calls of a process at a time", f.MostCreates)
	row("objects woken by a free place", f.Woken)
	row("checks of slow calls", f.SlowCalls)
	total := 0
	for _, n := range f.Faults {
		total += n
	}
	row("faults injected", total)
	for _, name := range slices.Sorted(maps.Keys(f.Faults)) {
		row("  "+name, f.Faults[name])
	}
	row("duplicates", f.Duplicates)
	row("leaks", f.Leaks)
	row("foreign users touched", f.ForeignTouched)
	row("stuck deletions", f.Stuck)
	row("secrets or addresses shown", f.Shown)
	row("other rules broken", f.Others)
	return b.String()
}

// found notes a broken rule, and counts it with its kind.
func (w *World) found(kind *int, format string, args ...any) {
	*kind++
	text := fmt.Sprintf(format, args...)
	w.tracef("VIOLATION: %s", text)
	w.violations = append(w.violations, fmt.Sprintf("step %d: ", w.step)+text)
}

func (w *World) violate(format string, args ...any) { w.found(&w.figures.Others, format, args...) }

func (w *World) leaked(format string, args ...any) { w.found(&w.figures.Leaks, format, args...) }

func (w *World) duplicate(format string, args ...any) {
	w.found(&w.figures.Duplicates, format, args...)
}

func (w *World) foreignTouched(format string, args ...any) {
	w.found(&w.figures.ForeignTouched, format, args...)
}
