// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package quota

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Each admission is told of once, with the wait since its calls were first asked for, however often that was.
func TestOnAdmit(t *testing.T) {
	b, c := known(500)
	var told []string
	b.onAdmit = func(class Class, waited time.Duration) { told = append(told, fmt.Sprint(class, " ", waited)) }
	change := Request{Class: Change, Namespace: "a", Key: "change", Calls: 2}
	b.Take(change) // Ten are admitted at once.
	b.Take(Request{Class: Drift, Namespace: "a", Key: "many", Calls: 8})
	wait := ask(b, c, Request{Class: Create, Namespace: "a", Key: "one", Calls: 1})
	ask(b, c, Request{Class: Create, Namespace: "a", Key: "gone", Calls: 1})
	b.Forget("gone")
	c.pass(wait / 2)
	ask(b, c, Request{Class: Create, Namespace: "a", Key: "one", Calls: 1})
	c.pass(wait - wait/2)
	ask(b, c, Request{Class: Create, Namespace: "a", Key: "one", Calls: 1})
	change.Continues, change.Calls = true, 1
	b.Take(change)
	if d := cmp.Diff([]string{"change 0s", "drift 0s", fmt.Sprint("create ", wait)}, told); d != "" || wait <= 0 {
		t.Errorf("after a wait of %v, admissions (-want +got):\n%s", wait, d)
	}
}
