// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package extract

import (
	"context"
	"errors"
	"math"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/windlass-dev/windlass/internal/analysis/query"
)

// outcome is what an expression found, in a form that tables can show.
type outcome struct {
	Value    float64
	NoData   string
	Provider string
}

func number(t interface {
	Fatalf(format string, args ...any)
	Context() context.Context
}, jsonPath, cel, answer string,
) outcome {
	e, err := Parse(jsonPath, cel)
	if err != nil {
		t.Fatalf("%s%s: %v", jsonPath, cel, err)
	}
	v, err := e.Number(t.Context(), []byte(answer))
	if none, ok := errors.AsType[*query.NoDataError](err); ok {
		return outcome{NoData: none.Reason}
	}
	if bad, ok := errors.AsType[*query.ProviderError](err); ok {
		return outcome{Provider: bad.Reason}
	}
	if err != nil {
		t.Fatalf("error of type %T: %v", err, err)
	}
	return outcome{Value: v}
}

const (
	noPath   = "the answer is not of the form that jsonPath expects"
	noNumber = " where a number is wanted"
	isNull   = "the answer has null for the number"
	nothing  = "jsonPath finds nothing in the answer"
)

func TestNumber_jsonPath(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		path, answer string
		want         outcome
	}{
		"field":         {"{.data.errorRate}", `{"data":{"errorRate":0.25}}`, outcome{Value: 0.25}},
		"integer":       {"{.n}", `{"n":7}`, outcome{Value: 7}},
		"large":         {"{.n}", `{"n":12345678901234567890}`, outcome{Value: 12345678901234567890}},
		"negative":      {"{.n}", `{"n":-1}`, outcome{Value: -1}},
		"index":         {"{[1]}", `[1,2,3]`, outcome{Value: 2}},
		"last":          {"{.a[-1:]}", `{"a":[1,2]}`, outcome{Value: 2}},
		"quoted":        {"{['a']['b']}", `{"a":{"b":3}}`, outcome{Value: 3}},
		"filter":        {`{.items[?(@.name=="shop")].rate}`, `{"items":[{"name":"x","rate":1},{"name":"shop","rate":2}]}`, outcome{Value: 2}},
		"whole filter":  {`{[?(@.code==500)].rate}`, `[{"code":200,"rate":1},{"code":500,"rate":2}]`, outcome{Value: 2}},
		"only star":     {"{.a[*]}", `{"a":[5]}`, outcome{Value: 5}},
		"root":          {"{$.n}", `{"n":1}`, outcome{Value: 1}},
		"itself":        {"{[0]}", `[3.5]`, outcome{Value: 3.5}},
		"null":          {"{.n}", `{"n":null}`, outcome{NoData: isNull}},
		"null alone":    {"{.n}", `null`, outcome{NoData: isNull}},
		"no match":      {`{[?(@.code==500)].rate}`, `[{"code":200,"rate":1}]`, outcome{NoData: nothing}},
		"empty list":    {"{.a[*].n}", `{"a":[]}`, outcome{NoData: nothing}},
		"no field":      {"{.data.errorRate}", `{"data":{"rate":0.25}}`, outcome{Provider: "the answer has no field errorRate where jsonPath expects it"}},
		"null parent":   {"{.data.errorRate}", `{"data":null}`, outcome{Provider: "the answer has no field errorRate where jsonPath expects it"}},
		"other case":    {"{.rate}", `{"Rate":1}`, outcome{Provider: "the answer has no field rate where jsonPath expects it"}},
		"out of bounds": {"{[3]}", `[1]`, outcome{Provider: noPath}},
		"no list":       {"{[0]}", `{"a":1}`, outcome{Provider: noPath}},
		"two":           {"{.a[*]}", `{"a":[1,2]}`, outcome{Provider: "jsonPath finds more than one value, want one number"}},
		"text":          {"{.n}", `{"n":"0.5"}`, outcome{Provider: "the answer has a text" + noNumber}},
		"letters":       {"{.n[*]}", `{"n":"A"}`, outcome{Provider: noPath}},
		"bool":          {"{.n}", `{"n":true}`, outcome{Provider: "the answer has true or false" + noNumber}},
		"object":        {"{.n}", `{"n":{}}`, outcome{Provider: "the answer has a list or an object" + noNumber}},
		"list":          {"{.n}", `{"n":[1]}`, outcome{Provider: "the answer has a list or an object" + noNumber}},
		"NaN":           {"{.n}", `{"n":NaN}`, outcome{Provider: "the answer is no JSON"}},
		"infinite":      {"{.n}", `{"n":1e999}`, outcome{Provider: "the answer is no JSON"}},
		"HTML":          {"{.n}", " <html>", outcome{Provider: "the answer is a web page, want JSON"}},
		"empty":         {"{.n}", "", outcome{Provider: "the answer is no JSON"}},
		"cut off":       {"{.n}", `{"n":1`, outcome{Provider: "the answer is no JSON"}},
		"two answers":   {"{.n}", `{"n":1}{"n":1}`, outcome{Provider: "the answer is no JSON"}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, number(t, tc.path, "", tc.answer)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestNumber_cel(t *testing.T) {
	t.Parallel()
	const (
		noField   = "the answer has no field that the expression asks for"
		noFit     = "the expression does not fit what is in the answer, where all numbers are doubles: 100.0 and not 100"
		noMeaning = "the expression cannot be evaluated over the answer"
	)
	for name, tc := range map[string]struct {
		cel, answer string
		want        outcome
	}{
		"field":         {"result.data.rate", `{"data":{"rate":0.25}}`, outcome{Value: 0.25}},
		"ratio":         {"double(result.failed) / double(result.total)", `{"failed":3,"total":100}`, outcome{Value: 0.03}},
		"whole numbers": {"result.failed / result.total", `{"failed":3,"total":100}`, outcome{Value: 0.03}},
		"filter":        {`result.filter(i, i.name == "shop")[0].rate`, `[{"name":"x","rate":1},{"name":"shop","rate":2}]`, outcome{Value: 2}},
		"count":         {`size(result.filter(i, i.failed))`, `[{"failed":true},{"failed":false}]`, outcome{Value: 1}},
		"unsigned":      {`uint(result)`, `7`, outcome{Value: 7}},
		"guarded":       {"result.total > 0 ? result.failed / result.total : null", `{"failed":0,"total":0}`, outcome{NoData: isNull}},
		"null":          {"result.rate", `{"rate":null}`, outcome{NoData: isNull}},
		"null alone":    {"result", `null`, outcome{NoData: isNull}},
		"0/0":           {"result.failed / result.total", `{"failed":0,"total":0}`, outcome{NoData: "the expression gives NaN, as a ratio of nothing to nothing does"}},
		"NaN in text":   {"double(result)", `"NaN"`, outcome{NoData: "the expression gives NaN, as a ratio of nothing to nothing does"}},
		"1/0":           {"result.failed / result.total", `{"failed":1,"total":0}`, outcome{Provider: "the expression gives an infinite value, as a division by zero does"}},
		"-1/0":          {"result.failed / result.total", `{"failed":-1,"total":0}`, outcome{Provider: "the expression gives an infinite value, as a division by zero does"}},
		"no field":      {"result.rate", `{"error":"x"}`, outcome{Provider: noField}},
		"text":          {"result.rate", `{"rate":"0.5"}`, outcome{Provider: "the answer has a text" + noNumber}},
		"bool":          {"result.rate", `{"rate":false}`, outcome{Provider: "the answer has true or false" + noNumber}},
		"list":          {"result.rate", `{"rate":[]}`, outcome{Provider: "the answer has a list or an object" + noNumber}},
		"object":        {"result", `{}`, outcome{Provider: "the answer has a list or an object" + noNumber}},
		"types":         {"result.failed * 100", `{"failed":1}`, outcome{Provider: noFit}},
		"no number":     {"double(result.rate)", `{"rate":"secret"}`, outcome{Provider: noMeaning}},
		"no match":      {`result.filter(i, i.name == "shop")[0].rate`, `[]`, outcome{Provider: noMeaning}},
		"division":      {"int(result.failed) / int(result.total)", `{"failed":1,"total":0}`, outcome{Provider: noMeaning}},
		"HTML":          {"result.rate", "<html>", outcome{Provider: "the answer is a web page, want JSON"}},
		"empty":         {"result.rate", "", outcome{Provider: "the answer is no JSON"}},
		"sum":           {"result.a + 1.5 + double(1 + 2)", `{"a":1}`, outcome{Value: 5.5}},
		"texts":         {"size(result + result)", `"text"`, outcome{Provider: noFit}},
		"lists":         {"size(result + result)", `[1,2]`, outcome{Provider: noFit}},
		"nested filter": {`result.filter(i, i.a.exists(j, j == 2.0))[0].n`, `[{"a":[1],"n":1},{"a":[2],"n":2}]`, outcome{Value: 2}},
		"all to all": {"result.exists(a, result.exists(b, a + b == 3.0)) ? 1 : 0", "[" + strings.Repeat("1,", 30_000) + "1]",
			outcome{Provider: "the expression takes too many steps over the answer"}},
		"whole to all": {"result.exists(a, result != result) ? 1 : 0", "[" + strings.Repeat("1,", 30_000) + "1]",
			outcome{Provider: "the expression takes too many steps over the answer"}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, number(t, "", tc.cel, tc.answer)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestParse_refuses(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ path, cel, want string }{
		"neither":        {"", "", "expected either jsonPath or cel"},
		"both":           {"{.a}", "result.a", "expected either jsonPath or cel"},
		"no braces":      {".data.rate", "", "expected one path in braces"},
		"two paths":      {"{.a}{.b}", "", "expected one path in braces"},
		"text around":    {"0{.a}", "", "expected one path in braces"},
		"nothing in it":  {"{}", "", "expected one path in braces"},
		"constant":       {"{0.5}", "", "only fields, indexes, stars and filters"},
		"text":           {"{'a'}", "", "only fields, indexes, stars and filters"},
		"descent":        {"{..a}", "", "only fields, indexes, stars and filters"},
		"hidden descent": {"{.a[?(@..b==1)]}", "", "only fields, indexes, stars and filters"},
		"union":          {"{['a','b']}", "", "only fields, indexes, stars and filters"},
		"range":          {"{range .a[*]}{.b}{end}", "", "expected one path in braces"},
		"one range":      {"{range}", "", "only fields, indexes, stars and filters"},
		"unclosed":       {"{.a", "", `jsonPath "{.a": unclosed action`},
		"syntax":         {"", "result.", `cel "result.": ERROR`},
		"unknown":        {"", "results.a", "undeclared reference to 'results'"},
		"bool":           {"", "result.a > 1.0", "expected an expression that gives a number, got one of type bool"},
		"string":         {"", `"0.5"`, "got one of type string"},
		"expensive":      {"", `"a".matches("((a{100}){100}){100}") ? 1 : 0`, "undeclared reference to 'matches'"},
		"growing text":   {"", "size([result].map(x, x + x)[0])", "undeclared reference to 'map'"},
		"growing lists":  {"", "[[result, result]].exists(x, [[x, x]].exists(y, y == y)) ? 1 : 0", "lists and maps cannot be made in it"},
		"in a filter":    {"", "size(result.filter(x, [x] == result))", "lists and maps cannot be made in it"},
		"in a function":  {"", "size([result])", "lists and maps cannot be made in it"},
		"in a field":     {"", "{'a': result}.a", "lists and maps cannot be made in it"},
		"long":           {"", "1" + strings.Repeat("+1", maxExpression), "exceeds limit"},
		"deep":           {"", strings.Repeat("(", 1000) + "1" + strings.Repeat(")", 1000), "cel"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse(tc.path, tc.cel)
			if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want one line with %q", err, tc.want)
			}
		})
	}
}

// An expression is compiled once, and used by many at the same time.
func TestParse_shared(t *testing.T) {
	t.Parallel()
	for _, e := range []source{{cel: "result.n / 4.0"}, {jsonPath: `{.a[?(@.b=="c")].n}`}} {
		first, err := Parse(e.jsonPath, e.cel)
		if err != nil {
			t.Fatal(err)
		}
		var group sync.WaitGroup
		for range 8 {
			group.Go(func() {
				again, err := Parse(e.jsonPath, e.cel)
				if err != nil || again != first {
					t.Errorf("%+v was parsed again: %v", e, err)
				}
				for range 50 {
					if v, err := again.Number(t.Context(), []byte(`{"n":8,"a":[{"b":"c","n":2}]}`)); v != 2 || err != nil {
						t.Errorf("got %v, %v", v, err)
					}
				}
			})
		}
		group.Wait()
	}
}

// A number that is put into an answer comes out of it.
func TestNumber_roundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.Float64().Draw(t, "number")
		raw, err := marshal(want)
		if err != nil {
			return // no number of JSON
		}
		answer := `{"a":[{"n":` + raw + `}]}`
		for _, got := range []outcome{number(t, "{.a[0].n}", "", answer), number(t, "", "result.a[0].n", answer)} {
			if math.Float64bits(got.Value) != math.Float64bits(want+0) && got.Value != want {
				t.Fatalf("got %+v, want %v", got, want)
			}
		}
	})
}
