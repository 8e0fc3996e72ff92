// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
)

// waiting is how a command waits for the operator.
type waiting struct {
	selection
	wait, dryRun bool
	timeout      time.Duration
}

func (w *waiting) addFlags(cmd *cobra.Command) {
	w.selection.addFlags(cmd)
	cmd.Flags().BoolVar(&w.wait, "wait", true, "wait until the operator has done it")
	cmd.Flags().DurationVar(&w.timeout, "timeout", 5*time.Minute, "how long to wait")
	cmd.Flags().BoolVar(&w.dryRun, "dry-run", false, "only say what would be written")
}

func newReconcileCommand(s *session) *cobra.Command {
	var o waiting
	cmd := &cobra.Command{
		Use:   "reconcile NAME... | --all | -A | -l SELECTOR",
		Short: "Have the operator look at Cal.com now",
		Long: `Have the operator look at Cal.com now, instead of at the next drift sweep, and
wait for what it finds.

A managed user is compared with its spec, and what differs is set back; its
tokens are renewed. Of an OAuth client, named as oauthclient/NAME or
clusteroauthclient/NAME, the credentials are verified anew.

The request is the annotation platform.cal.com/reconcile-requested-at. The exit
code is 2 when something is not Ready afterwards.`,
		Example: `  # One user, and then all of a namespace
  kubectl calcom reconcile alice
  kubectl calcom reconcile --all -n team-a

  # The credentials of an OAuth client
  kubectl calcom reconcile oauthclient/acme`,
		ValidArgsFunction: s.completeUsers,
		RunE:              func(cmd *cobra.Command, args []string) error { return s.reconcile(cmd.Context(), &o, args) },
	}
	o.addFlags(cmd)
	return cmd
}

func (s *session) reconcile(ctx context.Context, o *waiting, args []string) error {
	objects, err := s.objects(ctx, &o.selection, args)
	if err != nil {
		return err
	}
	if o.dryRun {
		return s.sayOnly("ask for a look at", objects)
	}
	if _, err := s.requireOperator(ctx); err != nil {
		return err
	}
	request := time.Now().UTC().Format(time.RFC3339Nano)
	failed, err := s.each(ctx, "Asking", objects, func(ctx context.Context, object client.Object) error {
		return s.annotate(ctx, object, v1alpha1.ReconcileRequestedAtAnnotation, request)
	})
	if err == nil {
		err = failures(failed, len(objects), "")
	}
	if err != nil || !o.wait {
		return err
	}
	late, err := s.await(ctx, "Looking", objects, o.timeout, func(object client.Object) bool {
		handled, _ := statusOf(object)
		return handled == request || object.GetDeletionTimestamp() != nil
	})
	if err != nil {
		return err
	}
	return s.outcome(objects, late, o, "Looked at", func(object client.Object) bool {
		_, ready := statusOf(object)
		return ready.isReady()
	})
}

// annotate sets an annotation of an object.
func (s *session) annotate(ctx context.Context, object client.Object, key, value string) error {
	c, err := s.kube()
	if err != nil {
		return err
	}
	was, ok := object.DeepCopyObject().(client.Object)
	if !ok {
		return fmt.Errorf("%T is no object", object)
	}
	annotations := object.GetAnnotations()
	if annotations == nil {
		annotations = make(map[string]string, 1)
	}
	annotations[key] = value
	object.SetAnnotations(annotations)
	return c.Patch(ctx, object, client.MergeFrom(was))
}

// sayOnly is a command that only says what it would do.
func (s *session) sayOnly(what string, objects []client.Object) error {
	for _, object := range objects {
		s.printf("would %s %s\n", what, nameOf(object))
	}
	return nil
}

// manyObjects is how many objects are told of one by one.
const manyObjects = 20

// outcome tells how the objects are after a command, those that are not well one by one.
func (s *session) outcome(objects, late []client.Object, o *waiting, done string, isWell func(client.Object) bool) error {
	isLate := make(map[client.Object]bool, len(late))
	for _, object := range late {
		isLate[object] = true
	}
	well := 0
	for _, object := range objects {
		_, ready := statusOf(object)
		switch {
		case isLate[object]:
			s.tell("%s: the operator did nothing within %v; it is %s", nameOf(object), o.timeout, ready)
			continue
		case object.GetDeletionTimestamp() != nil:
			s.tell("%s: it is being deleted", nameOf(object))
		case !isWell(object):
			s.tell("%s: %s", nameOf(object), ready)
			continue
		case len(objects) <= manyObjects:
			s.printf("%s: %s\n", nameOf(object), ready.short())
		}
		well++
	}
	s.printf("%s %d of %d\n", done, len(objects)-len(late), len(objects))
	return failures(len(objects)-well, len(objects), "see kubectl calcom status for each")
}
