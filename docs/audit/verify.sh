#!/usr/bin/env bash
# Verifies an exported audit log without Windlass: bash verify.sh < audit.jsonl
# It needs bash, jq and sha256sum. Hold the last hash against the one in metadata/timestamp.json (docs/audit.md).
set -euo pipefail
expected='' number=0
while IFS= read -r line; do
  number=$((number + 1))
  if [ "$(jq -r .sequence <<<"$line")" != "$number" ]; then
    echo "record $number is missing, or out of order" >&2
    exit 1
  fi
  if [ "$(jq -r .previous <<<"$line")" != "$expected" ]; then
    echo "record $number does not follow the one before it: one of them was changed" >&2
    exit 1
  fi
  expected="sha256:$(printf '%s\n' "$line" | sha256sum | cut -d' ' -f1)"
done
echo "$number records, the last one has the hash $expected"
