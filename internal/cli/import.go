// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
	"github.com/calcom-operator/calcom-operator/internal/importer"
	"github.com/calcom-operator/calcom-operator/internal/manageduser"
)

type importOptions struct {
	clientOptions
	emails    string
	all       bool
	out       string
	namesByID bool
	dryRun    bool
}

func newImportCommand(s *session) *cobra.Command {
	var o importOptions
	cmd := &cobra.Command{
		Use:   "import --client NAME [--emails-from FILE] -o DIR",
		Short: "Write manifests of users that exist in Cal.com",
		Long: `Write a manifest for each user that an OAuth client has in Cal.com, and a
kustomization that lists them. Nothing is written to the cluster or to Cal.com.

A manifest names what differs from what Cal.com gives a new user; other fields
are not managed. It adopts the user by its id, and leaves it in Cal.com when the
object is deleted (deletionPolicy Orphan). Applying the manifests changes
nothing in Cal.com but the mark of the owner in each user's metadata.

Cal.com lists 500 users at most to whom asks for no address. For more, give the
addresses by --emails-from: one per line, or the first column of a CSV file.

A user that has an object in the cluster, or a manifest in the directory, is
left alone, so that an import can be repeated to add those who are new. Objects
are named after the address, or user-<id> with --names-by-id; a second alice
becomes alice-<id>.

The exit code is 1 when some users got no manifest, or the list may not have
shown all, which is said in so many words.`,
		Example: `  # All users of the OAuthClient acme, for the namespace team-a
  kubectl calcom import --client acme -n team-a -o acme/

  # More than 500: by their addresses, as your own database has them
  psql -Atc 'select email from people' |
    kubectl calcom import --client acme --emails-from - -o acme/

  # See what applying them would do, and do it
  kubectl calcom plan -f acme/
  kubectl apply -k acme/`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.all && o.emails != "" {
				return complain("--all and --emails-from exclude each other", "give one of them")
			}
			return s.importUsers(cmd.Context(), &o)
		},
	}
	o.addFlags(cmd.Flags())
	cmd.Flags().StringVar(&o.emails, "emails-from", "", "file with the addresses of the users, or - for the standard input")
	cmd.Flags().BoolVar(&o.all, "all", false, "all users that the list shows, which is also what is done without --emails-from")
	cmd.Flags().StringVarP(&o.out, "output", "o", "", "directory for the manifests, or - for the standard output")
	cmd.Flags().BoolVar(&o.namesByID, "names-by-id", false, "name objects user-<id>, so that names do not tell who somebody is")
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "only say what would be written")
	return cmd
}

// imported is what became of the users that were read.
type imported struct {
	read     *census
	written  []string
	managed  int // Those that have an object or a manifest.
	skipped  []skip
	leftOut  map[string]int // How many users a field was left out of.
	manifest []*v1alpha1.ManagedUser
}

// skip is a user that got no manifest.
type skip struct {
	id     int64
	reason string
}

func (s *session) importUsers(ctx context.Context, o *importOptions) error {
	folder, err := openFolder(o.out)
	if err != nil {
		return err
	}
	of, err := s.resolve(ctx, &o.clientOptions)
	if err != nil {
		return err
	}
	read, err := s.read(ctx, of, o.emails)
	if err != nil {
		return err
	}
	// After the users: one that is created meanwhile must not seem to have no object.
	objects, err := s.managedObjects(ctx, of)
	if err != nil {
		return err
	}
	result := &imported{read: read, leftOut: make(map[string]int)}
	namespace, names, err := s.namesFor(o, folder, objects)
	if err != nil {
		return err
	}
	for _, user := range read.inOrder() {
		if objects.have(user) || folder != nil && folder.Has(user.ID) {
			result.managed++
		} else if reason := objects.refuses(user); reason != "" {
			result.skipped = append(result.skipped, skip{user.ID, reason})
		} else {
			result.add(user, of, namespace, names)
		}
	}
	if err := s.write(o, folder, result, namespace); err != nil {
		return err
	}
	return s.report(o, result)
}

// openFolder returns nil for the standard output.
func openFolder(path string) (*importer.Folder, error) {
	switch path {
	case "":
		return nil, complain("there is nowhere to write to", "give a directory by --output, or - for the standard output")
	case "-":
		return nil, nil
	}
	folder, err := importer.Open(path)
	return folder, advise(err, "correct it, or import to a directory of its own")
}

// namesFor returns the namespace that manifests name, if the person does, and what gives objects their names.
func (s *session) namesFor(o *importOptions, folder *importer.Folder, objects *roster) (string, *importer.Names, error) {
	namespace, err := s.namespace()
	if err != nil {
		return "", nil, err
	}
	names := &importer.Names{ByID: o.namesByID}
	for _, name := range objects.namesIn(namespace) {
		names.Take(name)
	}
	if folder != nil {
		for _, name := range folder.Names() {
			names.Take(name)
		}
	}
	if *s.flags.Namespace == "" {
		return "", names, nil
	}
	return namespace, names, nil
}

// read reads the users that an import is about.
func (s *session) read(ctx context.Context, of oauthClient, emails string) (*census, error) {
	var lines []line
	if emails != "" {
		var err error
		if lines, err = s.addresses(ctx, emails, of.credentials.ID); err != nil {
			return nil, err
		}
	}
	a, err := s.account(ctx, of)
	if err != nil {
		return nil, err
	}
	progress := s.progress("Reading users", len(lines))
	defer progress.end()
	a.waits = func(d time.Duration) {
		progress.line("Waiting %s for the quota of %s", d.Round(time.Second), of)
	}
	if emails != "" {
		return readByEmail(ctx, a, lines, progress.add)
	}
	return readAll(ctx, a)
}

// add makes the manifest of a user, unless nobody can.
func (r *imported) add(user calcom.User, of oauthClient, namespace string, names *importer.Names) {
	converted, err := importer.Convert(user)
	if err != nil {
		r.skipped = append(r.skipped, skip{user.ID, err.Error()})
		return
	}
	for _, field := range converted.LeftOut {
		r.leftOut[field]++
	}
	mu := &v1alpha1.ManagedUser{
		ObjectMeta: metav1.ObjectMeta{Name: names.For(user), Namespace: namespace}, Spec: converted.Spec,
	}
	of.use(&mu.Spec)
	r.manifest = append(r.manifest, mu)
}

// write writes the manifests.
func (s *session) write(o *importOptions, folder *importer.Folder, r *imported, namespace string) error {
	for i, mu := range r.manifest {
		r.written = append(r.written, mu.Name)
		switch {
		case folder == nil:
			text, err := importer.Encode(mu)
			if err != nil {
				return err
			}
			if i > 0 {
				s.printf("---\n")
			}
			s.printf("%s", text)
		case o.dryRun:
		default:
			if err := folder.Add(mu); err != nil {
				return err
			}
		}
	}
	if folder == nil || o.dryRun {
		return nil
	}
	return folder.Close(namespace)
}

// mostNamed is how many users of a kind are named one by one in a report for people.
const mostNamed = 20

// report says what was done, and what was not.
func (s *session) report(o *importOptions, r *imported) error {
	where, verb := strings.TrimSuffix(o.out, "/")+"/", "wrote"
	if o.out == "-" {
		where = "the standard output"
	}
	if o.dryRun && o.out != "-" {
		verb = "would write"
	}
	s.tell("read %s in %s", count(len(r.read.users), "user", "users"), count(r.read.calls, "call", "calls"))
	s.tell("%s %s to %s", verb, count(len(r.written), "manifest", "manifests"), where)
	if r.managed > 0 {
		s.tell("left alone %s that have an object or a manifest already", count(r.managed, "user", "users"))
	}
	s.reportGaps(o, r)
	if len(r.written) > 0 && !o.dryRun && o.out != "-" {
		s.tell("next: see what applying changes by \"kubectl calcom plan -f %s\"", where)
	}
	if len(r.skipped) > 0 || len(r.read.unknown) > 0 || o.emails == "" && !r.read.complete {
		return errDifferent
	}
	return nil
}

// reportGaps says who got no manifest, and which fields are in none.
func (s *session) reportGaps(o *importOptions, r *imported) {
	for _, field := range sortedKeys(r.leftOut) {
		s.tell("left out %s of %s: no manifest can have the value, and it stays as it is", shown(&field), count(r.leftOut[field], "user", "users"))
	}
	for i, skipped := range r.skipped {
		if i == mostNamed {
			s.tell("skipped %d more", len(r.skipped)-i)
			break
		}
		s.tell("skipped user %d: %s", skipped.id, skipped.reason)
	}
	if n := len(r.read.unknown); n > 0 {
		var numbers []string
		for _, l := range r.read.unknown[:min(n, mostNamed)] {
			numbers = append(numbers, fmt.Sprint(l.number))
		}
		if n > mostNamed {
			numbers = append(numbers, fmt.Sprintf("and %d more", n-mostNamed))
		}
		s.tell("no user has the address in %s %s of %s", plural(n, "line", "lines"), strings.Join(numbers, ", "), sourceOf(o.emails))
	}
	if o.emails == "" && !r.read.complete {
		s.tell("NOT COMPLETE: Cal.com lists no more than %d users to whom asks for no address, and %d\n"+
			"were read. There may be more. Give their addresses by --emails-from; those who\nhave a manifest are left alone.", calcom.MaxListed+calcom.MaxOffset, len(r.read.users))
	}
}

// refuses returns why a user that has no object must not get a manifest, by its mark.
func (m *roster) refuses(user calcom.User) string {
	owner, marked := manageduser.MarkedOwner(user)
	switch {
	case !marked:
		return ""
	case owner.OwnerID == m.ownerID && owner.Name != "":
		return fmt.Sprintf("it has the mark of ManagedUser %s/%s, which does not have it; see kubectl calcom orphans", owner.Namespace, owner.Name)
	case owner.OwnerID == "":
		return "its mark is one that nobody can read; see metadata.kubernetesOwner of the user"
	}
	return "it is managed by another cluster, with the owner id " + owner.OwnerID + "; orphan or move it there"
}
