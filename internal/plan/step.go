// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
)

// Where a step is made.
const (
	CalCom     = "Cal.com"
	Kubernetes = "Kubernetes"
)

// Step is one call to Cal.com, or one write to Kubernetes.
type Step struct {
	// At is CalCom or Kubernetes.
	At string `json:"at"`
	// Verb is the HTTP method at Cal.com, and in the words of RBAC at Kubernetes.
	Verb string `json:"verb"`
	// Operation is set for a call.
	Operation calcom.Operation `json:"operation,omitempty"`
	// UserID is that of the user that a call names; 0 for none, and for one that another step has yet to create.
	UserID int64 `json:"userID,omitempty"`
	// Object is what is written, as "ManagedUser/status team-a/alice".
	Object string `json:"object,omitempty"`
	// Summary says what the step does, without a value of anybody's.
	Summary string `json:"summary"`
	// Changes are the fields that a call sends.
	Changes []Change `json:"changes,omitempty"`
	// Status is what Cal.com would answer.
	Status int `json:"status,omitempty"`
}

// ChangesUser reports whether the step changes something in Cal.com.
func (s *Step) ChangesUser() bool {
	return s.At == CalCom && s.Operation != calcom.OpGet && s.Operation != calcom.OpList && s.Status/100 == 2
}

// Change is a field of a user that is to get another value. Values are as people write them, and null where there is
// none.
type Change struct {
	// Field as the spec names it; metadata.KEY for one key of the metadata.
	Field string `json:"field"`
	// From is what Cal.com has, To what it is to get.
	From *string `json:"from"`
	To   *string `json:"to"`
}

// fieldNames are the fields that the spec names in another way than Cal.com.
var fieldNames = map[string]string{"avatarUrl": "avatarURL"}

// changes compares what a call sends with what there is. Both are JSON objects.
func changes(from, to map[string]json.RawMessage, clientID string) []Change {
	var all []Change
	for _, field := range calcom.UserFieldNames() {
		sent, ok := to[field]
		if !ok || field == "metadata" {
			continue
		}
		c := Change{Field: field, From: words(from[field]), To: words(sent)}
		if name, ok := fieldNames[field]; ok {
			c.Field = name
		}
		if field == "email" && c.From != nil {
			c.From = new(calcom.PlainEmail(*c.From, clientID))
		}
		all = append(all, c)
	}
	if sent, ok := to["metadata"]; ok {
		all = append(all, metadataChanges(from["metadata"], sent)...)
	}
	return all
}

// metadataChanges compares key by key: an update replaces the whole object, and says again what stays.
func metadataChanges(from, to json.RawMessage) []Change {
	var was, is map[string]json.RawMessage
	_ = json.Unmarshal(from, &was) // Absent is nothing.
	_ = json.Unmarshal(to, &is)
	keys := maps.Clone(was)
	if keys == nil {
		keys = make(map[string]json.RawMessage)
	}
	maps.Copy(keys, is)
	var all []Change
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		if !equality.Semantic.DeepEqual(words(was[key]), words(is[key])) {
			all = append(all, Change{Field: "metadata." + key, From: words(was[key]), To: words(is[key])})
		}
	}
	return all
}

// words returns a JSON value as people write it, nil for null or nothing.
func words(raw json.RawMessage) *string {
	if len(raw) == 0 || string(raw) == "null" {
		return nil
	}
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return &s
	}
	return new(string(raw))
}

// IsMark reports whether the change is of the operator's own mark.
func (c *Change) IsMark() bool { return c.Field == "metadata."+v1alpha1.OwnerMetadataKey }

// describeWrite says what a write changes: names, no values.
func describeWrite(before, after map[string]any) string {
	var parts []string
	add := func(format string, names []string) {
		if len(names) > 0 {
			parts = append(parts, fmt.Sprintf(format, strings.Join(names, ", ")))
		}
	}
	was, is := section(before, "metadata"), section(after, "metadata")
	add("add finalizer %s", missing(list(is["finalizers"]), list(was["finalizers"])))
	add("remove finalizer %s", missing(list(was["finalizers"]), list(is["finalizers"])))
	oldNotes, notes := section(was, "annotations"), section(is, "annotations")
	add("set annotation %s", changed(oldNotes, notes))
	add("remove annotation %s", missing(slices.Sorted(maps.Keys(oldNotes)), slices.Sorted(maps.Keys(notes))))
	add("set %s", changed(section(before, "status"), section(after, "status")))
	add("set %s", changed(section(before, "data"), section(after, "data")))
	if len(parts) == 0 {
		return "no change"
	}
	return strings.Join(parts, "; ")
}

func section(object map[string]any, name string) map[string]any {
	s, _ := object[name].(map[string]any)
	return s
}

func list(value any) []string {
	var all []string
	items, _ := value.([]any)
	for _, item := range items {
		if s, ok := item.(string); ok {
			all = append(all, s)
		}
	}
	return all
}

// missing returns what the second list lacks of the first.
func missing(all, of []string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(s string) bool { return slices.Contains(of, s) })
}

// changed returns the keys that are new, or have another value.
func changed(before, after map[string]any) []string {
	var keys []string
	for _, key := range slices.Sorted(maps.Keys(after)) {
		if !equality.Semantic.DeepEqual(before[key], after[key]) {
			keys = append(keys, key)
		}
	}
	return keys
}
