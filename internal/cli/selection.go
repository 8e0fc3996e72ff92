// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
)

// selection is which objects a command is about: those that are named, or all of a namespace or cluster, with -l those
// of them that have some labels.
type selection struct {
	all, everywhere bool
	selector        string
}

func (l *selection) addFlags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&l.all, "all", false, "all managed users of the namespace")
	cmd.Flags().BoolVarP(&l.everywhere, "all-namespaces", "A", false, "all managed users of the cluster")
	cmd.Flags().StringVarP(&l.selector, "selector", "l", "", "only managed users with these labels, as for kubectl get")
}

// named reports whether the objects are named one by one.
func (l *selection) named() bool { return !l.all && !l.everywhere && l.selector == "" }

// check returns what is wrong with a command line.
func (l *selection) check(args []string) error {
	switch {
	case len(args) == 0 && l.named():
		return complain("nothing is named", "give names of managed users, or --all, -A or -l for many")
	case len(args) > 0 && !l.named():
		return complain("names exclude --all, -A and -l", "give one or the other")
	}
	return nil
}

// objects returns what is selected, in the order of their names.
func (s *session) objects(ctx context.Context, l *selection, args []string) ([]client.Object, error) {
	if err := l.check(args); err != nil {
		return nil, err
	}
	c, err := s.kube()
	if err != nil {
		return nil, err
	}
	namespace := ""
	if !l.everywhere {
		if namespace, err = s.namespace(); err != nil {
			return nil, err
		}
	}
	if l.named() {
		return getNamed(ctx, c, namespace, args)
	}
	users, err := listUsers(ctx, c, namespace, l.selector)
	if err != nil {
		return nil, err
	}
	if len(users) == 0 {
		return nil, complain("there are no such managed users", "see kubectl get managedusers -A")
	}
	objects := make([]client.Object, len(users))
	for i := range users {
		objects[i] = &users[i]
	}
	return objects, nil
}

// listUsers returns the managed users of a namespace, or of all when it is empty.
func listUsers(ctx context.Context, c client.Reader, namespace, selector string) ([]v1alpha1.ManagedUser, error) {
	parsed, err := labels.Parse(selector)
	if err != nil {
		return nil, advise(fmt.Errorf("reading --selector: %w", err), "write it as -l team=sales,tier!=free")
	}
	var users v1alpha1.ManagedUserList
	if err := c.List(ctx, &users, client.InNamespace(namespace), client.MatchingLabelsSelector{Selector: parsed}); err != nil {
		return nil, fmt.Errorf("listing managed users: %w", err)
	}
	return users.Items, nil
}

func getNamed(ctx context.Context, c client.Reader, namespace string, args []string) ([]client.Object, error) {
	objects := make([]client.Object, 0, len(args))
	for _, arg := range args {
		object, err := parseObject(arg)
		if err != nil {
			return nil, err
		}
		key := client.ObjectKey{Namespace: namespace, Name: object.GetName()}
		if _, cluster := object.(*v1alpha1.ClusterOAuthClient); cluster {
			key.Namespace = ""
		}
		if err := c.Get(ctx, key, object); err != nil {
			return nil, adviseIfMissing(fmt.Errorf("reading %s: %w", arg, err), "see kubectl get %s", kindsIn(object, namespace))
		}
		objects = append(objects, object)
	}
	return objects, nil
}

// kindsIn are the arguments of kubectl get that show what there is of an object's kind.
func kindsIn(object client.Object, namespace string) string {
	switch object.(type) {
	case *v1alpha1.OAuthClient:
		return "oauthclients -n " + namespace
	case *v1alpha1.ClusterOAuthClient:
		return "clusteroauthclients"
	}
	return "managedusers -n " + namespace
}

// parseObject reads NAME or KIND/NAME.
func parseObject(arg string) (client.Object, error) {
	kind, name, ok := strings.Cut(arg, "/")
	if !ok {
		kind, name = "manageduser", arg
	}
	var object client.Object
	switch strings.ToLower(kind) {
	case "manageduser", "managedusers", "calusr":
		object = &v1alpha1.ManagedUser{}
	case "oauthclient", "oauthclients", "caloauth":
		object = &v1alpha1.OAuthClient{}
	case "clusteroauthclient", "clusteroauthclients", "calcoauth":
		object = &v1alpha1.ClusterOAuthClient{}
	}
	if object == nil || name == "" {
		return nil, complain(fmt.Sprintf("%s names nothing of this operator's", arg), "give the name of a managed user, oauthclient/NAME or clusteroauthclient/NAME")
	}
	object.SetName(name)
	return object, nil
}

// nameOf names an object for a person: namespace/name, and KIND/… when it is no managed user.
func nameOf(object client.Object) string {
	name := strings.TrimPrefix(object.GetNamespace()+"/"+object.GetName(), "/")
	switch o := object.(type) {
	case *v1alpha1.OAuthClient:
		return "oauthclient " + name
	case *v1alpha1.ClusterOAuthClient:
		return "clusteroauthclient " + name
	case *metav1.PartialObjectMetadata:
		return strings.ToLower(o.Kind) + " " + name
	}
	return name
}

// statusOf returns the part of an object's status that all kinds have.
func statusOf(object client.Object) (handledAt string, ready status) {
	switch o := object.(type) {
	case *v1alpha1.ManagedUser:
		return o.Status.LastHandledReconcileAt, status{meta.FindStatusCondition(o.Status.Conditions, v1alpha1.ConditionReady)}
	case *v1alpha1.OAuthClient:
		return o.Status.LastHandledReconcileAt, status{meta.FindStatusCondition(o.Status.Conditions, v1alpha1.ConditionReady)}
	case *v1alpha1.ClusterOAuthClient:
		return o.Status.LastHandledReconcileAt, status{meta.FindStatusCondition(o.Status.Conditions, v1alpha1.ConditionReady)}
	}
	return "", status{}
}
