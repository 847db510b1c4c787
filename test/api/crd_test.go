// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package api

import "testing"

func TestCRDs_apply(t *testing.T) {}
