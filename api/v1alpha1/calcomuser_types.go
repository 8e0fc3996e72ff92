// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import "k8s.io/apimachinery/pkg/runtime"

// CalcomUser is a managed user as Cal.com last returned it. Values that are far longer than a spec may have them are shortened or
// left out, and named in truncated.
type CalcomUser struct {
	// id of the user in Cal.com.
	//
	// +optional
	ID int64 `json:"id,omitempty"`

	// email as stored by Cal.com, with +<client id> before the @.
	//
	// +optional
	Email string `json:"email,omitempty"`

	// username that Cal.com derived from the e-mail.
	//
	// +optional
	Username *string `json:"username,omitempty"`

	// name of the user.
	//
	// +optional
	Name *string `json:"name,omitempty"`

	// bio of the user.
	//
	// +optional
	Bio *string `json:"bio,omitempty"`

	// timeZone in the spelling of Cal.com, which capitalises every part: America/Port-au-prince.
	//
	// +optional
	TimeZone string `json:"timeZone,omitempty"`

	// weekStart is the first day of the week.
	//
	// +optional
	WeekStart string `json:"weekStart,omitempty"`

	// createdDate is the time of creation, RFC 3339 with milliseconds.
	//
	// +optional
	CreatedDate string `json:"createdDate,omitempty"`

	// timeFormat is 12 or 24.
	//
	// +optional
	TimeFormat *int32 `json:"timeFormat,omitempty"`

	// defaultScheduleId is the id of the schedule by which the user can be booked. Absent: the user cannot be
	// booked until somebody makes one.
	//
	// +optional
	DefaultScheduleID *int64 `json:"defaultScheduleId,omitempty"`

	// locale is the language code.
	//
	// +optional
	Locale *string `json:"locale,omitempty"`

	// avatarUrl is the address of the picture.
	//
	// +optional
	AvatarURL *string `json:"avatarUrl,omitempty"`

	// metadata with all its keys, also the operator's mark and those of others; the mark alone when it is too large.
	//
	// +optional
	// +kubebuilder:pruning:PreserveUnknownFields
	Metadata *runtime.RawExtension `json:"metadata,omitempty"`

	// truncated names the fields that are not shown here as Cal.com has them, because they are too long for a Kubernetes object:
	// texts end with an ellipsis (…), an avatarUrl is left out, and of the metadata only the operator's mark is kept. Cal.com
	// keeps the whole values, and the spec is compared with these.
	//
	// +optional
	// +listType=atomic
	Truncated []string `json:"truncated,omitempty"`
}
