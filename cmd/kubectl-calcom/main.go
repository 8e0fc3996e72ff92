// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

// A plugin for kubectl: brings managed users of Cal.com under the operator, looks after them, and leads the way out.
package main

import (
	"os"

	"k8s.io/cli-runtime/pkg/genericiooptions"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/calcom-operator/calcom-operator/internal/cli"
)

func main() {
	streams := genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr}
	os.Exit(cli.Run(ctrl.SetupSignalHandler(), streams, os.Args[1:]))
}
