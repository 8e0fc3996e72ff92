// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
	"github.com/calcom-operator/calcom-operator/internal/manageduser"
	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

// grow sets values in Cal.com that are too large for a status: as JSON, each < takes six bytes.
var grow = map[string]func(*calcomtest.User){
	"bio":  func(u *calcomtest.User) { u.Bio = new(strings.Repeat("<", 300_000)) },
	"name": func(u *calcomtest.User) { u.Name = new(strings.Repeat("<", 300_000)) },
	"avatarUrl": func(u *calcomtest.User) {
		u.AvatarURL = new("https://example.com/" + strings.Repeat("<", 300_000))
	},
	"metadata": func(u *calcomtest.User) {
		for i := range 30 {
			u.Metadata[fmt.Sprint("key", i)] = strings.Repeat("<", 10_000)
		}
	},
}

// A user that the object leaves alone in what is too large: name is not in the spec.
func plain(spec *v1alpha1.ManagedUserSpec) {
	byEmail(spec)
	spec.Name = ""
}

// wantTruncated checks that the user is known and Ready, that the status says what it does not show in full, and
// that nothing goes on at rest: no write, and no demand of the sweep.
func (s *story) wantTruncated(mu *v1alpha1.ManagedUser, id int64, field string) {
	s.Helper()
	s.wantMessage(mu, "too long for status.user", field)
	ready := meta.FindStatusCondition(mu.Status.Conditions, v1alpha1.ConditionReady)
	if ready == nil || ready.Status != metav1.ConditionTrue {
		s.Fatalf("the object is not Ready:\n%s", show(mu))
	}
	user := mu.Status.User
	if user == nil || user.ID != id || mu.Status.OAuthClientID != s.clientID() || mu.Status.APIURL == "" {
		s.Fatalf("the identity is lost: %+v", mu.Status)
	}
	if len(user.Truncated) != 1 || user.Truncated[0] != field {
		s.Errorf("truncated is %v, want %s", user.Truncated, field)
	}
	s.writes.take()
	s.sandbox.ResetCalls()
	s.due(mu)
	s.wantCalls(calcomtest.OpGet)
	s.wantWrites()
	s.restart()
	s.reconcile(mu)
	s.wantCalls()
	s.wantWrites()
	if s.differsFromMirror(mu) {
		s.Error("the sweep demands another look")
	}
}

// differsFromMirror reports whether the sweep would demand a look.
func (s *story) differsFromMirror(mu *v1alpha1.ManagedUser) bool {
	s.Helper()
	of, err := calcom.New(calcom.Config{
		BaseURL: mu.Status.APIURL, ClientID: s.clientID(), SecretKey: calcom.Hide(calcomtest.DefaultClient().Secret),
	})
	s.must(err)
	row, err := of.User(s.Context(), mu.Status.User.ID)
	s.must(err)
	return s.reconciler.sweeper.differs(s.Context(), pair{client.ObjectKeyFromObject(mu), &row})
}

// What is too large for a status is shortened or left out there, whether it comes before or after the object. The
// user in Cal.com keeps it.
func TestUserTooLargeForStatus(t *testing.T) {
	for field, change := range grow {
		t.Run(field+"/Existing", func(t *testing.T) {
			s := newStory(t)
			user := s.existing("")
			mu := s.create(plain)
			s.wantReady(mu, "Adopted")
			s.sandbox.UpdateUser(s.clientID(), user.ID, change)
			if !s.differsFromMirror(mu) {
				t.Error("the sweep does not notice the change")
			}
			s.due(mu)
			s.wantTruncated(mu, user.ID, field)

			s.sandbox.UpdateUser(s.clientID(), user.ID, func(u *calcomtest.User) {
				u.Name, u.Bio, u.AvatarURL = new("Alice"), nil, nil
				u.Metadata = map[string]any{"kubernetesOwner": u.Metadata["kubernetesOwner"]}
			})
			s.due(mu)
			ready := meta.FindStatusCondition(mu.Status.Conditions, v1alpha1.ConditionReady)
			if truncated := mu.Status.User.Truncated; len(truncated) != 0 || ready.Message != "The user equals the spec" {
				t.Errorf("after the user became small, truncated is %v and the message %q", truncated, ready.Message)
			}
		})
		if field == "metadata" {
			continue // See TestMetadataTooLargeForTheMark.
		}
		t.Run(field+"/Adopted", func(t *testing.T) {
			s := newStory(t)
			user := s.existing("")
			s.sandbox.UpdateUser(s.clientID(), user.ID, change)
			mu := s.create(plain)
			s.wantTruncated(mu, user.ID, field)
			if now, _ := s.sandbox.User(s.clientID(), user.ID); len(now.Metadata) <= 1 {
				t.Errorf("the metadata in Cal.com is %v", now.Metadata)
			}
			s.delete(mu)
			s.wantGone(mu)
		})
	}
}

// A bio of the spec takes the place of one that is too large.
func TestSpecReplacesTooLarge(t *testing.T) {
	s := newStory(t)
	mu := s.create(func(spec *v1alpha1.ManagedUserSpec) { spec.Bio = new("short") })
	s.sandbox.UpdateUser(s.clientID(), mu.Status.User.ID, grow["bio"])
	s.due(mu)
	s.wantReady(mu, "DriftCorrected")
	if user := mu.Status.User; *user.Bio != "short" || len(user.Truncated) != 0 {
		t.Errorf("bio is %d bytes long, truncated %v", len(*user.Bio), user.Truncated)
	}
}

// The largest values that a spec may have are mirrored in full.
func TestLargestSpecIsMirrored(t *testing.T) {
	s := newStory(t)
	user := s.existing("")
	s.sandbox.UpdateUser(s.clientID(), user.ID, func(u *calcomtest.User) {
		u.Name, u.Bio = new(strings.Repeat("<", 4000)), new(strings.Repeat("<", 20_000))
		for i := range 49 {
			u.Metadata[fmt.Sprintf("%s%02d", strings.Repeat("<", 38), i)] = strings.Repeat("<", 500)
		}
	})
	mu := s.create(observing)
	s.wantConditions(mu, "Ready=True/Observed", "CredentialsReady=True/Verified")
	var metadata map[string]any
	s.must(json.Unmarshal(mu.Status.User.Metadata.Raw, &metadata))
	if user := mu.Status.User; len(user.Truncated) != 0 || len(*user.Bio) != 20_000 || len(metadata) != 50 {
		t.Errorf("truncated is %v, %d keys are mirrored", user.Truncated, len(metadata))
	}
}

func observing(spec *v1alpha1.ManagedUserSpec) {
	spec.ReconcilePolicy = v1alpha1.ReconcilePolicyObserve
}

// Cal.com refuses a request that holds the metadata of this size, so that the user cannot be marked. It is known
// all the same.
func TestMetadataTooLargeForTheMark(t *testing.T) {
	s := newStory(t)
	user := s.existing("")
	s.sandbox.UpdateUser(s.clientID(), user.ID, grow["metadata"])
	mu := s.create(byEmail)
	s.wantConditions(mu,
		"Ready=False/InvalidSpec", "Synced=False/InvalidSpec", "CredentialsReady=True/Verified", "Stalled=True/InvalidSpec")
	if is := mu.Status.User; is == nil || is.ID != user.ID || !slices.Equal(is.Truncated, []string{"metadata"}) {
		t.Errorf("the status shows %+v", is)
	}
}

// refusals are what the API server answers to a status that is too large for it, for etcd, or for the client of
// etcd, and to a value that it cannot decode.
var refusals = map[string]error{
	"TooLarge": apierrors.NewRequestEntityTooLargeError("limit is 3145728"),
	"Etcd":     failure("etcdserver: request is too large"),
	"Client":   failure("rpc error: code = ResourceExhausted desc = trying to send message larger than max (2400673 vs. 2097152)"),
	"Value":    apierrors.NewBadRequest("json: cannot unmarshal number 1e400 into Go struct field jsonPatchOp.value of type float64"),
}

// failure is the answer of an API server that passes on what etcd says.
func failure(message string) error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: http.StatusInternalServerError, Message: message,
	}}
}

// When the API server refuses the status all the same, it is written without what can be large, and the identity
// stays.
func TestStatusIsWrittenReduced(t *testing.T) {
	for name, refusal := range refusals {
		t.Run(name, func(t *testing.T) {
			s := newStory(t)
			user := s.existing("")
			s.sandbox.UpdateUser(s.clientID(), user.ID, func(u *calcomtest.User) { u.Bio = new("canary") })
			refused := 0
			s.writes.failStatus = func(patch string) error {
				if strings.Contains(patch, "canary") {
					refused++
					return refusal
				}
				return nil
			}
			mu := s.create(plain)
			s.wantReady(mu, "Adopted")
			s.wantMessage(mu, "The user equals the spec; too long for status.user", "bio")
			is := mu.Status.User
			identified := is.ID == user.ID && mu.Status.APIURL != "" && mu.Status.OAuthClientID == s.clientID()
			if refused == 0 || is.Bio != nil || !manageduser.IsReduced(is) || !identified {
				t.Errorf("after %d refusals the status shows %+v", refused, mu.Status)
			}
			if raw := string(is.Metadata.Raw); !strings.Contains(raw, "kubernetesOwner") || strings.Contains(raw, "seats") {
				t.Errorf("the metadata is %s", raw)
			}
			s.writes.take()
			s.due(mu)
			s.wantWrites()
			if s.differsFromMirror(mu) {
				t.Error("the sweep demands another look")
			}
			s.writes.failStatus = nil
			s.due(mu)
			if is := mu.Status.User; is.Bio == nil || len(is.Truncated) != 0 {
				t.Errorf("once the API server accepts it, the status shows %+v", is)
			}
			s.wantMessage(mu, "The user equals the spec")
		})
	}
}

// A refusal that has other reasons is no reason to leave anything out.
func TestOtherRefusalsKeepTheMirror(t *testing.T) {
	s := newStory(t)
	mu := s.create(func(spec *v1alpha1.ManagedUserSpec) { spec.Bio = new("old") })
	for _, refusal := range []error{
		failure("etcdserver: request timed out"),
		apierrors.NewConflict(schema.GroupResource{}, "alice", nil), errors.New("connection refused"),
	} {
		s.edit(mu, func(spec *v1alpha1.ManagedUserSpec) { spec.Bio = new("new " + refusal.Error()[:10]) })
		s.writes.failStatus = func(string) error { return refusal }
		s.reconcile(mu)
		s.writes.failStatus = nil
		s.reconcile(mu)
		if user := mu.Status.User; user.Bio == nil || len(user.Truncated) != 0 {
			t.Errorf("after %v, the status shows %+v", refusal, user)
		}
	}
}

// A long value of the annotation that asks for a reconcile is answered, and not copied.
func TestLongRequest(t *testing.T) {
	s := newStory(t)
	mu := s.create()
	for _, value := range []string{strings.Repeat("<", 100_000), strings.Repeat("<", 100_001)} {
		s.sandbox.ResetCalls()
		s.request(mu, value)
		s.reconcile(mu)
		s.wantCalls(calcomtest.OpGet)
		if echo := mu.Status.LastHandledReconcileAt; len(echo) > 100 || !strings.HasPrefix(echo, "sha256:") {
			t.Errorf("the echo has %d bytes: %.20s", len(echo), echo)
		}
		s.reconcile(mu)
		s.wantCalls()
	}
}
