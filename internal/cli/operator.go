// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
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
	// sure is set when ownerID was given or read off the operator's Deployment. Otherwise it is what an operator takes that was
	// started without --owner-id.
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
	var deployments appsv1.DeploymentList
	err := c.List(ctx, &deployments, operatorLabels, client.InNamespace(namespace))
	if err != nil && !apierrors.IsForbidden(err) {
		return operator{}, fmt.Errorf("looking for the operator's Deployment: %w", err)
	}
	switch len(deployments.Items) {
	case 0:
	case 1:
		deployment := &deployments.Items[0]
		o.deployment = deployment.Name
		o.namespace, o.args, o.available = deployment.Namespace, argsOf(deployment), deployment.Status.AvailableReplicas
		if ownerID == "" {
			o.ownerID = o.args["owner-id"]
		}
		o.sure = true
	default:
		return operator{}, complain(fmt.Sprintf("there are %d operators in this cluster", len(deployments.Items)),
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
