// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

const (
	// ManagedUserFinalizer stands on every object that has created or adopted a user in Cal.com, or is about
	// to. It is written before the first such call, so an object without it has never created anything.
	ManagedUserFinalizer = "platform.cal.com/managed-user"

	// InUseFinalizer stands on a credentials Secret, an OAuthClient and a ClusterOAuthClient for as long as an object with
	// ManagedUserFinalizer needs them, so that a namespace can be deleted in any order.
	InUseFinalizer = "platform.cal.com/in-use"

	// ReleasingAnnotation stands on whatever has InUseFinalizer while the operator makes sure that nobody needs it any more. An
	// object that comes to need it at the same moment takes it off, and the Secret stays.
	ReleasingAnnotation = "platform.cal.com/releasing"

	// CreateIntentAnnotation records, as JSON, the create call that was about to be sent: its time, the e-mail
	// that it named and the id of the user that it replaces. While the outcome of that call is unknown, the
	// user is looked up under that e-mail, whatever the spec says by then.
	CreateIntentAnnotation = "platform.cal.com/create-intent"

	// AdoptedAnnotation holds the id of the user that the object adopted rather than created. Without a
	// deletionPolicy, an adopted user is left in Cal.com when its object goes.
	AdoptedAnnotation = "platform.cal.com/adopted"

	// ReconcileRequestedAtAnnotation asks for a look at Cal.com now: any new value does. The value that was
	// acted upon last stands in status.lastHandledReconcileAt.
	ReconcileRequestedAtAnnotation = "platform.cal.com/reconcile-requested-at"

	// AllowMassDeletionAnnotation lets deletions go at once that the operator holds up because of their number (its flag
	// --mass-delete-limit), with the value "true" on an object or its namespace.
	AllowMassDeletionAnnotation = "platform.cal.com/allow-mass-deletion"

	// OwnerMetadataKey is the key in the Cal.com user's metadata under which the operator writes whose user it
	// is: <owner id>/<namespace>/<name>/<uid>.
	OwnerMetadataKey = "kubernetesOwner"
)
