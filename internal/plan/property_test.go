// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	testclock "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
	"github.com/calcom-operator/calcom-operator/internal/controller"
	"github.com/calcom-operator/calcom-operator/internal/manageduser"
	"github.com/calcom-operator/calcom-operator/internal/plan"
	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

// cluster is the control plane that all tests of the package share.
var cluster *rest.Config

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	flag.Parse()
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		fmt.Fprintln(os.Stderr, `KUBEBUILDER_ASSETS is not set: run "make test", or export KUBEBUILDER_ASSETS=$(hack/controlplane/assets.sh)`)
		return 1
	}
	ctrl.SetLogger(logr.Discard())
	environment := &envtest.Environment{CRDDirectoryPaths: []string{filepath.Join("..", "..", "config", "crd", "bases")}, ErrorIfCRDPathMissing: true}
	var err error
	if cluster, err = environment.Start(); err != nil {
		fmt.Fprintln(os.Stderr, "starting the control plane:", err)
		return 1
	}
	cluster.QPS = -1
	code := m.Run()
	if err := environment.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, "stopping the control plane:", err)
		return 1
	}
	return code
}

func newScheme() *runtime.Scheme {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			panic(err)
		}
	}
	return scheme
}

// world is a namespace and a Cal.com in which things happen at random.
type world struct {
	*testing.T

	client    client.Client
	namespace string
	sandbox   *calcomtest.Server
	clock     *testclock.FakePassiveClock
	config    controller.Config
	random    *rand.Rand
	trace     []string
	// loses is set when the answer to the next create call is to be lost.
	loses bool
}

func newWorld(t *testing.T, seed uint64) *world {
	t.Helper()
	clock := testclock.NewFakePassiveClock(time.Now())
	c, err := client.New(cluster, client.Options{Scheme: newScheme()})
	if err != nil {
		t.Fatal(err)
	}
	allowed, err := controller.ParseURLPrefixes("http://127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{
		T: t, client: c, clock: clock, sandbox: calcomtest.New(t, calcomtest.Options{Now: clock.Now}),
		random: rand.New(rand.NewPCG(seed, seed)), //nolint:gosec // It guards nothing, and has to be repeatable.
		config: controller.Config{
			OwnerID: "test-cluster", AllowedAPIURLs: allowed, ResyncInterval: 10 * time.Minute, RateLimitShare: 0.8,
			UnknownOutcomeGrace: manageduser.UnknownOutcomeGrace, MaxConcurrentReconciles: 1, ProtectSecrets: true, ClusterClients: true,
			MassDeleteLimit: 3, UserAgent: "test", Transport: http.DefaultTransport, Clock: clock,
			Jitter: func(time.Duration) time.Duration { return 0 },
		},
	}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "plan-"}}
	w.must(c.Create(t.Context(), namespace))
	w.namespace = namespace.Name
	w.config.Namespace = w.namespace
	w.setSecret(calcomtest.DefaultClient().Secret)
	w.must(c.Create(t.Context(), &v1alpha1.OAuthClient{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "acme"},
		Spec:       v1alpha1.OAuthClientSpec{OAuthClientCredentials: w.credentials()},
	}))
	shared := &v1alpha1.ClusterOAuthClient{
		ObjectMeta: metav1.ObjectMeta{Name: w.namespace},
		Spec: v1alpha1.ClusterOAuthClientSpec{
			OAuthClientCredentials: w.credentials(),
			AllowedNamespaces:      v1alpha1.NamespaceSelection{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": w.namespace}}},
		},
	}
	w.must(c.Create(t.Context(), shared))
	t.Cleanup(func() { _ = c.Delete(context.WithoutCancel(t.Context()), shared) })
	return w
}

func (w *world) credentials() v1alpha1.OAuthClientCredentials {
	return v1alpha1.OAuthClientCredentials{
		ID: calcomtest.DefaultClient().ID, APIURL: w.sandbox.URL(), SecretKeyRef: v1alpha1.SecretKeyReference{Name: "calcom", Key: "secretKey"},
	}
}

// setSecret makes the Secret anew, so that nothing of the one before is left; with an empty key, there is none.
func (w *world) setSecret(key string) {
	w.Helper()
	old := &corev1.Secret{}
	if w.client.Get(w.Context(), client.ObjectKey{Namespace: w.namespace, Name: "calcom"}, old) == nil {
		w.must(w.client.Patch(w.Context(), old, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`))))
		w.must(w.client.Delete(w.Context(), old))
	}
	if key != "" {
		w.must(w.client.Create(w.Context(), &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "calcom"}, Data: map[string][]byte{"secretKey": []byte(key)},
		}))
	}
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatalf("%v\n%s", err, strings.Join(w.trace, "\n"))
	}
}

// connect reaches the sandbox as a plan does.
func (w *world) connect(_ context.Context, account plan.Account, secretKey calcom.Hidden[string]) (plan.Users, error) {
	return calcom.New(calcom.Config{BaseURL: account.APIURL, ClientID: account.ClientID, SecretKey: secretKey, UserAgent: "plan"})
}

// names are few, so that objects meet.
var names = []string{"one", "two", "three", "four"}

// emails are few; some differ and have the same username in Cal.com.
var emails = []string{
	"ada_l@example.com", "ada-l@example.com", "bob@example.com", "bob@example.org", "bob@mail.example.com", "bob@mail.example.net", "cyd.x@example.com",
}

func pick[T any](w *world, from ...T) T { return from[w.random.IntN(len(from))] }

// happen lets one thing happen.
func (w *world) happen() {
	name := pick(w, names...)
	mu := &v1alpha1.ManagedUser{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: name}}
	exists := w.client.Get(w.Context(), client.ObjectKeyFromObject(mu), mu) == nil
	switch choice := w.random.IntN(23); {
	case !exists:
		mu.Spec = v1alpha1.ManagedUserSpec{Email: pick(w, emails...), Name: "Somebody"}
		switch w.random.IntN(5) {
		case 0:
			mu.Spec.OAuthClientRef = &v1alpha1.OAuthClientReference{Name: pick(w, "acme", "acme", "nobody")}
		case 1:
			mu.Spec.OAuthClientRef = &v1alpha1.OAuthClientReference{Kind: v1alpha1.KindClusterOAuthClient, Name: w.namespace}
		default:
			mu.Spec.OAuthClient = new(w.credentials())
		}
		for range w.random.IntN(4) {
			w.edit(&mu.Spec)
		}
		w.note("%s is created: %s", name, mu.Spec.Email)
		_ = w.client.Create(w.Context(), mu) // What the API server refuses did not happen.
	case choice < 8:
		w.edit(&mu.Spec)
		w.note("%s is edited: %s", name, mu.Spec.Email)
		_ = w.client.Update(w.Context(), mu)
	case choice < 10:
		w.note("%s is to be deleted", name)
		w.must(w.client.Delete(w.Context(), mu))
	case choice < 11:
		w.note("%s loses its status", name)
		mu.Status = v1alpha1.ManagedUserStatus{ObservedGeneration: -1}
		w.must(w.client.Status().Update(w.Context(), mu))
	case choice < 13:
		w.note("a look at %s is asked for", name)
		metav1.SetMetaDataAnnotation(&mu.ObjectMeta, v1alpha1.ReconcileRequestedAtAnnotation, strconv.Itoa(w.random.Int()))
		w.must(w.client.Update(w.Context(), mu))
	case choice < 18:
		w.changeUser()
	case choice < 20:
		key := pick(w, "", "wrong", calcomtest.DefaultClient().Secret, calcomtest.DefaultClient().Secret)
		w.note("the Secret is set to %q", key)
		w.setSecret(key)
	case choice < 21:
		w.note("the answer to the next create call will be lost")
		w.loses = true
	default:
		w.note("time passes")
		w.clock.SetTime(w.clock.Now().Add(pick(w, time.Second, time.Minute, 3*time.Minute)))
	}
}

func (w *world) note(format string, args ...any) {
	w.trace = append(w.trace, fmt.Sprintf(format, args...))
}

func (w *world) edit(s *v1alpha1.ManagedUserSpec) {
	edits := []func(){
		func() { s.Email = pick(w, emails...) },
		func() { s.Name = pick(w, "", "Ada", "Bob") },
		func() { s.TimeZone = pick(w, "", "Europe/Rome", "America/Port-au-Prince", "Nowhere/Land") },
		func() { s.WeekStart = pick(w, "", "Monday") },
		func() { s.TimeFormat = pick(w, int32(0), 12, 24) },
		func() { s.Bio = pick(w, nil, new(""), new("About")) },
		func() { s.AvatarURL = pick(w, "", "https://example.com/a.png") },
		func() { s.Metadata = pick(w, nil, map[string]string{"plan": "gold"}, map[string]string{"seat": "3"}) },
		func() { s.CreateOnly = pick(w, nil, []v1alpha1.SpecField{"name", "metadata"}) },
		func() { s.DeletionPolicy = pick(w, "", v1alpha1.DeletionPolicyDelete, v1alpha1.DeletionPolicyOrphan) },
		func() { s.AdoptionPolicy = pick(w, "", v1alpha1.AdoptionPolicyByEmail) },
		func() {
			s.ReconcilePolicy = pick(w, "", "", v1alpha1.ReconcilePolicyObserve, v1alpha1.ReconcilePolicySuspend)
		},
		func() { s.Tokens = pick(w, nil, &v1alpha1.TokensSpec{SecretName: pick(w, "tokens-a", "tokens-b")}) },
		func() {
			if users := w.sandbox.Users(calcomtest.DefaultClient().ID); s.UserID == 0 && len(users) > 0 {
				s.UserID = pick(w, users...).ID
			}
		},
	}
	pick(w, edits...)()
}

// changeUser changes Cal.com by hand.
func (w *world) changeUser() {
	id := calcomtest.DefaultClient().ID
	users := w.sandbox.Users(id)
	if len(users) == 0 || w.random.IntN(5) == 0 {
		defer func() { _ = recover() }() // The address or its username is taken: then nothing happens.
		u := w.sandbox.AddUser(id, calcomtest.User{Email: pick(w, emails...), Name: new("Stranger")})
		w.note("somebody creates user %d", u.ID)
		return
	}
	u := pick(w, users...)
	switch w.random.IntN(5) {
	case 0:
		w.note("user %d is removed by hand", u.ID)
		w.sandbox.RemoveUser(id, u.ID)
	case 1:
		w.note("user %d gets another's mark", u.ID)
		w.sandbox.UpdateUser(id, u.ID, func(u *calcomtest.User) { u.Metadata = map[string]any{"kubernetesOwner": "elsewhere/ns/name/uid"} })
	case 2:
		w.note("user %d gets nested metadata", u.ID)
		w.sandbox.UpdateUser(id, u.ID, func(u *calcomtest.User) { u.Metadata = map[string]any{"nested": map[string]any{"a": 1}} })
	case 3:
		w.note("user %d loses its metadata", u.ID)
		w.sandbox.UpdateUser(id, u.ID, func(u *calcomtest.User) { u.Metadata = nil })
	default:
		w.note("user %d gets another name", u.ID)
		w.sandbox.UpdateUser(id, u.ID, func(u *calcomtest.User) { u.Name, u.TimeZone = new("By hand"), "Asia/Tokyo" })
	}
}

// what is compared of a rehearsal and of what really happened.
type account struct {
	Calls      []string
	Writes     []string
	Events     []string
	Conditions []string
	Finalizers []string
	User       *v1alpha1.CalcomUser
	Gone       bool
	Next       time.Duration
	BacksOff   bool
}

// recordedWrites notes what is written on its way to the API server.
type recordedWrites struct {
	client.Client

	seen []string
}

func (r *recordedWrites) note(verb string, o client.Object, sub string) {
	kind := o.GetObjectKind().GroupVersionKind().Kind
	switch o.(type) {
	case *v1alpha1.ManagedUser:
		kind = "ManagedUser"
	case *corev1.Secret:
		kind = "Secret"
	case *corev1.ConfigMap:
		kind = "ConfigMap"
	}
	r.seen = append(r.seen, verb+" "+kind+sub+" "+strings.TrimPrefix(client.ObjectKeyFromObject(o).String(), "/"))
}

func (r *recordedWrites) Patch(ctx context.Context, o client.Object, p client.Patch, opts ...client.PatchOption) error {
	r.note("patch", o, "")
	return r.Client.Patch(ctx, o, p, opts...)
}

func (r *recordedWrites) Create(ctx context.Context, o client.Object, opts ...client.CreateOption) error {
	r.note("create", o, "")
	return r.Client.Create(ctx, o, opts...)
}

func (r *recordedWrites) Apply(ctx context.Context, o runtime.ApplyConfiguration, opts ...client.ApplyOption) error {
	r.seen = append(r.seen, "apply Secret")
	return r.Client.Apply(ctx, o, opts...)
}

func (r *recordedWrites) Delete(ctx context.Context, o client.Object, opts ...client.DeleteOption) error {
	r.note("delete", o, "")
	return r.Client.Delete(ctx, o, opts...)
}

func (r *recordedWrites) Status() client.SubResourceWriter {
	return &recordedStatus{r.Client.Status(), r}
}

type recordedStatus struct {
	client.SubResourceWriter

	to *recordedWrites
}

func (r *recordedStatus) Patch(ctx context.Context, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
	r.to.note("patch", o, "/status")
	return r.SubResourceWriter.Patch(ctx, o, p, opts...)
}

type recordedEvents []string

func (r *recordedEvents) Eventf(_, _ runtime.Object, _, reason, _, note string, args ...any) {
	*r = append(*r, reason+": "+fmt.Sprintf(note, args...))
}

// reconcile lets a real operator, which has just started, do what the rehearsal foretold.
func (w *world) reconcile(key client.ObjectKey) account {
	w.Helper()
	writes, events := &recordedWrites{Client: w.client}, &recordedEvents{}
	r, err := controller.New(writes, w.client, events, w.config)
	w.must(err)
	w.sandbox.ResetCalls()
	var a account
	for range 10 {
		result, err := r.Reconcile(w.Context(), ctrl.Request{NamespacedName: key})
		a.Next, a.BacksOff = result.RequeueAfter, err != nil
		if err != nil {
			a.Next = time.Second
			break
		}
		if a.Next == 0 || a.Next >= time.Second {
			break
		}
	}
	for _, call := range w.sandbox.Calls() {
		id := call.UserID
		if call.Op == calcomtest.OpCreate || call.Op == calcomtest.OpRefresh { // A plan says what the path names.
			id = 0
		}
		a.Calls = append(a.Calls, fmt.Sprintf("%s %d %d", call.Method, id, call.Status))
	}
	a.Writes, a.Events = writes.seen, []string(*events)
	mu := &v1alpha1.ManagedUser{}
	if err := w.client.Get(w.Context(), key, mu); err != nil {
		a.Gone = true
		return a
	}
	w.takeObject(&a, mu)
	return a
}

func (w *world) takeObject(a *account, mu *v1alpha1.ManagedUser) {
	a.Finalizers, a.User = mu.Finalizers, mu.Status.User
	for _, c := range mu.Status.Conditions {
		a.Conditions = append(a.Conditions, fmt.Sprintf("%s=%s/%s (%d): %s", c.Type, c.Status, c.Reason, c.ObservedGeneration, c.Message))
	}
	slices.Sort(a.Conditions)
}

func (w *world) foretold(o *plan.Outcome) account {
	a := account{Gone: o.Object == nil, Next: o.Next, BacksOff: o.BacksOff}
	for _, s := range o.Steps {
		switch {
		case s.At == plan.CalCom:
			a.Calls = append(a.Calls, fmt.Sprintf("%s %d %d", s.Verb, s.UserID, s.Status))
		case s.Verb == "apply":
			a.Writes = append(a.Writes, "apply Secret")
		default:
			a.Writes = append(a.Writes, s.Verb+" "+s.Object)
		}
	}
	for _, e := range o.Events {
		a.Events = append(a.Events, e.Reason+": "+e.Note)
	}
	if o.Object != nil {
		w.takeObject(&a, o.Object)
	}
	return a
}

// namedUser is where a text names a user.
var namedUser = regexp.MustCompile(`(user |user ID=|(?:GET|PATCH|DELETE|POST) )(\d+)\b`)

// known takes out of both accounts what nobody can foretell: the ids that Cal.com will give, and how it spells JSON and
// time zones.
func known(a account, ids ...int64) account {
	replace := func(text string) string {
		return namedUser.ReplaceAllStringFunc(text, func(found string) string {
			match := namedUser.FindStringSubmatch(found)
			if id, _ := strconv.ParseInt(match[2], 10, 64); slices.Contains(ids, id) {
				return match[1] + "(new)"
			}
			return found
		})
	}
	for _, texts := range [][]string{a.Calls, a.Events, a.Conditions} {
		for i := range texts {
			texts[i] = replace(texts[i])
		}
	}
	if a.User != nil {
		user := a.User.DeepCopy()
		if slices.Contains(ids, user.ID) || user.ID > 1<<52 {
			user.ID = 0
			if user.DefaultScheduleID != nil {
				user.DefaultScheduleID = new(int64(0))
			}
		}
		user.Metadata, user.TimeZone = nil, strings.ToLower(user.TimeZone)
		a.User = user
	}
	return a
}

// Whatever happens, what a rehearsal foretells is what the operator then does: the same calls in the same order with
// the same answers, the same writes, events and conditions, and the same moment of the next look.
func TestForetellsTheOperator(t *testing.T) {
	const seeds, steps = 6, 45
	for seed := range uint64(seeds) {
		t.Run(fmt.Sprint("Seed", seed), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, seed)
			for range steps {
				w.happen()
				for _, name := range names {
					w.compare(client.ObjectKey{Namespace: w.namespace, Name: name})
				}
			}
		})
	}
}

func (w *world) compare(key client.ObjectKey) {
	w.Helper()
	before := w.ids()
	r := plan.New(plan.Options{Cluster: w.client, Scheme: newScheme(), Connect: w.connect, Config: w.config})
	r.Know(w.account(), w.census())
	w.sandbox.ResetCalls()
	outcome, err := r.Reconcile(w.Context(), key)
	w.must(err)
	for _, call := range w.sandbox.Calls() {
		if call.Method != http.MethodGet {
			w.Fatalf("the rehearsal sent %s", call.Method)
		}
	}
	if w.loses && slices.ContainsFunc(outcome.Steps, func(s plan.Step) bool { return s.Operation == calcom.OpCreate }) {
		// Nobody can foretell that, but what comes of it.
		w.loses = false
		w.sandbox.Inject(calcomtest.Fault{Op: calcomtest.OpCreate, After: w.random.IntN(2) == 0, Cut: true})
		w.note("  %s: %v", key.Name, w.reconcile(key).Calls)
		w.sandbox.ClearFaults()
		w.sandbox.ResetCalls()
		return
	}
	foretold, happened := w.foretold(outcome), w.reconcile(key)
	var created []int64
	for _, id := range w.ids() {
		if !slices.Contains(before, id) {
			created = append(created, id)
		}
	}
	if d := cmp.Diff(known(foretold), known(happened, created...), cmpopts.EquateEmpty()); d != "" {
		w.Fatalf("%s: foretold (-) and happened (+):\n%s\nafter:\n%s", key.Name, d, strings.Join(w.trace, "\n"))
	}
	w.note("  %s: %v", key.Name, happened.Calls)
	w.sandbox.ResetCalls()
}

func (w *world) account() plan.Account {
	return plan.Account{APIURL: w.sandbox.URL(), ClientID: calcomtest.DefaultClient().ID}
}

// census lists everybody.
func (w *world) census() []calcom.User {
	w.Helper()
	c, err := calcom.New(calcom.Config{
		BaseURL: w.sandbox.URL(), ClientID: calcomtest.DefaultClient().ID, SecretKey: calcom.Hide(calcomtest.DefaultClient().Secret), UserAgent: "test",
	})
	w.must(err)
	users, err := c.Users(w.Context(), calcom.MaxListed, 0)
	w.must(err)
	return users
}

func (w *world) ids() []int64 {
	var ids []int64
	for _, u := range w.sandbox.Users(calcomtest.DefaultClient().ID) {
		ids = append(ids, u.ID)
	}
	return ids
}
