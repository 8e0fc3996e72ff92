// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"testing"
	"time"
)

func TestJitter(t *testing.T) {
	for range 100 {
		if d := jitter(time.Second); d < 0 || d >= time.Second {
			t.Fatalf("jitter is %v", d)
		}
	}
	if d := jitter(0); d != 0 {
		t.Errorf("jitter of nothing is %v", d)
	}
}
