// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package cli is the kubectl plugin: one file for each command, thin, over what they share. session.go is the way to
// the cluster, operator.go what is known of the operator there, account.go the way to Cal.com, progress.go and
// output.go what a person sees.
//
// A command that writes says what it is about to do, can be asked to only say it (--dry-run), and can be interrupted:
// started again, it goes on from what it finds. Nothing secret is printed, and nobody's address but where it was asked
// for.
package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/calcom-operator/calcom-operator/internal/version"
)

// Exit codes, as kubectl diff has them.
const (
	exitOK = iota
	exitDifferent
	exitFailed
)

// errDifferent ends a command that compared and found differences. They have been printed already.
var errDifferent = errors.New("there are differences")

// Run runs the plugin with the arguments after its name and returns the exit code: 0 on success, 1 when a comparison
// found differences, 2 on any failure.
func Run(ctx context.Context, streams genericiooptions.IOStreams, args []string) int {
	ctrllog.SetLogger(logr.Discard()) // What libraries log is not for who asked a question.
	root := NewCommand(streams)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errDifferent):
		return exitDifferent
	}
	_, _ = fmt.Fprintln(streams.ErrOut, fitted(streams.ErrOut, "Error: "+sentence(err)))
	return exitFailed
}

// NewCommand returns the plugin's root command.
func NewCommand(streams genericiooptions.IOStreams) *cobra.Command {
	s := &session{IOStreams: streams, flags: genericclioptions.NewConfigFlags(true).WithDeprecatedPasswordFlag()}
	root := &cobra.Command{
		Use:           "kubectl-calcom",
		Annotations:   map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl calcom"},
		Short:         "Bring managed users of Cal.com into Kubernetes, look after them, and leave without loss",
		Version:       version.Version,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	// Help fits into the narrowest terminal.
	root.SetUsageTemplate(strings.ReplaceAll(root.UsageTemplate(), "FlagUsages |", fmt.Sprintf("FlagUsagesWrapped %d |", narrow)))
	root.SetIn(streams.In)
	root.SetOut(streams.Out)
	root.SetErr(streams.ErrOut)
	s.addFlags(root.PersistentFlags())
	for _, add := range commands {
		root.AddCommand(add(s))
	}
	return root
}

// commands make the commands, in the order of a user's life.
var commands = []func(*session) *cobra.Command{
	newImportCommand,
	newPlan,
	newStatus,
	newExplain,
	newReconcileCommand,
	newSuspendCommand,
	newResumeCommand,
	newTokensCommand,
	newOrphansCommand,
	newMoveCommand,
	newDrainCommand,
}
