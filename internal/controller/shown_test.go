// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	testclock "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/account"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
	"github.com/calcom-operator/calcom-operator/internal/manageduser"
	"github.com/calcom-operator/calcom-operator/internal/outcome"
)

// carriers are values of every type of this package that carries somebody's data or a secret through a visit, and of
// what they carry. The objects of the API are not among them: they are their readers' own.
func carriers(t *testing.T) map[string]any {
	t.Helper()
	mu := pureUser()
	mu.Spec.Email, mu.Spec.Name, mu.Spec.Bio, mu.Spec.AvatarURL = "canary@example.com", "canary", new("canary"), "https://canary"
	mu.Spec.Metadata = map[string]string{"canary": "canary"}
	user := calcom.User{
		ID: 7, ClientID: pureClientID, Email: calcom.Hide("canary@example.org"), Username: calcom.Hide(new("canary")), Name: calcom.Hide(new("canary's")),
		Bio: calcom.Hide(new("canaries")), AvatarURL: calcom.Hide(new("https://canary.example")),
		Metadata: calcom.Hide(calcom.Metadata{"canary": json.RawMessage(`"canary"`)}),
	}
	found := manageduser.Candidate{User: user, Known: true}
	config := Config{Clock: testclock.NewFakePassiveClock(pureNow), Transport: NewTransport(1), RateLimitShare: 1}
	login, err := newAccounts(config).login("ns/name", account.Name{APIURL: "https://api.cal.com/v2", ClientID: pureClientID}, calcom.Hide("canary"))
	if err != nil {
		t.Fatal(err)
	}
	mu.Status.User = &v1alpha1.CalcomUser{ID: 7, Email: "canary@example.com"}
	tokens := &tokenPair{Tokens: calcom.Tokens{AccessToken: calcom.Hide("canary"), RefreshToken: calcom.Hide("canary")}, userID: 7, issued: pureNow}
	memory := newTokensMemory(config)
	memory.keep(mu, tokens)
	secret := &corev1.Secret{Data: tokensData(mu, account.Name{}, 7, tokens)}
	tokensFound := foundTokens{mu: mu, userID: 7, newest: tokens, secret: secret, want: calcom.Hide(secret.Data)}
	judged := judgement{verdict: writeTokens, pair: tokens, record: recordOf("uid", tokens)}
	v := visit{mu: mu, before: mu, cal: &session{login: login}, mark: pureMark}
	record := manageduser.Intent{Time: pureNow, Email: calcom.Hide("canary@example.com"), Replaces: 6}
	facts := manageduser.Facts{Object: mu, Before: mu, Mark: pureMark, CreateCall: manageduser.CreateCall{Intent: &record}}
	facts.Seen.KeepUser(7, &user)
	facts.Seen.KeepList([]string{"canary@example.com"}, []calcom.User{user})
	action := manageduser.Action{
		Verb: manageduser.VerbUpdate, UserID: 7, User: &found, Change: manageduser.Diff(mu, user, pureMark), Metadata: user.Metadata, Emails: calcom.Hide([]string{"canary@example.com"}),
	}
	return map[string]any{
		"User": user, "NewUser": manageduser.NewUser(mu, pureMark), "Update": manageduser.Diff(mu, user, pureMark).Update, "Difference": *manageduser.Diff(mu, user, pureMark),
		"DifferencePointer": manageduser.Diff(mu, user, pureMark), "Candidate": found, "CandidatePointer": &found, "Candidates": []manageduser.Candidate{found},
		"Facts": &facts, "Evidence": facts.Seen, "Action": action, "ActionPointer": &action, "Actions": []manageduser.Action{action},
		"Intent": record, "IntentPointer": &record, "Visit": &v, "Visits": []any{&v}, "Login": login, "Session": v.cal,
		"Tokens": calcom.Tokens{AccessToken: calcom.Hide("canary"), RefreshToken: calcom.Hide("canary")},
		"Pair":   *tokens, "PairPointer": tokens, "TokensMemory": memory, "TokensKept": memory.of(client.ObjectKeyFromObject(mu), mu.UID),
		"TokensFound": &tokensFound, "Judgement": judged, "JudgementPointer": &judged,
		"TokensSecret": tokensSecret{judgement: judged, secret: secret}, "TokensVisit": tokensVisit{cal: &session{login: login}, userID: 7},
		"TokensRecord": recordOf("uid", tokens),
		"Config":       calcom.Config{SecretKey: calcom.Hide("canary")}, "Secret": calcom.Hide("canary"),
		"Inside": struct {
			Found manageduser.Candidate
			found manageduser.Candidate
			i     manageduser.Intent
		}{found, found, record},
	}
}

// loggers are loggers of every make, at the highest level that there is, and all that they wrote.
func loggers(t *testing.T) (map[string]logr.Logger, *bytes.Buffer) {
	t.Helper()
	var written bytes.Buffer
	options := &zap.Options{}
	flags := flag.NewFlagSet("", flag.ContinueOnError)
	options.BindFlags(flags)
	if err := flags.Parse([]string{"--zap-log-level=127"}); err != nil {
		t.Fatal(err)
	}
	to := func(extra ...zap.Opts) logr.Logger {
		return zap.New(append([]zap.Opts{zap.UseFlagOptions(options), zap.WriteTo(&written)}, extra...)...)
	}
	handler := &slog.HandlerOptions{Level: slog.Level(-127)}
	write := func(prefix, args string) { fmt.Fprintln(&written, prefix, args) }
	return map[string]logr.Logger{
		"ZapJSON":        to(zap.JSONEncoder()),
		"ZapConsole":     to(zap.ConsoleEncoder()),
		"ZapDevelopment": to(zap.UseDevMode(true)),
		"Funcr":          funcr.New(write, funcr.Options{Verbosity: 127}),
		"FuncrJSON":      funcr.NewJSON(func(line string) { write("", line) }, funcr.Options{Verbosity: 127}),
		"SlogText":       logr.FromSlogHandler(slog.NewTextHandler(&written, handler)),
		"SlogJSON":       logr.FromSlogHandler(slog.NewJSONHandler(&written, handler)),
	}, &written
}

func TestNothingShownInLogs(t *testing.T) {
	for name, value := range carriers(t) {
		all, written := loggers(t)
		for kind, logger := range all {
			written.Reset()
			logger.V(100).Info("marker", "value", value, "list", []any{value}, "map", map[string]any{"k": value})
			logger.WithValues("value", value).Error(fmt.Errorf("wrapped: %w", fmt.Errorf("%v %+v %#v %d", value, value, value, value)), "message")
			slog.New(logr.ToSlogHandler(logger)).Error("message", "key", value, "group", slog.GroupValue(slog.Any("key", value)))
			if !strings.Contains(written.String(), "marker") {
				t.Fatalf("%s wrote nothing at the highest level", kind)
			}
			if strings.Contains(strings.ToLower(written.String()), "canar") {
				t.Errorf("%s shows what %s holds:\n%s", kind, name, written)
			}
		}
	}
}

func TestNothingShownInSlog(t *testing.T) {
	for name, value := range carriers(t) {
		var written bytes.Buffer
		for _, handler := range []slog.Handler{slog.NewTextHandler(&written, nil), slog.NewJSONHandler(&written, nil)} {
			slog.New(handler).With("with", value).Error("message", "key", value, "group", slog.GroupValue(slog.Any("key", value)))
		}
		if strings.Contains(strings.ToLower(written.String()), "canar") {
			t.Errorf("slog shows what %s holds:\n%s", name, &written)
		}
	}
}

func TestNothingShownInFmt(t *testing.T) {
	for name, value := range carriers(t) {
		for verb := range strings.FieldsSeq("%v %+v %#v %s %q %d %x %X %c %U %t %T %p %z") {
			text := fmt.Sprintf(verb, value)
			for _, form := range []string{"canary", "63616e617279", "99 97 110 97 114 121"} {
				if strings.Contains(strings.ToLower(text), form) {
					t.Errorf("%s of %s shows what is hidden: %s", verb, name, text)
				}
			}
		}
	}
}

// TestPlumbingErrors has errors of the API server that quote what it was given.
func TestPlumbingErrors(t *testing.T) {
	kind := schema.GroupKind{Group: v1alpha1.GroupVersion.Group, Kind: "ManagedUser"}
	invalid := apierrors.NewInvalid(kind, "alice", field.ErrorList{
		field.Invalid(field.NewPath("spec", "email"), "canary@example.com", "must be in lower case, unlike canary@example.com"),
		field.Invalid(field.NewPath("spec", "metadata").Key("canary"), "canary", "too long"),
	})
	bad := apierrors.NewBadRequest(`admission webhook "x" denied the request: canary@example.com`)
	unknown := apierrors.NewInvalid(kind, "alice", field.ErrorList{field.Invalid(field.NewPath("patch"),
		`{"bio":"strict decoding error: unknown field \"canary\""}`,
		`strict decoding error: unknown field "status.apiURL", unknown field "status.user.bio"`)})
	for name, tc := range map[string]struct {
		err  error
		want string
	}{
		"UnknownField":   {unknown, "refused a write as Invalid: patch, unknown field status.apiURL, unknown field status.user.bio"},
		"Invalid":        {fmt.Errorf("writing the status: %w", invalid), "refused a write as Invalid: spec.email, spec.metadata"},
		"BadRequest":     {bad, "refused a write as BadRequest"},
		"JoinedConflict": {errors.Join(invalid, errAgain), ""},
		"Other":          {errors.New("connection refused"), "connection refused"},
	} {
		t.Run(name, func(t *testing.T) {
			r := &ManagedUserReconciler{retries: newRetries(Config{})}
			_, err := r.plumbing(&visit{mu: pureUser()}, tc.err, nil)
			text := fmt.Sprintf("%v", err)
			if err == nil {
				text = ""
			}
			if !strings.Contains(text, tc.want) || strings.Contains(text, "canary") {
				t.Errorf("got %q, want it to tell %q", text, tc.want)
			}
			if err != nil && name != "Other" && strings.Contains(fmt.Sprintf("%#v %+v", err, err), "canary") {
				t.Errorf("the error shows in Go syntax what it was made of: %#v", err)
			}
		})
	}
}

func TestKeyNames(t *testing.T) {
	many := strings.Fields("a b c d e f g h i j k l")
	for _, tc := range []struct {
		keys []string
		want string
	}{
		{[]string{"vitalSettings", "a.b_c-D"}, "vitalSettings, a.b_c-D"},
		{[]string{"alice@example.com", "x"}, "x, 1 keys not named here"},
		{[]string{"", " ", "\x1b[31m", "a\nb", strings.Repeat("a", 41), "ü"}, "6 keys not named here"},
		{many, "a, b, c, d, e, f, g, h, i, j, 2 keys not named here"},
	} {
		if got := outcome.KeyNames(tc.keys); got != tc.want {
			t.Errorf("%q became %q, want %q", tc.keys, got, tc.want)
		}
	}
}

// TestMarksOfOthersAreNotQuoted has marks that name what is no object.
func TestMarksOfOthersAreNotQuoted(t *testing.T) {
	for _, name := range []string{"canary@example.com", "Canary", "canary\n", strings.Repeat("canary", 50), "", "-canary"} {
		raw, err := json.Marshal("cluster/ns/" + name + "/uid")
		if err != nil {
			t.Fatal(err)
		}
		user := calcom.User{ID: 7, Metadata: metadataOf(v1alpha1.OwnerMetadataKey, string(raw))}
		f := &manageduser.Facts{Object: pureUser(), Mark: pureMark}
		if message := f.OwnedElsewhere(&user).Error(); strings.Contains(strings.ToLower(message), "canary") {
			t.Errorf("the message quotes %q: %s", name, message)
		}
		if pureMark.OwnershipOf(user) != manageduser.Foreign {
			t.Errorf("a mark with the name %q is not foreign", name)
		}
	}
}
