// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

const (
	// tokensPrefix begins the names of the Secrets that hold tokens.
	tokensPrefix = "tokens-"
	// tokensFor is how long a world lives that is about tokens, and tokensUsers how many users there are.
	tokensFor   = 48 * time.Hour
	tokensUsers = 12
	// sampling is how often the published tokens are tried.
	sampling = 2 * time.Minute
	// wanted is what a token should have left.
	wanted = 10 * time.Minute
	// firstTokens is how long it may take until a new user has some.
	firstTokens = 10 * time.Minute
	// earliest is before which part of its life nobody may replace a token without a reason, of 100.
	earliest = 40
)

// tokensWorld checks that the tokens that an application finds in its Secret are valid, always.
type tokensWorld struct {
	*World

	faults bool
	// outage and refusals are until when Cal.com is down, or refuses calls for their number.
	outage, refusals time.Time
	// bad is since when a user's published token has been invalid, in a row.
	bad map[string]time.Time
	// touched is when somebody last edited or deleted a Secret, or a fault hit a user's call for tokens.
	touched map[string]time.Time
	TokensFigures
}

// TokensFigures count what happened to tokens.
type TokensFigures struct {
	Samples, Short, Invalid, Refreshes, Forced, Faults, Restarts, Edits int
}

// String is a table.
func (f *TokensFigures) String() string {
	var b strings.Builder
	for _, row := range []struct {
		name string
		n    int
	}{
		{"samples", f.Samples}, {"with less than ten minutes left", f.Short}, {"invalid", f.Invalid},
		{"ordinary refreshes", f.Refreshes}, {"forced refreshes", f.Forced}, {"faults injected", f.Faults},
		{"starts and restarts of the operator", f.Restarts}, {"Secrets deleted or edited by hand", f.Edits},
	} {
		fmt.Fprintf(&b, "  %-36s %9d\n", row.name, row.n)
	}
	return b.String()
}

// RunTokens lives through two days of one seed in which users have tokens, with faults or without any. The operator is
// restarted again and again in both.
func RunTokens(ctx context.Context, seed uint64, faults bool, options Options) (Report, TokensFigures) {
	w := newWorld(seed, options)
	defer func() { w.cal.Close() }()
	w.cal.Close()
	w.faultRate, w.massLimit, w.callLimit, w.chaos = 0, 0, 500, false
	w.cal = calcomtest.NewHandler(calcomtest.Options{
		Clients: []calcomtest.OAuthClient{{ID: clientID, Secret: w.secret}}, Now: w.clock.Now,
		Sleep: func(context.Context, time.Duration) {}, RateLimit: w.callLimit,
	})
	for _, c := range w.clusters[1:] {
		w.stopProcess(c, c.processes[0])
	}
	w.clusters = w.clusters[:1]
	w.mend(w.clusters[0])
	w.stopProcess(w.clusters[0], w.clusters[0].processes[0]) // It began with another limit in mind.
	w.startProcess(w.clusters[0])
	tw := &tokensWorld{World: w, faults: faults, bad: map[string]time.Time{}, touched: map[string]time.Time{}}
	w.tokens = tw
	tw.populate()
	for end := w.now().Add(tokensFor); w.now().Before(end) && len(w.violations) == 0; {
		tw.disturb(ctx)
		w.until(ctx, w.now().Add(sampling))
		w.each(tw.sample)
	}
	tw.Restarts = w.figures.Restarts
	tw.judge()
	for _, p := range w.processes() {
		p.crash()
	}
	w.figures.Seeds, w.figures.Steps = 1, w.step
	return Report{Seed: seed, Violations: w.violations, Trace: w.trace, Figures: w.figures}, tw.TokensFigures
}

func (tw *tokensWorld) populate() {
	for n := range tokensUsers {
		name := "user-" + strconv.Itoa(n)
		mu := &v1alpha1.ManagedUser{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
		mu.Spec = v1alpha1.ManagedUserSpec{
			OAuthClient: &v1alpha1.OAuthClientCredentials{
				ID: clientID, APIURL: "https://calcom.sim/v2",
				SecretKeyRef: v1alpha1.SecretKeyReference{Name: secretName.Name, Key: "secretKey"},
			},
			Email: fmt.Sprintf("zz%d@canary.example.com", n), Name: "Name of " + name,
			Tokens: &v1alpha1.TokensSpec{SecretName: tokensPrefix + name},
		}
		tw.clusters[0].api.create(mu)
	}
}

// disturb restarts the operator now and then, in the middle of its work too, and with faults does what else can happen.
func (tw *tokensWorld) disturb(ctx context.Context) {
	w, c := tw.World, tw.clusters[0]
	if w.random.IntN(20) == 0 {
		for range w.random.IntN(40) {
			w.work(ctx)
		}
		// Without faults the operator is told to stop, and ends what it has begun.
		for !tw.faults && len(w.runnable()) > 0 {
			w.run(w.runnable()[0])
		}
		if tw.faults || len(c.processes[0].tasks) == 0 {
			w.stopProcess(c, c.processes[0])
			w.startProcess(c)
		}
	}
	if tw.faults {
		tw.misfortune(c)
	}
}

// misfortune does what can happen beside faults of single calls.
func (tw *tokensWorld) misfortune(c *cluster) {
	w := tw.World
	key := pick(w, c.api.keys())
	switch choice := w.random.IntN(60); {
	case choice == 0:
		tw.edit(key, func(types.NamespacedName, *corev1.Secret) bool { return false })
	case choice == 1:
		tw.edit(key, func(_ types.NamespacedName, secret *corev1.Secret) bool {
			secret.Data[pick(w, []string{v1alpha1.TokensKeyAccessToken, v1alpha1.TokensKeyRefreshToken, v1alpha1.TokensKeyEmail})] = []byte("canary by hand")
			return true
		})
	case choice == 2 && !tw.isPending():
		tw.outage = w.now().Add(time.Duration(1+w.random.IntN(10)) * time.Minute)
		w.tracef("WORLD: Cal.com is down for %v", tw.outage.Sub(w.now()))
	case choice == 3 && !tw.isPending():
		tw.refusals = w.now().Add(time.Minute)
		w.tracef("WORLD: somebody else uses up the quota")
	case choice == 4 && len(c.processes) == 1:
		w.startProcess(c)
	case choice >= 5 && choice < 9 && len(c.processes) == 2:
		w.stopProcess(c, pick(w, c.processes))
	}
}

// edit changes a Secret as a person would, or deletes it.
func (tw *tokensWorld) edit(key types.NamespacedName, change func(types.NamespacedName, *corev1.Secret) bool) {
	api := tw.clusters[0].api
	name := types.NamespacedName{Namespace: key.Namespace, Name: tokensPrefix + key.Name}
	stored, ok := api.secrets[name]
	if !ok || strings.Contains(stored.Annotations[v1alpha1.TokensAnnotation], `"pending"`) {
		return
	}
	tw.Edits++
	tw.touched[key.Name] = tw.now()
	edited := stored.DeepCopy()
	if !change(name, edited) {
		tw.tracef("WORLD: Secret %s is deleted", name.Name)
		api.removeSecret(name)
		return
	}
	tw.tracef("WORLD: Secret %s is edited", name.Name)
	api.storeSecret(edited)
}

// isPending reports whether some call for tokens is on record: what begins then would add one misfortune to another.
func (tw *tokensWorld) isPending() bool {
	for _, secret := range tw.clusters[0].api.secrets {
		if strings.Contains(secret.Annotations[v1alpha1.TokensAnnotation], `"pending"`) {
			return true
		}
	}
	return false
}

// fault decides what happens to a call in this world.
func (tw *tokensWorld) fault(x *exchange) fault {
	down := &calcomtest.Fault{Status: http.StatusServiceUnavailable}
	switch {
	case tw.now().Before(tw.outage):
		return tw.struck(fault{name: "503", inject: down})
	case tw.now().Before(tw.refusals):
		return tw.struck(fault{name: "429", inject: &calcomtest.Fault{Status: http.StatusTooManyRequests}})
	case !tw.faults || x.op != calcomtest.OpRefresh && x.op != calcomtest.OpForceRefresh || tw.random.IntN(8) > 0:
		return fault{}
	}
	return tw.struck(pick(tw.World, []fault{
		{name: "answer lost", cut: true}, {name: "answer cut in half", cutBody: true}, {name: "request lost", swallowed: true, cut: true},
		{name: "hang, answer lost", hang: true}, {name: "503", inject: down},
		{name: "503, work done", inject: &calcomtest.Fault{Status: http.StatusServiceUnavailable, After: true}},
	}))
}

func (tw *tokensWorld) struck(f fault) fault {
	tw.Faults++
	return f
}

// sent judges a call for tokens by what the user's Secret holds: without a reason, nobody replaces a token before its
// time.
func (tw *tokensWorld) sent(t *task, x *exchange) {
	switch {
	case tw == nil || !x.isAboutTokens():
		return
	case x.op == calcomtest.OpRefresh:
		tw.Refreshes++
	default:
		tw.Forced++
		if !tw.faults {
			tw.violate("%s forces new tokens although nothing has gone wrong", t.key.Name)
		}
	}
	secret, ok := tw.clusters[0].api.secrets[types.NamespacedName{Namespace: namespace, Name: tokensPrefix + t.key.Name}]
	if !ok || tw.faults {
		return
	}
	var record struct {
		IssuedAt, ExpiresAt time.Time
	}
	if json.Unmarshal([]byte(secret.Annotations[v1alpha1.TokensAnnotation]), &record) != nil {
		return
	}
	if age, life := tw.now().Sub(record.IssuedAt), record.ExpiresAt.Sub(record.IssuedAt); age*100 < life*earliest {
		tw.violate("%s replaces tokens after %v of %v", t.key.Name, age, life)
	}
}

// sample tries the token that an application finds for a user.
func (tw *tokensWorld) sample(c *cluster, key types.NamespacedName) {
	mu := c.api.users[key]
	secret, ok := c.api.secrets[types.NamespacedName{Namespace: key.Namespace, Name: tokensPrefix + key.Name}]
	if tw.now().Sub(mu.CreationTimestamp.Time) < firstTokens {
		return
	}
	tw.Samples++
	left := time.Duration(0)
	if ok {
		if ends, err := time.Parse(time.RFC3339, string(secret.Data[v1alpha1.TokensKeyAccessTokenExpiresAt])); err == nil {
			left = ends.Sub(tw.now())
		}
	}
	if left < wanted {
		tw.Short++
	}
	if ok && tw.accepts(secret.Data[v1alpha1.TokensKeyAccessToken]) {
		delete(tw.bad, key.Name)
		return
	}
	tw.Invalid++
	since, again := tw.bad[key.Name]
	if !again {
		tw.bad[key.Name] = tw.now()
		since = tw.now()
	}
	if !tw.faults {
		tw.violate("the token of %s is not valid, there is a Secret: %t", key.Name, ok)
	} else if tw.now().Sub(since) >= reconcileTimeout && !tw.isExcused() {
		tw.violate("the token of %s has not been valid since %v", key.Name, since.Sub(tw.began))
	}
}

// isExcused reports whether Cal.com answers nobody: then nothing can be put right.
func (tw *tokensWorld) isExcused() bool {
	const after = sampling + time.Minute
	return tw.now().Before(tw.outage.Add(after)) || tw.now().Before(tw.refusals.Add(after))
}

// accepts asks Cal.com for the user that a token is of.
func (w *World) accepts(token []byte) bool {
	status := w.ask(http.MethodGet, "/v2/me", http.Header{"Authorization": {"Bearer " + string(token)}})
	w.cal.ResetCalls()
	return status == http.StatusOK || status == http.StatusBadRequest // As for a user without a time format.
}

// ask makes a call that is nobody's in the simulation.
func (w *World) ask(method, path string, header http.Header) int {
	request := &http.Request{
		Method: method, URL: &url.URL{Scheme: "https", Host: "calcom.sim", Path: path}, Host: "calcom.sim", Header: header,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Body: http.NoBody, RemoteAddr: "192.0.2.1:1",
	}
	recorded := httptest.NewRecorder()
	w.cal.ServeHTTP(recorded, request)
	return recorded.Code
}

// judge looks at the two days as a whole.
func (tw *tokensWorld) judge() {
	if len(tw.violations) > 0 {
		return
	}
	if !tw.faults && tw.Short*10_000 > tw.Samples {
		tw.violate("%d of %d samples had less than %v left", tw.Short, tw.Samples, wanted)
	}
	if least := tokensUsers * int(tokensFor/time.Hour); tw.Refreshes < least {
		tw.violate("there were %d refreshes, which cannot have kept anything fresh", tw.Refreshes)
	}
	if tw.faults && (tw.Faults == 0 || tw.Edits == 0 || tw.Forced == 0) {
		tw.violate("there was too little misfortune: %+v", tw.TokensFigures)
	}
}

// forceByHand ends all tokens of a user, as somebody else with the OAuth client's key can.
func (w *World) forceByHand(id int64) {
	status := w.ask(http.MethodPost, fmt.Sprintf("/v2/oauth-clients/%s/users/%d/force-refresh", clientID, id),
		http.Header{"X-Cal-Secret-Key": {w.secret}, "X-Cal-Client-Id": {clientID}})
	if status != http.StatusOK {
		panic(fmt.Sprintf("simulation: a force-refresh by hand answers %d", status))
	}
}
