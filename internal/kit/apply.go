// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package kit

import (
	"encoding/json"
	"fmt"
)

// ApplyStatus converts a status into its generated apply configuration. Both are the same JSON by construction; the fields
// that are left out are those that are unset, which is what apply wants.
func ApplyStatus[AC any](status any, into *AC) (*AC, error) {
	raw, err := json.Marshal(status)
	if err != nil {
		return nil, fmt.Errorf("encode status: %w", err)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return nil, fmt.Errorf("decode status: %w", err)
	}
	return into, nil
}
