// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package calcomtest

import (
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// rule is one check of a field. In an error its name is the key of the text.
type rule struct {
	name, text string
	ok         func(v any) bool
}

// field is one property of a request and its checks, in the order in which
// the real server lists those that fail.
type field struct {
	name string
	// required fields are checked also when they are missing or null.
	required  bool
	transform func(any) any
	rules     []rule
}

// fieldError is one entry of details.errors.
type fieldError struct {
	// Target is the whole request, after removal of unknown fields.
	Target object `json:"target"`
	// Value is nil when the field is missing, and then left out.
	Value       *any   `json:"value,omitempty"`
	Property    string `json:"property"`
	Children    []any  `json:"children"`
	Constraints object `json:"constraints"`
}

// validate drops unknown fields, transforms the others and checks them.
func validate(fields []field, in object) (object, *problem) {
	target := object{}
	for _, m := range in {
		for _, f := range fields {
			if f.name != m.key {
				continue
			}
			if o, ok := m.value.(object); ok {
				if _, breaks := o.get("constructor"); breaks {
					return nil, errDatabase
				}
				m.value = o.withoutInherited()
			}
			target = append(target, member{m.key, f.converted(m.value)})
		}
	}
	var errs []fieldError
	for _, f := range fields {
		if e := f.check(target); e != nil {
			errs = append(errs, *e)
		}
	}
	if len(errs) == 0 {
		return target, nil
	}
	return nil, &problem{
		status:  http.StatusBadRequest,
		Code:    "BadRequestException",
		Message: "Bad Request Exception",
		Details: struct {
			Errors []fieldError `json:"errors"`
		}{errs},
	}
}

// inherited are the properties that every JavaScript object has. The real
// server's transformation drops members of these names, and fails with one that
// is called constructor.
var inherited = []string{
	"__proto__", "__defineGetter__", "__defineSetter__", "__lookupGetter__", "__lookupSetter__", "hasOwnProperty", "isPrototypeOf",
	"propertyIsEnumerable", "toLocaleString", "toString", "valueOf",
}

func (o object) withoutInherited() object {
	return slices.DeleteFunc(slices.Clone(o), func(m member) bool { return slices.Contains(inherited, m.key) })
}

func (f field) converted(v any) any {
	if f.transform == nil || v == nil {
		return v
	}
	return f.transform(v)
}

// check returns what is wrong with the field, nil if nothing.
func (f field) check(target object) *fieldError {
	value, present := target.get(f.name)
	if value == nil && !f.required {
		return nil
	}
	constraints := object{}
	for _, r := range f.rules {
		if !r.ok(value) {
			constraints = append(constraints, member{r.name, r.text})
		}
	}
	if len(constraints) == 0 {
		return nil
	}
	e := &fieldError{Target: target, Property: f.name, Children: []any{}, Constraints: constraints}
	if present {
		e.Value = new(jsNumber(value))
	}
	return e
}

func isString(v any) bool { _, ok := v.(string); return ok }

func isNumber(v any) bool {
	f, ok := v.(float64)
	return ok && !math.IsNaN(f) && !math.IsInf(f, 0)
}

func stringRule(name string) rule {
	return rule{"isString", name + " must be a string", isString}
}

func numberRule(name string) rule {
	return rule{"isNumber", name + " must be a number conforming to the specified constraints", isNumber}
}

// between are the rules of a number that a query sends, in recorded order.
func between(name string, least, most int) []rule {
	return []rule{
		{"max", name + " must not be greater than " + strconv.Itoa(most), func(v any) bool { return isNumber(v) && v.(float64) <= float64(most) }},
		{"min", name + " must not be less than " + strconv.Itoa(least), func(v any) bool { return isNumber(v) && v.(float64) >= float64(least) }},
		numberRule(name),
	}
}

// oneOf accepts the given strings only.
func oneOf(kind, name string, values []string) rule {
	text := name + " must be one of the following values: " + strings.Join(values, ", ")
	return rule{kind, text, func(v any) bool {
		s, ok := v.(string)
		return ok && slices.Contains(values, s)
	}}
}
