// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/calcom-operator/calcom-operator/test/calcomtest"
	"github.com/calcom-operator/calcom-operator/test/shapes"
)

// usualTokenSeeds is the same for the worlds of tokens.
const usualTokenSeeds = 4

// TestTokens lives through two days of tokens, half of the seeds without any fault and half of them full of these.
// TOKEN_SEED replays one, with its trace.
func TestTokens(t *testing.T) {
	if seed := numberFrom(t, "TOKEN_SEED", 0); seed != 0 {
		report, figures := RunTokens(t.Context(), seed, seed%2 == 0, Options{Trace: true})
		t.Logf("seed %d:\n%s\n%s", seed, strings.Join(report.Trace, "\n"), &figures)
		for _, v := range report.Violations {
			t.Error(v)
		}
		return
	}
	var seen shapes.Set
	var totals [2]TokensFigures
	seeds := numberFrom(t, "TOKEN_SEEDS", usualTokenSeeds)
	for seed := range seeds {
		report, figures := RunTokens(t.Context(), seed+1, seed%2 == 1, Options{Stored: seen.Add})
		totals[seed%2].add(figures)
		if len(report.Violations) > 0 {
			t.Errorf("seed %d (replay with TOKEN_SEED=%d go test -v -run TestTokens$ ./test/simulation): %s", seed+1, seed+1, report.Violations[0])
		}
	}
	checkShapes(t, &seen, seeds <= usualTokenSeeds)
	if _, err := fmt.Fprintf(os.Stdout, "without faults:\n%swith faults:\n%s", &totals[0], &totals[1]); err != nil {
		t.Error(err)
	}
}

func (f *TokensFigures) add(g TokensFigures) {
	f.Samples += g.Samples
	f.Short += g.Short
	f.Invalid += g.Invalid
	f.Refreshes += g.Refreshes
	f.Forced += g.Forced
	f.Faults += g.Faults
	f.Restarts += g.Restarts
	f.Edits += g.Edits
}

// TestTokensSabotageIsCaught breaks one rule after the other from outside the operator.
func TestTokensSabotageIsCaught(t *testing.T) {
	for _, s := range []struct {
		name   string
		faults bool
		hooks  Hooks
		want   string
	}{
		{"a refresh token is used twice", false, Hooks{RepeatRefresh: true}, "although nothing has gone wrong"},
		{"all tokens are ended instead", false, Hooks{ForceFirst: true}, "although nothing has gone wrong"},
		{"the new pair is reported and not stored", false, Hooks{WithoutTokens: true}, "is not valid"},
		{"a process that begins renews what it finds", false, Hooks{ReadSecret: withoutRecordAtStart}, "replaces tokens after"},
		{"a token seems to live longer than it does", false, Hooks{Response: longerLife}, "is not valid"},
		{"nobody hears of a Secret that is deleted", true, Hooks{DeafToSecrets: true}, "has not been valid since"},
	} {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			others := map[string]int{}
			for seed := range uint64(6) {
				report, _ := RunTokens(t.Context(), seed+1, s.faults, Options{Hooks: s.hooks})
				for _, violation := range report.Violations {
					if strings.Contains(violation, s.want) {
						t.Logf("caught with seed %d: %s", seed+1, firstLine(violation))
						return
					}
					others[firstLine(violation)]++
				}
			}
			t.Errorf("not caught; other violations: %v", others)
		})
	}
}

// withoutRecordAtStart takes the record off what a process reads that has just begun.
func withoutRecordAtStart(p *process, secret *corev1.Secret) {
	if strings.HasPrefix(secret.Name, tokensPrefix) && p.world.now().Sub(p.started) < resync {
		secret.Annotations = nil
	}
}

// shiftLife moves the end of the access token in an answer.
func shiftLife(x *exchange, by time.Duration) {
	const key = `"accessTokenExpiresAt":`
	at := bytes.Index(x.answer, []byte(key))
	if at < 0 || x.op == calcomtest.OpMe {
		return
	}
	var ends int64
	rest := x.answer[at+len(key):]
	if json.NewDecoder(bytes.NewReader(rest)).Decode(&ends) != nil {
		return
	}
	x.answer = fmt.Appendf(nil, "%s%s%d%s", x.answer[:at], key, ends+by.Milliseconds(), rest[bytes.IndexAny(rest, ",}"):])
}

func longerLife(_ *World, _ *task, x *exchange) { shiftLife(x, time.Hour) }

// TestTokensSeedsAreReplayable compares two runs of the same seed.
func TestTokensSeedsAreReplayable(t *testing.T) {
	t.Parallel()
	first, a := RunTokens(t.Context(), 2, true, Options{Trace: true})
	second, b := RunTokens(t.Context(), 2, true, Options{Trace: true})
	if a != b || strings.Join(first.Trace, "\n") != strings.Join(second.Trace, "\n") {
		t.Error("a seed has two histories")
	}
}
