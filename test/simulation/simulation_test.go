// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// numberFrom reads an environment variable.
func numberFrom(t *testing.T, name string, otherwise uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s is %q, which is no number", name, text)
	}
	return n
}

// TestSimulation lives through as many seeds as SEEDS says. SEED replays one, with its trace.
func TestSimulation(t *testing.T) {
	if seed := numberFrom(t, "SEED", 0); seed != 0 {
		report := Run(t.Context(), seed, Options{Trace: true})
		t.Logf("seed %d:\n%s\n%s", seed, strings.Join(report.Trace, "\n"), &report.Figures)
		for _, v := range report.Violations {
			t.Error(v)
		}
		return
	}
	seeds := numberFrom(t, "SEEDS", 300)
	var (
		mu    sync.Mutex
		total Figures
		group sync.WaitGroup
	)
	next := make(chan uint64)
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() {
			for seed := range next {
				report := Run(t.Context(), seed, Options{})
				mu.Lock()
				total.Add(report.Figures)
				if len(report.Violations) > 0 {
					t.Errorf("seed %d (replay with SEED=%d go test -v -run TestSimulation ./test/simulation): %s", seed, seed, report.Violations[0])
				}
				mu.Unlock()
			}
		})
	}
	for seed := range seeds {
		next <- seed + 1
	}
	close(next)
	group.Wait()
	t.Log("\n" + total.String())
	if _, err := fmt.Fprint(os.Stdout, total.String()); err != nil {
		t.Error(err)
	}
}

// TestSeedsAreReplayable compares two runs of the same seed, without which no trace would be worth anything.
func TestSeedsAreReplayable(t *testing.T) {
	t.Parallel()
	for seed := range uint64(10) {
		first := Run(t.Context(), seed+1, Options{Trace: true})
		second := Run(t.Context(), seed+1, Options{Trace: true})
		if d := cmp.Diff(first, second); d != "" {
			t.Errorf("seed %d has two histories (-first +second):\n%s", seed+1, d)
		}
	}
}
