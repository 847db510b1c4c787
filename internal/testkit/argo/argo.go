// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package argo runs the scripts of config/argocd as Argo CD 3.2 does (its util/lua): the same interpreter with the base, package and
// table libraries and no other, and a second of time. Argo CD's own engine runs them in test/gitops.
package argo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"reflect"
	"slices"
	"time"

	lua "github.com/yuin/gopher-lua"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/config/argocd"
)

// Healths that Argo CD knows.
const (
	Healthy     = "Healthy"
	Suspended   = "Suspended"
	Progressing = "Progressing"
	Degraded    = "Degraded"
)

// FirstStep is the annotation of a Rollout that asks for Healthy as soon as the first step is live.
const FirstStep = otav1alpha1.Group + "/argocd-health"

// Object is a Kubernetes object as JSON has it.
type Object = map[string]any

// Health is what a script says of an object.
type Health struct {
	Status  string `json:"status"`
	Message string `json:"message"`
}

// Action is an entry of an object's menu.
type Action struct {
	Name        string  `json:"name,omitempty"`
	Disabled    bool    `json:"disabled,omitempty"`
	DisplayName string  `json:"displayName,omitempty"`
	Params      []Param `json:"params,omitempty"`
}

// Param is what a person is asked for.
type Param struct {
	Name string `json:"name"`
}

// HealthOf runs the health script of an object's kind. A script that fails, or says something that Argo CD does not know, is an
// error: Argo CD would show Unknown, which is worse than any other health.
func HealthOf(obj Object) (Health, error) {
	var out Health
	if err := run(obj, nil, "health.lua", &out); err != nil {
		return Health{}, err
	}
	if !slices.Contains([]string{Healthy, Suspended, Progressing, Degraded}, out.Status) {
		return Health{}, fmt.Errorf("health.lua of %v says %q, expected one of Healthy, Suspended, Progressing and Degraded", obj["kind"], out.Status)
	}
	return out, nil
}

// ActionsOf runs the script that tells what can be done with an object now, by name.
func ActionsOf(obj Object) (map[string]Action, error) {
	out := map[string]Action{}
	err := run(obj, nil, "actions/discovery.lua", &out)
	return out, err
}

// Run runs an action and gives the annotations that the object has then: all that our actions change.
func Run(obj Object, action string, params map[string]string) (map[string]string, error) {
	var out struct {
		Metadata struct {
			Annotations map[string]string `json:"annotations"`
		} `json:"metadata"`
	}
	err := run(obj, params, "actions/"+action+"/action.lua", &out)
	return out.Metadata.Annotations, err
}

// FromObject gives a typed object of this project as Argo CD reads it from the API server.
func FromObject(obj client.Object) (Object, error) {
	out, err := runtime.DefaultUnstructuredConverter.ToUnstructured(obj)
	if err != nil {
		return nil, fmt.Errorf("read %T: %w", obj, err)
	}
	out["apiVersion"], out["kind"] = otav1alpha1.GroupVersion.String(), reflect.TypeOf(obj).Elem().Name()
	return out, nil
}

const patience = time.Second // Argo CD's own

func run(obj Object, params map[string]string, script string, into any) error {
	kind, _ := obj["kind"].(string)
	text, err := fs.ReadFile(argocd.Scripts, path.Join(argocd.Group, kind, script))
	if err != nil {
		return fmt.Errorf("no script for %s: %w", kind, err)
	}
	l := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer l.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := prepare(ctx, l, obj, params); err != nil {
		return err
	}
	if err := l.DoString(string(text)); err != nil {
		return fmt.Errorf("%s of %s: %w", script, kind, err)
	}
	value, err := fromLua(l.Get(-1), map[lua.LValue]bool{})
	if err != nil {
		return fmt.Errorf("%s of %s: %w", script, kind, err)
	}
	raw, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("%s of %s: %w", script, kind, err)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("%s of %s returned %s: %w", script, kind, raw, err)
	}
	return nil
}

// prepare gives a script what it may use.
func prepare(ctx context.Context, l *lua.LState, obj Object, params map[string]string) error {
	for _, lib := range []struct {
		name string
		open lua.LGFunction
	}{{lua.LoadLibName, lua.OpenPackage}, {lua.BaseLibName, lua.OpenBase}, {lua.TabLibName, lua.OpenTable}} {
		if err := l.CallByParam(lua.P{Fn: l.NewFunction(lib.open), Protect: true}, lua.LString(lib.name)); err != nil {
			return fmt.Errorf("open library %q: %w", lib.name, err)
		}
	}
	l.SetContext(ctx)
	given := l.NewTable()
	for name, value := range params {
		given.RawSetString(name, lua.LString(value))
	}
	l.SetGlobal("actionParams", given)
	l.SetGlobal("obj", toLua(l, obj))
	return nil
}

func toLua(l *lua.LState, value any) lua.LValue {
	switch v := value.(type) {
	case bool:
		return lua.LBool(v)
	case float64:
		return lua.LNumber(v)
	case int64:
		return lua.LNumber(v)
	case string:
		return lua.LString(v)
	case []any:
		out := l.CreateTable(len(v), 0)
		for _, item := range v {
			out.Append(toLua(l, item))
		}
		return out
	case Object:
		out := l.CreateTable(0, len(v))
		for key, item := range v {
			out.RawSetString(key, toLua(l, item))
		}
		return out
	}
	return lua.LNil
}

// fromLua gives what JSON can hold. A table is an array or an object; an empty one is an array, as it is for Argo CD. It holds no table
// twice: Argo CD takes that for a cycle.
func fromLua(value lua.LValue, seen map[lua.LValue]bool) (any, error) {
	switch v := value.(type) {
	case lua.LBool:
		return bool(v), nil
	case lua.LNumber:
		return float64(v), nil
	case lua.LString:
		return string(v), nil
	case *lua.LTable:
		if seen[v] {
			return nil, errors.New("cannot encode recursively nested tables to JSON: make a table for each place")
		}
		seen[v] = true
		return fromTable(v, seen)
	}
	return nil, nil
}

func fromTable(table *lua.LTable, seen map[lua.LValue]bool) (any, error) {
	list, object := []any{}, Object{}
	var failure error
	table.ForEach(func(key, item lua.LValue) {
		value, err := fromLua(item, seen)
		failure = errors.Join(failure, err)
		if list = append(list, value); key.Type() == lua.LTString {
			object[key.String()] = value
		}
	})
	if len(object) > 0 {
		return object, failure
	}
	return list, failure
}
