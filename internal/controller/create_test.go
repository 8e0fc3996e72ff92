// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

func TestCreate(t *testing.T) {
	s := newStory(t)
	mu := s.create(func(spec *v1alpha1.ManagedUserSpec) {
		spec.TimeZone = "America/Port-au-Prince"
		spec.WeekStart = "Monday"
		spec.TimeFormat = 24
		spec.Locale = "it"
		spec.Bio = new("A bio")
		spec.AvatarURL = "https://example.com/alice.png"
		spec.Metadata = map[string]string{"plan": "gold <&>"}
	})
	s.wantReady(mu, "Created")
	s.wantCalls(calcomtest.OpCreate)
	s.wantWrites("patch", "patch status")
	s.wantEvents("Created")

	// The status is the API's answer, field by field.
	answer := getJSON(t, s.sandbox, mu)
	status, err := json.Marshal(mu.Status.User)
	s.must(err)
	var mirrored map[string]any
	s.must(json.Unmarshal(status, &mirrored))
	for key, value := range answer {
		if value == nil {
			delete(answer, key) // A null of the API is an absent field in Kubernetes.
		}
	}
	if d := cmp.Diff(answer, mirrored); d != "" {
		t.Errorf("status.user and the API's answer differ (-API +status):\n%s", d)
	}
	if got, want := mirrored["timeZone"], "America/Port-au-prince"; got != want {
		t.Errorf("timeZone is %v, want Cal.com's spelling %v", got, want)
	}
	metadata, _ := mirrored["metadata"].(map[string]any)
	if got, want := metadata["kubernetesOwner"], "test-cluster/"+s.namespace+"/alice/"+string(mu.UID); got != want {
		t.Errorf("mark is %v, want %v", got, want)
	}

	// Nothing changed: nothing is written, nobody is called; at the drift check one look is enough.
	s.reconcile(mu)
	s.wantCalls()
	s.wantWrites()
	s.due(mu)
	s.wantCalls(calcomtest.OpGet)
	s.wantWrites()
	s.wantReady(mu, "Created")
	s.wantEvents()
}

// getJSON asks the sandbox for the user as any client would.
func getJSON(t *testing.T, sandbox *calcomtest.Server, mu *v1alpha1.ManagedUser) map[string]any {
	t.Helper()
	users := sandbox.Users(mu.Spec.OAuthClient.ID)
	if len(users) != 1 {
		t.Fatalf("Cal.com has %d users, want 1", len(users))
	}
	url := sandbox.URL() + "/oauth-clients/" + mu.Spec.OAuthClient.ID + "/users?limit=1"
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("x-cal-secret-key", calcomtest.DefaultClient().Secret)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	var parsed struct{ Data []map[string]any }
	if err := json.Unmarshal(body, &parsed); err != nil || len(parsed.Data) != 1 {
		t.Fatalf("answer %s: %v", body, err)
	}
	sandbox.ResetCalls()
	return parsed.Data[0]
}

// The finalizer and the record of the call are written before the call, and a stale copy of the object gets no
// further than that write.
func TestCreateRecordsItsIntentFirst(t *testing.T) {
	s := newStory(t)
	mu := s.user()
	s.must(s.client.Create(t.Context(), mu))
	s.sandbox.Inject(calcomtest.Fault{Op: calcomtest.OpCreate, Match: func(*http.Request) bool {
		fresh := mu.DeepCopy()
		s.reload(fresh)
		if len(fresh.Finalizers) != 1 || !strings.Contains(fresh.Annotations[v1alpha1.CreateIntentAnnotation], `"alice@example.com"`) {
			t.Errorf("at the time of the call the object has finalizers %v and annotations %v", fresh.Finalizers, fresh.Annotations)
		}
		return true
	}})
	s.reconcile(mu)
	s.wantReady(mu, "Created")

	stale := s.user()
	stale.Name = "bob"
	stale.Spec.Email = "bob@example.com"
	s.must(s.client.Create(t.Context(), stale))
	s.writes.fail = func(write string) error {
		if write == "patch" { // Somebody writes to the object between the read and the patch.
			s.request(stale.DeepCopy(), "x")
		}
		return nil
	}
	s.sandbox.ResetCalls()
	if result, err := s.reconcile(stale).unpack(); err != nil || result.RequeueAfter == 0 {
		t.Errorf("a conflict ends with %v, %v; want a quiet requeue", result, err)
	}
	s.wantCalls()
	if len(stale.Finalizers) != 0 {
		t.Errorf("finalizers are %v", stale.Finalizers)
	}
}

// Whatever becomes of the answer, and wherever the process dies, there is one user in the end, and no second call.
func TestCreateWithALostAnswer(t *testing.T) {
	faults := map[string]calcomtest.Fault{
		"ConnectionCutAfterTheEffect": {Op: calcomtest.OpCreate, Cut: true, After: true},
		"BodyCutInTheMiddle":          {Op: calcomtest.OpCreate, CutBody: true},
		"ServerErrorAfterTheEffect":   {Op: calcomtest.OpCreate, Status: 500, After: true},
		"GatewayTimeoutInHTML":        {Op: calcomtest.OpCreate, Status: 504, After: true, Body: "<html>", ContentType: "text/html"},
		"RequestTimeout":              {Op: calcomtest.OpCreate, Status: 408, After: true},
		"SuccessThatIsHTML":           {Op: calcomtest.OpCreate, Status: 201, After: true, Body: "<html>", ContentType: "text/html"},
		"SuccessWithoutAnID":          {Op: calcomtest.OpCreate, Status: 201, After: true, Body: `{"status":"success","data":{"user":{}}}`},
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			s := newStory(t)
			s.sandbox.Inject(fault)
			mu := s.user()
			s.must(s.client.Create(t.Context(), mu))
			if s.reconcile(mu).err == nil {
				t.Error("no back-off after an unknown outcome")
			}
			s.wantConditions(mu, "Ready=False/RemoteUnavailable", "Synced=False/RemoteUnavailable",
				"CredentialsReady=Unknown/Progressing", "Reconciling=True/Progressing")
			s.wantCalls(calcomtest.OpCreate)
			s.restart()
			s.reconcile(mu)
			s.wantReady(mu, "InSync")
			s.wantCalls(calcomtest.OpList)
			if n := len(s.sandbox.Users(s.clientID())); n != 1 {
				t.Errorf("Cal.com has %d users, want 1", n)
			}
		})
	}
}

// The status write fails, or the process dies before it: the user is found again by its mark.
func TestCreateWithALostStatus(t *testing.T) {
	s := newStory(t)
	s.writes.fail = func(write string) error {
		if write == "patch status" {
			return http.ErrServerClosed
		}
		return nil
	}
	mu := s.user()
	s.must(s.client.Create(t.Context(), mu))
	if s.reconcile(mu).err == nil {
		t.Error("a failed status write was not reported")
	}
	s.writes.fail = nil
	s.restart()
	s.reconcile(mu)
	s.wantReady(mu, "InSync")
	s.wantCalls(calcomtest.OpCreate, calcomtest.OpList)
	s.delete(mu)
	s.wantGone(mu)
	if n := len(s.sandbox.Users(s.clientID())); n != 0 {
		t.Errorf("Cal.com has %d users left", n)
	}
}

// A create that the server finishes long after its caller gave up, while the address in the spec is edited.
func TestCreateFinishedLate(t *testing.T) {
	s := newStory(t)
	s.sandbox.Inject(calcomtest.Fault{Op: calcomtest.OpCreate, Cut: true, After: true, EffectDelay: 90 * time.Second})
	mu := s.create()
	s.edit(mu, func(spec *v1alpha1.ManagedUserSpec) { spec.Email = "alice.new@example.com" })
	for range 4 {
		s.advance(15 * time.Second)
		result, err := s.reconcile(mu).unpack()
		if err != nil || result.RequeueAfter == 0 || result.RequeueAfter > 20*time.Second {
			t.Errorf("reconcile ends with %v, %v; want another look soon", result, err)
		}
	}
	if n := s.sandbox.Count(calcomtest.OpCreate); n != 1 {
		t.Fatalf("%d create calls while the first one's outcome is unknown", n)
	}
	s.wantMessage(mu, "outcome of the create call is unknown")
	s.advance(45 * time.Second)
	s.reconcile(mu)
	s.wantReady(mu, "Updated")
	users := s.sandbox.Users(s.clientID())
	if len(users) != 1 || users[0].Email != "alice.new+"+s.clientID()+"@example.com" {
		t.Errorf("Cal.com has %v, want one user with the new address", users)
	}
}

// The answer is lost; the address is edited and the update's answer is lost too; the address is edited again. The id is
// on record before the first address is given up.
func TestCreateWithLostAnswersAndEditedAddresses(t *testing.T) {
	s := newStory(t)
	s.sandbox.Inject(
		calcomtest.Fault{Op: calcomtest.OpCreate, Cut: true, After: true},
		calcomtest.Fault{Op: calcomtest.OpUpdate, Cut: true, After: true},
	)
	mu := s.create()
	s.edit(mu, func(spec *v1alpha1.ManagedUserSpec) { spec.Email = "second@example.com" })
	s.writes.fail = func(string) error { // The process dies after the update was sent.
		if s.sandbox.Count(calcomtest.OpUpdate) > 0 {
			return http.ErrServerClosed
		}
		return nil
	}
	s.reconcile(mu)
	s.writes.fail = nil
	s.restart()
	s.edit(mu, func(spec *v1alpha1.ManagedUserSpec) { spec.Email = "third@example.com" })
	s.advance(3 * time.Minute)
	s.reconcile(mu)
	s.wantReady(mu, "Updated")
	if users := s.sandbox.Users(s.clientID()); len(users) != 1 {
		t.Errorf("Cal.com has %d users, want 1", len(users))
	}
}

// A backup kept the finalizer and lost annotations and status: what the finalizer stands for is looked for first.
func TestCreateWithAFinalizerAndNoRecord(t *testing.T) {
	s := newStory(t)
	mu := s.user()
	mu.Finalizers = []string{v1alpha1.ManagedUserFinalizer}
	s.must(s.client.Create(t.Context(), mu))
	s.sandbox.Inject(calcomtest.Fault{Op: calcomtest.OpCreate, Status: 403})
	s.reconcile(mu)
	s.wantCalls(calcomtest.OpList)
	s.wantMessage(mu, "outcome of the create call is unknown")
	s.advance(2 * time.Minute)
	s.reconcile(mu)
	s.wantCalls(calcomtest.OpList, calcomtest.OpCreate)
	if len(mu.Finalizers) != 1 {
		t.Error("a refusal took off a finalizer that was there before")
	}
}

// When the first call came to nothing, two minutes are enough to know.
func TestCreateAgainAfterTheGrace(t *testing.T) {
	s := newStory(t)
	s.sandbox.Inject(calcomtest.Fault{Op: calcomtest.OpCreate, Cut: true})
	mu := s.create()
	s.advance(119 * time.Second)
	s.reconcile(mu)
	if n := s.sandbox.Count(calcomtest.OpCreate); n != 1 {
		t.Fatalf("%d create calls within two minutes", n)
	}
	s.advance(2 * time.Second)
	s.reconcile(mu)
	s.wantReady(mu, "Created")
	if n := s.sandbox.Count(calcomtest.OpCreate); n != 2 {
		t.Errorf("%d create calls, want 2", n)
	}
}

// A call that certainly had no effect leaves no finalizer behind: the object can be deleted at once, without Secret.
func TestCreateRefused(t *testing.T) {
	cases := map[string]struct {
		fault      calcomtest.Fault
		conditions []string
		words      []string
	}{
		"WrongSecret": {
			fault:      calcomtest.Fault{Op: calcomtest.OpCreate, Status: 401},
			conditions: []string{"Ready=False/Unauthorized", "CredentialsReady=False/Unauthorized", "Synced=Unknown/Progressing", "Stalled=True/Unauthorized"},
			words:      []string{"refuses the credentials", "secret key"},
		},
		"Forbidden": {
			fault:      calcomtest.Fault{Op: calcomtest.OpCreate, Status: 403},
			conditions: []string{"Ready=False/Forbidden", "CredentialsReady=False/Forbidden", "Synced=Unknown/Progressing", "Stalled=True/Forbidden"},
		},
		"NoSuchAPI": {
			fault:      calcomtest.Fault{Op: calcomtest.OpCreate, Status: 404, Body: `{"status":"error","error":{"code":"NotFoundException","message":"Cannot POST /v2/x"}}`},
			conditions: []string{"Ready=False/UnexpectedResponse", "CredentialsReady=Unknown/Progressing", "Synced=False/UnexpectedResponse", "Stalled=True/UnexpectedResponse"},
			words:      []string{"Platform"},
		},
		"Gone": {
			fault:      calcomtest.Fault{Op: calcomtest.OpCreate, Status: 410},
			conditions: []string{"Ready=False/UnexpectedResponse", "CredentialsReady=Unknown/Progressing", "Synced=False/UnexpectedResponse", "Stalled=True/UnexpectedResponse"},
		},
		"InvalidForCalcom": {
			fault: calcomtest.Fault{Op: calcomtest.OpCreate, Status: 400, Body: `{"status":"error","error":{"code":"BadRequestException","message":"Bad Request Exception",
				"details":{"errors":[{"target":{"email":"alice@example.com"},"value":"alice@example.com","property":"avatarUrl","constraints":{"isUrl":"avatarUrl must be a URL address"}}]}}}`},
			conditions: []string{"Ready=False/InvalidSpec", "CredentialsReady=True/Verified", "Synced=False/InvalidSpec", "Stalled=True/InvalidSpec"},
			words:      []string{"avatarUrl must be a URL address"},
		},
		"TooManyRequests": {
			fault:      calcomtest.Fault{Op: calcomtest.OpCreate, Status: 429},
			conditions: []string{"Ready=False/RateLimited", "CredentialsReady=Unknown/Progressing", "Synced=False/RateLimited", "Reconciling=True/Progressing"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s := newStory(t)
			s.sandbox.Inject(tc.fault)
			mu := s.user()
			s.must(s.client.Create(t.Context(), mu))
			result, err := s.reconcile(mu).unpack()
			if err != nil || result.RequeueAfter < time.Minute {
				t.Errorf("reconcile ends with %v, %v; want a slow poll", result, err)
			}
			s.wantConditions(mu, tc.conditions...)
			s.wantMessage(mu, tc.words...)
			s.deleteSecret()
			s.must(s.client.Delete(t.Context(), mu))
			s.wantGone(mu)
		})
	}
}

func TestCreateOnAServerThatIsDownWritesLittle(t *testing.T) {
	s := newStory(t)
	mu := s.user()
	s.must(s.client.Create(t.Context(), mu))
	s.sandbox.Close()
	s.reconcile(mu)
	s.wantConditions(mu, "Ready=False/RemoteUnavailable", "Synced=False/RemoteUnavailable",
		"CredentialsReady=Unknown/Progressing", "Reconciling=True/Progressing")
	s.writes.take()
	for range 3 {
		s.advance(time.Minute)
		if s.reconcile(mu).err == nil {
			t.Error("no back-off while the server is down")
		}
	}
	s.wantWrites() // That another operation fails now, looking up in place of creating, is no news.
}

func TestCreateWithoutAValidTimeZone(t *testing.T) {
	s := newStory(t)
	mu := s.create(func(spec *v1alpha1.ManagedUserSpec) { spec.TimeZone = "Mars/Phobos" })
	s.wantConditions(mu, "Ready=False/InvalidSpec", "CredentialsReady=Unknown/Progressing", "Synced=False/InvalidSpec", "Stalled=True/InvalidSpec")
	s.wantMessage(mu, "timeZone", "IANA")
	s.wantCalls()
	if len(mu.Finalizers) != 0 {
		t.Error("the object has a finalizer and nothing to finalize")
	}
	s.edit(mu, func(spec *v1alpha1.ManagedUserSpec) { spec.TimeZone = "europe/rome" })
	s.reconcile(mu)
	s.wantReady(mu, "Created")
}

// A spec that Cal.com refuses is not sent again before it changes, or somebody asks.
func TestRefusedSpecIsNotSentAgain(t *testing.T) {
	s := newStory(t)
	mu := s.create(func(spec *v1alpha1.ManagedUserSpec) { spec.AvatarURL = "https://host-without-dot/a.png" })
	want := []string{"Ready=False/InvalidSpec", "CredentialsReady=True/Verified", "Synced=False/InvalidSpec", "Stalled=True/InvalidSpec"}
	s.wantConditions(mu, want...)
	s.wantCalls(calcomtest.OpCreate)
	s.writes.take()
	s.due(mu)
	s.wantConditions(mu, want...)
	s.wantCalls()
	s.wantWrites()
	s.request(mu, "now")
	s.reconcile(mu)
	s.wantCalls(calcomtest.OpCreate)
	s.edit(mu, func(spec *v1alpha1.ManagedUserSpec) { spec.AvatarURL = "https://example.com/a.png" })
	s.reconcile(mu)
	s.wantReady(mu, "Created")
}

// A refused call's record is taken back even if the object is edited meanwhile.
func TestCreateRefusedWhileTheObjectIsEdited(t *testing.T) {
	s := newStory(t)
	mu := s.user()
	s.must(s.client.Create(t.Context(), mu))
	s.sandbox.Inject(calcomtest.Fault{Op: calcomtest.OpCreate, Status: 400, Match: func(*http.Request) bool {
		s.edit(mu.DeepCopy(), func(spec *v1alpha1.ManagedUserSpec) { spec.Name = "Alicia" })
		return true
	}})
	s.reconcile(mu)
	if len(mu.Finalizers) != 0 {
		t.Errorf("finalizers are %v after a call that had no effect", mu.Finalizers)
	}
	s.reconcile(mu)
	s.wantReady(mu, "Created")
}

func TestCreateWaitsForTheSecret(t *testing.T) {
	s := newStory(t)
	s.deleteSecret()
	mu := s.create()
	s.wantConditions(mu, "Ready=False/SecretNotFound", "CredentialsReady=False/SecretNotFound", "Synced=Unknown/Progressing", "Reconciling=True/Progressing")
	s.wantMessage(mu, "Secret calcom", "secretKey")
	s.wantEvents("SecretNotFound")
	s.reconcile(mu)
	s.wantEvents()
	s.createSecret("")
	s.reconcile(mu)
	s.wantConditions(mu, "Ready=False/KeyNotFound", "CredentialsReady=False/KeyNotFound", "Synced=Unknown/Progressing", "Reconciling=True/Progressing")
	s.setSecret("two\nlines")
	s.reconcile(mu)
	s.wantConditions(mu, "Ready=False/KeyNotFound", "CredentialsReady=False/KeyNotFound", "Synced=Unknown/Progressing", "Reconciling=True/Progressing")
	s.wantCalls()
	s.setSecret(calcomtest.DefaultClient().Secret + "\n") // As an editor leaves it.
	s.reconcile(mu)
	s.wantReady(mu, "Created")
}

func TestCreateWithAWrongSecretThatIsCorrected(t *testing.T) {
	s := newStory(t)
	s.setSecret("wrong")
	mu := s.create()
	s.wantConditions(mu, "Ready=False/Unauthorized", "CredentialsReady=False/Unauthorized", "Synced=Unknown/Progressing", "Stalled=True/Unauthorized")
	s.wantMessage(mu, "(status 401 UnauthorizedException)")
	s.wantCalls(calcomtest.OpCreate)
	// The client is closed: nobody else tries the same key, until the next probe.
	bob := s.user()
	bob.Name, bob.Spec.Email = "bob", "bob@example.com"
	s.must(s.client.Create(t.Context(), bob))
	s.reconcile(bob)
	s.reconcile(mu)
	s.wantConditions(bob, "Ready=False/Unauthorized", "CredentialsReady=False/Unauthorized", "Synced=Unknown/Progressing", "Stalled=True/Unauthorized")
	s.wantCalls()
	s.due(mu)
	s.reconcile(bob)
	s.wantCalls(calcomtest.OpList)
	s.setSecret(calcomtest.DefaultClient().Secret)
	s.reconcile(mu)
	s.wantReady(mu, "Created")
}

func TestAPIURLNotAllowed(t *testing.T) {
	s := newStory(t)
	s.config.AllowedAPIURLs = URLPrefixes{{scheme: "https", path: "/"}}
	s.restart()
	mu := s.create()
	s.wantConditions(mu, "Ready=False/APIURLNotAllowed", "CredentialsReady=False/APIURLNotAllowed", "Synced=Unknown/Progressing", "Stalled=True/APIURLNotAllowed")
	s.wantMessage(mu, "--allowed-api-urls")
	s.wantCalls()
}

// A spec edit or a creation waits for the operator's own share of the quota without a write; a Ready user stays so.
func TestQuotaIsKept(t *testing.T) {
	s := newStory(t)
	s.sandbox = calcomtest.New(t, calcomtest.Options{Now: s.clock.Now, RateLimit: 500})
	s.config.RateLimitShare = 0.002 // One call of 500.
	s.restart()
	mu := s.create()
	s.wantReady(mu, "Created")
	s.writes.take()
	s.edit(mu, func(spec *v1alpha1.ManagedUserSpec) { spec.Name = "Alice B" })
	result, err := s.reconcile(mu).unpack()
	if err != nil || result.RequeueAfter < 59*time.Second || result.RequeueAfter > 2*time.Minute {
		t.Errorf("reconcile ends with %v, %v; want a wait of a window", result, err)
	}
	s.wantWrites()
	s.wantCalls(calcomtest.OpCreate)
	if got := conditions(mu); !strings.Contains(strings.Join(got, " "), "Ready=True") {
		t.Errorf("conditions are %v", got)
	}
}

// Somebody new whose credentials are refused costs no write at each attempt, neither to the object nor to what it would
// need.
func TestRefusedCredentialsCostNoWrites(t *testing.T) {
	s := newStory(t)
	s.config.ProtectSecrets = true
	s.restart()
	s.setSecret("wrong")
	mu := s.create()
	s.wantConditions(mu, "Ready=False/Unauthorized", "CredentialsReady=False/Unauthorized", "Synced=Unknown/Progressing", "Stalled=True/Unauthorized")
	s.writes.take()
	s.sandbox.ResetCalls()
	for range 3 {
		s.advance(2 * resync)
		s.reconcile(mu)
		s.wantCalls(calcomtest.OpList)
	}
	s.restart()
	s.reconcile(mu)
	s.wantCalls(calcomtest.OpList)
	s.wantWrites()
	s.setSecret(calcomtest.DefaultClient().Secret)
	s.reconcile(mu)
	s.wantReady(mu, "Created")
}
