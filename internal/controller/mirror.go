// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strconv"

	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
)

// identity returns the id of the user that the object stands for. It counts only under the client that it was
// recorded with, and only with the finalizer: an object that merely observes mirrors users that it does not own. For an
// object that refers to its client, clientOf has made sure that it is the same one.
func identity(mu *v1alpha1.ManagedUser) (int64, bool) {
	inline := mu.Spec.OAuthClient
	if mu.Status.User == nil || mu.Status.User.ID == 0 || inline != nil && mu.Status.OAuthClientID != inline.ID ||
		!controllerutil.ContainsFinalizer(mu, v1alpha1.ManagedUserFinalizer) {
		return 0, false
	}
	return mu.Status.User.ID, true
}

// adoptedID returns the id of the user that the object adopted, or set out to adopt; 0 if it did not.
func adoptedID(mu *v1alpha1.ManagedUser) int64 {
	id, err := strconv.ParseInt(mu.Annotations[v1alpha1.AdoptedAnnotation], 10, 64)
	if err != nil {
		return 0
	}
	return id
}

// mirror copies a user into the status, exactly as Cal.com returned it.
func mirror(mu *v1alpha1.ManagedUser, user calcom.User) {
	mirrored := &v1alpha1.CalcomUser{
		ID:                user.ID,
		Email:             user.Email.Reveal(),
		Username:          user.Username.Reveal(),
		Name:              user.Name.Reveal(),
		Bio:               user.Bio.Reveal(),
		TimeZone:          user.TimeZone,
		WeekStart:         user.WeekStart,
		CreatedDate:       user.CreatedDate,
		TimeFormat:        user.TimeFormat,
		DefaultScheduleID: user.DefaultScheduleID,
		Locale:            user.Locale,
		AvatarURL:         user.AvatarURL.Reveal(),
	}
	if metadata := user.Metadata.Reveal(); metadata != nil {
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
	mu.Status.OAuthClientID, mu.Status.APIURL = user.ClientID, user.APIURL
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
