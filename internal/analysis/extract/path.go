// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package extract

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/util/json"
	"k8s.io/client-go/util/jsonpath"

	"github.com/windlass-dev/windlass/internal/analysis/query"
)

// parsePath reads a JSONPath. Integers of an answer are compared as integers, as kubectl does.
func parsePath(text string) (*Expression, error) {
	path := jsonpath.New("jsonPath")
	if err := path.Parse(text); err != nil {
		return nil, fmt.Errorf("jsonPath %q: %w", text, err)
	}
	tree, err := jsonpath.Parse("jsonPath", text)
	if err != nil {
		return nil, fmt.Errorf("jsonPath %q: %w", text, err)
	}
	if err := checkPath(tree.Root); err != nil {
		return nil, fmt.Errorf("jsonPath %q: %w", text, err)
	}
	return &Expression{find: func(_ context.Context, answer []byte) (any, error) { return findPath(path, answer) }}, nil
}

// checkPath wants one path of fields, indexes, stars and filters, as {.items[?(@.name=="shop")].rate}. Then each part of an answer is
// looked at once by each part of the path; descents and unions could multiply that without end. Constants would be a metric that
// never fails.
func checkPath(root *jsonpath.ListNode) error {
	if len(root.Nodes) != 1 {
		return errors.New("expected one path in braces such as {.data.errorRate}")
	}
	list, ok := root.Nodes[0].(*jsonpath.ListNode)
	if !ok || len(list.Nodes) == 0 {
		return errors.New("expected one path in braces such as {.data.errorRate}")
	}
	for _, n := range list.Nodes {
		if err := checkStep(n, false); err != nil {
			return err
		}
	}
	return nil
}

func checkStep(n jsonpath.Node, inFilter bool) error {
	switch n := n.(type) {
	case *jsonpath.FieldNode, *jsonpath.ArrayNode, *jsonpath.WildcardNode:
		return nil
	case *jsonpath.FilterNode:
		for _, side := range []*jsonpath.ListNode{n.Left, n.Right} {
			if side == nil {
				continue
			}
			for _, inner := range side.Nodes {
				if err := checkStep(inner, true); err != nil {
					return err
				}
			}
		}
		return nil
	case *jsonpath.ListNode:
		for _, inner := range n.Nodes {
			if err := checkStep(inner, inFilter); err != nil {
				return err
			}
		}
		return nil
	case *jsonpath.TextNode, *jsonpath.IntNode, *jsonpath.FloatNode, *jsonpath.BoolNode:
		if inFilter {
			return nil
		}
	}
	return errors.New(`only fields, indexes, stars and filters are allowed in it, as in {.items[?(@.name=="shop")].rate}`)
}

// findPath gives the only value at a path.
func findPath(path *jsonpath.JSONPath, answer []byte) (value any, err error) {
	var root any
	if err := json.Unmarshal(answer, &root); err != nil {
		return nil, fault(noJSON(answer))
	}
	if root == nil {
		return nil, nil
	}
	defer func() {
		// The package works by reflection on whatever a server answers, and a panic would end the manager.
		if recover() != nil {
			value, err = nil, fault("the answer is not of the form that jsonPath expects")
		}
	}()
	found, err := path.FindResults(root)
	if err != nil {
		return nil, pathFault(err)
	}
	if len(found) != 1 || len(found[0]) > 1 {
		return nil, fault("jsonPath finds more than one value, want one number")
	}
	if len(found[0]) == 0 {
		return nil, &query.NoDataError{Reason: "jsonPath finds nothing in the answer"}
	}
	if !found[0][0].IsValid() {
		return nil, nil
	}
	return found[0][0].Interface(), nil
}

// pathFault says what is missing when a field of the path is: its name is of the Rollout. Other errors quote the answer.
func pathFault(err error) error {
	if field, ok := strings.CutSuffix(err.Error(), " is not found"); ok && !strings.ContainsAny(field, " \n") {
		return fault("the answer has no field " + field + " where jsonPath expects it")
	}
	return fault("the answer is not of the form that jsonPath expects")
}

// noJSON says what an answer is instead of JSON.
func noJSON(answer []byte) string {
	if strings.HasPrefix(strings.TrimSpace(string(answer)), "<") {
		return "the answer is a web page, want JSON"
	}
	return "the answer is no JSON"
}
