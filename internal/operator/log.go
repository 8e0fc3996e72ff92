// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"context"
	"errors"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"

	"github.com/calcom-operator/calcom-operator/internal/outcome"
)

const (
	// debugLevel is the level of logr that is written as debug.
	debugLevel = 1

	// outageLines is the least time between two error lines about an API server that fails.
	outageLines = time.Minute
)

// Logger returns a logger that writes some errors at debug level, since the libraries log one for each object: errors
// that the conditions tell of, for which the reconcilers log one line per OAuth client and outage; writes to a
// namespace that is being deleted, as events of its objects are; and, within a minute of the last such line, that the
// API server cannot be reached or fails.
func Logger(l logr.Logger, c clock.PassiveClock) logr.Logger {
	return l.WithSink(&logSink{LogSink: l.GetSink(), outage: &outageLine{clock: c}})
}

// logSink decides by the error and not by the message, which is a library's.
type logSink struct {
	logr.LogSink

	outage *outageLine
}

func (s *logSink) Error(err error, message string, keysAndValues ...any) {
	switch {
	case !s.isQuiet(err):
		s.LogSink.Error(err, message, keysAndValues...)
	case s.Enabled(debugLevel):
		s.Info(debugLevel, message, append(slices.Clip(keysAndValues), "error", err.Error())...)
	}
}

func (s *logSink) WithValues(keysAndValues ...any) logr.LogSink {
	return &logSink{LogSink: s.LogSink.WithValues(keysAndValues...), outage: s.outage}
}

func (s *logSink) WithName(name string) logr.LogSink {
	return &logSink{LogSink: s.LogSink.WithName(name), outage: s.outage}
}

// isQuiet reports whether an error is for the debug level. One that comes from Cal.com and from the API server at once
// is judged by what the API server said, of which no condition tells.
func (s *logSink) isQuiet(err error) bool {
	var answer apierrors.APIStatus
	if errors.As(err, &answer) {
		status := answer.Status()
		fails := status.Code >= http.StatusInternalServerError || status.Code == http.StatusTooManyRequests
		return isOfEndingNamespace(err, status.Details) || fails && !s.outage.take()
	}
	if outcome.IsTold(err) {
		return true
	}
	var unreachable net.Error
	return (errors.As(err, &unreachable) || errors.Is(err, context.DeadlineExceeded)) && !s.outage.take()
}

// isOfEndingNamespace reports whether a write was refused because its namespace is being deleted, or is gone.
func isOfEndingNamespace(err error, details *metav1.StatusDetails) bool {
	return apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) ||
		apierrors.IsNotFound(err) && details != nil && details.Kind == "namespaces"
}

// outageLine spaces out the error lines about an API server that fails.
type outageLine struct {
	clock clock.PassiveClock

	mu   sync.Mutex
	last time.Time
}

// take reports whether a line may be written now, and counts it as written.
func (o *outageLine) take() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := o.clock.Now()
	if !o.last.IsZero() && now.Sub(o.last) < outageLines {
		return false
	}
	o.last = now
	return true
}
