// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/calcom-operator/calcom-operator/internal/calcom"
)

// Every error is a sentence, with the remedy that stands nearest to the cause.
func TestSentence(t *testing.T) {
	forbidden := apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, "calcom", errors.New("no"))
	for want, err := range map[string]error{
		"it is so.":                          errors.New("it is so"),
		"it is so; do that.":                 fmt.Errorf("looking: %w", complain("it is so", "do that")),
		"use the other context":              advise(forbidden, "use the other context"),
		"ask for this right":                 fmt.Errorf("reading: %w", forbidden),
		"start it again":                     fmt.Errorf("waiting: %w", context.Canceled),
		"or use a context that has it":       adviseIfMissing(forbidden, "create it"),
		"(did you mean status?); see --help": errors.New("unknown command" + "\n\nDid you mean this?\n\tstatus\n"),
		"reached from here":                  &calcom.Error{Operation: calcom.OpList, NotSent: true},
		"API server can be reached":          &url.Error{Op: "Get", URL: "https://127.0.0.1:1/api", Err: errors.New("EOF")},
		"do the first":                       advise(complain("it is so", "do the first"), "do the second"),
	} {
		if got := sentence(err); !strings.Contains(got, want) || !strings.HasSuffix(got, ".") {
			t.Errorf("sentence(%v) = %q, want it to contain %q", err, got, want)
		}
	}
}

// Without a terminal, progress is a line for each tenth of the way.
func TestProgressWithoutTerminal(t *testing.T) {
	var out bytes.Buffer
	s := &session{IOStreams: genericiooptions.IOStreams{ErrOut: &out}}
	p := s.progress("Reading users", 600)
	for range 12 {
		p.add(50)
	}
	p.end()
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 11 || lines[0] != "Reading users: 50 of 600" || lines[10] != "Reading users: 600 of 600" {
		t.Errorf("%d lines:\n%s", len(lines), out.String())
	}
}

func TestOutput(t *testing.T) {
	value := map[string]int{"users": 3}
	for format, want := range map[string]string{"json": "{\n    \"users\": 3\n}\n", "yaml": "users: 3\n", "": ""} {
		var out bytes.Buffer
		printed, err := (&output{format: format}).print(&out, value)
		if err != nil || out.String() != want || printed != (format != "") {
			t.Errorf("-o %q prints %q, %v", format, out.String(), err)
		}
	}
	if _, err := (&output{format: "xml"}).print(&bytes.Buffer{}, value); err == nil || !strings.Contains(sentence(err), "give json or yaml") {
		t.Errorf("-o xml: %v", err)
	}
	var out bytes.Buffer
	if err := table(&out, []string{"NAME", "READY"}, [][]string{{"alice", "True"}}); err != nil || out.String() != "NAME    READY\nalice   True\n" {
		t.Errorf("table is %q, %v", out.String(), err)
	}
}

// A mistake is told on the standard error, with exit code 2.
func TestRunFails(t *testing.T) {
	var out, errOut bytes.Buffer
	code := Run(t.Context(), genericiooptions.IOStreams{In: &bytes.Buffer{}, Out: &out, ErrOut: &errOut}, []string{"--dance"})
	if code != exitFailed || out.Len() != 0 || !strings.HasPrefix(errOut.String(), "Error: unknown flag: --dance") {
		t.Errorf("exit code %d, output %q, error %q", code, out.String(), errOut.String())
	}
}

// Who is asked something, or is to type addresses, can interrupt the command.
func TestInputIsInterrupted(t *testing.T) {
	in, typed := io.Pipe()
	defer func() { _ = typed.Close() }()
	s := &session{IOStreams: genericiooptions.IOStreams{In: in, ErrOut: io.Discard}}
	ctx, interrupt := context.WithCancel(t.Context())
	interrupt()
	if answer, err := s.ask(ctx, "Go on? "); answer != "" || err == nil || sentence(err) != "interrupted, and nothing was done." {
		t.Errorf("the answer is %q, %v", answer, err)
	}
	if _, err := s.addresses(ctx, "-", "c1"); !errors.Is(err, context.Canceled) {
		t.Errorf("reading addresses ends with %v", err)
	}
}
