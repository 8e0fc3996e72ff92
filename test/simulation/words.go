// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/types"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

// The losses: what the server of a world accepts and does not store.
const (
	loseNothing = ""
	loseKey     = "the metadata key seat"
	loseLetters = "capitals in bio"
)

// lose returns the body of a call as the server of this world takes it.
func (w *World) lose(x *exchange) []byte {
	if w.loss == loseNothing || x.op != calcomtest.OpCreate && x.op != calcomtest.OpUpdate {
		return x.body
	}
	return edited(x.body, func(body map[string]any) {
		metadata, _ := body["metadata"].(map[string]any)
		bio, _ := body["bio"].(string)
		switch {
		case w.loss == loseKey:
			delete(metadata, "seat")
		case bio != "":
			body["bio"] = strings.ToLower(bio)
		}
	})
}

// edited decodes a body or a patch, changes it and encodes it again.
func edited(data []byte, change func(patch map[string]any)) []byte {
	patch := map[string]any{}
	if json.Unmarshal(data, &patch) != nil {
		return data // A JSON patch.
	}
	change(patch)
	out, err := json.Marshal(patch)
	if err != nil {
		panic(err)
	}
	return out
}

// isLossy reports whether a spec wants what the server does not store.
func (w *World) isLossy(spec *v1alpha1.ManagedUserSpec) bool {
	managed := func(field v1alpha1.SpecField) bool { return !slices.Contains(spec.CreateOnly, field) }
	switch w.loss {
	case loseKey:
		return spec.Metadata["seat"] != "" && managed(v1alpha1.FieldMetadata)
	case loseLetters:
		return spec.Bio != nil && *spec.Bio != strings.ToLower(*spec.Bio) && managed(v1alpha1.FieldBio)
	}
	return false
}

// checkRestart starts the operator anew where all is right. Nothing follows from that but calls that read.
func (w *World) checkRestart(ctx context.Context) {
	if w.loss == loseNothing {
		return
	}
	for _, c := range w.clusters {
		w.stopProcess(c, c.processes[0])
		w.startProcess(c)
	}
	w.changes = 0
	w.until(ctx, w.now().Add(3*resync))
	if w.changes > 0 {
		w.violate("after a restart there were %d changes in Cal.com", w.changes)
	}
}

// failure is how a server fails all calls of some kinds: with one of some statuses, and in other words each time.
type failure struct {
	statuses []int
	writes   bool // Only calls that change something.
}

var failures = []failure{
	{statuses: []int{http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable}},
	{statuses: []int{http.StatusTeapot, http.StatusMethodNotAllowed}},
	{statuses: []int{http.StatusUnauthorized}},
	{statuses: []int{http.StatusForbidden}},
	{statuses: []int{http.StatusBadRequest}, writes: true},
	{statuses: []int{http.StatusBadRequest, http.StatusUnprocessableEntity}, writes: true},
}

// fault is what meets a call while the server fails. The words quote keys of others.
func (f *failure) fault(w *World, x *exchange) fault {
	if f.writes && (x.op == calcomtest.OpGet || x.op == calcomtest.OpList) {
		return fault{}
	}
	n := w.random.IntN(1_000_000)
	words := fmt.Sprintf("request %d, key cal_live_zz%d, token %s%d", n, n, strings.Repeat("deadbeef", 5), n)
	body, err := json.Marshal(map[string]any{"status": "error", "error": map[string]any{
		"code": "E_" + strconv.Itoa(n), "message": words,
		"details": map[string]any{"errors": []any{map[string]any{"property": "name", "constraints": map[string]string{"is": "name: " + words}}}},
	}})
	if err != nil {
		panic(err)
	}
	status := f.statuses[n%len(f.statuses)]
	return fault{name: "varying words with " + strconv.Itoa(status), inject: &calcomtest.Fault{Status: status, Body: string(body)}}
}

// checkFailing has the server fail in one way and in ever other words, and checks that each object says so once.
func (w *World) checkFailing(ctx context.Context) {
	if w.callLimit < 100 { // Waits for the quota would come between.
		return
	}
	w.failing = &failures[w.random.IntN(len(failures))]
	w.tracef("from here on the server fails with %v", w.failing.statuses)
	w.each(func(c *cluster, key types.NamespacedName) {
		c.api.edit(key, func(mu *v1alpha1.ManagedUser) { mu.Spec.Name = "Name that waits" })
	})
	w.until(ctx, w.now().Add(3*resync))
	w.statusWrites, w.tokenStatuses = 0, 0
	w.until(ctx, w.now().Add(3*resync))
	ends := 0 // Of published tokens, after which an object says something else, and its OAuthClient has another number of users.
	w.each(func(c *cluster, key types.NamespacedName) {
		if c.api.users[key].Spec.Tokens != nil {
			ends += 2
		}
	})
	if w.statusWrites > w.tokenStatuses+ends {
		w.violate("while the server fails in other words each time, there were %d writes of a status", w.statusWrites)
	}
}
