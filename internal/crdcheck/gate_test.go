// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package crdcheck

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/google/go-cmp/cmp"
	"k8s.io/utils/clock"
)

var (
	errOldField = &OutdatedError{Findings: []Finding{{CRD: "managedusers.platform.cal.com", Lacking: []string{"status.apiURL"}}}}
	errNoCRD    = &OutdatedError{Findings: []Finding{{CRD: "managedusers.platform.cal.com", Absent: true}}}
	errServer   = errors.New("connection refused")
)

// script is a gate whose checks end as listed, and then as the last one. The logged lines are collected.
func script(outcomes ...error) (g *Gate, checks *int, lines *[]string) {
	checks, lines = new(int), new([]string)
	return &Gate{
		check: func(context.Context) error {
			*checks++
			return outcomes[min(*checks, len(outcomes))-1]
		},
		clock: clock.RealClock{}, state: errUnchecked,
		logger: funcr.New(func(_, args string) { *lines = append(*lines, args) }, funcr.Options{}),
	}, checks, lines
}

func TestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, checks, lines := script(errServer, errNoCRD, errOldField, errOldField, errOldField, nil)
		if g.Ready(nil) == nil {
			t.Error("the gate is open before the first check")
		}
		began, waited := time.Now(), make(chan error)
		go func() { waited <- g.Wait(t.Context()) }()
		synctest.Wait()
		if !errors.Is(g.Ready(nil), errServer) {
			t.Errorf("while the API server does not answer, readiness is %v", g.Ready(nil))
		}
		if err := <-waited; err != nil {
			t.Fatal(err)
		}
		if g.Ready(nil) != nil || *checks != 6 || time.Since(began) != 5*waitPace {
			t.Errorf("readiness is %v after %d checks in %v", g.Ready(nil), *checks, time.Since(began))
		}
		log := strings.Join(*lines, "\n")
		const lacking = "managedusers.platform.cal.com lacks status.apiURL;"
		if len(*lines) != 3 || strings.Count(log, lacking) != 1 || !strings.Contains(log, "kubectl apply") {
			t.Errorf("the log is\n%s", log)
		}
	})
}

func TestWaitEndsWithContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, _, _ := script(errOldField)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := g.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the wait ended with %v", err)
		}
	})
}

func TestWatch(t *testing.T) {
	for name, tc := range map[string]struct {
		outcomes []error
		ends     error
		after    time.Duration
		lines    int
	}{
		"Current":     {outcomes: []error{nil}, after: time.Hour},
		"Outdated":    {outcomes: []error{nil, errOldField}, ends: errOldField, after: 2*watchPace + confirmPace, lines: 1},
		"LagsOnce":    {outcomes: []error{errOldField, nil, errOldField, nil}, after: time.Hour, lines: 2},
		"BeingGone":   {outcomes: []error{nil, errNoCRD}, after: time.Hour, lines: 1},
		"Unreachable": {outcomes: []error{errServer}, after: time.Hour, lines: 1},
		"InBetween": {
			outcomes: []error{errOldField, errServer, errOldField, errOldField},
			ends:     errOldField, after: 2 * (watchPace + confirmPace), lines: 3,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g, _, lines := script(tc.outcomes...)
				g.state = nil
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				began := time.Now()
				err := g.Watch(ctx)
				if !errors.Is(err, tc.ends) || time.Since(began) != tc.after {
					t.Errorf("the watch ended with %v after %v, want %v after %v", err, time.Since(began), tc.ends, tc.after)
				}
				if (g.Ready(nil) != nil) != (tc.ends != nil) {
					t.Errorf("readiness is %v", g.Ready(nil))
				}
				if len(*lines) != tc.lines {
					t.Errorf("the log is\n%s", strings.Join(*lines, "\n"))
				}
			})
		})
	}
}

func TestOutdatedErrorText(t *testing.T) {
	err := &OutdatedError{Findings: []Finding{
		{CRD: "managedusers.platform.cal.com", Lacking: []string{"spec.deletionPolicy", "status.apiURL"}},
		{CRD: "oauthclients.platform.cal.com", Absent: true},
	}}
	const want = "the API server does not serve the CRDs of operator dev: managedusers.platform.cal.com lacks spec.deletionPolicy, status.apiURL; " +
		"oauthclients.platform.cal.com is not installed, or does not serve v1alpha1; it drops missing fields without an error; " +
		"update the CRDs: kubectl apply --server-side --force-conflicts -k config/crd, or upgrade the Helm release with crds.install=true"
	if d := cmp.Diff(want, err.Error()); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}
