// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"time"

	"k8s.io/cli-runtime/pkg/genericclioptions"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/handover"
)

// other returns a session with the other cluster.
func (s *session) other(o *moveOptions) (*session, error) {
	flags := genericclioptions.NewConfigFlags(true)
	flags.KubeConfig = s.flags.KubeConfig
	if o.toKubeconfig != "" {
		flags.KubeConfig = &o.toKubeconfig
	}
	if o.toContext != "" {
		flags.Context = &o.toContext
	}
	there := &session{IOStreams: s.IOStreams, flags: flags, ownerID: o.toOwnerID, operatorNamespace: o.toOperatorNamespace, share: s.share}
	config, err := flags.ToRESTConfig()
	if err != nil {
		return nil, advise(fmt.Errorf("finding the other cluster: %w", err), "name it by --to-context, of the kubeconfig or of the one that --to-kubeconfig names")
	}
	there.cluster, err = connect(config, s.ErrOut)
	return there, err
}

// newMove finds out about both operators.
func (s *session) newMove(ctx context.Context, o *moveOptions, there *session) (*handover.Move, error) {
	here, err := s.side(ctx, "here", "--owner-id", o.timeout)
	if err != nil {
		return nil, err
	}
	other, err := there.side(ctx, "there", "--to-owner-id", o.timeout)
	if err != nil {
		return nil, err
	}
	if here.OwnerID == other.OwnerID {
		return nil, complain(fmt.Sprintf("both operators have the owner id %s, so that neither could tell its users from the other's", here.OwnerID),
			"name two clusters; or, if this is one cluster made anew with its old --owner-id, just apply the manifests there")
	}
	remotes := s.remotes()
	m := &handover.Move{
		Here: here, There: other,
		Remote: func(ctx context.Context, mu *v1alpha1.ManagedUser) (handover.Remote, error) {
			return remotes.of(ctx, mu)
		},
	}
	if o.toNamespace != "" {
		m.NamespaceThere = func(string) string { return o.toNamespace }
	}
	return m, nil
}

// side is one of the two clusters, whose operator has to run.
func (s *session) side(ctx context.Context, where, ownerFlag string, timeout time.Duration) (handover.Cluster, error) {
	o, err := s.requireOperator(ctx)
	if err != nil {
		return handover.Cluster{}, fmt.Errorf("%s: %w", where, err)
	}
	if !o.sure {
		return handover.Cluster{}, complain(where+", no Deployment tells of the operator's owner id", "give it by "+ownerFlag+"; see the operator's flag --owner-id")
	}
	name := where
	if raw, err := s.flags.ToRawKubeConfigLoader().RawConfig(); err == nil {
		if name = raw.CurrentContext; *s.flags.Context != "" {
			name = *s.flags.Context
		}
	}
	c, err := s.kube()
	return handover.Cluster{Client: c, OwnerID: o.ownerID, Name: name, Patience: timeout}, err
}
