// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package extract

import (
	"encoding/json"
	"errors"
	"math"
	"testing"

	"github.com/windlass-dev/windlass/internal/analysis/query"
)

func marshal(v float64) (string, error) {
	raw, err := json.Marshal(v)
	return string(raw), err
}

// FuzzNumber: whatever the expression and the answer are, there is a finite number or a typed error with a sentence.
func FuzzNumber(f *testing.F) {
	answers := []string{
		`{"data":{"rate":0.5,"items":[{"name":"shop","n":1},{"name":null,"n":"x"}]}}`, `null`, `[]`, `[[1],[2,[3]]]`, `"text"`, `<html>`,
		`{"data":null}`, `1e400`, `[null,{"a":[{}]},true]`,
	}
	paths := []string{"{.data.rate}", `{.data.items[?(@.name=="shop")].n}`, "{[0][0:1:2]}", "{[*][-1]}", `{[?(@.a[*].b>1.5)]}`, "{['a'].b}", "{$[?(@)]}"}
	exprs := []string{"result.data.rate", "result[0] / result[1]", `result.data.items.filter(i, i.name == "shop")[0].n`, "has(result.a) ? 1.0 : 0.0", "size(result)"}
	for _, answer := range answers {
		for _, path := range paths {
			f.Add(path, false, answer)
		}
		for _, e := range exprs {
			f.Add(e, true, answer)
		}
	}
	f.Fuzz(func(t *testing.T, text string, isCEL bool, answer string) {
		if len(text) > 1024 || len(answer) > 64<<10 {
			return
		}
		from := source{jsonPath: text}
		if isCEL {
			from = source{cel: text}
		}
		e, err := Parse(from.jsonPath, from.cel)
		if err != nil {
			if e != nil || err.Error() == "" {
				t.Fatalf("%q: an expression along with the error %v", text, err)
			}
			return
		}
		v, err := e.Number(t.Context(), []byte(answer))
		_, none := errors.AsType[*query.NoDataError](err)
		_, fault := errors.AsType[*query.ProviderError](err)
		switch {
		case err == nil && (math.IsNaN(v) || math.IsInf(v, 0)):
			t.Fatalf("%q of %q gave %v", text, answer, v)
		case err != nil && (v != 0 || none == fault || err.Error() == ""):
			t.Fatalf("%q of %q gave %v and an error of type %T: %v", text, answer, v, err, err)
		}
	})
}
