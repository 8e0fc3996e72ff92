// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/version"
)

// session is one run of the plugin: the streams, the flags that all commands have, and the cluster that they lead to.
type session struct {
	genericiooptions.IOStreams
	flags *genericclioptions.ConfigFlags

	// ownerID and operatorNamespace are flags that go before what the cluster says of its operator.
	ownerID, operatorNamespace string
	// share is the part of an OAuth client's quota that the command uses.
	share float64

	cluster client.WithWatch
}

// defaultShare leaves the operator its 0.8 and the customer's own backend a little.
const defaultShare = 0.15

func (s *session) addFlags(flags *pflag.FlagSet) {
	s.flags.AddFlags(flags)
	flags.StringVar(&s.ownerID, "owner-id", "", "what marks the users of this cluster in Cal.com; found out when empty, see the operator's flag of the same name")
	flags.StringVar(&s.operatorNamespace, "operator-namespace", "", "namespace of the operator, where the Secrets of ClusterOAuthClients are; found out when empty")
	flags.Float64Var(&s.share, "rate-limit-share", defaultShare, "part of the OAuth client's quota that this command uses, above 0 and up to 1")
}

// kube returns the way to the cluster that the flags and the kubeconfig name.
func (s *session) kube() (client.WithWatch, error) {
	if s.cluster != nil {
		return s.cluster, nil
	}
	config, err := s.flags.ToRESTConfig()
	if err != nil {
		return nil, advise(fmt.Errorf("finding the cluster: %w", err), "name one by --context or --kubeconfig, as for kubectl")
	}
	s.cluster, err = connect(config, s.ErrOut)
	return s.cluster, err
}

// connect returns a client for a cluster. Warnings of its API server go to warnings.
func connect(config *rest.Config, warnings writer) (client.WithWatch, error) {
	config = rest.CopyConfig(config)
	config.QPS = -1 // The API server does the limiting.
	config.UserAgent = "kubectl-calcom/" + version.Version
	config.WarningHandler = rest.NewWarningWriter(warnings, rest.WarningWriterOptions{Deduplicate: true})
	c, err := client.NewWithWatch(config, client.Options{Scheme: scheme()})
	if err != nil {
		return nil, fmt.Errorf("reaching the cluster: %w", err)
	}
	return c, nil
}

type writer = interface{ Write([]byte) (int, error) }

func scheme() *runtime.Scheme {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			panic(err) // Only two types of one name could fail here, at compile time in all but name.
		}
	}
	return scheme
}

// namespace returns the namespace of --namespace, or of the current context.
func (s *session) namespace() (string, error) {
	name, _, err := s.flags.ToRawKubeConfigLoader().Namespace()
	if err != nil {
		return "", advise(fmt.Errorf("finding the namespace: %w", err), "name one by --namespace")
	}
	return name, nil
}

// printf writes to the standard output, and tell to the standard error, where it is in nobody's way who reads the
// output with a program.
func (s *session) printf(format string, args ...any) { _, _ = fmt.Fprintf(s.Out, format, args...) }

func (s *session) tell(format string, args ...any) {
	_, _ = fmt.Fprintln(s.ErrOut, fitted(s.ErrOut, fmt.Sprintf(format, args...)))
}
