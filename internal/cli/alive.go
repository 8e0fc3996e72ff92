// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"cmp"
	"context"
	"fmt"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	// leaseName is the operator's unless its flag --leader-election-id says otherwise.
	leaseName = "calcom-operator.platform.cal.com"

	// leaseAge is how old the last sign of a leader may be: as long as another one takes to step in its place, and some
	// more.
	leaseAge = 30 * time.Second

	// signPeriod is longer than the time between two signs of a leader. The clocks of this machine and the cluster may
	// differ, so that a sign that looks old is old only if none follows.
	signPeriod = 5 * time.Second
)

// requireOperator returns an error when the operator is known not to run: a command would wait for it in vain. Where
// nobody can tell, the command goes on, and its waits have an end.
func (s *session) requireOperator(ctx context.Context) (operator, error) {
	o, err := s.operator(ctx)
	if err != nil || o.args == nil {
		return o, err
	}
	c, err := s.kube()
	if err != nil {
		return o, err
	}
	runs, err := isAlive(ctx, c, o)
	if err != nil || runs {
		return o, err
	}
	return o, complain(fmt.Sprintf("the operator in namespace %s does not run, and without it nothing moves", o.namespace),
		fmt.Sprintf("start it, by kubectl -n %s scale deployment/%s --replicas=1, or see why it does not start", o.namespace, o.deployment))
}

// isAlive reports whether an operator runs, by its lease, or by its Deployment where it takes none.
func isAlive(ctx context.Context, c client.Reader, o operator) (bool, error) {
	if value, elects := o.args["leader-elect"]; !elects || value == "false" {
		return o.available > 0, nil
	}
	sign, err := lastSign(ctx, c, o)
	if apierrors.IsForbidden(err) {
		return true, nil // It may be; the waits have an end.
	}
	if err != nil || sign.IsZero() || time.Since(sign) < leaseAge {
		return !sign.IsZero(), err
	}
	timer := time.NewTimer(signPeriod)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return false, ctx.Err()
	}
	next, err := lastSign(ctx, c, o)
	return next.After(sign), err
}

// lastSign returns when the operator that leads last renewed its lease; zero when nobody holds it.
func lastSign(ctx context.Context, c client.Reader, o operator) (time.Time, error) {
	key := client.ObjectKey{
		Namespace: cmp.Or(o.args["leader-election-namespace"], o.namespace),
		Name:      cmp.Or(o.args["leader-election-id"], leaseName),
	}
	var lease coordinationv1.Lease
	err := c.Get(ctx, key, &lease)
	if apierrors.IsNotFound(err) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("reading the operator's lease: %w", err)
	}
	if holder := lease.Spec.HolderIdentity; holder == nil || *holder == "" || lease.Spec.RenewTime == nil {
		return time.Time{}, nil
	}
	return lease.Spec.RenewTime.Time, nil
}
