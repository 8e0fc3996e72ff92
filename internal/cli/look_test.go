// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/plan"
	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

// testSession is a session with a cluster of the given objects, in namespace team. What refuse returns an error for is
// refused.
func testSession(t *testing.T, refuse func(verb string, o client.Object) error, objects ...client.Object) (*session, *bytes.Buffer) {
	t.Helper()
	var out bytes.Buffer
	flags := genericclioptions.NewConfigFlags(true)
	flags.Namespace = new("team")
	s := &session{IOStreams: genericiooptions.IOStreams{In: &bytes.Buffer{}, Out: &out, ErrOut: io.Discard}, flags: flags, share: 1}
	objects = append(objects, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "kube-system", UID: "cluster-uid"}})
	builder := fake.NewClientBuilder().WithScheme(scheme()).WithObjects(objects...).WithStatusSubresource(&v1alpha1.ManagedUser{})
	check := func(verb string, o client.Object) error {
		if refuse == nil {
			return nil
		}
		return refuse(verb, o)
	}
	s.cluster = builder.WithInterceptorFuncs(interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
			if err := check("get", o); err != nil {
				return err
			}
			return c.Get(ctx, key, o, opts...)
		},
		Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			if err := check("create", o); err != nil {
				return err
			}
			return c.Create(ctx, o, opts...)
		},
		Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
			if err := check("patch", o); err != nil {
				return err
			}
			return c.Patch(ctx, o, p, opts...)
		},
	}).Build()
	return s, &out
}

func execute(t *testing.T, cmd *cobra.Command, args ...string) error {
	t.Helper()
	cmd.SetArgs(args)
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	return cmd.ExecuteContext(t.Context())
}

func forbidden(what string) error {
	return apierrors.NewForbidden(schema.GroupResource{Resource: what}, "x", errors.New("User \"ann\" cannot do that"))
}

func testSecret() *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "calcom"}, Data: map[string][]byte{"secretKey": []byte(calcomtest.DefaultClient().Secret)},
	}
}

// settledUser is a user that the operator has made.
func settledUser(sandbox *calcomtest.Server) *v1alpha1.ManagedUser {
	u := sandbox.AddUser(calcomtest.DefaultClient().ID, calcomtest.User{
		Email: "ada@example.com", Name: new("Ada"), Metadata: map[string]any{"kubernetesOwner": "cluster-uid/team/ada/ada-uid"},
	})
	mu := &v1alpha1.ManagedUser{
		ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "ada", UID: "ada-uid", Generation: 1, Finalizers: []string{v1alpha1.ManagedUserFinalizer}},
		Spec: v1alpha1.ManagedUserSpec{
			OAuthClient: &v1alpha1.OAuthClientCredentials{
				ID: calcomtest.DefaultClient().ID, APIURL: sandbox.URL(), SecretKeyRef: v1alpha1.SecretKeyReference{Name: "calcom", Key: "secretKey"},
			},
			Email: "ada@example.com", Name: "Ada", TimeZone: "Europe/Rome",
		},
	}
	mu.Status = v1alpha1.ManagedUserStatus{
		ObservedGeneration: 1, OAuthClientID: calcomtest.DefaultClient().ID,
		User: &v1alpha1.CalcomUser{
			ID: u.ID, Email: u.Email, Name: new("Ada"), TimeZone: "Asia/Tokyo", CreatedDate: u.CreatedDate.UTC().Format("2006-01-02T15:04:05.000Z"),
		},
	}
	for _, c := range []struct{ kind, reason string }{{"Ready", "Available"}, {"Synced", "Created"}, {"CredentialsReady", "Verified"}} {
		mu.Status.Conditions = append(mu.Status.Conditions, metav1.Condition{
			Type: c.kind, Status: metav1.ConditionTrue, Reason: c.reason, Message: c.reason, ObservedGeneration: 1, LastTransitionTime: metav1.Now(),
		})
	}
	return mu
}

// The spec is compared with Cal.com where the secret key can be read, and else with the status; the output says which.
func TestStatusComparesWithWhatItCanRead(t *testing.T) {
	for name, test := range map[string]struct {
		secrets bool
		args    []string
		want    []string
		calls   int
	}{
		"Live":     {secrets: true, want: []string{"    spec:    Europe/Rome\n    Cal.com: Europe/London\n"}, calls: 1},
		"Offline":  {secrets: true, args: []string{"--offline"}, want: []string{"    spec:    Europe/Rome\n    status:  Asia/Tokyo\n"}},
		"NoRights": {want: []string{"    spec:    Europe/Rome\n    status:  Asia/Tokyo\n", "Note: Cal.com was not asked", "ask for this right"}},
	} {
		t.Run(name, func(t *testing.T) {
			sandbox := calcomtest.New(t)
			refuse := func(_ string, o client.Object) error {
				if _, secret := o.(*corev1.Secret); secret && !test.secrets {
					return forbidden("secrets")
				}
				return nil
			}
			s, out := testSession(t, refuse, testSecret(), settledUser(sandbox))
			if err := execute(t, newStatus(s), append([]string{"ada"}, test.args...)...); err != nil {
				t.Fatal(err)
			}
			for _, want := range test.want {
				if !strings.Contains(out.String(), want) {
					t.Errorf("the output lacks %q:\n%s", want, out)
				}
			}
			if n := len(sandbox.Calls()); n != test.calls {
				t.Errorf("%d calls, want %d", n, test.calls)
			}
		})
	}
}

func testManifest(t *testing.T, sandbox *calcomtest.Server, more string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "users.yaml")
	text := `
apiVersion: platform.cal.com/v1alpha1
kind: ManagedUser
metadata: {name: bob}
spec:
  oauthClient: {id: ` + calcomtest.DefaultClient().ID + `, apiURL: "` + sandbox.URL() + `", secretKeyRef: {name: calcom, key: secretKey}}
  email: bob@example.com
  name: Bob
` + more
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// A plan can be made by who may not write, and says that nobody has checked the manifests.
func TestPlanWithoutRights(t *testing.T) {
	sandbox := calcomtest.New(t)
	refuse := func(verb string, _ client.Object) error {
		if verb != "get" {
			return forbidden("managedusers")
		}
		return nil
	}
	s, out := testSession(t, refuse, testSecret())
	if err := execute(t, newPlan(s), "-f", testManifest(t, sandbox, "")); !errors.Is(err, errDifferent) {
		t.Fatalf("plan ends with %v", err)
	}
	for _, want := range []string{"+ create    team/bob", "    email: bob@example.com", "Note: You may not apply these manifests", "Plan: 1 to create"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the output lacks %q:\n%s", want, out)
		}
	}
}

// What is wrong with the input is told with its remedy.
func TestPlanRefuses(t *testing.T) {
	t.Setenv("EMPTY_KEY", "")
	t.Setenv("ODD_KEY", "\ufeffcanary")
	for name, test := range map[string]struct {
		more string
		args []string
		// alone are the arguments when there is no manifest beside them.
		alone bool
		want  string
	}{
		"NoFiles":       {alone: true, want: "name some by -f"},
		"NoSuchFile":    {alone: true, args: []string{"-f", "nowhere"}, want: "nowhere"},
		"UnknownField":  {more: "  title: Dr\n", want: `unknown field "spec.title"`},
		"OtherCase":     {more: "  Bio: Hello\n", want: `unknown field "spec.Bio"`},
		"Twice":         {more: "---\napiVersion: platform.cal.com/v1alpha1\nkind: ManagedUser\nmetadata: {name: bob}\nspec: {email: b@example.com}\n", want: "is there twice"},
		"OtherVersion":  {more: "---\napiVersion: platform.cal.com/v9\nkind: ManagedUser\nmetadata: {name: x}\n", want: "version v9"},
		"NoSecret":      {want: "neither in the cluster nor among the manifests"},
		"NoPlaceForKey": {args: []string{"--secret-key-from=KEY"}, want: "give env:NAME or file:PATH"},
		"EmptyKey":      {args: []string{"--secret-key-from=env:EMPTY_KEY"}, want: "there is no secret key in env EMPTY_KEY"},
		"OddKey":        {args: []string{"--secret-key-from=env:ODD_KEY"}, want: "the secret key begins with a byte order mark"},
		"BadFormat":     {args: []string{"-o", "xml", "--secret-key-from=file:/dev/null"}, want: "there is no secret key"},
		"Arguments":     {alone: true, args: []string{"users.yaml"}, want: "name manifests by -f"},
		"EncryptedSecret": {
			more: "---\napiVersion: v1\nkind: Secret\nmetadata: {name: calcom}\nstringData: {secretKey: 'ENC[x]'}\nsops: {version: 3}\n", want: "--secret-key-from",
		},
	} {
		t.Run(name, func(t *testing.T) {
			sandbox := calcomtest.New(t)
			s, out := testSession(t, nil)
			args := test.args
			if !test.alone {
				args = append([]string{"-f", testManifest(t, sandbox, test.more)}, args...)
			}
			err := execute(t, newPlan(s), args...)
			if err == nil || !strings.Contains(sentence(err), test.want) || out.Len() != 0 {
				t.Errorf("plan ends with %v and prints %q; want %q", err, out, test.want)
			}
		})
	}
}

// Manifests come from the standard input too.
func TestPlanReadsStandardInput(t *testing.T) {
	sandbox := calcomtest.New(t)
	s, out := testSession(t, nil, testSecret())
	text, err := os.ReadFile(testManifest(t, sandbox, ""))
	if err != nil {
		t.Fatal(err)
	}
	s.In = bytes.NewReader(text)
	if err := execute(t, newPlan(s), "-f", "-"); !errors.Is(err, errDifferent) || !strings.Contains(out.String(), "1 to create") {
		t.Errorf("plan ends with %v and prints\n%s", err, out)
	}
}

// The operator's flags are read off its Deployment; what cannot be read is said.
func TestSettings(t *testing.T) {
	deployment := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "cal", Name: "o", Labels: operatorLabels}}
	deployment.Spec.Template.Spec.Containers = []corev1.Container{{Args: []string{
		"--owner-id=me", "--mass-delete-limit=7", "--resync-interval=$(RESYNC)", "--protect-secrets=false", "--watch-namespaces=team,other", "--unknown-outcome-grace=5m",
	}}}
	s, _ := testSession(t, nil, deployment)
	config, err := s.settings(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if config.OwnerID != "me" || config.Namespace != "cal" || config.MassDeleteLimit != 7 || config.ProtectSecrets || !config.ClusterClients ||
		config.UnknownOutcomeGrace != 5*time.Minute || config.ResyncInterval != 10*time.Minute || !config.watches("team") || config.watches("else") {
		t.Errorf("settings are %+v", config.Config)
	}
	want := []string{"The operator's --resync-interval cannot be read off its Deployment and is taken to be 10m0s."}
	if d := cmp.Diff(want, config.notes); d != "" {
		t.Errorf("notes (-want +got):\n%s", d)
	}
	s, _ = testSession(t, nil)
	if config, err = s.settings(t.Context()); err != nil || len(config.notes) != 1 || config.OwnerID != "cluster-uid" || !config.watches("any") {
		t.Errorf("without a Deployment: %+v, %v", config, err)
	}
}

// What Cal.com holds cannot act upon a terminal, nor pass for something else.
func TestShown(t *testing.T) {
	for want, value := range map[string]*string{
		"(none)": nil, `""`: new(""), "Ada Lovelace": new("Ada Lovelace"), `"\x1b[31mred"`: new("\x1b[31mred"), `"(none)"`: new("(none)"),
		`" x"`: new(" x"), `"a\nb"`: new("a\nb"), `"\u202eevil"`: new("\u202eevil"), "日本": new("日本"),
		strings.Repeat("x", 59) + "…": new(strings.Repeat("x", 100)),
	} {
		if got := shown(value); got != want {
			t.Errorf("shown gives %s, want %s", got, want)
		}
	}
	c := &plan.Change{Field: "email", From: new("a@example.com"), To: new("b@example.com")}
	if got := addresses(false).change(c); strings.Contains(got, "@") {
		t.Errorf("an address is shown: %s", got)
	}
}

// An API server quotes what it refuses; that may be somebody's.
func TestObjectionHidesValues(t *testing.T) {
	err := &apierrors.StatusError{ErrStatus: metav1.Status{Reason: metav1.StatusReasonInvalid, Message: "canary@example.com", Details: &metav1.StatusDetails{Causes: []metav1.StatusCause{
		{Field: "spec.email", Message: `Invalid value: "Canary \"x\": @example.com": must be in lower case`},
		{Field: "spec.metadata[canary]", Message: `Too long: may not be more than 500 bytes`},
		{Field: "spec.timeFormat", Message: `Unsupported value: 13: supported values: "12", "24"`},
	}}}}
	const want = `spec.email must be in lower case; spec.metadata Too long: may not be more than 500 bytes; spec.timeFormat supported values: "12", "24"`
	if got := objection(err); got != want {
		t.Errorf("objection is %q, want %q", got, want)
	}
}

// Who asks about a user that a move has left half-way is not sent to resume it by hand.
func TestStatusOfHandedOver(t *testing.T) {
	suspended := v1alpha1.ManagedUser{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "alice"}}
	suspended.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonSuspended}}
	moved := *suspended.DeepCopy()
	moved.Name, moved.Annotations = "bob", map[string]string{v1alpha1.HandoverAnnotation: `{"to":"other"}`}
	s, out := testSession(t, nil)
	s.printTroubles([]userRow{newUserRow(&suspended, time.Now()), newUserRow(&moved, time.Now())}, false)
	before, after, two := strings.Cut(out.String(), "Users: alice")
	if !two || !strings.Contains(before, "Manage") || strings.Contains(after, "Manage") || !strings.Contains(after, "kubectl calcom move") || !strings.Contains(after, "Users: bob") {
		t.Errorf("status prints\n%s", out.String())
	}
}

// What stops everybody is told once.
func TestPlanTellsOnce(t *testing.T) {
	s, out := testSession(t, nil)
	report := &planReport{Summary: map[string]int{actionConflict: 2}}
	for _, name := range []string{"alice", "bob"} {
		report.Users = append(report.Users, planned{Namespace: "team", Name: name, Action: actionConflict, Reason: "ClientNotFound", Message: "There is no OAuthClient acme", Remedy: "Create it."})
	}
	s.printPlan(report, false)
	want := `! conflict  team/alice: ClientNotFound
    There is no OAuthClient acme.
    What to do: Create it.
! conflict  team/bob: ClientNotFound
    as above

Plan: 0 to create, 0 to adopt, 0 to change, 0 unchanged, 2 conflicts.
`
	if d := cmp.Diff(want, out.String()); d != "" {
		t.Errorf("plan (-want +got):\n%s", d)
	}
}

// A table that does not fit puts names on lines of their own; no line is longer than the terminal.
func TestTableFits(t *testing.T) {
	s, out := testSession(t, nil)
	long := strings.Repeat("n", 75)
	if err := s.table([]string{"NAME", "READY", "REASON"}, [][]string{{long, "True", "Available"}, {"b", "False", "NotFound"}}); err != nil {
		t.Fatal(err)
	}
	want := "NAME\n   READY   REASON\n" + long + "\n   True    Available\nb\n   False   NotFound\n"
	if d := cmp.Diff(want, out.String()); d != "" {
		t.Errorf("table (-want +got):\n%s", d)
	}
	out.Reset()
	s.paragraph("Note: ", "      ", strings.Repeat("word ", 40)+strings.Repeat("x", 90))
	for line := range strings.Lines(out.String()) {
		if len(line) > narrow+1 && !strings.Contains(line, "xxx") {
			t.Errorf("a line has %d characters: %s", len(line), line)
		}
	}
}
