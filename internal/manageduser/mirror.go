// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package manageduser

import (
	"bytes"
	"encoding/json"
	"reflect"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
)

// Mirror copies a user into the status, as Cal.com returned it and within bounds.
func Mirror(mu *v1alpha1.ManagedUser, user calcom.User) {
	mirrored := imageOf(user)
	if metadata, whole := boundMetadata(user.Metadata.Reveal()); metadata != nil {
		if !whole {
			mirrored.Truncated = append(mirrored.Truncated, mirroredMetadata)
		}
		raw, err := json.Marshal(metadata)
		if err != nil { // Not possible: the values were decoded from JSON.
			panic(err)
		}
		// The API server spells equal JSON its own way. Keeping its spelling keeps the status unchanged.
		if was := mu.Status.User; was != nil && was.Metadata != nil && sameJSON(was.Metadata.Raw, raw) {
			raw = was.Metadata.Raw
		}
		mirrored.Metadata = &runtime.RawExtension{Raw: raw}
	}
	mu.Status.User = mirrored
	mu.Status.OAuthClientID = user.ClientID
	if !calcom.SameURL(mu.Status.APIURL, user.APIURL) { // An older spelling is no reason for a write.
		mu.Status.APIURL = user.APIURL
	}
}

// sameJSON reports whether two JSON texts mean the same value. An absent one equals only another absent one.
func sameJSON(a, b []byte) bool {
	if len(a) == 0 || len(b) == 0 {
		return len(a) == len(b)
	}
	if bytes.Equal(a, b) {
		return json.Valid(a)
	}
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && reflect.DeepEqual(x, y)
}

// Mirrors reports whether mirror would leave a status as it is. What is too large is compared as the status holds it.
func Mirrors(was *v1alpha1.CalcomUser, row *calcom.User) bool {
	is := imageOf(*row)
	metadata, whole := boundMetadata(row.Metadata.Reveal())
	if !whole {
		is.Truncated = append(is.Truncated, mirroredMetadata)
	}
	if IsReduced(was) {
		Reduce(is)
		metadata = markAlone(metadata)
	}
	plain := *was
	plain.Metadata = nil
	return equality.Semantic.DeepEqual(&plain, is) && sameMetadata(was.Metadata, metadata)
}

func sameMetadata(was *runtime.RawExtension, is calcom.Metadata) bool {
	if was == nil || is == nil {
		return was == nil && is == nil
	}
	var have calcom.Metadata
	if json.Unmarshal(was.Raw, &have) != nil || len(have) != len(is) {
		return false
	}
	for key, value := range is {
		if old, ok := have[key]; !ok || !bytes.Equal(old, value) && !sameJSON(old, value) {
			return false
		}
	}
	return true
}
