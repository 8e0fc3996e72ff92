// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
	"github.com/calcom-operator/calcom-operator/internal/controller"
)

func testScheme(t *testing.T) *runtime.Scheme {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	return scheme
}

// deaf is a cluster that answers every question in the same way.
type deaf struct {
	client.Reader

	err   error
	asked *int
}

func (d deaf) Get(context.Context, client.ObjectKey, client.Object, ...client.GetOption) error {
	*d.asked++
	return d.err
}

var aKey = client.ObjectKey{Namespace: "team", Name: "ada"}

func anObject() *v1alpha1.ManagedUser {
	return &v1alpha1.ManagedUser{
		ObjectMeta: metav1.ObjectMeta{Namespace: aKey.Namespace, Name: aKey.Name, Generation: 1, CreationTimestamp: metav1.Now()},
		Spec: v1alpha1.ManagedUserSpec{
			OAuthClient: &v1alpha1.OAuthClientCredentials{ID: "cid", SecretKeyRef: v1alpha1.SecretKeyReference{Name: "calcom", Key: "key"}},
			Email:       "ada@example.com", Name: "Ada", AdoptionPolicy: v1alpha1.AdoptionPolicyByEmail,
		},
		Status: v1alpha1.ManagedUserStatus{ObservedGeneration: -1},
	}
}

func testKube(t *testing.T, cluster client.Reader) (*kube, *[]Step) {
	t.Helper()
	var steps []Step
	return newKube(cluster, testScheme(t), time.Now, func(s Step) { steps = append(steps, s) }), &steps
}

// Objects are read once, the absent ones too, and what was written is read back.
func TestKubeReadsOnce(t *testing.T) {
	asked := 0
	k, steps := testKube(t, deaf{err: apierrors.NewNotFound(schema.GroupResource{Resource: "managedusers"}, "ada"), asked: &asked})
	for range 3 {
		if err := k.Get(t.Context(), aKey, &v1alpha1.ManagedUser{}); !apierrors.IsNotFound(err) {
			t.Fatal(err)
		}
	}
	if asked != 1 {
		t.Errorf("the cluster was asked %d times", asked)
	}
	if err := k.put(anObject()); err != nil {
		t.Fatal(err)
	}
	mu := &v1alpha1.ManagedUser{}
	if err := k.Get(t.Context(), aKey, mu); err != nil || mu.UID == "" || mu.ResourceVersion == "" {
		t.Fatalf("%v, %+v", err, mu.ObjectMeta)
	}
	stale := mu.DeepCopy()
	patch := client.MergeFromWithOptions(mu.DeepCopy(), client.MergeFromWithOptimisticLock{})
	mu.Finalizers = []string{"f"}
	mu.Annotations = map[string]string{"a": "canary"}
	if err := k.Patch(t.Context(), mu, patch); err != nil {
		t.Fatal(err)
	}
	want := []Step{{At: Kubernetes, Verb: "patch", Object: "ManagedUser team/ada", Summary: "add finalizer f; set annotation a"}}
	if d := cmp.Diff(want, *steps); d != "" {
		t.Errorf("steps (-want +got):\n%s", d)
	}
	late := client.MergeFromWithOptions(stale.DeepCopy(), client.MergeFromWithOptimisticLock{})
	stale.Finalizers = []string{"g"}
	if err := k.Patch(t.Context(), stale, late); !apierrors.IsConflict(err) {
		t.Errorf("a write to an old version ends with %v", err)
	}
	wrong := client.RawPatch(types.JSONPatchType, []byte(`[{"op":"test","path":"/metadata/uid","value":"other"},{"op":"add","path":"/status/observedGeneration","value":7}]`))
	if err := k.Status().Patch(t.Context(), mu.DeepCopy(), wrong); err == nil {
		t.Error("a test that fails is passed over")
	}
	right := client.RawPatch(types.JSONPatchType, []byte(`[{"op":"add","path":"/status/observedGeneration","value":7},{"op":"add","path":"/metadata/labels","value":{"l":"x"}}]`))
	if err := k.Status().Patch(t.Context(), mu, right); err != nil || mu.Status.ObservedGeneration != 7 || mu.Labels != nil || len(mu.Finalizers) != 1 {
		t.Errorf("a write of the status leaves %+v, %v", mu, err)
	}
	if len(*steps) != 2 {
		t.Errorf("%d steps are told, want 2: what fails is none", len(*steps))
	}
}

// The last finalizer of an object that is being deleted takes it away.
func TestKubeFinalizes(t *testing.T) {
	k, _ := testKube(t, nil)
	mu := anObject()
	mu.Finalizers, mu.DeletionTimestamp = []string{"f"}, new(metav1.Now())
	if err := k.put(mu); err != nil {
		t.Fatal(err)
	}
	if err := k.Patch(t.Context(), mu, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`))); err != nil {
		t.Fatal(err)
	}
	if err := k.Get(t.Context(), aKey, mu); !apierrors.IsNotFound(err) {
		t.Errorf("the object is still there: %v", err)
	}
}

// noUsers is a Cal.com that does not answer.
type noUsers struct{ err error }

func (n noUsers) User(context.Context, int64) (calcom.User, error) { return calcom.User{}, n.err }

func (n noUsers) UsersByEmail(context.Context, ...string) ([]calcom.User, error) { return nil, n.err }

// testConfig is an operator that may call any https address.
func testConfig(t *testing.T) controller.Config {
	t.Helper()
	allowed, err := controller.ParseURLPrefixes("https://")
	if err != nil {
		t.Fatal(err)
	}
	return controller.Config{
		OwnerID: "me", AllowedAPIURLs: allowed, ResyncInterval: time.Minute, RateLimitShare: 1, UnknownOutcomeGrace: time.Minute, Clock: clock.RealClock{},
		Jitter: func(time.Duration) time.Duration { return 0 },
	}
}

// What cannot be read here says nothing about what the operator reads: there is no plan then, and none is made up.
func TestUnreadableIsNoOutcome(t *testing.T) {
	config := testConfig(t)
	forbidden := apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, "calcom", errors.New("no"))
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "calcom"}, Data: map[string][]byte{"key": []byte("s")}}
	for name, test := range map[string]struct {
		objects []client.Object
		want    error
	}{
		"Secret":  {objects: []client.Object{anObject()}, want: forbidden},
		"Cal.com": {objects: []client.Object{anObject(), secret}, want: context.DeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			connect := func(context.Context, Account, calcom.Hidden[string]) (Users, error) {
				return noUsers{context.DeadlineExceeded}, nil
			}
			r := New(Options{Cluster: deaf{err: forbidden, asked: new(0)}, Scheme: testScheme(t), Connect: connect, Config: config})
			for _, o := range test.objects {
				if err := r.Put(o); err != nil {
					t.Fatal(err)
				}
			}
			if outcome, err := r.Reconcile(t.Context(), aKey); !errors.Is(err, test.want) {
				t.Errorf("foretells %+v, %v", outcome, err)
			}
		})
	}
}

// Nothing of what is told of a write is anybody's data.
func TestDescribeWriteShowsNoValues(t *testing.T) {
	before := map[string]any{"metadata": map[string]any{"finalizers": []any{"f", "g"}, "annotations": map[string]any{"gone": "canary", "kept": "canary"}}}
	after := map[string]any{
		"metadata": map[string]any{"finalizers": []any{"g"}, "annotations": map[string]any{"kept": "canary2"}},
		"status":   map[string]any{"user": map[string]any{"email": "canary"}}, "data": map[string]any{"accessToken": "canary"},
	}
	got := describeWrite(before, after)
	if want := "remove finalizer f; set annotation kept; remove annotation gone; set user; set accessToken"; got != want || strings.Contains(got, "canary") {
		t.Errorf("describeWrite gives %q, want %q", got, want)
	}
}
