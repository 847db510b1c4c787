// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"errors"
	"fmt"
	"strings"
)

// Provenance is a build that in-toto statements with SLSA provenance name. Empty fields are not compared; the others exactly.
//
//	                  SLSA 0.2                          SLSA 1
//	BuilderID         builder.id                        runDetails.builder.id
//	SourceRepository  invocation.configSource.uri       buildDefinition.externalParameters.workflow.repository
//	                  materials[].uri                   buildDefinition.resolvedDependencies[].uri
//	Ref               what is after @ in those uris     buildDefinition.externalParameters.workflow.ref, and after @ in those uris
//
// Of materials and resolvedDependencies those count that begin with git+. All that are there must agree: a statement that names
// two repositories or two refs is refused, and so is one that names none where one is asked for. A uri without a ref says
// nothing about the ref.
//
// What the certificate of a keyless signature says of the build must not contradict it: see checkCertificate.
type Provenance struct {
	BuilderID        string
	SourceRepository string // such as https://github.com/acme/shop
	Ref              string // such as refs/heads/main
}

// origin is where a build took its source from, as one field of a statement says.
type origin struct{ field, repository, ref string }

// check compares a statement with the policy. Its error goes on after the name of the signature.
func (p *Provenance) check(s *statement) error {
	var builder string
	var origins []origin
	predicate, err := parseObject(s.predicate)
	switch {
	case s.predicateType != slsaV02 && s.predicateType != slsaV1:
		return fmt.Errorf("is a statement of type %.100q, expected %s or %s", s.predicateType, slsaV02, slsaV1)
	case err != nil:
	case s.predicateType == slsaV02:
		builder, origins, err = readV02(predicate)
	default:
		builder, origins, err = readV1(predicate)
	}
	if err != nil {
		return fmt.Errorf("is provenance that cannot be read: %w", err)
	}
	if p.BuilderID != "" && builder != p.BuilderID {
		return fmt.Errorf("is provenance of the builder %.200q, expected %.200q", builder, p.BuilderID)
	}
	return p.checkOrigins(origins)
}

// checkCertificate compares what Fulcio says of the build: the statement is only what the build says of itself. The build signer
// is the workflow that had the token, which is the builder where the policy names a workflow (with an @ and a ref), and not where
// it names a platform, such as https://github.com/actions/runner/github-hosted.
func (p *Provenance) checkCertificate(c *certificate) error {
	if p == nil || c == nil {
		return nil
	}
	want := map[string]string{sourceRepository: p.SourceRepository, sourceRef: p.Ref}
	if strings.Contains(p.BuilderID, "@") {
		want[buildSigner] = p.BuilderID
	}
	for _, name := range []string{sourceRepository, sourceRef, buildSigner} {
		if got, ok := c.build[name]; ok && want[name] != "" && got != want[name] {
			return fmt.Errorf("is by a certificate with the %s %.200q, expected %.200q", name, got, want[name])
		}
	}
	return nil
}

func (p *Provenance) checkOrigins(origins []origin) error {
	refs := 0
	for _, o := range origins {
		if p.SourceRepository != "" && o.repository != p.SourceRepository {
			return fmt.Errorf("is provenance of the repository %.200q in %s, expected %.200q", o.repository, o.field, p.SourceRepository)
		}
		if o.ref == "" {
			continue
		}
		refs++
		if p.Ref != "" && o.ref != p.Ref {
			return fmt.Errorf("is provenance of the ref %.200q in %s, expected %.200q", o.ref, o.field, p.Ref)
		}
	}
	switch {
	case p.SourceRepository != "" && len(origins) == 0:
		return fmt.Errorf("is provenance that names no source repository, expected %.200q", p.SourceRepository)
	case p.Ref != "" && refs == 0:
		return fmt.Errorf("is provenance that names no ref, expected %.200q", p.Ref)
	}
	return nil
}

// readV02 reads https://slsa.dev/spec/v0.2/provenance.
func readV02(p object) (builder string, origins []origin, err error) {
	if builder, err = p.text("builder", "id"); err != nil {
		return "", nil, err
	}
	uri, err := p.text("invocation", "configSource", "uri")
	if err != nil {
		return "", nil, err
	}
	if uri != "" {
		if origins, err = addOrigin(origins, "invocation.configSource.uri", uri); err != nil {
			return "", nil, err
		}
	}
	origins, err = addGit(origins, p, "materials")
	return builder, origins, err
}

// readV1 reads https://slsa.dev/spec/v1.0/provenance; the workflow is what builders of GitHub write there.
func readV1(p object) (builder string, origins []origin, err error) {
	if builder, err = p.text("runDetails", "builder", "id"); err != nil {
		return "", nil, err
	}
	at := []string{"buildDefinition", "externalParameters", "workflow"}
	repository, err := p.text(append(at, "repository")...)
	if err != nil {
		return "", nil, err
	}
	ref, err := p.text(append(at, "ref")...)
	if err != nil {
		return "", nil, err
	}
	if repository != "" || ref != "" {
		origins = append(origins, origin{field: strings.Join(at, "."), repository: repository, ref: ref})
	}
	origins, err = addGit(origins, p, "buildDefinition", "resolvedDependencies")
	return builder, origins, err
}

// addGit adds the git repositories of a list of materials.
func addGit(origins []origin, p object, path ...string) ([]origin, error) {
	list, err := p.list(path...)
	if err != nil {
		return nil, err
	}
	for _, material := range list {
		uri, err := material.text("uri")
		if err != nil {
			return nil, err
		}
		if strings.HasPrefix(uri, "git+") {
			if origins, err = addOrigin(origins, strings.Join(path, "."), uri); err != nil {
				return nil, err
			}
		}
	}
	return origins, nil
}

// addOrigin reads git+https://host/path@ref (SPDX download locations). With more than one @ it is not clear where the ref starts.
func addOrigin(origins []origin, field, uri string) ([]origin, error) {
	repository, ref, found := strings.Cut(strings.TrimPrefix(uri, "git+"), "@")
	if repository == "" || found && ref == "" || strings.Contains(ref, "@") {
		return nil, errors.New(field + " has another form than git+https://host/path@ref")
	}
	return append(origins, origin{field: field, repository: repository, ref: ref}), nil
}
