// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"sigs.k8s.io/yaml"

	otav1alpha1 "github.com/windlass-dev/windlass/api/v1alpha1"
	"github.com/windlass-dev/windlass/config/crd"
)

// rules are those of a CustomResourceDefinition, as the API server enforces them.
type rules struct {
	schema     validation.SchemaValidator
	structural *structuralschema.Structural
	cel        *cel.Validator
}

// definitions by kind.
var definitions = map[string]func() (rules, error){
	"Bundle":  sync.OnceValues(func() (rules, error) { return parseRules(crd.Bundles) }),
	"Rollout": sync.OnceValues(func() (rules, error) { return parseRules(crd.Rollouts) }),
	"Channel": sync.OnceValues(func() (rules, error) { return parseRules(crd.Channels) }),
}

func parseRules(text []byte) (rules, error) {
	var definition apiextensionsv1.CustomResourceDefinition
	if err := yaml.Unmarshal(text, &definition); err != nil {
		return rules{}, err
	}
	for _, v := range definition.Spec.Versions {
		if v.Name != otav1alpha1.SchemeGroupVersion.Version {
			continue
		}
		var internal apiextensions.JSONSchemaProps
		if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(v.Schema.OpenAPIV3Schema, &internal, nil); err != nil {
			return rules{}, err
		}
		structural, err := structuralschema.NewStructural(&internal)
		if err != nil {
			return rules{}, err
		}
		schema, _, err := validation.NewSchemaValidator(&internal)
		return rules{schema, structural, cel.NewValidator(structural, true, celconfig.PerCallLimit)}, err
	}
	return rules{}, fmt.Errorf("the definition has no version %s", otav1alpha1.SchemeGroupVersion.Version)
}

// validate says what the API server has against an object of a kind that has a definition.
func validate(ctx context.Context, kind string, object map[string]any) (field.ErrorList, error) {
	r, err := definitions[kind]()
	if err != nil {
		return nil, fmt.Errorf("read the definition of the kind %s: %w", kind, err)
	}
	name, _, _ := unstructured.NestedString(object, "metadata", "name")
	var out field.ErrorList
	for _, problem := range apivalidation.NameIsDNSSubdomain(name, false) {
		out = append(out, field.Invalid(field.NewPath("metadata", "name"), name, problem))
	}
	namespace, _, _ := unstructured.NestedString(object, "metadata", "namespace")
	if namespace != "" {
		for _, problem := range apivalidation.ValidateNamespaceName(namespace, false) {
			out = append(out, field.Invalid(field.NewPath("metadata", "namespace"), namespace, problem))
		}
	}
	out = append(out, validation.ValidateCustomResource(nil, object, r.schema)...)
	out = append(out, listtype.ValidateListSetsAndMaps(nil, r.structural, object)...)
	if len(out) > 0 {
		return out, nil // as the API server: expressions are for objects of the right shape
	}
	found, _ := r.cel.Validate(ctx, nil, r.structural, object, nil, celconfig.RuntimeCELCostBudget)
	return slices.Concat(out, found), nil
}

// refusals is what the API server has against an object, in one line.
func refusals(problems field.ErrorList) string {
	all := make([]string, 0, len(problems))
	for _, p := range problems {
		all = append(all, p.Error())
	}
	return sentences(all)
}
