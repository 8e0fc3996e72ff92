// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package outcome

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
)

// verdict is a problem without its words.
type verdict struct {
	condition, reason string
	severity          Severity
	pace              Pace
	after             time.Duration
	quiet             bool
}

func TestClassify(t *testing.T) {
	const userMissing = "User with ID 7 is not part of this OAuth client."
	var (
		unavailable  = verdict{condition: v1alpha1.ConditionSynced, reason: v1alpha1.ReasonRemoteUnavailable}
		unexpected   = verdict{condition: v1alpha1.ConditionSynced, reason: v1alpha1.ReasonUnexpectedResponse, severity: Waiting}
		noSuchAPI    = verdict{condition: v1alpha1.ConditionSynced, reason: v1alpha1.ReasonUnexpectedResponse, severity: Stalled, pace: Slowly}
		invalidSpec  = verdict{condition: v1alpha1.ConditionSynced, reason: v1alpha1.ReasonInvalidSpec, severity: Stalled, pace: Slowly}
		blocked      = verdict{condition: v1alpha1.ConditionSynced, reason: v1alpha1.ReasonDeletionBlocked, severity: Stalled, pace: Slowly}
		taken        = verdict{condition: v1alpha1.ConditionSynced, reason: v1alpha1.ReasonAlreadyExists, severity: Stalled, pace: Slowly}
		unauthorized = verdict{condition: v1alpha1.ConditionCredentialsReady, reason: v1alpha1.ReasonUnauthorized, severity: Stalled, pace: Slowly}
		forbidden    = verdict{condition: v1alpha1.ConditionCredentialsReady, reason: v1alpha1.ReasonForbidden, severity: Stalled, pace: Slowly}
	)
	limited := func(after time.Duration) verdict {
		return verdict{condition: v1alpha1.ConditionSynced, reason: v1alpha1.ReasonRateLimited, pace: Later, after: after}
	}
	cases := map[string]struct {
		err   calcom.Error
		want  verdict
		words []string
	}{
		"NoAnswer":            {calcom.Error{Operation: calcom.OpCreate}, unavailable, []string{"gave no answer to creating the user", "back-off"}},
		"NotSent":             {calcom.Error{Operation: calcom.OpGet, NotSent: true}, unavailable, []string{"gave no answer to getting the user"}},
		"RequestTimeout":      {calcom.Error{Operation: calcom.OpCreate, Status: 408}, unavailable, []string{"status 408", "back-off"}},
		"TooEarly":            {calcom.Error{Operation: calcom.OpUpdate, Status: 425}, unavailable, []string{"status 425"}},
		"InternalServerError": {calcom.Error{Operation: calcom.OpDelete, Status: 500, Message: "no"}, unavailable, []string{"status 500 to deleting the user"}},
		"BadGateway":          {calcom.Error{Operation: calcom.OpGet, Status: 502}, unavailable, []string{"status 502"}},
		"Unavailable":         {calcom.Error{Operation: calcom.OpGet, Status: 503}, unavailable, []string{"status 503"}},
		"BeyondTheRegistry":   {calcom.Error{Operation: calcom.OpGet, Status: 599}, unavailable, []string{"status 599"}},
		"UnreadableSuccess":   {calcom.Error{Operation: calcom.OpCreate, Status: 201, Unreadable: true}, unavailable, []string{"unreadable answer (status 201)"}},

		"RateLimited":               {calcom.Error{Operation: calcom.OpGet, Status: 429, RateLimit: calcom.RateLimit{Known: true, Limit: 500, Reset: 42 * time.Second}}, limited(42 * time.Second), []string{"quota", "next window"}},
		"RateLimitedByAProxy":       {calcom.Error{Operation: calcom.OpGet, Status: 429, RetryAfter: 17 * time.Second}, limited(17 * time.Second), []string{"quota"}},
		"RateLimitedWithBoth":       {calcom.Error{Operation: calcom.OpGet, Status: 429, RateLimit: calcom.RateLimit{Reset: time.Second}, RetryAfter: time.Hour}, limited(time.Second), nil},
		"RateLimitedWithoutHeaders": {calcom.Error{Operation: calcom.OpCreate, Status: 429}, limited(time.Minute), []string{"quota"}},

		"Unauthorized": {
			calcom.Error{Operation: calcom.OpGet, Status: 401, Message: "ApiAuthStrategy - oAuth client - Invalid client secret"}, unauthorized,
			[]string{"refuses the credentials (status 401); put", "Secret", "client id"},
		},
		"UnauthorizedWithAnOddKey": {
			calcom.Error{Operation: calcom.OpGet, Status: 401, Code: "UnauthorizedException", KeyForm: "has quotation marks around it; leave them out"}, unauthorized,
			[]string{"(status 401 UnauthorizedException); the secret key has quotation marks around it; leave them out; put"},
		},
		"UnauthorizedWithoutWords": {calcom.Error{Operation: calcom.OpCreate, Status: 401}, unauthorized, []string{"(status 401)"}},
		"Forbidden": {
			calcom.Error{Operation: calcom.OpGet, Status: 403, Message: "OrganizationRolesGuard - User must have one of the roles: ADMIN, OWNER."}, forbidden,
			[]string{"forbids the call (status 403); the", "owner or admin"},
		},

		"NoSuchRouteOnCreate": {calcom.Error{Operation: calcom.OpCreate, Status: 404, Message: "Cannot POST /v2/x"}, noSuchAPI, []string{"no managed users (status 404)", "apiURL"}},
		"NoSuchRouteOnGet":    {calcom.Error{Operation: calcom.OpGet, Status: 404, Message: "Cannot GET /v2/x"}, noSuchAPI, []string{"status 404"}},
		"GoneOnGet":           {calcom.Error{Operation: calcom.OpGet, Status: 410}, noSuchAPI, []string{"status 410", "Platform API"}},
		"OtherPageOnCreate":   {calcom.Error{Operation: calcom.OpCreate, Status: 404}, noSuchAPI, []string{"apiURL"}},
		"OtherPageOnList":     {calcom.Error{Operation: calcom.OpList, Status: 404}, noSuchAPI, []string{"apiURL"}},
		"MissingOnGet":        {calcom.Error{Operation: calcom.OpGet, Status: 404, Message: userMissing}, unavailable, []string{"denied a user", "looking again"}},
		"MissingOnUpdate":     {calcom.Error{Operation: calcom.OpUpdate, Status: 404, Message: userMissing}, unavailable, []string{"looking again"}},
		"MissingOnDelete":     {calcom.Error{Operation: calcom.OpDelete, Status: 404, Message: userMissing}, unavailable, []string{"looking again"}},

		"ConflictOnUpdate": {calcom.Error{Operation: calcom.OpUpdate, Status: 409, Code: "CONFLICT"}, taken, []string{"new e-mail", "username", "choose another"}},
		"ConflictOnCreate": {calcom.Error{Operation: calcom.OpCreate, Status: 409, Code: "CONFLICT"}, unexpected, []string{"status 409 CONFLICT"}},

		"BadRequestWithRules": {
			calcom.Error{Operation: calcom.OpCreate, Status: 400, Code: "BadRequestException", Message: "Bad Request Exception", Constraints: []calcom.Constraint{
				{Property: "name", Rule: "name must be a string"}, {Property: "timeZone", Rule: "timeZone must be a valid IANA time-zone"},
			}}, invalidSpec,
			[]string{"(name must be a string; timeZone must be a valid IANA time-zone)", "correct it"},
		},
		"BadRequestWithoutRules":   {calcom.Error{Operation: calcom.OpUpdate, Status: 400, Code: "TRPCError", Message: "shy"}, invalidSpec, []string{"(status 400 TRPCError)", "correct it"}},
		"TooLarge":                 {calcom.Error{Operation: calcom.OpCreate, Status: 413, Message: "request entity too large"}, invalidSpec, []string{"(status 413)"}},
		"Unprocessable":            {calcom.Error{Operation: calcom.OpUpdate, Status: 422}, invalidSpec, []string{"(status 422)"}},
		"BadRequestOnDelete":       {calcom.Error{Operation: calcom.OpDelete, Status: 400, Code: "BAD_REQUEST"}, blocked, []string{"refuses to delete", "Orphan"}},
		"UnprocessableOnDelete":    {calcom.Error{Operation: calcom.OpDelete, Status: 422}, blocked, []string{"refuses to delete"}},
		"BadRequestOnRefresh":      {calcom.Error{Operation: calcom.OpRefresh, Status: 400, Code: "TRPCError"}, unexpected, []string{"status 400 TRPCError", "back-off"}},
		"BadRequestOnForceRefresh": {calcom.Error{Operation: calcom.OpForceRefresh, Status: 422}, unexpected, []string{"status 422", "back-off"}},
		"MovedPermanently":         {calcom.Error{Operation: calcom.OpGet, Status: 301}, unexpected, []string{"status 301", "no rule", "back-off"}},
		"TemporaryRedirect":        {calcom.Error{Operation: calcom.OpCreate, Status: 307}, unexpected, []string{"creating the user", "status 307"}},
		"Teapot":                   {calcom.Error{Operation: calcom.OpGet, Status: 418, Code: "Tea"}, unexpected, []string{"status 418 Tea"}},
		"MethodNotAllowed":         {calcom.Error{Operation: calcom.OpUpdate, Status: 405}, unexpected, []string{"status 405"}},
		"UnavailableForLegalCause": {calcom.Error{Operation: calcom.OpGet, Status: 451}, unexpected, []string{"status 451"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			for how, err := range map[string]error{
				"bare": &tc.err, "wrapped": fmt.Errorf("reading: %w", &tc.err), "joined": errors.Join(io.EOF, &tc.err),
			} {
				p := Classify(err)
				if p == nil {
					t.Fatalf("%s: no problem", how)
				}
				if d := cmp.Diff(tc.want, verdictOf(p), cmp.AllowUnexported(verdict{})); d != "" {
					t.Errorf("%s: problem (-want +got):\n%s", how, d)
				}
				if !errors.Is(p, &tc.err) {
					t.Errorf("%s: the cause is lost: %v", how, p.Cause)
				}
				for _, words := range tc.words {
					if !strings.Contains(p.Message, words) {
						t.Errorf("%s: message lacks %q: %s", how, words, p.Message)
					}
				}
				checkMessage(t, p.Message)
			}
		})
	}
}

func verdictOf(p *Problem) verdict {
	return verdict{condition: p.Condition, reason: p.Reason, severity: p.Severity, pace: p.Pace, after: p.After, quiet: p.Quiet}
}

// checkMessage checks what holds for every message.
func checkMessage(t *testing.T, message string) {
	t.Helper()
	first, _ := utf8.DecodeRuneInString(message)
	if !unicode.IsUpper(first) || strings.HasSuffix(message, ".") || strings.ContainsAny(message, "@\n") || len(message) > MaxMessage {
		t.Errorf("no message as it should be: %q", message)
	}
}

func TestClassifyKeepsProblems(t *testing.T) {
	p := NotSynced(v1alpha1.ReasonInvalidSpec, "There is no OAuth client; set oauthClient")
	p.Cause = &calcom.Error{Status: 500}
	for _, err := range []error{p, fmt.Errorf("connecting: %w", p), errors.Join(&calcom.Error{Status: 500}, p)} {
		if got := Classify(err); got != p {
			t.Errorf("%v became %v", err, got)
		}
	}
}

func TestClassifyLeavesOtherErrorsAlone(t *testing.T) {
	for _, err := range []error{
		nil, io.EOF, context.DeadlineExceeded, fmt.Errorf("patching: %w", context.Canceled), errors.Join(io.EOF, errors.New("x")),
	} {
		if got := Classify(err); got != nil {
			t.Errorf("%v became %v, want nil", err, got)
		}
	}
}
