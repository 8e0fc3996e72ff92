// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"slices"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
)

// completionPatience is how long a shell waits for the cluster before it completes nothing.
const completionPatience = 3 * time.Second

// completeUser completes the NAME of one ManagedUser.
func (s *session) completeUser(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return s.userNames(cmd.Context(), args), cobra.ShellCompDirectiveNoFileComp
}

// completeUsers completes the names of any number of them.
func (s *session) completeUsers(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return s.userNames(cmd.Context(), args), cobra.ShellCompDirectiveNoFileComp
}

// userNames lists the users of the session's namespace, but for those that are named already. Whatever fails, there is
// nothing to complete.
func (s *session) userNames(ctx context.Context, but []string) []cobra.Completion {
	ctx, cancel := context.WithTimeout(ctx, completionPatience)
	defer cancel()
	c, err := s.kube()
	if err != nil {
		return nil
	}
	namespace, err := s.namespace()
	if err != nil {
		return nil
	}
	users := &metav1.PartialObjectMetadataList{}
	users.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("ManagedUserList"))
	if err := c.List(ctx, users, client.InNamespace(namespace)); err != nil {
		return nil
	}
	var names []cobra.Completion
	for i := range users.Items {
		if name := users.Items[i].Name; !slices.Contains(but, name) {
			names = append(names, name)
		}
	}
	return names
}
