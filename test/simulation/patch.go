// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// patchedWith applies a patch of one of the two kinds that are used: a merge patch (RFC 7386), in which a resource
// version is an optimistic lock, or a JSON patch (RFC 6902) of tests and whole fields.
func patchedWith[T any, P interface {
	*T
	client.Object
}](stored P, kind types.PatchType, data []byte) (P, error) {
	raw, err := json.Marshal(stored)
	if err != nil {
		return nil, fmt.Errorf("encoding the stored object: %w", err)
	}
	doc := map[string]any{}
	if err := json.Unmarshal(raw, &doc); err != nil {
		return nil, fmt.Errorf("decoding the stored object: %w", err)
	}
	switch kind {
	case types.MergePatchType:
		doc, err = mergePatched(stored, doc, data)
	case types.JSONPatchType:
		err = applyJSONPatch(doc, data)
	default:
		err = apierrors.NewBadRequest("nobody sends patches of the type " + string(kind))
	}
	if err != nil {
		return nil, err
	}
	if raw, err = json.Marshal(doc); err != nil {
		return nil, fmt.Errorf("encoding the patched object: %w", err)
	}
	out := P(new(T))
	if err := json.Unmarshal(raw, out); err != nil {
		return nil, apierrors.NewBadRequest("the patched object does not fit the schema")
	}
	return out, nil
}

func mergePatched(stored client.Object, doc map[string]any, data []byte) (map[string]any, error) {
	patch := map[string]any{}
	if err := json.Unmarshal(data, &patch); err != nil {
		return nil, apierrors.NewBadRequest("the patch is no JSON object")
	}
	if metadata, ok := patch["metadata"].(map[string]any); ok {
		if version, ok := metadata["resourceVersion"]; ok && version != stored.GetResourceVersion() {
			return nil, apierrors.NewConflict(userResource, stored.GetName(),
				errors.New("the object has been modified; please apply your changes to the latest version and try again"))
		}
	}
	return mergePatch(doc, patch), nil
}

func mergePatch(target any, patch map[string]any) map[string]any {
	doc, ok := target.(map[string]any)
	if !ok {
		doc = map[string]any{}
	}
	for key, value := range patch {
		switch value := value.(type) {
		case nil:
			delete(doc, key)
		case map[string]any:
			doc[key] = mergePatch(doc[key], value)
		default:
			doc[key] = value
		}
	}
	return doc
}

// operation is one step of a JSON patch.
type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value"`
}

// applyJSONPatch knows no lists: nobody addresses an element of one.
func applyJSONPatch(doc map[string]any, data []byte) error {
	var operations []operation
	if err := json.Unmarshal(data, &operations); err != nil {
		return apierrors.NewBadRequest("the patch is no list of operations")
	}
	for _, o := range operations {
		parent, last := doc, strings.TrimPrefix(o.Path, "/")
		for element, rest, ok := strings.Cut(last, "/"); ok; element, rest, ok = strings.Cut(last, "/") {
			parent, _ = parent[element].(map[string]any)
			last = rest
		}
		if parent == nil || !o.apply(parent, last) {
			return unprocessable(o.Op + " operation does not apply at " + o.Path)
		}
	}
	return nil
}

// apply does one operation and reports whether it could.
func (o operation) apply(parent map[string]any, key string) bool {
	have, exists := parent[key]
	switch o.Op {
	case "test":
		return exists && reflect.DeepEqual(have, o.Value)
	case "add":
		parent[key] = o.Value
		return true
	case "remove":
		delete(parent, key)
		return exists
	}
	return false
}

// unprocessable is how an API server refuses a JSON patch that does not apply.
func unprocessable(message string) error {
	return apierrors.NewGenericServerResponse(http.StatusUnprocessableEntity, "", userResource, "", message, 0, false)
}
