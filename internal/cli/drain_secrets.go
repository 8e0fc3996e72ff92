// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/calcom-operator/calcom-operator/internal/handover"
)

// releaseSecrets takes the in-use finalizer off Secrets and OAuth clients that no user needs, where no operator does
// it. It asks for no operator: as a rule there is none.
func (s *session) releaseSecrets(ctx context.Context, o *drainOptions) error {
	if o.clients || o.client != "" || o.selector != "" || o.inventory != "" {
		return complain("--release-secrets excludes --clients, --client, --selector and --inventory",
			"drain the users first, and then run it with -n NAMESPACE or -A alone")
	}
	namespace, _, err := s.scope(o)
	if err != nil {
		return err
	}
	r, err := s.newRelease(ctx, namespace)
	if err != nil {
		return err
	}
	held, err := r.Held(ctx)
	if err != nil {
		return advisedOnRelease(err)
	}
	unneeded := s.tellNeeded(held)
	if len(unneeded) == 0 {
		s.printf("There is nothing to release\n")
		return nil
	}
	if o.dryRun {
		return s.sayOnly("release", objectsOf(unneeded))
	}
	question := fmt.Sprintf("Take the finalizer off %d Secrets and OAuth clients that no managed user needs?", len(unneeded))
	if err := s.confirm(ctx, question, o.yes); err != nil {
		return err
	}
	return s.releaseHeld(ctx, r, unneeded)
}

// newRelease returns the release for a namespace, or for all when it is empty, and says if an operator does the same
// there.
func (s *session) newRelease(ctx context.Context, namespace string) (*handover.Release, error) {
	c, err := s.kube()
	if err != nil {
		return nil, err
	}
	operators, err := deployedOperators(ctx, c, s.operatorNamespace)
	if err != nil {
		return nil, err
	}
	r := &handover.Release{Client: c, Namespace: namespace}
	if s.operatorNamespace != "" {
		r.Operators = append(r.Operators, s.operatorNamespace)
	}
	for _, found := range operators {
		r.Operators = append(r.Operators, found.namespace)
		if namespace := found.args["operator-namespace"]; namespace != "" {
			r.Operators = append(r.Operators, namespace)
		}
		s.tellWatched(ctx, c, found, namespace)
	}
	return r, nil
}

// tellWatched says that an operator does by itself what the command is to do. Where that is not known, nothing is said.
func (s *session) tellWatched(ctx context.Context, c client.Reader, o operator, namespace string) {
	watched, where := o.watched(), "all namespaces"
	switch {
	case len(watched) == 0:
	case namespace == "":
		where = "namespace " + strings.Join(watched, ", ")
	case !slices.Contains(watched, namespace):
		return
	default:
		where = "namespace " + namespace
	}
	if runs, err := isAlive(ctx, c, o); err != nil || !runs {
		return
	}
	s.tell("The operator in namespace %s runs and works in %s: there it releases by itself, within seconds, what no managed user needs.", o.namespace, where)
}

// tellNeeded says what stays, and who needs it. It returns the rest.
func (s *session) tellNeeded(held []handover.Held) (unneeded []handover.Held) {
	kept := 0
	for _, object := range held {
		if object.Needs == nil {
			unneeded = append(unneeded, object)
			continue
		}
		kept++
		if kept > manyObjects {
			continue
		}
		text := fmt.Sprintf("%s is kept: managed user %s needs it", nameOf(object.PartialObjectMetadata), object.Needs.User)
		if object.Needs.Unsure {
			text += " if this namespace is the operator's, which was not found: name the operator's by --operator-namespace"
		}
		s.tell("%s", text)
	}
	if kept > manyObjects {
		s.tell("%d more are kept", kept-manyObjects)
	}
	if kept > 0 {
		s.tell("What managed users need is kept. Release or delete those users first, then start this again.")
	}
	return unneeded
}

// releaseHeld takes the finalizers off. A user may come to need an object at the same moment, so each gets a sign
// first, and then it is looked again who needs what: see handover.Release.
func (s *session) releaseHeld(ctx context.Context, r *handover.Release, held []handover.Held) error {
	unprepared, prepared, err := s.step(ctx, "Preparing", held, r.Begin)
	if err != nil {
		return err
	}
	if prepared, err = r.Judged(ctx, prepared); err != nil {
		return advisedOnRelease(err)
	}
	for _, object := range prepared {
		if object.Needs == nil {
			continue
		}
		if err := r.Cancel(ctx, object.PartialObjectMetadata); err != nil {
			return fmt.Errorf("keeping %s: %w", nameOf(object.PartialObjectMetadata), err)
		}
	}
	failed, released, err := s.step(ctx, "Releasing Secrets and OAuth clients", s.tellNeeded(prepared), r.End)
	if err != nil {
		return err
	}
	s.printf("Released %d of %d Secrets and OAuth clients\n", len(released), len(held))
	return failures(unprepared+failed, len(held), "start it again for those")
}

// step does one step of a release with all objects, and returns those with which it succeeded.
func (s *session) step(
	ctx context.Context, what string, held []handover.Held, do func(context.Context, *metav1.PartialObjectMetadata) error,
) (failed int, done []handover.Held, err error) {
	var mu sync.Mutex
	failed, err = s.each(ctx, what, objectsOf(held), func(ctx context.Context, object client.Object) error {
		metadata, ok := object.(*metav1.PartialObjectMetadata)
		if !ok {
			return fmt.Errorf("%T is not metadata", object)
		}
		if err := do(ctx, metadata); err != nil {
			return advisedOnRelease(explained(err))
		}
		mu.Lock()
		defer mu.Unlock()
		done = append(done, handover.Held{PartialObjectMetadata: metadata})
		return nil
	})
	return failed, done, err
}

func objectsOf(held []handover.Held) []client.Object {
	objects := make([]client.Object, len(held))
	for i := range held {
		objects[i] = held[i].PartialObjectMetadata
	}
	return objects
}

// isRefusedByPolicy reports whether an admission policy refused a request, which the API server tells in words alone.
func isRefusedByPolicy(err error) bool {
	return apierrors.IsForbidden(err) && strings.Contains(err.Error(), "denied request")
}

// advisedOnRelease says what to do about rights that a release lacks.
func advisedOnRelease(err error) error {
	switch {
	case handover.UnknownOperator(err) && apierrors.IsForbidden(err):
		return advise(err, "name the operator's namespace by --operator-namespace, also when the operator is gone, or ask for the right to list ClusterOAuthClients")
	case isRefusedByPolicy(err):
		return advise(err, "if the operator is gone for good, start it again with --as=NAME --as-group=GROUP for the group that may, which needs the rights too: see docs/policies.md")
	}
	return err
}
