// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package handover

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
)

// What the command as a whole does is told in internal/cli. Here is what the API server can refuse to tell.

// releaseOf is a release in a cluster with one held Secret. lists says by the kind of a list what it ends with; nil for
// a good end.
func releaseOf(t *testing.T, namespace string, lists func(kind string) error, operators ...string) *Release {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "calcom", Finalizers: []string{v1alpha1.InUseFinalizer}}}
	c := fake.NewClientBuilder().WithScheme(scheme).WithObjects(secret).WithInterceptorFuncs(interceptor.Funcs{
		Get: func(context.Context, client.WithWatch, client.ObjectKey, client.Object, ...client.GetOption) error {
			return errors.New("something is read in full")
		},
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
			if _, full := list.(*corev1.SecretList); full {
				return errors.New("the data of Secrets is read")
			}
			kind := list.GetObjectKind().GroupVersionKind().Kind
			if kind == "" {
				kind = fmt.Sprintf("%T", list)
			}
			if err := lists(kind); err != nil {
				return err
			}
			return c.List(ctx, list, opts...)
		},
	}).Build()
	return &Release{Client: c, Namespace: namespace, Operators: operators}
}

func TestHeldByWhatCanBeRead(t *testing.T) {
	noShared := func(kind string) error {
		if kind == "*v1alpha1.ClusterOAuthClientList" {
			return apierrors.NewForbidden(schema.GroupResource{Resource: "clusteroauthclients"}, "", nil)
		}
		return nil
	}
	for name, tc := range map[string]struct {
		namespace string
		lists     func(kind string) error
		operators []string
		held      []string
		// fails is set for an error, and unknown for one that the operator's namespace would mend.
		fails, unknown bool
	}{
		"NoCRDs": {lists: func(kind string) error {
			if kind == "SecretList" {
				return nil
			}
			return &meta.NoKindMatchError{GroupKind: schema.GroupKind{Group: "platform.cal.com", Kind: kind}, SearchedVersions: []string{"v1alpha1"}}
		}, held: []string{"team/calcom"}},
		"NoRightToSecrets": {lists: func(kind string) error {
			if kind == "SecretList" {
				return apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, "", nil)
			}
			return nil
		}, fails: true},
		"NoRightToSharedClients":     {namespace: "team", lists: noShared, fails: true, unknown: true},
		"NotInTheOperatorsNamespace": {namespace: "team", lists: noShared, operators: []string{"calcom-system"}, held: []string{"team/calcom"}},
		"InTheOperatorsNamespace":    {namespace: "team", lists: noShared, operators: []string{"team"}, fails: true},
		"NoRightToUsersIsNotNoUsers": {namespace: "team", operators: []string{"calcom-system"}, fails: true, lists: func(kind string) error {
			if kind == "*v1alpha1.ManagedUserList" {
				return apierrors.NewForbidden(schema.GroupResource{Resource: "managedusers"}, "", nil)
			}
			return nil
		}},
	} {
		t.Run(name, func(t *testing.T) {
			held, err := releaseOf(t, tc.namespace, tc.lists, tc.operators...).Held(t.Context())
			if (err != nil) != tc.fails || UnknownOperator(err) != tc.unknown {
				t.Errorf("Held returns %v", err)
			}
			var names []string
			for _, object := range held {
				if object.Needs == nil {
					names = append(names, client.ObjectKeyFromObject(object.PartialObjectMetadata).String())
				}
			}
			if d := cmp.Diff(tc.held, names); d != "" {
				t.Errorf("what nobody needs (-want +got):\n%s", d)
			}
		})
	}
}
