// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package calcomtest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"
)

// object is a JSON object as JavaScript keeps it: in the order of its members,
// because validation errors send the caller's object back. Values are nil,
// bool, float64, string, []any and object.
type object []member

type member struct {
	key   string
	value any
}

// get finds a member. It is false for one that is not there, "undefined".
func (o object) get(key string) (any, bool) {
	for _, m := range o {
		if m.key == key {
			return m.value, true
		}
	}
	return nil, false
}

// set replaces a member in its place or appends it.
func (o object) set(key string, value any) object {
	for i := range o {
		if o[i].key == key {
			o[i].value = value
			return o
		}
	}
	return append(o, member{key, value})
}

// MarshalJSON writes the members in their order.
func (o object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(encode(m.key))
		b.WriteByte(':')
		b.Write(encode(jsNumber(m.value)))
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// jsNumber replaces what JSON.stringify writes as null.
func jsNumber(v any) any {
	if f, ok := v.(float64); ok && (math.IsNaN(f) || math.IsInf(f, 0)) {
		return nil
	}
	return v
}

// endOfInput is the JavaScript engine's message for a body that ends too
// early, the only one that was recorded.
const endOfInput = "Unexpected end of JSON input"

// parseJS reads JSON the way JSON.parse does, or says in the engine's words
// what is wrong.
func parseJS(body []byte) (v any, message string) {
	var raw json.RawMessage
	if err := json.Unmarshal(body, &raw); err != nil {
		var syntax *json.SyntaxError
		if !errors.As(err, &syntax) || syntax.Error() == "unexpected end of JSON input" {
			return nil, endOfInput
		}
		return nil, unexpectedToken(body, int(syntax.Offset)-1)
	}
	v, err := readValue(json.NewDecoder(bytes.NewReader(raw)))
	if err != nil {
		// Only a number beyond float64 comes here, which is infinite for
		// JavaScript and null in JSON.
		return nil, ""
	}
	return v, ""
}

// unexpectedToken is the engine's message for a wrong character.
func unexpectedToken(body []byte, at int) string {
	token, _ := utf8.DecodeRune(body[at:])
	return fmt.Sprintf(`Unexpected token '%c', "%s" is not valid JSON`, token, body)
}

// readValue reads the next value.
func readValue(dec *json.Decoder) (any, error) {
	tok, err := dec.Token()
	if err != nil {
		return nil, err
	}
	switch tok {
	case json.Delim('{'):
		return readObject(dec)
	case json.Delim('['):
		return readList(dec)
	}
	return tok, nil
}

func readObject(dec *json.Decoder) (object, error) {
	out := object{}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return nil, err
		}
		value, err := readValue(dec)
		if err != nil {
			return nil, err
		}
		name, ok := key.(string)
		if !ok {
			return nil, io.ErrUnexpectedEOF
		}
		out = out.set(name, value)
	}
	_, err := dec.Token()
	slices.SortStableFunc(out, func(a, b member) int { return compareIndexes(a.key, b.key) })
	return out, err
}

func readList(dec *json.Decoder) ([]any, error) {
	out := []any{}
	for dec.More() {
		value, err := readValue(dec)
		if err != nil {
			return nil, err
		}
		out = append(out, value)
	}
	_, err := dec.Token()
	return out, err
}

// arrayIndex is the number that a key is for JavaScript, -1 for other keys.
func arrayIndex(key string) int64 {
	n, err := strconv.ParseUint(key, 10, 32)
	if err != nil || n == math.MaxUint32 || strconv.FormatUint(n, 10) != key {
		return -1
	}
	return int64(n)
}

// compareIndexes orders keys as JavaScript objects do: array indexes first, by
// number, the others as they are.
func compareIndexes(a, b string) int {
	m, n := arrayIndex(a), arrayIndex(b)
	switch {
	case m >= 0 && n >= 0:
		return cmp.Compare(m, n)
	case m >= 0:
		return -1
	case n >= 0:
		return 1
	}
	return 0
}

// stored is an object after its way through a jsonb column: PostgreSQL orders
// keys by length, then by byte, and what JavaScript makes of that puts array
// indexes in front.
func stored(values map[string]any) object {
	out := object{}
	for key, value := range values {
		out = append(out, member{key, storedValue(value)})
	}
	slices.SortFunc(out, func(a, b member) int {
		return cmp.Or(compareIndexes(a.key, b.key), cmp.Compare(len(a.key), len(b.key)), cmp.Compare(a.key, b.key))
	})
	return out
}

func storedValue(v any) any {
	switch v := v.(type) {
	case map[string]any:
		return stored(v)
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = storedValue(v[i])
		}
		return out
	}
	return v
}

// significant is the number of digits that survive the way to the database and
// back: 12345678901234567890 was recorded to come back as 12345678901234570000.
const significant = 16

// rounded is the number that comes back for f.
func rounded(f float64) float64 {
	out, err := strconv.ParseFloat(strconv.FormatFloat(f, 'e', significant-1, 64), 64)
	if err != nil {
		return f
	}
	return out
}
