// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"net/http"

	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

// rememberAll lets an unmarked user that is asked for by the id in a status seem to be the one that the status
// describes.
func rememberAll(_ *World, t *task, x *exchange) {
	if x.op != calcomtest.OpGet || x.status != http.StatusOK || knownID(t.object) != x.id {
		return
	}
	x.answer = edited(x.answer, func(answer map[string]any) {
		user, ok := answer["data"].(map[string]any)
		if metadata, marked := user["metadata"].(map[string]any); ok && (!marked || metadata[ownerKey] == nil) {
			user["createdDate"], user["email"] = t.object.Status.User.CreatedDate, t.object.Status.User.Email
		}
	})
}
