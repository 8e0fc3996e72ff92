// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package calcom

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// hidingPlaces are values of every type that holds something hidden, with canaries in all of it.
func hidingPlaces(t *testing.T) map[string]any {
	t.Helper()
	config := Config{BaseURL: "https://api.cal.com", ClientID: testClientID, SecretKey: Hide("canary")}
	c, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	metadata := Metadata{"canary": raw(`"canary"`), "n": raw(`["canary"]`)}
	user := User{
		ID: 7, Email: Hide("canary@example.com"), Username: Hide(new("canary")), Name: Hide(new("canary")), Bio: Hide(new("canary")),
		TimeZone: "Europe/Rome", AvatarURL: Hide(new("https://canary")), Metadata: Hide(metadata),
	}
	fields := UserFields{
		Email: Hide(new("canary@example.com")), Name: Hide(new("canary")), AvatarURL: Hide(new("https://canary")), Bio: Hide(new("canary")),
		Metadata: Hide(metadata),
	}
	tokens := Tokens{AccessToken: Hide("canary"), RefreshToken: Hide("canary")}
	places := map[string]any{
		"Config": config, "Client": c, "ClientValue": *c, "User": user, "UserFields": fields, "Tokens": tokens,
		"Call":         call{name: OpCreate, path: []string{"users"}, body: Hide(fields.body())},
		"HiddenString": Hide("canary"), "HiddenBytes": Hide([]byte("canary")), "HiddenMap": Hide(map[string]string{"canary": "canary"}),
		"HiddenPointer": Hide(new("canary")), "HiddenStruct": Hide(struct{ Inner string }{"canary"}), "Zero": Hidden[string]{},
	}
	for name, value := range places {
		places["Exported"+name] = struct{ Inner any }{value}
		places["Unexported"+name] = struct{ inner any }{value}
		places["Slice"+name] = []any{value}
		places["Map"+name] = map[string]any{"k": value}
	}
	// Without an interface in between, which stops some printers.
	places["UnexportedFields"] = struct {
		config Config
		user   User
		fields UserFields
		tokens Tokens
		users  []User
		byID   map[int64]User
		point  *User
	}{config, user, fields, tokens, []User{user}, map[int64]User{7: user}, &user}
	places["Pointers"] = []any{&config, &user, &fields, &tokens, new(Hide("canary"))}
	return places
}

// isShown reports whether a text holds the canary in any form that a printer gives to text.
func isShown(text string) bool {
	text = strings.ToLower(text)
	for _, verb := range []string{"%s", "%x", "% x", "%d", "%#x", "%c", "%U", "%o", "%b", "%08b", "%#v", "%+q"} {
		if form := strings.Trim(fmt.Sprintf(verb, []byte("canary")), "[]"); strings.Contains(text, strings.ToLower(form)) {
			return true
		}
	}
	return strings.Contains(text, "y2fuyxj5") // Base64.
}

var everyVerb = strings.Fields("%v %+v %#v %s %+s %q %+q %#q %d %+d %x %X %#x %o %O %b %c %U %e %f %g %t %p %T %w %z %10v %-30.3s %[1]*v")

func TestHiddenInFmt(t *testing.T) {
	if !isShown(fmt.Sprintf("%x", "canary")) || !isShown(fmt.Sprintf("%d", []byte("canary"))) || isShown("nothing") {
		t.Fatal("the test does not know a canary when it sees one")
	}
	for name, value := range hidingPlaces(t) {
		texts := map[string]string{"Sprint": fmt.Sprint(value), "Sprintln": fmt.Sprintln(value)}
		for _, verb := range everyVerb {
			texts[verb] = fmt.Sprintf(verb, value)
			texts["error "+verb] = fmt.Errorf("wrapped: %w", fmt.Errorf(verb, value)).Error()
		}
		for how, text := range texts {
			if isShown(text) {
				t.Errorf("%s of %s shows what is hidden: %s", how, name, text)
			}
		}
	}
}

func TestHiddenInEncodings(t *testing.T) {
	encoders := map[string]func(any) ([]byte, error){
		"JSON": json.Marshal,
		"XML":  xml.Marshal,
		"gob": func(v any) ([]byte, error) {
			var b bytes.Buffer
			err := gob.NewEncoder(&b).Encode(v)
			return b.Bytes(), err
		},
	}
	for name, value := range hidingPlaces(t) {
		for encoder, encode := range encoders {
			text, err := encode(value)
			if isShown(string(text)) || isShown(fmt.Sprint(err)) {
				t.Errorf("%s of %s shows what is hidden: %s, %v", encoder, name, text, err)
			}
		}
	}
	text, err := json.Marshal(User{ID: 7, Email: Hide("canary")})
	if err != nil || !strings.Contains(string(text), `"id":7,"email":"[hidden]"`) {
		t.Errorf("got %s, %v; want what is not hidden, and where something is", text, err)
	}
}

// TestHiddenIsDecoded has what must come through in spite of it all.
func TestHiddenIsDecoded(t *testing.T) {
	var got struct {
		Text, Absent Hidden[string]
		Null         Hidden[*string]
		Set          Hidden[*string]
		Map          Hidden[Metadata]
	}
	const body = `{"text":"v","null":null,"set":"w","map":{"a":1.50}}`
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	if got.Text.Reveal() != "v" || got.Absent.Reveal() != "" || got.Null.Reveal() != nil || *got.Set.Reveal() != "w" ||
		string(got.Map.Reveal()["a"]) != "1.50" {
		t.Errorf("got %q, %q, %v, %v, %s", got.Text.Reveal(), got.Absent.Reveal(), got.Null.Reveal(), got.Set.Reveal(), got.Map.Reveal())
	}
	if got.Text.IsZero() || !got.Absent.IsZero() {
		t.Error("what was set counts as never set, or the other way round")
	}
	// The keys of a second object must not stay when it replaces the first.
	if err := json.Unmarshal([]byte(`{"map":{"a":1},"map":{"b":2}}`), &got); err != nil || len(got.Map.Reveal()) != 1 {
		t.Errorf("got %s, %v; want the last of two objects", got.Map.Reveal(), err)
	}
	if err := json.Unmarshal([]byte(`{"text":{"canary":1}}`), &got); err == nil || got.Text.Reveal() != "v" {
		t.Errorf("got %q, %v; want an error and the value as it was", got.Text.Reveal(), err)
	}
}

type panicking struct{}

func (panicking) RoundTrip(r *http.Request) (*http.Response, error) { panic(r.Header.Get("Accept")) }

// TestPanic lets a process die of each value, and of a panic in a call that holds them, and reads what it leaves
// behind.
func TestPanic(t *testing.T) {
	const variable = "CALCOM_TEST_PANIC"
	places := hidingPlaces(t)
	if name := os.Getenv(variable); name == "InACall" {
		c := places["Client"].(*Client)
		c.http.Transport = panicking{}
		_, _, err := c.CreateUser(t.Context(), places["UserFields"].(UserFields))
		t.Fatal("no panic", err)
	} else if name != "" {
		panic(places[name])
	}
	for _, name := range []string{
		"Config", "Client", "User", "UserFields", "Tokens", "HiddenString", "HiddenBytes", "UnexportedFields", "InACall",
	} {
		child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestPanic$")
		child.Env = append(os.Environ(), variable+"="+name, "GOTRACEBACK=all")
		output, err := child.CombinedOutput()
		if err == nil || !strings.Contains(string(output), "goroutine ") {
			t.Errorf("%s: no panic: %v\n%s", name, err, output)
		}
		if isShown(string(output)) {
			t.Errorf("a panic with %s shows what is hidden:\n%s", name, output)
		}
	}
}
