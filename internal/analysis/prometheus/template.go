// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package prometheus

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"text/template"
	"text/template/parse"
)

// Vars are what a query may be about.
type Vars struct {
	App     string
	Channel string
	Bundle  string // name of the Bundle
	Version string
	Digest  string // sha256:<hex>
	Window  string // since the step began, as a PromQL duration such as 90s
}

// maxQuery is the largest query in bytes after its variables were put in.
const maxQuery = 16 << 10

// Render puts variables into a query: a Go template over .app, .channel, .bundle, .version, .digest and .window, with the
// function quote for label values: rate(x{version={{ quote .version }}}[{{ .window }}]).
func Render(query string, v Vars) (string, error) {
	t, err := Parse(query)
	if err != nil {
		return "", err
	}
	vars := map[string]string{
		"app": v.App, "channel": v.Channel, "bundle": v.Bundle, "version": v.Version, "digest": v.Digest, "window": v.Window,
	}
	var out limited
	if err := t.Execute(&out, vars); err != nil {
		return "", fmt.Errorf("query: %s", cause(err))
	}
	return out.String(), nil
}

// Parse checks a query's template, apart from the names of its variables.
func Parse(query string) (*template.Template, error) {
	t, err := template.New("query").Option("missingkey=error").Funcs(template.FuncMap{"quote": strconv.Quote}).Parse(query)
	if err != nil {
		return nil, fmt.Errorf("query: %s", cause(err))
	}
	if len(t.Templates()) > 1 {
		return nil, errors.New("query: define and block are not allowed in a query")
	}
	if t.Tree == nil || parse.IsEmptyTree(t.Root) {
		return nil, errors.New("query: it is empty")
	}
	if err := checkNodes(t.Root); err != nil {
		return nil, err
	}
	return t, nil
}

// checkNodes refuses loops: a query of 30 bytes could keep the manager busy for hours.
func checkNodes(list *parse.ListNode) error {
	if list == nil {
		return nil
	}
	for _, n := range list.Nodes {
		var err error
		switch n := n.(type) {
		case *parse.RangeNode, *parse.TemplateNode:
			return errors.New("query: range and template are not allowed in a query")
		case *parse.IfNode:
			err = errors.Join(checkNodes(n.List), checkNodes(n.ElseList))
		case *parse.WithNode:
			err = errors.Join(checkNodes(n.List), checkNodes(n.ElseList))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// cause drops the prefix that text/template repeats in each error.
func cause(err error) string { return strings.TrimPrefix(err.Error(), "template: query:") }

// limited is a buffer that refuses more than maxQuery bytes.
type limited struct{ bytes.Buffer }

func (l *limited) Write(p []byte) (int, error) {
	if l.Len()+len(p) > maxQuery {
		return 0, fmt.Errorf("it has more than %d bytes after its variables were put in", maxQuery)
	}
	return l.Buffer.Write(p)
}
