// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package handover

import (
	"context"
	"errors"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/controller"
)

// Release takes the in-use finalizer off Secrets and OAuth clients that no user needs, where no operator does it. It
// goes by the operator's own steps: write a sign, look who needs the object, take the finalizer off unless the sign is
// gone. So it takes nothing from an operator that runs all the same.
type Release struct {
	// Client reads from the API server itself.
	client.Client
	// Namespace is where to look; all, and the ClusterOAuthClients too, when it is empty.
	Namespace string
	// Operators are the namespaces of operators, where the Secrets of ClusterOAuthClients are. Without any, each
	// namespace may be one.
	Operators []string
}

// Held is an object with the in-use finalizer, or with the sign of a release.
type Held struct {
	// PartialObjectMetadata is all that is read of it: of a Secret no data.
	*metav1.PartialObjectMetadata
	// Needs is what the object is needed for; nil when no user needs it.
	Needs *Need
}

// Need is why an object stays.
type Need struct {
	// User is one of the users that need the object.
	User client.ObjectKey
	// Unsure is set for a Secret that is needed only if its namespace is the operator's.
	Unsure bool
}

// Held returns what is held, with who needs it. It reads the metadata of Secrets, and no data.
func (r *Release) Held(ctx context.Context) ([]Held, error) {
	kinds := []schema.GroupVersionKind{clientKind, secretKind}
	if r.Namespace == "" {
		kinds = append(kinds, sharedClientKind)
	}
	var held []Held
	for _, kind := range kinds {
		list := metadataList(kind)
		if err := r.list(ctx, list, r.Namespace); err != nil {
			return nil, fmt.Errorf("listing the metadata of %ss: %w", kind.Kind, err)
		}
		for i := range list.Items {
			if object := &list.Items[i]; isHeld(object) {
				object.SetGroupVersionKind(kind)
				held = append(held, Held{PartialObjectMetadata: object})
			}
		}
	}
	return r.Judged(ctx, held)
}

// Judged returns the same objects with who needs them now.
func (r *Release) Judged(ctx context.Context, held []Held) ([]Held, error) {
	if len(held) == 0 {
		return nil, nil
	}
	needs, err := r.needs(ctx)
	if err != nil {
		return nil, err
	}
	judged := slices.Clone(held)
	for i := range judged {
		judged[i].Needs = needs.of(judged[i].PartialObjectMetadata)
	}
	return judged, nil
}

// Begin writes the sign. Between this and End, Judged has to be asked once more.
func (r *Release) Begin(ctx context.Context, object *metav1.PartialObjectMetadata) error {
	first := true
	return gone(retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		if !first {
			if err := r.Get(ctx, client.ObjectKeyFromObject(object), object); err != nil {
				return err
			}
		}
		first = false
		if !isHeld(object) {
			return nil // Another writer was faster.
		}
		return controller.BeginRelease(ctx, r.Client, object)
	}))
}

// End takes finalizer and sign off.
func (r *Release) End(ctx context.Context, object *metav1.PartialObjectMetadata) error {
	err := controller.EndRelease(ctx, r.Client, object)
	if !apierrors.IsConflict(err) {
		return gone(err)
	}
	// It is not tried again by itself: a user may have come to need the object, and taken the sign off.
	if err := r.Get(ctx, client.ObjectKeyFromObject(object), object); err != nil {
		return gone(err)
	}
	if !isHeld(object) {
		return nil
	}
	return refuse("start it again", "it was changed at the same moment")
}

// Cancel takes the sign off an object that is needed after all. If another writer writes at the same moment, the sign
// stays: it does no harm, and an operator takes it off.
func (r *Release) Cancel(ctx context.Context, object *metav1.PartialObjectMetadata) error {
	if err := controller.CancelRelease(ctx, r.Client, object); !apierrors.IsConflict(err) {
		return gone(err)
	}
	return nil
}

// isHeld reports whether there is something of the operator on an object.
func isHeld(object *metav1.PartialObjectMetadata) bool {
	_, signed := object.Annotations[v1alpha1.ReleasingAnnotation]
	return signed || controllerutil.ContainsFinalizer(object, v1alpha1.InUseFinalizer)
}

// list lists what there is in a namespace, or everywhere when it is empty. Of a kind whose CRD is gone there is
// nothing.
func (r *Release) list(ctx context.Context, list client.ObjectList, namespace string) error {
	err := r.List(ctx, list, client.InNamespace(namespace))
	if meta.IsNoMatchError(err) {
		return nil
	}
	return err
}

// errOperators is why the ClusterOAuthClients are asked for.
var errOperators = errors.New("whether the namespace is the operator's, with Secrets of ClusterOAuthClients, is not known")

// UnknownOperator reports whether an error would not be one if the namespace of the operator were known.
func UnknownOperator(err error) bool { return errors.Is(err, errOperators) }
