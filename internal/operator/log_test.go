// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	testclock "k8s.io/utils/clock/testing"

	"github.com/calcom-operator/calcom-operator/internal/calcom"
)

// terminating is how the API server refuses an object in a namespace that is being deleted.
func terminating() error {
	err := apierrors.NewForbidden(schema.GroupResource{Resource: "events"}, "alice.1", errors.New("namespace team is being terminated"))
	err.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: corev1.NamespaceTerminatingCause}}
	return err
}

func TestLogger(t *testing.T) {
	told := &calcom.Error{Status: http.StatusServiceUnavailable, Operation: calcom.OpGet}
	refused := &url.Error{Op: "Get", URL: "https://10.0.0.1", Err: errors.New("connection refused")}
	internal := apierrors.NewInternalError(errors.New("etcd is slow"))
	forbidden := apierrors.NewForbidden(schema.GroupResource{Resource: "managedusers"}, "alice", errors.New("no"))
	for name, tc := range map[string]struct {
		errs []error
		want string
	}{
		"ConditionsTell":       {[]error{told, fmt.Errorf("reading: %w", told)}, "debug debug"},
		"EndingNamespace":      {[]error{terminating(), fmt.Errorf("creating: %w", terminating())}, "debug debug"},
		"NamespaceGone":        {[]error{apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, "team")}, "debug"},
		"ObjectGone":           {[]error{apierrors.NewNotFound(schema.GroupResource{Resource: "secrets"}, "calcom")}, "error"},
		"MissingRights":        {[]error{forbidden, forbidden}, "error error"},
		"ToldAndMissingRights": {[]error{errors.Join(told, forbidden)}, "error"},
		"APIServerFails":       {[]error{internal, refused, context.DeadlineExceeded, internal}, "error debug debug debug"},
		"ToldWhileItFails":     {[]error{errors.Join(told, internal), internal}, "error debug"},
		"OtherErrors":          {[]error{errors.New("a mistake"), nil, errors.New("a mistake")}, "error error error"},
	} {
		t.Run(name, func(t *testing.T) {
			var levels []string
			clock := testclock.NewFakePassiveClock(time.Unix(0, 0))
			write := func(_, line string) {
				if !strings.Contains(line, `"Reconciler error"`) || !strings.Contains(line, `"user"="alice"`) {
					t.Errorf("the line is %s", line)
				}
				level := "error"
				if strings.Contains(line, `"level"=1`) {
					level = "debug"
				}
				levels = append(levels, level)
			}
			logger := Logger(funcr.New(write, funcr.Options{Verbosity: debugLevel}), clock)
			for _, err := range tc.errs {
				logger.WithName("controllers").WithValues("user", "alice").Error(err, "Reconciler error")
			}
			if d := cmp.Diff(tc.want, strings.Join(levels, " ")); d != "" {
				t.Errorf("levels (-want +got):\n%s", d)
			}
		})
	}
}

// An outage that goes on is told again, and at the default level nothing else is.
func TestLoggerDuringAnOutage(t *testing.T) {
	lines := 0
	clock := testclock.NewFakePassiveClock(time.Unix(0, 0))
	logger := Logger(funcr.New(func(string, string) { lines++ }, funcr.Options{}), clock)
	for range 100 {
		logger.Error(apierrors.NewTooManyRequests("busy", 1), "Reconciler error")
		clock.SetTime(clock.Now().Add(time.Second))
	}
	if lines != 2 {
		t.Errorf("%d lines in 100 s, want 2", lines)
	}
}
