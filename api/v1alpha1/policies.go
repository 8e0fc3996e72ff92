// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// DeletionPolicy says what becomes of the user in Cal.com when its object is deleted.
//
// +kubebuilder:validation:Enum=Delete;Orphan
type DeletionPolicy string

const (
	// DeletionPolicyDelete deletes the user in Cal.com, with its bookings and calendars.
	DeletionPolicyDelete DeletionPolicy = "Delete"
	// DeletionPolicyOrphan leaves the user in Cal.com and takes the owner's mark off it.
	DeletionPolicyOrphan DeletionPolicy = "Orphan"
)

// AdoptionPolicy says whether a user that exists already may be taken over.
//
// +kubebuilder:validation:Enum=Never;ByEmail
type AdoptionPolicy string

const (
	// AdoptionPolicyNever leaves a user alone that this object did not create.
	AdoptionPolicyNever AdoptionPolicy = "Never"
	// AdoptionPolicyByEmail takes over the user that has the e-mail of the spec, if nobody else owns it.
	AdoptionPolicyByEmail AdoptionPolicy = "ByEmail"
)

// ReconcilePolicy says how far the operator goes with the object.
//
// +kubebuilder:validation:Enum=Manage;Observe;Suspend
type ReconcilePolicy string

const (
	// ReconcilePolicyManage creates the user, keeps it equal to the spec, and deletes it.
	ReconcilePolicyManage ReconcilePolicy = "Manage"
	// ReconcilePolicyObserve mirrors the user in status and changes nothing.
	ReconcilePolicyObserve ReconcilePolicy = "Observe"
	// ReconcilePolicySuspend does nothing at all, a deletion included.
	ReconcilePolicySuspend ReconcilePolicy = "Suspend"
)

// Origin says how an object came to own its user.
//
// +kubebuilder:validation:Enum=Created;Adopted
type Origin string

const (
	// OriginCreated is of a user that this object created.
	OriginCreated Origin = "Created"
	// OriginAdopted is of a user that existed before, or of which nothing proves that this object created it.
	OriginAdopted Origin = "Adopted"
)

// SpecField names an optional field of the spec that is written to Cal.com.
//
// +kubebuilder:validation:Enum=name;timeZone;weekStart;timeFormat;locale;bio;avatarURL;metadata
type SpecField string

// Fields that createOnly may name.
const (
	FieldName       SpecField = "name"
	FieldTimeZone   SpecField = "timeZone"
	FieldWeekStart  SpecField = "weekStart"
	FieldTimeFormat SpecField = "timeFormat"
	FieldLocale     SpecField = "locale"
	FieldBio        SpecField = "bio"
	FieldAvatarURL  SpecField = "avatarURL"
	FieldMetadata   SpecField = "metadata"
)
