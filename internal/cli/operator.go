// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// operator is what a cluster tells of the operator that runs in it.
type operator struct {
	// namespace that it runs in; empty when nobody could tell.
	namespace string
	// deployment is the name of its Deployment, if that was found.
	deployment string
	// ownerID begins the marks of its users.
	ownerID string
	// sure is set when ownerID was given or read off the operator's Deployment. Otherwise it is what an operator takes
	// that was started without --owner-id.
	sure bool
	// available is how many replicas of it are ready, as its Deployment says.
	available int32
	// args are the flags that it was started with, without dashes; nil when its Deployment was not found.
	args map[string]string
}

// operatorLabels are on the Deployment, whether it comes from config/ or from the chart.
var operatorLabels = client.MatchingLabels{"app.kubernetes.io/part-of": "calcom-operator"}

// operator finds out about the operator of the session's cluster.
func (s *session) operator(ctx context.Context) (operator, error) {
	c, err := s.kube()
	if err != nil {
		return operator{}, err
	}
	return findOperator(ctx, c, s.operatorNamespace, s.ownerID)
}

// findOperator looks for the operator's Deployment. Who may not read Deployments has to know the rest by flags.
func findOperator(ctx context.Context, c client.Reader, namespace, ownerID string) (operator, error) {
	o := operator{namespace: namespace, ownerID: ownerID, sure: ownerID != ""}
	deployed, err := deployedOperators(ctx, c, namespace)
	if err != nil {
		return operator{}, err
	}
	switch len(deployed) {
	case 0:
	case 1:
		o = deployed[0]
		o.ownerID, o.sure = cmp.Or(ownerID, o.args["owner-id"]), true
	default:
		return operator{}, complain(fmt.Sprintf("there are %d operators in this cluster", len(deployed)),
			"name the one that is meant by --operator-namespace")
	}
	if o.ownerID != "" {
		return o, nil
	}
	var system corev1.Namespace
	if err := c.Get(ctx, client.ObjectKey{Name: "kube-system"}, &system); err != nil {
		return operator{}, advise(fmt.Errorf("reading the namespace kube-system, whose UID marks this cluster's users: %w", err),
			"give the operator's owner id by --owner-id")
	}
	o.ownerID = string(system.UID)
	return o, nil
}

// deployedOperators returns what the Deployments of operators tell, in a namespace, or in all when it is empty; nothing
// to a person who may not read them.
func deployedOperators(ctx context.Context, c client.Reader, namespace string) ([]operator, error) {
	var deployments appsv1.DeploymentList
	err := c.List(ctx, &deployments, operatorLabels, client.InNamespace(namespace))
	if err != nil && !apierrors.IsForbidden(err) {
		return nil, fmt.Errorf("looking for the operator's Deployment: %w", err)
	}
	operators := make([]operator, len(deployments.Items))
	for i := range deployments.Items {
		deployment := &deployments.Items[i]
		operators[i] = operator{
			namespace: deployment.Namespace, deployment: deployment.Name, args: argsOf(deployment), available: deployment.Status.AvailableReplicas,
		}
	}
	return operators, nil
}

// watched returns the namespaces in which the operator works, none when those are all.
func (o *operator) watched() []string {
	flag := o.args["watch-namespaces"]
	if flag == "" {
		return nil
	}
	watched := strings.Split(flag, ",")
	for i := range watched {
		watched[i] = strings.TrimSpace(watched[i])
	}
	return watched
}

// argsOf returns the flags of a Deployment's manager.
func argsOf(deployment *appsv1.Deployment) map[string]string {
	args := make(map[string]string)
	for _, container := range deployment.Spec.Template.Spec.Containers {
		for _, arg := range container.Args {
			name, value, _ := strings.Cut(strings.TrimLeft(arg, "-"), "=")
			args[name] = value
		}
	}
	return args
}
