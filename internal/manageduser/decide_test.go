// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package manageduser

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/account"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
	"github.com/calcom-operator/calcom-operator/internal/outcome"
)

// factsOf are those of a new object whose OAuth client is good.
func factsOf(changes ...func(*Facts)) *Facts {
	mu := pureUser()
	mu.Namespace, mu.Name, mu.UID, mu.Generation, mu.Spec.Name = "ns", "alice", "u1", 1, "A"
	f := &Facts{
		Object: mu, Before: mu, Mark: pureMark, Account: account.Name{APIURL: "https://api.cal.com/v2", ClientID: pureClientID},
		Connected: true, Trusted: true, Verified: true, Now: pureNow,
	}
	for _, change := range changes {
		change(f)
	}
	f.Before, f.Told = f.Object.DeepCopy(), f.Object.Status.Conditions
	return f
}

func spec(change func(*v1alpha1.ManagedUserSpec)) func(*Facts) {
	return func(f *Facts) { change(&f.Object.Spec) }
}

func policy(p v1alpha1.ReconcilePolicy) func(*Facts) {
	return spec(func(s *v1alpha1.ManagedUserSpec) { s.ReconcilePolicy = p })
}

func adoptsByEmail(f *Facts) { f.Object.Spec.AdoptionPolicy = v1alpha1.AdoptionPolicyByEmail }

func orphans(f *Facts) { f.Object.Spec.DeletionPolicy = v1alpha1.DeletionPolicyOrphan }

func beingDeleted(f *Facts) {
	f.Object.DeletionTimestamp = &metav1.Time{Time: pureNow.Add(-time.Minute)}
}

// condition adds a condition of the object's generation.
func condition(kind string, status metav1.ConditionStatus, reason string) func(*Facts) {
	return func(f *Facts) {
		f.Object.Status.ObservedGeneration = f.Object.Generation
		outcome.SetCondition(&f.Object.Status.Conditions, metav1.Condition{
			Type: kind, Status: status, Reason: reason, Message: "Said before", ObservedGeneration: f.Object.Generation,
		})
	}
}

func ready(f *Facts) {
	condition(v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonAvailable)(f)
	condition(v1alpha1.ConditionSynced, metav1.ConditionTrue, v1alpha1.ReasonCreated)(f)
}

// owns7 is an object that created user 7 long ago.
func owns7(f *Facts) {
	standsFor(f.Object, 7)
	f.Object.Status.APIURL, f.Object.Status.Origin = f.Account.APIURL, v1alpha1.OriginCreated
	f.Object.Status.User.CreatedDate = "2026-11-01T08:00:00.000Z"
	intended(-240 * time.Hour)(f)
}

// adopted7 is an object that adopted user 7.
func adopted7(f *Facts) {
	owns7(f)
	f.Object.Status.Origin = v1alpha1.OriginAdopted
	f.Object.Annotations = map[string]string{v1alpha1.AdoptedAnnotation: "7"}
}

// intended records a create call of this object some time ago.
func intended(ago time.Duration, changes ...func(*Intent)) func(*Facts) {
	return func(f *Facts) {
		i := Intent{
			Time: pureNow.Add(ago), Email: calcom.Hide("alice@example.com"), Client: pureClientID, APIURL: f.Account.APIURL, UID: "u1",
		}
		for _, change := range changes {
			change(&i)
		}
		f.Object.Finalizers = []string{v1alpha1.ManagedUserFinalizer}
		SetAnnotation(f.Object, v1alpha1.CreateIntentAnnotation, i.Encode())
		f.AbsenceCountsIn = AbsenceCountsIn(f.Object, UnknownOutcomeGrace, f.Now)
	}
}

func withZone(i *Intent) { i.Zoned = true }

// user7 is user 7 as Cal.com shows it.
func user7(changes ...func(*calcom.User)) *calcom.User {
	u := &calcom.User{
		ID: 7, ClientID: pureClientID, APIURL: "https://api.cal.com/v2", Email: calcom.Hide("alice+cid@example.com"),
		Name: calcom.Hide(new("A")), CreatedDate: "2026-11-01T08:00:00.000Z", Metadata: withMark(),
	}
	for _, change := range changes {
		change(u)
	}
	return u
}

func marked(mark string) func(*calcom.User) {
	return func(u *calcom.User) {
		u.Metadata = metadataOf(v1alpha1.OwnerMetadataKey, string(quoted(mark)))
	}
}

func unmarked(u *calcom.User) { u.Metadata = metadataOf() }

func nested(u *calcom.User) { u.Metadata = metadataOf("deep", `{"a":1}`) }

func newName(u *calcom.User) { u.Name = calcom.Hide(new("B")) }

func otherDate(u *calcom.User) { u.CreatedDate = "2026-11-23T07:30:00.000Z" }

func blank(u *calcom.User) { u.Name, u.Metadata = calcom.Hide[*string](nil), metadataOf() }

func justCreated(u *calcom.User) { u.CreatedDate = "2026-11-23T07:50:01.000Z" }

// shows adds answers for id 7; nil is a denial.
func shows(users ...*calcom.User) func(*Facts) {
	return func(f *Facts) {
		f.Seen.Began = true
		for _, u := range users {
			f.Seen.KeepUser(7, u)
		}
	}
}

// lists adds the answer to the look-up by all addresses.
func lists(rows ...*calcom.User) func(*Facts) {
	return func(f *Facts) {
		f.Seen.Began = true
		all := make([]calcom.User, len(rows))
		for i, row := range rows {
			all[i] = *row
		}
		f.Seen.KeepList(f.addresses(), all)
	}
}

func refusedFor(id int64, renewed bool) func(*Facts) {
	return func(f *Facts) {
		f.Seen = Evidence{Began: true, Conflict: &CreateConflict{UserID: id, Renewed: renewed}}
	}
}

func TestDecide(t *testing.T) {
	unverified := func(f *Facts) { f.Verified = false }
	unconnected := func(f *Facts) { f.Connected, f.Account, f.Verified = false, account.Name{}, false }
	looked := condition(v1alpha1.ConditionSynced, metav1.ConditionFalse, v1alpha1.ReasonRemoteUnavailable)
	unsent := func(f *Facts) { f.CreateCall.Unsent = true }
	admitted := func(f *Facts) { f.Seen.Admitted = true }
	id7 := spec(func(s *v1alpha1.ManagedUserSpec) { s.UserID = 7 })
	id8 := spec(func(s *v1alpha1.ManagedUserSpec) { s.UserID = 8 })
	own7 := func(change ...func(*calcom.User)) func(*Facts) {
		return func(f *Facts) {
			f.Seen = Evidence{Began: true, Own: &Candidate{User: *user7(change...), Known: true, ByID: true, Origin: v1alpha1.OriginCreated}}
		}
	}
	for name, tc := range map[string]struct {
		facts []func(*Facts)
		want  string
	}{
		// Before any call.
		"New":                     {nil, "create"},
		"NotConnected":            {[]func(*Facts){unconnected}, "connect"},
		"SpecComesFirst":          {[]func(*Facts){unconnected, spec(func(s *v1alpha1.ManagedUserSpec) { s.TimeZone = "Nowhere" })}, "stop Synced/InvalidSpec"},
		"AddressOfTheClient":      {[]func(*Facts){spec(func(s *v1alpha1.ManagedUserSpec) { s.Email = "alice+cid@example.com" })}, "stop Synced/InvalidSpec"},
		"Suspended":               {[]func(*Facts){owns7, ready, policy(v1alpha1.ReconcilePolicySuspend)}, "stop Ready/Suspended"},
		"AtRest":                  {[]func(*Facts){owns7, ready}, "rest"},
		"Demanded":                {[]func(*Facts){owns7, ready, func(f *Facts) { f.Demanded = true }}, "get 7"},
		"Requested":               {[]func(*Facts){owns7, ready, func(f *Facts) { SetAnnotation(f.Object, v1alpha1.ReconcileRequestedAtAnnotation, "now") }}, "get 7"},
		"Edited":                  {[]func(*Facts){owns7, ready, func(f *Facts) { f.Object.Generation++ }}, "get 7"},
		"NewSecretKey":            {[]func(*Facts){owns7, ready, func(f *Facts) { f.Trusted = false }}, "get 7"},
		"LacksCredentialsOnly":    {[]func(*Facts){owns7, ready, refusedCredentials}, "done"},
		"LacksThemStill":          {[]func(*Facts){owns7, ready, refusedCredentials, unverified}, "get 7"},
		"GoesOnOnceItHasBegun":    {[]func(*Facts){owns7, ready, refusedCredentials, shows(user7(newName))}, "update 7 name"},
		"NoName":                  {[]func(*Facts){spec(func(s *v1alpha1.ManagedUserSpec) { s.Name = "" })}, "list"},
		"NoNameAndNoUser":         {[]func(*Facts){spec(func(s *v1alpha1.ManagedUserSpec) { s.Name = "" }), lists()}, "stop Synced/InvalidSpec"},
		"AfterAFailure":           {[]func(*Facts){looked}, "list"},
		"AfterAFailureNoUser":     {[]func(*Facts){looked, lists()}, "create"},
		"ConflictStands":          {[]func(*Facts){condition(v1alpha1.ConditionSynced, metav1.ConditionFalse, v1alpha1.ReasonUsernameConflict), lists()}, "stop Synced/UsernameConflict"},
		"ConflictMayHaveEnded":    {[]func(*Facts){condition(v1alpha1.ConditionSynced, metav1.ConditionFalse, v1alpha1.ReasonUsernameConflict), lists(), func(f *Facts) { f.Lifted = true }}, "create"},
		"IntentThatCannotBeRight": {[]func(*Facts){intended(time.Hour)}, "repair intent"},
		"FinalizerWithoutRecord":  {[]func(*Facts){func(f *Facts) { f.Object.Finalizers = []string{v1alpha1.ManagedUserFinalizer} }}, "repair intent"},

		// Identity.
		"Own":                      {[]func(*Facts){owns7, shows(user7())}, "done 7"},
		"OwnDrifted":               {[]func(*Facts){owns7, shows(user7(newName))}, "update 7 name"},
		"OwnWithoutMark":           {[]func(*Facts){owns7, shows(user7(unmarked))}, "update 7 metadata"},
		"OwnNestedAndUnmarked":     {[]func(*Facts){owns7, shows(user7(nested))}, "stop 7 Synced/MetadataBlocked"},
		"OwnOfAnother":             {[]func(*Facts){owns7, shows(user7(marked("other/x/y/z")))}, "list"},
		"OwnOfAnotherStill":        {[]func(*Facts){owns7, shows(user7(marked("other/x/y/z"))), lists()}, "stop Synced/OwnedElsewhere"},
		"IDGivenToAnother":         {[]func(*Facts){owns7, shows(user7(unmarked, otherDate)), lists()}, "create"},
		"IDInSpecIsAnother":        {[]func(*Facts){owns7, id8, shows(user7())}, "stop 7 Synced/InvalidSpec"},
		"404IsNoProof":             {[]func(*Facts){owns7, shows(nil)}, "list"},
		"404AndAnEmptyList":        {[]func(*Facts){owns7, shows(nil), lists()}, "get 7"},
		"404Twice":                 {[]func(*Facts){owns7, shows(nil, nil), lists()}, "create"},
		"404AndInTheList":          {[]func(*Facts){owns7, shows(nil), lists(user7())}, "done 7"},
		"404AndThen200":            {[]func(*Facts){owns7, shows(nil, user7()), lists()}, "done 7"},
		"404AndAnotherByMark":      {[]func(*Facts){owns7, shows(nil), lists(user7(func(u *calcom.User) { u.ID = 9 }))}, "claim 9"},
		"ByItsMark":                {[]func(*Facts){looked, lists(user7())}, "claim 7"},
		"ServerThatMoved":          {[]func(*Facts){owns7, toAnotherServer, shows(nil, nil), lists()}, "stop CredentialsReady/ClientNotFound"},
		"ServerThatWasRenamed":     {[]func(*Facts){owns7, toAnotherServer, shows(user7())}, "done 7"},
		"ServerThatMovedAStranger": {[]func(*Facts){owns7, adoptsByEmail, toAnotherServer, shows(nil, nil), lists(user7(unmarked, func(u *calcom.User) { u.ID = 9 }))}, "stop CredentialsReady/ClientNotFound"},
		"ServerThatMovedAndOther":  {[]func(*Facts){owns7, toAnotherServer, shows(user7(marked("other/x/y/z"))), lists()}, "stop CredentialsReady/ClientNotFound"},

		// Create calls of unknown outcome.
		"OutcomeUnknown":        {[]func(*Facts){intended(-time.Minute)}, "list"},
		"OutcomeStillUnknown":   {[]func(*Facts){intended(-time.Minute), lists()}, "stop Synced/RemoteUnavailable"},
		"OutcomeKnownToBeNone":  {[]func(*Facts){intended(-10 * time.Minute), lists()}, "create"},
		"OutcomeFound":          {[]func(*Facts){intended(-time.Minute), lists(user7(justCreated))}, "claim 7"},
		"Unfinished":            {[]func(*Facts){intended(-10*time.Minute, withZone), lists(user7(justCreated))}, "recreate 7"},
		"UnfinishedYet":         {[]func(*Facts){intended(-time.Minute, withZone), lists(user7(func(u *calcom.User) { u.CreatedDate = "2026-11-23T07:59:01.000Z" }))}, "stop Synced/RemoteUnavailable"},
		"UnfinishedAndUnmarked": {[]func(*Facts){intended(-10 * time.Minute), lists(user7(justCreated, blank))}, "recreate 7"},
		"UnmarkedOfAnother":     {[]func(*Facts){intended(-10 * time.Minute), lists(user7(blank))}, "stop Synced/AlreadyExists"},
		"UnfinishedAndOld":      {[]func(*Facts){intended(-40*time.Minute, withZone), lists(user7(func(u *calcom.User) { u.CreatedDate = "2026-11-23T07:20:01.000Z" }))}, "stop Synced/RemoteInconsistent"},
		"CreatedAnewAfterThat":  {[]func(*Facts){intended(-10*time.Minute, withZone), func(f *Facts) { f.Seen = Evidence{Began: true, Absent: true} }}, "create"},
		"Unsent":                {[]func(*Facts){intended(-time.Second), unsent}, "create"},
		"UnsentAndUserIDNow":    {[]func(*Facts){intended(-time.Second), unsent, id7}, "get 7"},
		"StrangerIsOlder":       {[]func(*Facts){intended(-time.Minute), lists(user7(unmarked))}, "stop Synced/AlreadyExists"},
		"ReturnedAfterARecord":  {[]func(*Facts){owns7, intended(-10*time.Minute, func(i *Intent) { i.Replaces, i.ReplacesDate = 7, "2026-11-01T08:00:00.000Z" }), shows(user7())}, "settle intent 7"},

		// Conflicts.
		"Refused":              {[]func(*Facts){refusedFor(7, false)}, "get 7"},
		"RefusedForOwn":        {[]func(*Facts){refusedFor(7, false), shows(user7())}, "claim 7"},
		"RefusedForAStranger":  {[]func(*Facts){refusedFor(7, false), shows(user7(unmarked))}, "stop Synced/AlreadyExists, retracts"},
		"RefusedAgain":         {[]func(*Facts){refusedFor(7, true), shows(user7(unmarked))}, "stop Synced/AlreadyExists"},
		"RefusedForOneToAdopt": {[]func(*Facts){adoptsByEmail, refusedFor(7, false), shows(user7(unmarked))}, "claim 7"},
		"RefusedForMarked":     {[]func(*Facts){adoptsByEmail, refusedFor(7, false), shows(user7(marked("cluster/ns/bob/u")))}, "stop Synced/OwnedElsewhere, retracts"},
		"RefusedForNested":     {[]func(*Facts){adoptsByEmail, refusedFor(7, false), shows(user7(nested))}, "stop Synced/MetadataBlocked, retracts"},
		"RefusedForNoUser":     {[]func(*Facts){refusedFor(7, false), shows(nil), lists()}, "stop Synced/RemoteInconsistent"},
		"RefusedWithoutAnID":   {[]func(*Facts){refusedFor(0, false)}, "list"},
		"RefusedForAUsername":  {[]func(*Facts){refusedFor(0, false), lists()}, "stop Synced/UsernameConflict, retracts"},

		// Adoption.
		"UserID":                 {[]func(*Facts){id7}, "get 7"},
		"UserIDToAdopt":          {[]func(*Facts){id7, shows(user7(unmarked))}, "claim 7"},
		"UserIDOfNoUser":         {[]func(*Facts){id7, shows(nil)}, "stop Synced/NotFound"},
		"ReadAgainAfterTheClaim": {[]func(*Facts){adopted7, func(f *Facts) { f.Seen = Evidence{Began: true, Adopted: true} }}, "get 7"},
		"MarkedMeanwhile":        {[]func(*Facts){adopted7, func(f *Facts) { f.Seen = Evidence{Began: true, Adopted: true} }, shows(user7(marked("cluster/ns/bob/u"))), lists(user7(marked("cluster/ns/bob/u")))}, "stop Synced/OwnedElsewhere"},
		"ObservedBefore":         {[]func(*Facts){func(f *Facts) { standsFor(f.Object, 7); f.Object.Finalizers = nil }, shows(user7(unmarked))}, "forget"},

		// Observe.
		"Observes":              {[]func(*Facts){policy(v1alpha1.ReconcilePolicyObserve), lists(user7(unmarked))}, "mirror 7"},
		"ObservesNone":          {[]func(*Facts){policy(v1alpha1.ReconcilePolicyObserve), lists()}, "mirror Ready/NotFound"},
		"ObservesWithAnOwnUser": {[]func(*Facts){owns7, policy(v1alpha1.ReconcilePolicyObserve), shows(nil, nil), lists(user7(unmarked, func(u *calcom.User) { u.ID = 9 }))}, "mirror Ready/NotFound"},

		// After a write.
		"Created":              {[]func(*Facts){owns7, own7()}, "done 7"},
		"CreatedByAnOldServer": {[]func(*Facts){owns7, own7(newName)}, "update 7 name"},
		"Updated":              {[]func(*Facts){owns7, own7(), func(f *Facts) { f.Seen.Updated = true }}, "done 7"},
		"UpdatedAndNotStored":  {[]func(*Facts){owns7, own7(newName), func(f *Facts) { f.Seen.Updated = true }}, "stop 7 Synced/UnexpectedResponse"},
		"UpdatedAndAnothers":   {[]func(*Facts){owns7, own7(marked("other/x/y/z")), func(f *Facts) { f.Seen.Updated = true }}, "stop 7 Synced/OwnedElsewhere"},

		// Deletion.
		"DeletedWithoutFinalizer": {[]func(*Facts){beingDeleted, unconnected}, "gone"},
		"DeletedUnsent":           {[]func(*Facts){intended(-time.Second), unsent, beingDeleted}, "release"},
		"DeletedSuspended":        {[]func(*Facts){owns7, beingDeleted, policy(v1alpha1.ReconcilePolicySuspend)}, "stop Ready/Suspended"},
		"DeletedObserving":        {[]func(*Facts){owns7, beingDeleted, policy(v1alpha1.ReconcilePolicyObserve)}, "stop Synced/DeletionBlocked"},
		"DeletedNotConnected":     {[]func(*Facts){owns7, beingDeleted, unconnected}, "connect"},
		"DeletionIsAdmittedFirst": {[]func(*Facts){owns7, beingDeleted}, "admit"},
		"DeletionLooksFirst":      {[]func(*Facts){owns7, beingDeleted, admitted}, "get 7"},
		"DeletionOfTheOwn":        {[]func(*Facts){owns7, beingDeleted, admitted, shows(user7())}, "delete 7"},
		"DeletionOfAnothers":      {[]func(*Facts){owns7, beingDeleted, admitted, shows(user7(marked("other/x/y/z"))), lists()}, "stop Synced/OwnedElsewhere"},
		"DeletionOfAStranger":     {[]func(*Facts){intended(-time.Hour), beingDeleted, admitted, lists(user7(unmarked))}, "release Deleted, absence"},
		"DeletionWaitsForACall":   {[]func(*Facts){intended(-time.Minute), beingDeleted, admitted, lists()}, "stop Synced/RemoteUnavailable"},
		"DeletionOfNone":          {[]func(*Facts){owns7, beingDeleted, admitted, shows(nil, nil), lists()}, "release Deleted, absence"},
		"Deleted":                 {[]func(*Facts){owns7, beingDeleted, sent(nil)}, "release Deleted"},
		"DeletionDenied":          {[]func(*Facts){owns7, beingDeleted, sent(denial)}, "list"},
		"DeletionDeniedWrongly":   {[]func(*Facts){owns7, beingDeleted, sent(denial), lists(user7())}, "stop Synced/RemoteUnavailable"},
		"DeletionDeniedRightly":   {[]func(*Facts){owns7, beingDeleted, sent(denial), lists(), shows(nil, nil)}, "release Deleted, absence"},

		// Orphans.
		"OrphanOfAnAdoption":      {[]func(*Facts){adopted7, beingDeleted}, "get 7, optional"},
		"OrphanByTheMark":         {[]func(*Facts){owns7, beingDeleted, admitted, loseOrigin, shows(user7(marked("cluster/ns/alice/u1:adopted")))}, "unmark 7, optional"},
		"OrphanUnmarks":           {[]func(*Facts){owns7, beingDeleted, orphans, shows(user7())}, "unmark 7, optional"},
		"OrphanNotConnected":      {[]func(*Facts){owns7, beingDeleted, orphans, unconnected}, "connect, optional"},
		"OrphanWithoutCredential": {[]func(*Facts){owns7, beingDeleted, orphans, unconnected, unmarkFails(errors.New("no Secret"))}, "release Orphaned"},
		"OrphanWaitsForTheQuota":  {[]func(*Facts){owns7, beingDeleted, orphans, unmarkFails(errRateLimited)}, "stop Synced/RateLimited"},
		"OrphanWaitsNoLonger":     {[]func(*Facts){owns7, beingDeleted, orphans, unmarkFails(errRateLimited), func(f *Facts) { f.Now = pureNow.Add(time.Hour) }}, "release Orphaned"},
		"OrphanIsUnmarked":        {[]func(*Facts){owns7, beingDeleted, orphans, func(f *Facts) { f.Seen.Unmarked = true }}, "release Orphaned"},
		"OrphanOfAnother":         {[]func(*Facts){owns7, beingDeleted, orphans, shows(user7(marked("other/x/y/z"))), lists()}, "release Orphaned"},
		"OrphanWithNestedValues":  {[]func(*Facts){owns7, beingDeleted, orphans, shows(user7(func(u *calcom.User) { u.Metadata = withMark("deep", `{"a":1}`) }))}, "release Orphaned"},
		"OrphanObserving":         {[]func(*Facts){owns7, beingDeleted, orphans, policy(v1alpha1.ReconcilePolicyObserve), unconnected}, "release Orphaned"},
	} {
		t.Run(name, func(t *testing.T) {
			f := factsOf(tc.facts...)
			before := f.Object.DeepCopy()
			if got := inFull(Decide(f)); got != tc.want {
				t.Errorf("next is %q, want %q", got, tc.want)
			}
			if d := cmp.Diff(before, f.Object); d != "" {
				t.Errorf("the decision changed the object (-before +after):\n%s", d)
			}
			if again := inFull(Decide(f)); again != tc.want {
				t.Errorf("asked again, next is %q, want %q", again, tc.want)
			}
		})
	}
}

// inFull is what is compared of an action.
func inFull(a Action) string {
	text := a.String()
	if a.Verb == VerbRelease && a.Event != "" {
		text += " " + a.Event
	}
	for _, flag := range []struct {
		name string
		set  bool
	}{{"retracts", a.Retracts}, {"absence", a.Absence && a.Verb == VerbRelease}, {"optional", a.Optional}} {
		if flag.set {
			text += ", " + flag.name
		}
	}
	return text
}

func refusedCredentials(f *Facts) {
	condition(v1alpha1.ConditionCredentialsReady, metav1.ConditionFalse, v1alpha1.ReasonUnauthorized)(f)
	condition(v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonUnauthorized)(f)
}

func toAnotherServer(f *Facts) { f.Account.APIURL = "https://elsewhere.example.com/v2" }

var denial = outcome.NotSynced(v1alpha1.ReasonRemoteUnavailable, "Denied")

func sent(denied *outcome.Problem) func(*Facts) {
	return func(f *Facts) { f.Seen = Evidence{Began: true, Deleted: &SentDeletion{UserID: 7, Denied: denied}} }
}

func unmarkFails(err error) func(*Facts) { return func(f *Facts) { f.Seen.UnmarkErr = err } }

// loseOrigin is a backup without status and annotations.
func loseOrigin(f *Facts) { f.Object.Status.Origin = "" }

var errRateLimited = &outcome.Problem{Condition: v1alpha1.ConditionSynced, Reason: v1alpha1.ReasonRateLimited, Pace: outcome.Later}
