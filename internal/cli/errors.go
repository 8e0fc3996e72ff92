// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	utilnet "k8s.io/apimachinery/pkg/util/net"

	"github.com/calcom-operator/calcom-operator/internal/calcom"
)

// advised is an error with its remedy.
type advised struct {
	error
	remedy string
}

func (e advised) Unwrap() error { return e.error }

// advise adds what to do to an error. What stands nearest to the cause wins.
func advise(err error, format string, args ...any) error {
	if err == nil || errors.As(err, new(advised)) {
		return err
	}
	return advised{error: err, remedy: fmt.Sprintf(format, args...)}
}

// adviseIfMissing adds what to do to an error of something that is not there. Others have their own remedies.
func adviseIfMissing(err error, format string, args ...any) error {
	if !apierrors.IsNotFound(err) {
		return err
	}
	return advise(err, format, args...)
}

// complain returns an error of somebody's input, with its remedy.
func complain(what, remedy string) error { return advised{error: errors.New(what), remedy: remedy} }

// sentence is an error as a person is told it: what happened, and what to do about it.
func sentence(err error) string {
	if errors.Is(err, context.Canceled) {
		return "interrupted; start it again and it goes on from here."
	}
	text := strings.TrimRight(plainly(err), ".")
	if remedy := remedyFor(err); remedy != "" {
		text += "; " + remedy
	}
	return text + "."
}

// remedyFor says what to do about an error, as far as it is known.
func remedyFor(err error) string {
	if known, ok := errors.AsType[advised](err); ok {
		return known.remedy
	}
	switch {
	case meta.IsNoMatchError(err):
		return "install the operator's CRDs first"
	case apierrors.IsUnauthorized(err):
		return "log in to the cluster again"
	case apierrors.IsForbidden(err):
		return "ask for this right, or use a context that has it"
	case utilnet.IsConnectionRefused(err):
		return "see whether the server runs, and whether it can be reached from here"
	case calcom.IsUnauthorized(err), calcom.IsForbidden(err):
		return "see that the Secret holds the OAuth client's secret key and the id is right"
	case calcom.IsNoSuchAPI(err):
		return "see that apiURL is that of a Cal.com API v2 with the Platform"
	}
	return remedyForTrouble(err)
}

// remedyForTrouble says what to do when a server did not answer, or the command line is none.
func remedyForTrouble(err error) string {
	if failure, ok := errors.AsType[*calcom.Error](err); ok && (failure.NotSent || failure.OutcomeUnknown()) {
		return "see whether Cal.com, by the apiURL of the OAuth client, can be reached from here, and start again"
	}
	if _, ok := errors.AsType[*url.Error](err); ok {
		return "see whether the cluster's API server can be reached from here, as by kubectl version"
	}
	if text := err.Error(); strings.HasPrefix(text, "unknown command") || strings.Contains(text, "unknown") && strings.Contains(text, "flag") {
		return "see --help for what there is"
	}
	return ""
}

// plainly is the text of an error without what libraries add to it: cobra's block of suggestions, and the step of its
// own at which client-go failed.
func plainly(err error) string {
	text := strings.ReplaceAll(err.Error(), "failed to get server groups: ", "")
	if command, suggested, ok := strings.Cut(text, "\n\nDid you mean this?\n"); ok {
		text = command + " (did you mean " + strings.Join(strings.Fields(suggested), " or ") + "?)"
	}
	return text
}
