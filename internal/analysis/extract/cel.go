// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package extract

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/env"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/overloads"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
	"github.com/google/cel-go/parser"
)

const (
	// maxCost of an evaluation in units of cel-go. To filter all values of an answer of 64 KiB costs some hundred thousand.
	maxCost = 1_000_000
	// maxTime of an evaluation: cel-go counts the cost of long loops in quadratic time.
	maxTime = 500 * time.Millisecond
	// interruptEvery is after how many rounds of a loop the time is looked at.
	interruptEvery = 8
	// maxExpression is how many characters an expression may have: Metric.web.cel allows 1024.
	maxExpression = 4096
)

// environment knows result, the answer, and what of CEL's standard needs no more memory and time than the answer is large. A regular
// expression of a few bytes can take hundreds of megabytes; texts and lists that are doubled thirty times have no end, which is why
// there is no macro map either, and list literals are refused.
var environment = sync.OnceValues(func() (*cel.Env, error) {
	standard := &env.LibrarySubset{
		IncludeMacros:    []string{operators.Has, operators.All, operators.Exists, operators.ExistsOne, operators.Filter},
		ExcludeFunctions: []*env.Function{env.NewFunction(overloads.Matches), env.NewFunction(operators.Add)},
	}
	list := cel.ListType(cel.TypeParamType("A"))
	return cel.NewCustomEnv(
		cel.StdLib(cel.StdLibSubset(standard)), cel.Variable("result", cel.DynType), cel.ParserExpressionSizeLimit(maxExpression),
		cel.Function(operators.Add,
			cel.Overload(overloads.AddDouble, []*cel.Type{cel.DoubleType, cel.DoubleType}, cel.DoubleType),
			cel.Overload(overloads.AddInt64, []*cel.Type{cel.IntType, cel.IntType}, cel.IntType),
			cel.Overload(overloads.AddUint64, []*cel.Type{cel.UintType, cel.UintType}, cel.UintType),
			cel.Overload(overloads.AddList, []*cel.Type{list, list}, list),
			cel.SingletonBinaryBinding(add, traits.AdderType),
		),
	)
})

// add adds numbers, and one element to a list, as the macro filter does.
func add(a, b ref.Val) ref.Val {
	switch a.(type) {
	case types.Double, types.Int, types.Uint:
		return a.(traits.Adder).Add(b)
	case traits.Lister:
		if one, ok := b.(traits.Lister); ok && one.Size() == types.IntOne {
			return a.(traits.Adder).Add(b)
		}
	}
	return types.NoSuchOverloadErr()
}

// checkLiterals refuses lists and maps that are made by the expression itself, other than those that macros are made of.
func checkLiterals(e ast.Expr) error {
	switch e.Kind() {
	case ast.ListKind, ast.MapKind, ast.StructKind:
		return errors.New("lists and maps cannot be made in it: they are only of result")
	case ast.SelectKind:
		return checkLiterals(e.AsSelect().Operand())
	case ast.CallKind:
		call := e.AsCall()
		if args := call.Args(); call.FunctionName() == operators.Add && args[0].Kind() == ast.IdentKind && args[0].AsIdent() == parser.HiddenAccumulatorName {
			return nil // of the macro filter; no expression can name it
		}
		return checkAll(append(slices.Clone(call.Args()), call.Target()))
	case ast.ComprehensionKind:
		c := e.AsComprehension()
		return checkAll([]ast.Expr{c.IterRange(), c.LoopCondition(), c.LoopStep(), c.Result()})
	}
	return nil
}

func checkAll(list []ast.Expr) error {
	for _, e := range list {
		if err := checkLiterals(e); err != nil {
			return err
		}
	}
	return nil
}

// parseCEL compiles an expression that gives a number.
func parseCEL(text string) (*Expression, error) {
	e, err := environment()
	if err != nil {
		return nil, fmt.Errorf("cel: %w", err) // cannot happen: it is made of constants
	}
	compiled, issues := e.Compile(text)
	if issues.Err() != nil {
		return nil, fmt.Errorf("cel %q: %s", text, oneLine(issues.Err().Error()))
	}
	switch compiled.OutputType().Kind() {
	case types.DynKind, types.DoubleKind, types.IntKind, types.UintKind:
	default:
		return nil, fmt.Errorf("cel %q: expected an expression that gives a number, got one of type %s", text, compiled.OutputType())
	}
	if err := checkLiterals(compiled.NativeRep().Expr()); err != nil {
		return nil, fmt.Errorf("cel %q: %w", text, err)
	}
	program, err := e.Program(compiled, cel.CostLimit(maxCost), cel.InterruptCheckFrequency(interruptEvery))
	if err != nil {
		return nil, fmt.Errorf("cel %q: %w", text, err)
	}
	return &Expression{find: func(ctx context.Context, answer []byte) (any, error) { return findCEL(ctx, program, answer) }}, nil
}

// findCEL gives the value of an expression over an answer. All numbers of the answer are doubles: were whole ones integers, then
// 3 of 100 failures would be a rate of 0.
func findCEL(ctx context.Context, program cel.Program, answer []byte) (any, error) {
	var result any
	if err := json.Unmarshal(answer, &result); err != nil {
		return nil, fault(noJSON(answer))
	}
	ctx, cancel := context.WithTimeout(ctx, maxTime)
	defer cancel()
	out, _, err := program.ContextEval(ctx, map[string]any{"result": result})
	if err != nil {
		return nil, celFault(err)
	}
	return native(out), nil
}

// native gives numbers as Go has them.
func native(v ref.Val) any {
	switch v := v.(type) {
	case types.Null:
		return nil
	case types.Double:
		return float64(v)
	case types.Int:
		return int64(v)
	case types.Uint:
		return uint64(v)
	case types.String:
		return ""
	case types.Bool:
		return false
	}
	return v
}

// celFault says what went wrong without the words of cel-go, which quote the answer.
func celFault(err error) error {
	switch text := err.Error(); {
	case strings.Contains(text, "cost limit exceeded"), strings.Contains(text, "interrupted"):
		return fault("the expression takes too many steps over the answer")
	case strings.Contains(text, "no such key"):
		return fault("the answer has no field that the expression asks for")
	case strings.Contains(text, "no such overload"):
		return fault("the expression does not fit what is in the answer, where all numbers are doubles: 100.0 and not 100")
	}
	return fault("the expression cannot be evaluated over the answer")
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
