// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package extract takes one number out of an answer in JSON: by a JSONPath, as kubectl has it, or by an expression in CEL. It is pure, and
// its work is bounded whatever the expression and the answer are. Whatever is no finite number is a typed error of package query,
// with a sentence that holds nothing of the answer.
package extract

import (
	"context"
	"errors"
	"math"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/windlass-dev/windlass/internal/analysis/query"
)

// Expression finds the number in an answer. It may be used by several goroutines.
type Expression struct {
	find func(ctx context.Context, answer []byte) (any, error) // float64, nil for a null, or something else
}

// source is the text of an expression. One of the two is set.
type source struct{ jsonPath, cel string }

// parsed is what came of a source.
type parsed struct {
	*Expression

	err error
}

// maxParsed bounds the memory of expressions that were parsed.
const maxParsed = 512

// known remembers expressions: to compile one takes longer than to evaluate it, and each look at a Rollout asks for all of its.
var known = func() *lru.Cache[source, parsed] {
	c, err := lru.New[source, parsed](maxParsed)
	if err != nil {
		panic(err) // the size is a constant
	}
	return c
}()

// Parse reads a JSONPath such as {.data.errorRate}, or an expression in CEL such as double(result.failed) / double(result.total).
// Exactly one of them is given. Its errors begin with jsonPath or cel, and quote the expression.
func Parse(jsonPath, cel string) (*Expression, error) {
	from := source{jsonPath, cel}
	if p, ok := known.Get(from); ok {
		return p.Expression, p.err
	}
	var p parsed
	switch {
	case (jsonPath == "") == (cel == ""):
		p.err = errors.New("jsonPath: expected either jsonPath or cel")
	case cel != "":
		p.Expression, p.err = parseCEL(cel)
	default:
		p.Expression, p.err = parsePath(jsonPath)
	}
	known.Add(from, p)
	return p.Expression, p.err
}

// Number gives the number that the expression finds in an answer. Its errors are *query.NoDataError for null and for nothing at all,
// and *query.ProviderError.
func (e *Expression) Number(ctx context.Context, answer []byte) (float64, error) {
	found, err := e.find(ctx, answer)
	if err != nil {
		return 0, err
	}
	var v float64
	switch found := found.(type) {
	case nil:
		return 0, &query.NoDataError{Reason: "the answer has null for the number"}
	case float64:
		v = found
	case int64:
		v = float64(found)
	case uint64:
		v = float64(found)
	case string:
		return 0, fault("the answer has a text where a number is wanted")
	case bool:
		return 0, fault("the answer has true or false where a number is wanted")
	default:
		return 0, fault("the answer has a list or an object where a number is wanted")
	}
	switch {
	case math.IsNaN(v):
		return 0, &query.NoDataError{Reason: "the expression gives NaN, as a ratio of nothing to nothing does"}
	case math.IsInf(v, 0):
		return 0, fault("the expression gives an infinite value, as a division by zero does")
	}
	return v, nil
}

func fault(reason string) error { return &query.ProviderError{Reason: reason} }
