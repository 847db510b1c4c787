// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package query is what providers are asked, and what may come of it: queries and URLs are templates over what is measured, and the
// answers that are no number are told apart.
package query

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
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

// maxText is the largest query or URL in bytes after its variables were put in.
const maxText = 16 << 10

// Render puts variables into a query: a Go template over .app, .channel, .bundle, .version, .digest and .window, with the
// function quote for label values: rate(x{version={{ quote .version }}}[{{ .window }}]).
func Render(query string, v Vars) (string, error) {
	return render("query", query, v, func(text string) string { return text })
}

// RenderURL puts variables into a URL, escaped so that none of them ends the part of the URL that it is in. The result is an
// absolute http or https URL without user name and without fragment.
func RenderURL(text string, v Vars) (*url.URL, error) {
	rendered, err := render("url", text, v, url.QueryEscape)
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(rendered)
	if err != nil || u.Hostname() == "" || u.User != nil || strings.Contains(rendered, "#") || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, errors.New("url: after its variables were put in it is no absolute http or https URL without user name and fragment")
	}
	return u, nil
}

func render(what, text string, v Vars, escape func(string) string) (string, error) {
	t, err := parseTemplate(what, text)
	if err != nil {
		return "", err
	}
	vars := map[string]string{
		"app": escape(v.App), "channel": escape(v.Channel), "bundle": escape(v.Bundle),
		"version": escape(v.Version), "digest": escape(v.Digest), "window": escape(v.Window),
	}
	var out limited
	if err := t.Execute(&out, vars); err != nil {
		return "", fmt.Errorf("%s: %s", what, cause(what, err))
	}
	return out.String(), nil
}

func parseTemplate(what, text string) (*template.Template, error) {
	t, err := template.New(what).Option("missingkey=error").Funcs(template.FuncMap{"quote": strconv.Quote}).Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %s", what, cause(what, err))
	}
	if len(t.Templates()) > 1 {
		return nil, fmt.Errorf("%s: define and block are not allowed in it", what)
	}
	if t.Tree == nil || parse.IsEmptyTree(t.Root) {
		return nil, fmt.Errorf("%s: it is empty", what)
	}
	if err := checkNodes(t.Root); err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
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
			return errors.New("range and template are not allowed in it")
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
func cause(what string, err error) string {
	return strings.TrimPrefix(err.Error(), "template: "+what+":")
}

// limited is a buffer that refuses more than maxText bytes.
type limited struct{ bytes.Buffer }

func (l *limited) Write(p []byte) (int, error) {
	if l.Len()+len(p) > maxText {
		return 0, fmt.Errorf("it has more than %d bytes after its variables were put in", maxText)
	}
	return l.Buffer.Write(p)
}
