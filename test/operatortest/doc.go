// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package operatortest runs the operator's own reconcilers, by the set-up of its program, in the tests of whoever
// builds on ManagedUsers: other controllers, charts, GitOps repositories. With a control plane of envtest, the CRDs of
// config/crd and the look-alike of Cal.com of test/calcomtest, users become Ready in a test as they do in a cluster,
// and faults, drift and deletions can be played through.
//
//	environment := &envtest.Environment{CRDInstallOptions: envtest.CRDInstallOptions{CRDs: crd.Objects()}}
//	config, err := environment.Start()
//	…
//	operatortest.Start(t, config, operatortest.Options{})
//	sandbox, credentials := operatortest.NewSandbox(t, client, namespace)
//	user := &v1alpha1.ManagedUser{…, Spec: v1alpha1.ManagedUserSpec{OAuthClient: credentials, …}}
//
// Start is for one test, Launch for a TestMain or a suite, and SetupWithManager for a manager that runs other
// reconcilers too.
//
// Nothing listens, nothing is elected, and waits are short: a second where the operator in a cluster takes minutes.
// Everything else is as in a cluster. What envtest lacks is lacking here too: nobody collects garbage or deletes the
// content of a namespace. Delete ManagedUsers before their sandbox ends, as a test's last step; those that stay are
// looked at again and again.
package operatortest
