// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package main runs the servers of Argo CD that test/argocd needs: "argocd argocd-repo-server --help", and so on. It is
// Argo CD's own main without the command line client, which would double what has to be compiled.
package main

import (
	"os"

	"github.com/spf13/cobra"

	controller "github.com/argoproj/argo-cd/v3/cmd/argocd-application-controller/commands"
	applicationset "github.com/argoproj/argo-cd/v3/cmd/argocd-applicationset-controller/commands"
	reposerver "github.com/argoproj/argo-cd/v3/cmd/argocd-repo-server/commands"
	server "github.com/argoproj/argo-cd/v3/cmd/argocd-server/commands"
)

func main() {
	root := &cobra.Command{Use: "argocd"}
	root.AddCommand(controller.NewCommand(), applicationset.NewCommand(), reposerver.NewCommand(), server.NewCommand())
	if root.Execute() != nil { // Cobra has printed the error.
		os.Exit(1)
	}
}
