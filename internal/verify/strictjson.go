// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// maxDepth bounds how deep JSON is nested.
const maxDepth = 64

// object is one level of JSON that checkJSON passed.
type object map[string]json.RawMessage

// checkJSON refuses what two readers of JSON may read in two ways: a name that is given twice in an object, text that is no UTF-8,
// and anything after the value. It bounds the depth.
func checkJSON(data []byte) error {
	if !utf8.Valid(data) {
		return errors.New("it is no UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if err := checkValue(d, 0); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is more after its end")
	}
	return nil
}

func checkValue(d *json.Decoder, depth int) error {
	token, err := d.Token()
	if err != nil {
		return errors.New("it is no JSON")
	}
	open, ok := token.(json.Delim)
	if !ok {
		return nil
	}
	if depth >= maxDepth {
		return fmt.Errorf("it is nested more than %d levels deep", maxDepth)
	}
	names := map[string]bool{}
	for d.More() {
		if open == '{' {
			name, err := d.Token()
			if err != nil {
				return errors.New("it is no JSON")
			}
			text, _ := name.(string)
			if names[text] {
				return fmt.Errorf("it has the name %.40q twice", text)
			}
			names[text] = true
		}
		if err := checkValue(d, depth+1); err != nil {
			return err
		}
	}
	if _, err = d.Token(); err != nil { // the closing bracket
		return errors.New("it is no JSON")
	}
	return nil
}

// parseObject reads one level of JSON that checkJSON passed.
func parseObject(data []byte) (object, error) {
	var out object
	if err := json.Unmarshal(data, &out); err != nil || out == nil {
		return nil, errors.New("expected a JSON object")
	}
	return out, nil
}

// read decodes a member. Readers that take no heed of case would see two members where one differs by case only: that is refused.
// What is absent or null leaves into as it is.
func (o object) read(name string, into any) error {
	for other := range o {
		if other != name && strings.EqualFold(other, name) {
			return fmt.Errorf("it has %.40q, expected %q in this case", other, name)
		}
	}
	raw, ok := o[name]
	if !ok {
		return nil
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("its %q is of another type than expected", name)
	}
	return nil
}

// text walks down to a string; "" where something on the way is absent.
func (o object) text(path ...string) (string, error) {
	for _, name := range path[:len(path)-1] {
		var next object
		if err := o.read(name, &next); err != nil {
			return "", err
		}
		o = next
	}
	var out string
	err := o.read(path[len(path)-1], &out)
	return out, err
}

// list walks down to a list of objects; nil where something on the way is absent.
func (o object) list(path ...string) ([]object, error) {
	for _, name := range path[:len(path)-1] {
		var next object
		if err := o.read(name, &next); err != nil {
			return nil, err
		}
		o = next
	}
	var out []object
	err := o.read(path[len(path)-1], &out)
	return out, err
}
