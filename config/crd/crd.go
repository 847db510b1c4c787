// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

// Package crd holds the CustomResourceDefinitions that are generated from api/v1alpha1, for programs that check objects without
// a cluster.
package crd

import _ "embed"

// Bundles is the definition of the kind Bundle, in YAML.
//
//go:embed bases/ota.windlass.dev_bundles.yaml
var Bundles []byte

// Rollouts is the definition of the kind Rollout, in YAML.
//
//go:embed bases/ota.windlass.dev_rollouts.yaml
var Rollouts []byte

// Channels is the definition of the kind Channel, in YAML.
//
//go:embed bases/ota.windlass.dev_channels.yaml
var Channels []byte
