#!/usr/bin/env bash
# deploy/monitoring: promtool accepts the rules and runs their tests, and the program writes every
# metric that the rules and the dashboard name.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

if ! command -v promtool >/dev/null; then
  # The package starts a server where nothing forbids it.
  policy=/usr/sbin/policy-rc.d
  if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
  fi
  apt-get update -qq >&2
  apt-get install -y -qq --no-install-recommends prometheus >&2
fi
promtool --version 2>&1 | head -1
promtool check rules deploy/monitoring/rules.yaml
promtool test rules deploy/monitoring/rules.test.yaml
# The rules can fail their tests: a threshold of an hour is found.
work=$(mktemp -d)
cp deploy/monitoring/rules.test.yaml "$work/"
sed 's/> 1200/> 3600/' deploy/monitoring/rules.yaml >"$work/rules.yaml"
if promtool test rules "$work/rules.test.yaml" >/dev/null 2>&1; then
  echo "the tests of the rules pass with another threshold"
  exit 1
fi
rm -rf "$work"

cargo test --locked --test it monitoring
