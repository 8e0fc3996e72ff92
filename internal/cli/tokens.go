// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
)

// showAll is the value of --show for everything in the Secret.
const showAll = "all"

func newTokensCommand(s *session) *cobra.Command {
	var show string
	cmd := &cobra.Command{
		Use:   "tokens NAME",
		Short: "Tell how long a user's tokens live, or show them",
		Long: `Tell where the tokens of a user are published (spec.tokens), how long they live
and how their renewal stands. It prints no token.

With --show, it prints the access token from the Secret and nothing else; with
--show=KEY what is under that key, and with --show=all everything. Whoever has
an access token can act as the user until it ends. The refresh token is the
operator's: it works once, and to use it ends the operator's chain.`,
		Example: `  kubectl calcom tokens alice

  # A call as the user
  curl -H "Authorization: Bearer $(kubectl calcom tokens alice --show)" \
    https://api.cal.com/v2/me`,
		Args:              exactlyOne("NAME of a managed user"),
		ValidArgsFunction: s.completeUsers,
		RunE:              func(cmd *cobra.Command, args []string) error { return s.tokens(cmd.Context(), args[0], show) },
	}
	cmd.Flags().StringVar(&show, "show", "", "print the access token, or what is under another key of the Secret, or all of it")
	cmd.Flags().Lookup("show").NoOptDefVal = v1alpha1.TokensKeyAccessToken
	return cmd
}

func (s *session) tokens(ctx context.Context, name, show string) error {
	c, err := s.kube()
	if err != nil {
		return err
	}
	mu, err := s.user(ctx, name)
	if err != nil {
		return err
	}
	if mu.Spec.Tokens == nil {
		return complain(name+" publishes no tokens", "set spec.tokens.secretName to have it do so")
	}
	if show != "" {
		return s.showTokens(ctx, c, mu, show)
	}
	access, refresh := "none yet", "none yet"
	if t := mu.Status.Tokens; t != nil {
		access, refresh = life(t.AccessTokenExpiresAt.Time), life(t.RefreshTokenExpiresAt.Time)
	}
	s.printf("Secret:         %s\nAccess token:   %s\nRefresh token:  %s\n", mu.Spec.Tokens.SecretName, access, refresh)
	if ready := meta.FindStatusCondition(mu.Status.Conditions, v1alpha1.ConditionTokensReady); ready != nil {
		s.printf("TokensReady:    %s, %s\n", ready.Status, ready.Reason)
		if ready.Status != metav1.ConditionTrue {
			s.printf("%s\n", wrap(ready.Message, "                ", "                ", narrow))
		}
	}
	return nil
}

// life says until when a token lives.
func life(end time.Time) string {
	if end.IsZero() {
		return "unknown"
	}
	at := end.UTC().Format(time.RFC3339)
	if left := time.Until(end); left > 0 {
		return fmt.Sprintf("%s left, until %s", duration.HumanDuration(left), at)
	}
	return "ended at " + at
}

// showTokens prints from the Secret what was asked for.
func (s *session) showTokens(ctx context.Context, c client.Reader, mu *v1alpha1.ManagedUser, show string) error {
	var secret corev1.Secret
	name := mu.Spec.Tokens.SecretName
	if err := c.Get(ctx, client.ObjectKey{Namespace: mu.Namespace, Name: name}, &secret); err != nil {
		return advise(fmt.Errorf("reading the Secret with the tokens: %w", err), "see kubectl calcom tokens %s", mu.Name)
	}
	if !metav1.IsControlledBy(&secret, mu) {
		return complain(fmt.Sprintf("Secret %s is not the user's: it does not belong to the object", name), "see kubectl calcom tokens "+mu.Name)
	}
	keys := slices.Sorted(maps.Keys(secret.Data))
	if show == showAll {
		for _, key := range keys {
			s.printf("%s: %s\n", key, secret.Data[key])
		}
		return nil
	}
	value, ok := secret.Data[show]
	if !ok {
		return complain(fmt.Sprintf("Secret %s has nothing under %s", name, show), "it has "+strings.Join(keys, ", "))
	}
	s.printf("%s\n", value)
	return nil
}
