// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/calcom-operator/calcom-operator/test/shapes"
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

// usualSeeds is how many seeds each change has to live through.
const usualSeeds = 100

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
	seeds := numberFrom(t, "SEEDS", usualSeeds)
	var seen shapes.Set
	var (
		mu    sync.Mutex
		total Figures
		group sync.WaitGroup
	)
	next := make(chan uint64)
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() {
			for seed := range next {
				report := Run(t.Context(), seed, Options{Stored: seen.Add})
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
	checkShapes(t, &seen, seeds <= usualSeeds)
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

// checkShapes checks that it is decided what other tools make of each state in which an object was. Many seeds find
// rarer ones.
func checkShapes(t *testing.T, seen *shapes.Set, isUsual bool) {
	t.Helper()
	if !isUsual && os.Getenv(shapes.UpdateVariable) == "" {
		return
	}
	if err := seen.Check(filepath.Join("..", "gitops", "testdata")); err != nil {
		t.Error(err)
	}
}
