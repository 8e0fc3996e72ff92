// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package gitops

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/argoproj/gitops-engine/pkg/health"
	lua "github.com/yuin/gopher-lua"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	luajson "layeh.com/gopher-json"
	"sigs.k8s.io/yaml"
)

const (
	group = "platform.cal.com"

	kindUser, kindClient, kindClusterClient = "ManagedUser", "OAuthClient", "ClusterOAuthClient"
)

// scriptTimeout is Argo CD's limit for one script (util/lua/lua.go).
const scriptTimeout = time.Second

// libraries are those that Argo CD opens for scripts from argocd-cm (util/lua/lua.go): neither string nor math, and of
// os only what require("os") gives.
var libraries = []struct {
	name string
	open lua.LGFunction
}{
	{lua.LoadLibName, lua.OpenPackage},
	{lua.BaseLibName, lua.OpenBase},
	{lua.TabLibName, lua.OpenTable},
}

// runLua runs a script on an object as Argo CD does and returns, as JSON, what it returned.
func runLua(t *testing.T, script string, object map[string]any) ([]byte, error) {
	t.Helper()
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	for _, library := range libraries {
		if err := state.CallByParam(lua.P{Fn: state.NewFunction(library.open), Protect: true}, lua.LString(library.name)); err != nil {
			return nil, fmt.Errorf("opening %s: %w", library.name, err)
		}
	}
	state.PreloadModule(lua.OsLibName, openSafeOS)
	ctx, cancel := context.WithTimeout(t.Context(), scriptTimeout)
	defer cancel()
	state.SetContext(ctx)
	state.SetGlobal("obj", toLua(state, object))
	if err := state.DoString(script); err != nil {
		return nil, err
	}
	result := state.Get(-1)
	if result.Type() != lua.LTTable {
		return nil, fmt.Errorf("the script returned a %s", result.Type())
	}
	return luajson.Encode(result)
}

// openSafeOS leaves of the library os what cannot read files or end the process.
func openSafeOS(state *lua.LState) int {
	state.Push(state.NewFunction(lua.OpenOs))
	state.Call(0, 1)
	all, safe := state.CheckTable(-1), state.NewTable()
	for _, name := range []string{"time", "date"} {
		safe.RawSetString(name, all.RawGetString(name))
	}
	state.SetGlobal(lua.OsLibName, lua.LNil)
	state.SetField(state.GetField(state.GetGlobal(lua.LoadLibName), "loaded"), lua.OsLibName, safe)
	state.Push(safe)
	return 1
}

// toLua converts JSON values, numbers to Lua's as Argo CD does.
func toLua(state *lua.LState, value any) lua.LValue {
	switch value := value.(type) {
	case bool:
		return lua.LBool(value)
	case string:
		return lua.LString(value)
	case int64:
		return lua.LNumber(value)
	case float64:
		return lua.LNumber(value)
	case []any:
		list := state.NewTable()
		for _, item := range value {
			list.Append(toLua(state, item))
		}
		return list
	case map[string]any:
		table := state.NewTable()
		for key, item := range value {
			table.RawSetString(key, toLua(state, item))
		}
		return table
	}
	return lua.LNil
}

// customizations are what argocd-cm-patch.yaml teaches Argo CD.
type customizations struct {
	t       *testing.T
	health  map[string]string  // By kind.
	actions map[string]actions // By kind.
}

// actions are in the form in which Argo CD reads them (ResourceActions in pkg/apis/application/v1alpha1).
type actions struct {
	Discovery   string `json:"discovery.lua"`
	Definitions []struct {
		Name string `json:"name"`
		Lua  string `json:"action.lua"`
	} `json:"definitions"`
}

func (a actions) definition(name string) string {
	for _, d := range a.Definitions {
		if d.Name == name {
			return d.Lua
		}
	}
	return ""
}

func readCustomizations(t *testing.T) customizations {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(root, "config", "argocd", "argocd-cm-patch.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var patch corev1.ConfigMap
	if err := yaml.UnmarshalStrict(content, &patch); err != nil {
		t.Fatal(err)
	}
	c := customizations{t: t, health: make(map[string]string), actions: make(map[string]actions)}
	for _, kind := range []string{kindUser, kindClient, kindClusterClient} {
		c.health[kind] = patch.Data["resource.customizations.health."+group+"_"+kind]
		var a actions
		if err := yaml.UnmarshalStrict([]byte(patch.Data["resource.customizations.actions."+group+"_"+kind]), &a); err != nil {
			t.Fatalf("actions of %s: %v", kind, err)
		}
		c.actions[kind] = a
	}
	if len(patch.Data) != 2*len(c.health) {
		t.Fatalf("the patch has %d keys, want two of each kind", len(patch.Data))
	}
	return c
}

// GetResourceHealth makes the scripts an override of gitops-engine.
func (c customizations) GetResourceHealth(object *unstructured.Unstructured) (*health.HealthStatus, error) {
	script, ok := c.health[object.GetKind()]
	if !ok {
		return nil, nil //nolint:nilnil // The interface wants it so.
	}
	result, err := runLua(c.t, script, object.Object)
	if err != nil {
		return nil, err
	}
	var verdict health.HealthStatus
	if err := json.Unmarshal(result, &verdict); err != nil {
		return nil, err
	}
	return &verdict, nil
}

// Scripts find here what Argo CD gives them, and nothing more.
func TestScriptsRunAsInArgoCD(t *testing.T) {
	for _, row := range []struct{ name, script, want string }{
		{"no string library", `return {missing = string == nil}`, `{"missing":true}`},
		{"no global os", `return {missing = os == nil}`, `{"missing":true}`},
		{"os by require, with the time", `local os = require("os") return {is = os.time() > 0, date = os.date("!%Y", 0)}`, `{"date":"1970","is":true}`},
		{"os without files", `local os = require("os") return {missing = os.remove == nil and os.exit == nil and os == require("os")}`, `{"missing":true}`},
		{"numbers stay whole", `return {n = obj.n}`, `{"n":742}`},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, err := runLua(t, row.script, map[string]any{"n": int64(742)})
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != row.want {
				t.Errorf("the script returned %s, want %s", got, row.want)
			}
		})
	}
	if _, err := runLua(t, "while true do end", nil); err == nil {
		t.Error("a script that never ends was not stopped")
	}
}
