// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/types"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
	"github.com/calcom-operator/calcom-operator/internal/manageduser"
)

type orphansOptions struct {
	clientOptions
	output
	emails  string
	adopt   string
	remove  bool
	confirm int
	dryRun  bool
}

func newOrphansCommand(s *session) *cobra.Command {
	var o orphansOptions
	cmd := &cobra.Command{
		Use:   "orphans --client NAME",
		Short: "Find users without objects, and objects without users",
		Long: `Find users in Cal.com that carry the mark of this cluster and have no object any
more, and objects whose user is gone from Cal.com.

Both come of accidents: an object whose finalizer was taken away by force, a
cluster that was restored from a backup, a user that somebody deleted in
Cal.com. A user without an object is nobody's: nothing updates or deletes it.

Cal.com lists 500 users at most to whom asks for no address; more are seen by
--emails-from. Users that the operator's own sweep found (see
status.sweep.leakedUserIDs of the OAuth client) are looked at in any case.

--adopt DIR writes manifests under the names that the marks tell; applying them
takes the users over. --delete deletes the users in Cal.com, with their bookings
and calendars, after the number of them was typed, and looks at each once more
before it does. It keeps a user whose address another object names.

The exit code is 1 when there are any, and nothing was done about them.`,
		Example: `  kubectl calcom orphans --client acme

  # Take them over again
  kubectl calcom orphans --client acme --adopt found/
  kubectl apply -f found/

  # Delete them from a script that has looked at the list
  kubectl calcom orphans --client acme --delete --confirm 3`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.adopt != "" && o.remove {
				return complain("--adopt and --delete exclude each other", "give one of them")
			}
			return s.orphans(cmd.Context(), &o)
		},
	}
	o.clientOptions.addFlags(cmd.Flags())
	o.output.addFlag(cmd.Flags())
	cmd.Flags().StringVar(&o.emails, "emails-from", "", "file with the addresses of users to look at, or - for the standard input")
	cmd.Flags().StringVar(&o.adopt, "adopt", "", "directory to write manifests of the users to")
	cmd.Flags().BoolVar(&o.remove, "delete", false, "delete the users in Cal.com")
	cmd.Flags().IntVar(&o.confirm, "confirm", 0, "with --delete, the number of users, instead of typing it")
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "only say what would be written or deleted")
	return cmd
}

// orphanReport is what orphans prints for programs.
type orphanReport struct {
	// Users are those in Cal.com with a mark of this cluster and without an object.
	Users []orphan `json:"users"`
	// Objects are those whose user is gone.
	Objects []lostUser `json:"objects"`
	// Complete is whether all users of the OAuth client were looked at.
	Complete bool `json:"complete"`
}

// orphan is a user without an object. It shows no address: who it is, Cal.com tells.
type orphan struct {
	UserID      int64  `json:"userID"`
	Namespace   string `json:"namespace"` // Of the object that the mark names.
	Name        string `json:"name"`
	CreatedDate string `json:"createdDate"`
	// WantedBy is an object, as namespace/name, that another one's mark keeps from having the user: it names the user's
	// address.
	WantedBy string `json:"wantedBy,omitempty"`

	user calcom.User
}

// lostUser is an object without a user.
type lostUser struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	UserID    int64  `json:"userID"`
}

func (s *session) orphans(ctx context.Context, o *orphansOptions) error {
	of, err := s.resolve(ctx, &o.clientOptions)
	if err != nil {
		return err
	}
	a, err := s.account(ctx, of)
	if err != nil {
		return err
	}
	read, err := s.readForOrphans(ctx, a, o.emails)
	if err != nil {
		return err
	}
	// After the users: an object that comes to be meanwhile must not seem to be missing.
	objects, err := s.managedObjects(ctx, of)
	if err != nil {
		return err
	}
	report := &orphanReport{Users: objects.orphansAmong(read), Complete: read.complete}
	if report.Objects, err = objects.lost(ctx, a, read); err != nil {
		return err
	}
	printed, err := o.print(s.Out, report)
	if err == nil && !printed {
		err = s.printOrphans(report, objects, read)
	}
	switch {
	case err != nil:
		return err
	case o.adopt != "":
		return s.adoptOrphans(o, of, report)
	case o.remove:
		return s.deleteOrphans(ctx, o, a, objects, report)
	case len(report.Users)+len(report.Objects) > 0:
		return errDifferent
	}
	return nil
}

// readForOrphans reads the users that may be orphans: those that the list shows, and those that the operator has found.
func (s *session) readForOrphans(ctx context.Context, a *account, emails string) (*census, error) {
	read, err := readAll(ctx, a)
	if err != nil {
		return nil, err
	}
	if emails != "" {
		lines, err := s.addresses(ctx, emails, a.credentials.ID)
		if err != nil {
			return nil, err
		}
		progress := s.progress("Reading users", len(lines))
		defer progress.end()
		more, err := readByEmail(ctx, a, lines, progress.add)
		if err != nil {
			return nil, err
		}
		read.join(more)
	}
	found, err := s.leaked(ctx, a.oauthClient)
	if err != nil {
		return nil, err
	}
	for _, id := range found {
		if _, ok := read.users[id]; ok {
			continue
		}
		user, err := a.user(ctx, id)
		switch {
		case err == nil:
			read.take([]calcom.User{user})
		case !calcom.IsNotFound(err):
			return nil, fmt.Errorf("reading user %d: %w", id, err)
		}
	}
	return read, nil
}

// leaked returns the ids of the users without objects that the operator has found.
func (s *session) leaked(ctx context.Context, of oauthClient) ([]int64, error) {
	if of.ref == nil {
		return nil, nil
	}
	status, err := s.clientStatus(ctx, of)
	if err != nil || status.Sweep == nil {
		return nil, err
	}
	return status.Sweep.LeakedUserIDs, nil
}

// orphansAmong returns the users that carry the cluster's mark and belong to no object.
func (m *roster) orphansAmong(read *census) []orphan {
	all := []orphan{}
	for _, user := range read.inOrder() {
		owner, marked := manageduser.MarkedOwner(user)
		if marked && owner.OwnerID == m.ownerID && m.lacks(user, types.NamespacedName{Namespace: owner.Namespace, Name: owner.Name}) {
			o := orphan{UserID: user.ID, Namespace: owner.Namespace, Name: owner.Name, CreatedDate: user.CreatedDate, user: user}
			if mu := m.byAddress[strings.ToLower(user.PlainEmail())]; mu != nil {
				o.WantedBy = mu.Namespace + "/" + mu.Name
			}
			all = append(all, o)
		}
	}
	return all
}

// lacks reports whether no object has a user, or is to have it. The mark names one, but that may be gone, or have
// another user.
func (m *roster) lacks(user calcom.User, named types.NamespacedName) bool {
	if m.byUser[user.ID] != nil || !m.everywhere && named.Namespace != m.namespace {
		return false
	}
	mu := m.objects[named]
	return mu == nil || m.lacksIn(mu, user)
}

// lacksIn reports whether the object that a user's mark names has another user.
func (m *roster) lacksIn(mu *v1alpha1.ManagedUser, user calcom.User) bool {
	return mu.Status.User != nil && mu.Status.OAuthClientID == m.clientID && mu.Status.User.ID != user.ID && mu.Spec.UserID != user.ID
}

// lost returns the objects whose users are gone: the list does not show them, by their addresses, and their ids answer
// 404.
func (m *roster) lost(ctx context.Context, a *account, read *census) ([]lostUser, error) {
	var lines []line
	byLine := make(map[int]*v1alpha1.ManagedUser)
	for _, name := range sortedNames(m.objects) {
		mu := m.objects[name]
		if mu.Status.User == nil || mu.Status.OAuthClientID != m.clientID {
			continue
		}
		if _, shown := read.users[mu.Status.User.ID]; !shown {
			byLine[len(lines)] = mu
			lines = append(lines, line{number: len(lines), address: calcom.PlainEmail(mu.Status.User.Email, m.clientID)})
		}
	}
	found, err := readByEmail(ctx, a, lines, func(int) {})
	if err != nil {
		return nil, err
	}
	lost := []lostUser{}
	for number := range lines {
		mu := byLine[number]
		id := mu.Status.User.ID
		if _, shown := found.users[id]; shown {
			continue
		}
		// Its address may have been changed.
		if _, err := a.user(ctx, id); calcom.IsNotFound(err) {
			lost = append(lost, lostUser{Namespace: mu.Namespace, Name: mu.Name, UserID: id})
		} else if err != nil {
			return nil, fmt.Errorf("reading user %d: %w", id, err)
		}
	}
	return lost, nil
}

func sortedNames(m map[types.NamespacedName]*v1alpha1.ManagedUser) []types.NamespacedName {
	names := make([]types.NamespacedName, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b types.NamespacedName) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return names
}

func (s *session) printOrphans(r *orphanReport, m *roster, read *census) error {
	if len(r.Users) == 0 {
		s.printf("No user lacks its object.\n")
	} else {
		s.printf("%s no object:\n\n", count(len(r.Users), "user has", "users have"))
		var rows [][]string
		for _, user := range r.Users {
			rows = append(rows, []string{strconv.FormatInt(user.UserID, 10), user.Namespace, user.Name, dayOf(user.CreatedDate)})
		}
		if err := table(s.Out, []string{"USER ID", "NAMESPACE", "NAME IN MARK", "CREATED"}, rows); err != nil {
			return err
		}
		s.printf("\n")
		for _, user := range r.Users {
			if user.WantedBy != "" {
				s.paragraph("", "", user.wanted())
				s.printf("\n")
			}
		}
	}
	if len(r.Objects) == 0 {
		s.printf("No object lacks its user.\n")
	} else {
		s.printf("%s no user any more; \"kubectl calcom explain\" tells what becomes of them:\n\n", count(len(r.Objects), "object has", "objects have"))
		var rows [][]string
		for _, object := range r.Objects {
			rows = append(rows, []string{object.Namespace, object.Name, strconv.FormatInt(object.UserID, 10)})
		}
		if err := table(s.Out, []string{"NAMESPACE", "NAME", "USER ID"}, rows); err != nil {
			return err
		}
	}
	if !m.everywhere {
		s.tell("Only namespace %s was looked at: this context may not list managed users in others.", m.namespace)
	}
	if !r.Complete {
		s.tell("NOT COMPLETE: %d users were looked at, and there may be more. Give their\naddresses by --emails-from.", len(read.users))
	}
	return nil
}

// wanted says who wants a user, and how it gets it.
func (o *orphan) wanted() string {
	return fmt.Sprintf("User %d has the address of ManagedUser %s, so that --delete keeps it. To give it to that one: apply the manifest of --adopt, "+
		"delete its object again, which leaves the user without a mark, and set adoptionPolicy ByEmail on %[2]s. Otherwise delete %[2]s first.", o.UserID, o.WantedBy)
}

// dayOf shortens a time of Cal.com's to its day.
func dayOf(date string) string {
	day, _, _ := strings.Cut(date, "T")
	return day
}
