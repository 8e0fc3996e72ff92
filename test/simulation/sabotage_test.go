// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

// mostSeeds is within how many seeds each sabotage has to be noticed.
const mostSeeds = 2000

// TestSabotageIsCaught breaks one rule after the other from outside the operator: a simulation that finds nothing is
// worth something only if it can find something.
func TestSabotageIsCaught(t *testing.T) {
	for _, s := range []struct {
		name  string
		hooks Hooks
		// want are the words of a violation that names the broken rule.
		want []string
	}{
		{"a create call is sent twice", Hooks{RepeatCreate: true}, []string{"creates again"}},
		{"nobody waits for the outcome of a create call", Hooks{Grace: time.Nanosecond}, []string{"creates again", "may come", "two users", "leads to its user"}},
		{"the API server ignores the optimistic lock", Hooks{Write: withoutLock}, []string{"creates again", "leads to its user", "while it is being deleted"}},
		{"the record of intent is not stored", Hooks{Write: withoutRecord}, []string{"leads to its user"}},
		{"the status is not stored", Hooks{Write: withoutStatus}, []string{"no status in the end", "leads to its user", "not right in the end", "no end of work"}},
		{"a proxy's answer passes for Cal.com's own", Hooks{Response: ownErrors, Stops: true}, []string{"creates again", "may come", "two users"}},
		{"an unfinished user seems finished", Hooks{Response: showSchedule, Stops: true}, []string{"whose creation is not finished"}},
		{"an unmarked user seems to have a name", Hooks{Response: showName, Stops: true}, []string{"is there or may come", "not right in the end"}},
		{"an unmarked user seems to be new", Hooks{Response: showNewDate}, []string{"somebody else's user"}},
		{"a 404 is believed", Hooks{Fault: deny, Response: emptyAfter404}, []string{"is there or may come", "two users", "leads to its user"}},
		{"the mark of others is hidden", Hooks{Response: hideMarks}, []string{"another's mark"}},
		{"strangers seem to carry the mark", Hooks{Response: fakeMarks}, []string{"somebody else's user"}},
		{"an update drops the mark", Hooks{Request: withoutMark}, []string{"leads to its user", "not right in the end", "no end of work", "at rest"}},
		{"addresses are stored with the client's id twice", Hooks{Response: suffixTwice}, []string{"not right in the end", "no end of work", "at rest"}},
		{"a deletion is reported and not done", Hooks{Fault: noDelete, Response: lieAboutDelete}, []string{"is there or may come"}},
		{"a policy is not seen", Hooks{Read: forgetPolicy}, []string{"observing object", "suspended object"}},
		{"a deletionPolicy is not seen", Hooks{Read: forgetDeletionPolicy}, []string{"should orphan", "may come"}},
		{"an answer never equals the spec", Hooks{Response: otherNames}, []string{"at rest", "not right in the end"}},
		{"an error shows an address", Hooks{WriteError: showAddress}, []string{"a returned error shows"}},
		{"a Secret is let go unasked", Hooks{List: hideUsers}, []string{"is let go while", "nothing holds", "is protected in the end"}},
		{"an OAuthClient is let go unasked", Hooks{List: hideUsers}, []string{"the OAuthClient of"}},
		{"the sign of a release is not stored", Hooks{Write: withoutSign}, []string{"is let go while", "nothing holds"}},
		{"allowed deletions are not written down", Hooks{Write: withoutDeletions}, []string{"deleted at once"}},
		{"absences are not written down", Hooks{Write: withoutAbsences, Disaster: (*World).loseSome}, []string{"believed to be gone"}},
		{"another tenant is believed", Hooks{Unlimited: true, Disaster: (*World).misroute}, []string{"where another tenant answers"}},
		{"an id is believed that was given again", Hooks{Response: rememberAll, Disaster: (*World).renumber}, []string{"somebody else's user", "as the world left it"}},
		{"the quota is hidden", Hooks{Response: hideQuota}, []string{"its share is"}},
		{"the sweep wakes nobody", Hooks{DeafToSweep: true}, []string{"not right in the end"}},
		{"a free place wakes nothing", Hooks{DeafToPlaces: true}, []string{"not right in the end", "no status in the end"}},
		{"more create calls are made than the server bears", Hooks{ManyPlaces: true}, []string{"create calls under way"}},
		{"the sweep changes what it finds itself", Hooks{Swept: sweepUpdates}, []string{"drift-sweep calls update"}},
		{"the sweep deletes a leak", Hooks{Swept: sweepDeletes}, []string{"drift-sweep calls delete"}},
		{"the sweep sees nobody's mark", Hooks{Response: hideMarksFromSweep}, []string{"at rest, although it is Ready", "other leaks"}},
		{"the sweep sees nobody", Hooks{Response: hideAllFromSweep}, []string{"at rest, although it is Ready"}},
		{"the sweep takes everybody for a leak", Hooks{Response: renameMarks}, []string{"other leaks"}},
		{"what was removed is not put back", Hooks{Write: withoutRestoration}, []string{"lacks its records in the end"}},
		{"the origin is not stored", Hooks{Write: withoutOrigin}, []string{"at rest there were", "leads to its user", "which it created", "lacks its records"}},
		{"an adoption is nowhere on record", Hooks{Write: withoutAdoption, Response: hideAdoption, Disaster: (*World).deleteAdopters}, []string{"that it adopted"}},
		{"the id in a status is believed", Hooks{Response: markAll}, []string{"somebody else's user", "another's mark"}},
		{"a status is both Reconciling and Stalled", Hooks{Write: bothConditions}, []string{"at once"}},
		{"what is not stored is not remembered", Hooks{Read: forgetLosses, Lossy: true}, []string{"at rest", "after a restart"}},
		{"what was said of the server's failure is not seen", Hooks{Read: forgetWords}, []string{"in other words each time"}},
		{"a message ends in a full stop", Hooks{Write: fullStop}, []string{"not a line as it should be"}},
	} {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			others := map[string]int{}
			for seed := range uint64(mostSeeds) {
				report := Run(t.Context(), seed+1, Options{Hooks: s.hooks})
				for _, violation := range report.Violations {
					for _, words := range s.want {
						if strings.Contains(violation, words) {
							t.Logf("caught with seed %d: %s", seed+1, firstLine(violation))
							return
						}
					}
					others[firstLine(violation)]++
				}
			}
			t.Errorf("not caught within %d seeds; other violations: %v", mostSeeds, others)
		})
	}
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

func withoutLock(data []byte, _ bool) ([]byte, bool) {
	return edited(data, func(patch map[string]any) {
		if metadata, ok := patch["metadata"].(map[string]any); ok {
			delete(metadata, "resourceVersion")
		}
	}), false
}

func withoutRecord(data []byte, status bool) ([]byte, bool) {
	return data, !status && bytes.Contains(data, []byte(`"finalizers":[`))
}

// withoutRestoration takes away the writes of a finalizer that bring no record of an adoption or a creation.
func withoutRestoration(data []byte, status bool) ([]byte, bool) {
	return data, !status && bytes.Contains(data, []byte(`"finalizers":["platform.cal.com/managed-user"]`)) &&
		!bytes.Contains(data, []byte(v1alpha1.CreateIntentAnnotation)) && !bytes.Contains(data, []byte(v1alpha1.AdoptedAnnotation))
}

// withoutOrigin hides the origin from the status.
func withoutOrigin(data []byte, status bool) ([]byte, bool) {
	if !status {
		return data, false
	}
	var steps []operation
	if json.Unmarshal(data, &steps) != nil {
		return data, false
	}
	steps = slices.DeleteFunc(steps, func(o operation) bool { return o.Path == "/status/origin" })
	out, err := json.Marshal(steps)
	if err != nil {
		panic(err)
	}
	return out, false
}

// withoutAdoption turns each record of an adoption into one of a creation.
func withoutAdoption(data []byte, _ bool) ([]byte, bool) {
	data = bytes.ReplaceAll(data, []byte(`"/status/origin","value":"Adopted"`), []byte(`"/status/origin","value":"Created"`))
	return bytes.ReplaceAll(data, []byte(v1alpha1.AdoptedAnnotation), []byte("example.com/adopted")), false
}

// deleteAdopters deletes the objects that adopted their users.
func (w *World) deleteAdopters(context.Context) {
	for _, claim := range w.ledger.claims {
		if claim.adopted && claim.live() && claim.cluster.api.users[claim.name] != nil {
			w.tracef("WORLD: %s %s is to be deleted", claim.cluster.ownerID, claim.name.Name)
			claim.cluster.api.remove(claim.name)
		}
	}
}

func hideAdoption(_ *World, _ *task, x *exchange) {
	x.answer = bytes.ReplaceAll(x.answer, []byte(":adopted"), nil)
}

// markAll lets each user that is asked for by its id seem to carry the mark of the object that asks.
func markAll(w *World, t *task, x *exchange) {
	if x.op == calcomtest.OpGet {
		fakeMarks(w, t, x)
	}
}

// withoutSign lets the operator believe that the sign of a release stands on the Secret.
func withoutSign(data []byte, _ bool) ([]byte, bool) {
	return data, bytes.Contains(data, []byte(`"platform.cal.com/releasing":"true"`))
}

func withoutDeletions(data []byte, _ bool) ([]byte, bool) {
	return data, bytes.Contains(data, []byte(`\"until\"`)) && !bytes.Contains(data, []byte(`"absences.`))
}

func withoutAbsences(data []byte, _ bool) ([]byte, bool) {
	return data, bytes.Contains(data, []byte(`"absences.`))
}

func hideUsers(users *v1alpha1.ManagedUserList) { users.Items = nil }

func hideQuota(_ *World, _ *task, x *exchange) {
	for _, name := range []string{"Limit", "Remaining"} {
		x.header.Del("X-RateLimit-" + name + "-Default")
	}
}

func withoutStatus(data []byte, status bool) ([]byte, bool) { return data, status }

func bothConditions(data []byte, status bool) ([]byte, bool) {
	if status {
		data = bytes.ReplaceAll(data, []byte(`"type":"Synced"`), []byte(`"type":"Reconciling"`))
		data = bytes.ReplaceAll(data, []byte(`"status":"False"`), []byte(`"status":"True"`))
	}
	return data, false
}

func fullStop(data []byte, status bool) ([]byte, bool) {
	if status {
		data = bytes.ReplaceAll(data, []byte(`equals the spec"`), []byte(`equals the spec."`))
	}
	return data, false
}

// deny answers every third question for a user with a 404.
func deny(w *World, x *exchange) fault {
	if x.op != calcomtest.OpGet || w.step%3 > 0 {
		return fault{}
	}
	return fault{name: "404 for a user", inject: &calcomtest.Fault{Status: http.StatusNotFound}}
}

// noDelete refuses every deletion.
func noDelete(_ *World, x *exchange) fault {
	if x.op != calcomtest.OpDelete {
		return fault{}
	}
	return fault{name: "500", inject: &calcomtest.Fault{Status: http.StatusInternalServerError}}
}

// emptyAfter404 makes the list confirm what a 404 says of a user that is there.
func emptyAfter404(_ *World, t *task, x *exchange) {
	switch {
	case x.op == calcomtest.OpGet || x.op == calcomtest.OpDelete:
		t.denied = x.status == http.StatusNotFound
	case x.op == calcomtest.OpList && t.denied:
		x.answer = []byte(`{"status":"success","data":[]}`)
	}
}

func hideMarks(_ *World, _ *task, x *exchange) {
	x.answer = bytes.ReplaceAll(x.answer, []byte(ownerKey), []byte("somethingElse"))
}

// sweepCalls makes another call in the middle of a step of the sweep, about the first user that it was shown.
func sweepCalls(tr *transport, request *http.Request, x *exchange, method, body string) {
	ids := slices.Sorted(maps.Keys(x.shown))
	if len(ids) == 0 {
		return
	}
	url := *request.URL
	url.Path, url.RawPath, url.RawQuery = fmt.Sprintf("%s/%d", url.Path, ids[0]), "", ""
	call, err := http.NewRequestWithContext(request.Context(), method, url.String(), strings.NewReader(body)) //nolint:gosec // It reaches the server in this process.
	if err != nil {
		panic(err)
	}
	call.Header = request.Header.Clone()
	if response, err := tr.RoundTrip(call); err == nil {
		_ = response.Body.Close()
	}
}

func sweepUpdates(tr *transport, request *http.Request, x *exchange) {
	sweepCalls(tr, request, x, http.MethodPatch, `{"name":"Set right"}`)
}

func sweepDeletes(tr *transport, request *http.Request, x *exchange) {
	sweepCalls(tr, request, x, http.MethodDelete, `{}`)
}

func hideMarksFromSweep(w *World, t *task, x *exchange) {
	if t.sweeps() {
		hideMarks(w, t, x)
	}
}

func renameMarks(_ *World, t *task, x *exchange) {
	if t.sweeps() {
		x.answer = bytes.ReplaceAll(x.answer, []byte("/"+namespace+"/"), []byte("/"+namespace+"/not-"))
	}
}

func hideAllFromSweep(_ *World, t *task, x *exchange) {
	if t.sweeps() && x.status == http.StatusOK {
		x.answer = []byte(`{"status":"success","data":[]}`)
	}
}

func withoutMark(x *exchange) {
	if x.op == calcomtest.OpUpdate {
		x.body = edited(x.body, func(body map[string]any) {
			if metadata, ok := body["metadata"].(map[string]any); ok {
				delete(metadata, ownerKey)
			}
		})
	}
}

func suffixTwice(_ *World, _ *task, x *exchange) {
	x.answer = bytes.ReplaceAll(x.answer, []byte("+"+clientID+"@"), []byte("+"+clientID+"+"+clientID+"@"))
}

func fakeMarks(w *World, t *task, x *exchange) {
	if x.op != calcomtest.OpGet && x.op != calcomtest.OpList || len(x.shown) != 1 {
		return
	}
	for id := range x.shown {
		u := w.ledger.users[id]
		raw, err := json.Marshal(map[string]any{
			"id": id, "email": u.Email, "timeZone": u.TimeZone, "weekStart": u.WeekStart,
			"metadata": map[string]string{ownerKey: t.owner() + "/uid"},
		})
		if err != nil {
			panic(err)
		}
		if x.op == calcomtest.OpList {
			raw = fmt.Appendf(nil, "[%s]", raw)
		}
		x.answer = fmt.Appendf(nil, `{"status":"success","data":%s}`, raw)
	}
}

// lieAboutDelete answers a refused deletion as if it had been carried out.
func lieAboutDelete(_ *World, _ *task, x *exchange) {
	if x.op == calcomtest.OpDelete && x.status != http.StatusOK {
		x.status = http.StatusOK
		x.answer = fmt.Appendf(nil, `{"status":"success","data":{"id":%d,"email":"x@example.com"}}`, x.id)
	}
}

// ownErrors gives the answer of a proxy that gave up waiting the form of an error of Cal.com's own.
func ownErrors(_ *World, _ *task, x *exchange) {
	if x.op == calcomtest.OpCreate && x.status == http.StatusGatewayTimeout {
		x.status = http.StatusInternalServerError
	}
}

// showSchedule lets each user in a list seem to have a default schedule.
func showSchedule(_ *World, _ *task, x *exchange) {
	if x.op == calcomtest.OpList {
		x.answer = bytes.ReplaceAll(x.answer, []byte(`"defaultScheduleId":null`), []byte(`"defaultScheduleId":1`))
	}
}

func showName(_ *World, _ *task, x *exchange) {
	x.answer = bytes.ReplaceAll(x.answer, []byte(`"name":null`), []byte(`"name":"Name"`))
}

var createdDate = regexp.MustCompile(`"createdDate":"[^"]*"`)

// showNewDate lets each user in a list seem to have been created when the object's create call was recorded.
func showNewDate(_ *World, t *task, x *exchange) {
	var i struct{ Time time.Time }
	if x.op == calcomtest.OpList && t.object != nil && json.Unmarshal([]byte(t.object.GetAnnotations()[v1alpha1.CreateIntentAnnotation]), &i) == nil {
		x.answer = createdDate.ReplaceAll(x.answer, fmt.Appendf(nil, `"createdDate":%q`, i.Time.Format(time.RFC3339)))
	}
}

func otherNames(_ *World, _ *task, x *exchange) {
	x.answer = bytes.ReplaceAll(x.answer, []byte(`"name":"Name`), []byte(`"name":"No name`))
}

func forgetPolicy(object client.Object) {
	if mu, ok := object.(*v1alpha1.ManagedUser); ok {
		mu.Spec.ReconcilePolicy = ""
	}
}

func forgetDeletionPolicy(object client.Object) {
	if mu, ok := object.(*v1alpha1.ManagedUser); ok {
		mu.Spec.DeletionPolicy = v1alpha1.DeletionPolicyDelete
	}
}

// forgetLosses hides what an object says of values that Cal.com does not store.
func forgetLosses(object client.Object) {
	forgetMessages(object, "stored other values")
}

// forgetWords hides what an object says in words of the server.
func forgetWords(object client.Object) {
	forgetMessages(object, "status ")
}

func forgetMessages(object client.Object, words string) {
	mu, ok := object.(*v1alpha1.ManagedUser)
	if !ok {
		return
	}
	for i, c := range mu.Status.Conditions {
		if strings.Contains(c.Message, words) {
			mu.Status.Conditions[i].Message = "Something else"
		}
	}
}

func showAddress(err error, object runtime.Object) error {
	if mu, ok := object.(*v1alpha1.ManagedUser); ok {
		return errors.New("cannot store the object of " + mu.Spec.Email)
	}
	return err
}
