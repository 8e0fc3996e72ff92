// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/calcom-operator/calcom-operator/internal/manageduser"
)

// writeStatus writes what of the status differs from what was read. The patch takes no lock: the id of a user that
// exists now must not be lost to a conflict, nor taken away by a writer that never saw it. But it tests the uid, so
// that an object that was applied anew under the same name does not inherit the status of its predecessor. Only a
// JSON patch can do that: the API server ignores the metadata of any other patch of a status.
func (r *ManagedUserReconciler) writeStatus(ctx context.Context, v *visit) (err error) {
	defer func() { v.stored = err == nil }()
	var also []patchOperation
	locked := mirrorsStranger(v)
	if locked {
		also = append(also, patchOperation{Op: "test", Path: "/metadata/resourceVersion", Value: v.mu.ResourceVersion})
	}
	err = r.patchBounded(ctx, v, also...)
	if locked && apierrors.IsInvalid(err) {
		return errAgain
	}
	if err != nil {
		return err
	}
	v.before.Status = *v.mu.Status.DeepCopy()
	r.intents.settle(v.mu)
	return nil
}

// mirrorsStranger reports whether the status comes to show a user that the object merely observes. Should the object
// have got its finalizer meanwhile, which this visit's copy does not show, that user would pass for the object's own.
func mirrorsStranger(v *visit) bool {
	return v.mu.Status.User != nil && !manageduser.IsBound(v.mu) && !equality.Semantic.DeepEqual(v.before.Status.User, v.mu.Status.User)
}

// patchStatus writes the difference between two statuses of an object, which the answer overwrites, if some tests hold.
func patchStatus(ctx context.Context, c client.Client, object client.Object, before, after any, tests ...patchOperation) error {
	operations, err := statusPatch(before, after)
	if err != nil {
		return fmt.Errorf("comparing the status: %w", err)
	}
	tests = append(tests, patchOperation{Op: "test", Path: "/metadata/uid", Value: object.GetUID()})
	operations = append(tests, operations...)
	patch, err := json.Marshal(operations)
	if err != nil {
		return fmt.Errorf("encoding the status: %w", err)
	}
	if err := c.Status().Patch(ctx, object, client.RawPatch(types.JSONPatchType, patch)); err != nil {
		return fmt.Errorf("writing the status: %w", err)
	}
	return nil
}

// patchOperation is one step of a JSON patch (RFC 6902).
type patchOperation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value,omitempty"`
}

// identifying are the fields of a status without which its user says nothing.
var identifying = []string{"oauthClientID", "apiURL", "origin"}

// statusPatch returns the steps from one status to the other, a field at a time.
func statusPatch(before, after any) ([]patchOperation, error) {
	was, err := runtime.DefaultUnstructuredConverter.ToUnstructured(before)
	if err != nil {
		return nil, err
	}
	is, err := runtime.DefaultUnstructuredConverter.ToUnstructured(after)
	if err != nil {
		return nil, err
	}
	conditionsDiffer := !equality.Semantic.DeepEqual(was["conditions"], is["conditions"])
	userDiffers := !equality.Semantic.DeepEqual(was["user"], is["user"])
	var steps []patchOperation
	for _, field := range slices.Sorted(maps.Keys(is)) {
		// The generation goes with the conditions, which speak of it. With nothing else: from an old copy of the
		// object, it would say that nobody has dealt with a spec that others found to be met. Server, client and origin
		// go with the user: another tool may have emptied the status meanwhile.
		goes := field == "observedGeneration" && conditionsDiffer || userDiffers && slices.Contains(identifying, field)
		if goes || !equality.Semantic.DeepEqual(was[field], is[field]) {
			steps = append(steps, patchOperation{Op: "add", Path: "/status/" + field, Value: is[field]})
		}
	}
	for _, field := range slices.Sorted(maps.Keys(was)) {
		if _, ok := is[field]; !ok {
			// It may be gone already, which "remove" alone would not forgive.
			steps = append(steps,
				patchOperation{Op: "add", Path: "/status/" + field, Value: was[field]},
				patchOperation{Op: "remove", Path: "/status/" + field})
		}
	}
	return steps, nil
}
