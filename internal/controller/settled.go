// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/calcom-operator/calcom-operator/internal/manageduser"
	"github.com/calcom-operator/calcom-operator/internal/outcome"
)

// jitterShare is the largest part of a wait that is added to it, so that what began together does not stay together.
const jitterShare = 10

// slowPace is the pace of what is not urgent and not for the sweep.
func (r *ManagedUserReconciler) slowPace() time.Duration {
	return r.config.ResyncInterval + r.config.Jitter(r.config.ResyncInterval/jitterShare)
}

// track tells the sweep whether the object is its to look after, at the end of a visit.
func (r *ManagedUserReconciler) track(v *visit, p *outcome.Problem) {
	name := client.ObjectKeyFromObject(v.mu)
	if p == nil || p.Pace == outcome.Slowly || p.Pace == outcome.OnChange {
		r.sweeper.answered(name, v.demand)
	}
	if v.seen || p == nil && v.cal != nil && v.cal.called {
		r.absences.shown(v.account, name)
	}
	if v.cal == nil || !manageduser.IsSettled(v.mu, v.account.ClientID) {
		r.sweeper.withdraw(name)
		return
	}
	r.sweeper.enroll(v.account, name, v.mu, p == nil && v.cal.called)
}
