// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package shapes collects in which states objects of the operator are seen, as far as other tools judge them: which
// conditions they have, of which generation, and whether they are being deleted. The simulation and the stories of
// internal/controller show what they see to a Set; test/gitops asks Argo CD's and Flux' code what it makes of each
// shape.
package shapes

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
)

// UpdateVariable is the environment variable that, set to anything, lets Check add what is new to the files instead of
// failing.
const UpdateVariable = "UPDATE_SHAPES"

// The files that hold what is known, in one folder.
const (
	// ShapesFile has a shape in the first column of each line; the others are the verdicts, which test/gitops writes.
	ShapesFile = "shapes.tsv"
	// MessagesFile has a condition in the first column and a message that was seen with it in the second.
	MessagesFile = "messages.tsv"
)

// judged are the conditions that tools judge by; of the others they show the messages.
var judged = map[string]bool{v1alpha1.ConditionReady: true, v1alpha1.ConditionReconciling: true, v1alpha1.ConditionStalled: true}

// Set is a set of shapes, and of messages that conditions had. It is safe for concurrent use.
type Set struct {
	mu       sync.Mutex
	shapes   map[string]bool
	messages map[string]string
}

// Add notes the shape of an object: a ManagedUser, or an OAuthClient, which stands for both kinds, since one reconciler
// writes them.
func (s *Set) Add(object client.Object) {
	head, observed, conditions := describe(object)
	words := []string{head}
	if !object.GetDeletionTimestamp().IsZero() {
		words = append(words, "deleted")
	}
	words = append(words, "observed="+age(observed, object.GetGeneration()))
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shapes == nil {
		s.shapes, s.messages = make(map[string]bool), make(map[string]string)
	}
	slices.SortFunc(conditions, func(a, b metav1.Condition) int { return cmp.Compare(a.Type, b.Type) })
	for _, c := range conditions {
		age := age(c.ObservedGeneration, object.GetGeneration())
		condition := fmt.Sprintf("%s=%s/%s", c.Type, c.Status, c.Reason)
		// What the others said of an older spec, nobody asks.
		if judged[c.Type] || age != "old" {
			words = append(words, condition+"@"+age)
		}
		// The first in order, whenever it comes.
		if message, ok := s.messages[condition], s.messages[condition] != ""; !ok || settled(c.Message) < message {
			s.messages[condition] = settled(c.Message)
		}
	}
	s.shapes[strings.Join(words, " ")] = true
}

func describe(object client.Object) (head string, observed int64, conditions []metav1.Condition) {
	switch o := object.(type) {
	case *v1alpha1.ManagedUser:
		head = "ManagedUser/" + string(cmp.Or(o.Spec.ReconcilePolicy, v1alpha1.ReconcilePolicyManage))
		observed, conditions = o.Status.ObservedGeneration, o.Status.Conditions
	case *v1alpha1.OAuthClient:
		head, observed, conditions = v1alpha1.KindOAuthClient, o.Status.ObservedGeneration, o.Status.Conditions
	default:
		panic(fmt.Sprintf("shapes: nobody judges a %T", object))
	}
	return head, observed, slices.Clone(conditions)
}

// age tells how an observed generation relates to the one that the object has.
func age(observed, generation int64) string {
	switch {
	case observed < 0:
		return "never"
	case observed == 0:
		return "absent"
	case observed == generation:
		return "current"
	}
	return "old"
}

var (
	moments = regexp.MustCompile(`\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?(Z| UTC)?`)
	ports   = regexp.MustCompile(`127\.0\.0\.1:\d+`)
	spaces  = regexp.MustCompile(`\bstory-[a-z0-9]+`)
)

// settled is a message without what differs from run to run.
func settled(message string) string {
	message = moments.ReplaceAllString(message, "2026-01-05T09:10:00Z")
	message = ports.ReplaceAllString(message, "127.0.0.1:5555")
	return spaces.ReplaceAllString(message, "default")
}

// Check compares the set with the files in a folder. Shapes and conditions that these lack are an error, or are added
// where UpdateVariable is set. What the files have already stays as it is.
func (s *Set) Check(dir string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	shapes := make(map[string]string, len(s.shapes))
	for shape := range s.shapes {
		shapes[shape] = ""
	}
	return errors.Join(
		check(filepath.Join(dir, ShapesFile), shapes, core),
		check(filepath.Join(dir, MessagesFile), s.messages, strings.Clone),
	)
}

// core is the part of a shape that decides on health. The others come in more combinations than anybody will ever have
// seen.
func core(shape string) string {
	var words []string
	for word := range strings.FieldsSeq(shape) {
		kind, _, isPair := strings.Cut(word, "=")
		if !isPair || kind == "observed" || judged[kind] {
			if !isPair {
				word, _, _ = strings.Cut(word, "/") // The policy has its say through the conditions.
			}
			words = append(words, word)
		}
	}
	return strings.Join(words, " ")
}

// check compares lines with those of a file, by what counts of their first column.
func check(path string, seen map[string]string, counts func(string) string) error {
	content, err := os.ReadFile(path) //nolint:gosec // Tests name it.
	if err != nil {
		return fmt.Errorf("reading what is known: %w", err)
	}
	known := make(map[string]string)
	for line := range strings.Lines(string(content)) {
		first, others, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		known[first] = others
	}
	decided := make(map[string]bool)
	for first := range known {
		decided[counts(first)] = true
	}
	var undecided []string
	for _, first := range slices.Sorted(maps.Keys(seen)) {
		if !decided[counts(first)] {
			undecided = append(undecided, first)
		}
	}
	if os.Getenv(UpdateVariable) != "" {
		return add(path, known, seen)
	}
	if len(undecided) == 0 {
		return nil
	}
	return fmt.Errorf("%s: nobody has decided what other tools make of objects in these states; run \"make shapes\", and look at what it adds:\n%s",
		filepath.Base(path), strings.Join(undecided, "\n"))
}

// add writes a file anew with the lines that it lacks.
func add(path string, known, seen map[string]string) error {
	for first, others := range seen {
		if _, ok := known[first]; !ok {
			known[first] = others
		}
	}
	var b strings.Builder
	for _, first := range slices.Sorted(maps.Keys(known)) {
		b.WriteString(first + "\t" + known[first] + "\n")
	}
	if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil { //nolint:gosec // Everybody may read it.
		return fmt.Errorf("writing what is known: %w", err)
	}
	return nil
}
