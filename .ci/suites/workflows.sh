#!/usr/bin/env bash
# The workflows, deploy/github-actions, and what `coordinator init --github-actions` makes of it:
# actionlint finds nothing, shellcheck finds nothing in their scripts, and they hold what
# docs/platforms/github-actions.md promises.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
source .ci/cache.sh

version=v1.7.12
lint="$cache/actionlint-$version"
if [ ! -x "$lint/actionlint" ]; then
  echo "building actionlint $version, a minute the first time" >&2
  # Not straight to its place: a build that was cut short must not look complete.
  rm -rf "$lint.new"
  GOBIN="$lint.new" go install -trimpath "github.com/rhysd/actionlint/cmd/actionlint@$version" >&2
  rm -rf "$lint"
  mv "$lint.new" "$lint"
fi

pin=.ci/workflows/requirements.txt
venv="$cache/workflows-$( (python3 --version; cat "$pin") | cksum | tr ' ' -)"
if [ ! -e "$venv/complete" ]; then
  rm -rf "$venv"
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps -r "$pin"
  touch "$venv/complete"
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The program as the tests build it, so that nothing is compiled twice.
cargo test --quiet --locked --test it --no-run
"${CARGO_TARGET_DIR:-target}/debug/coordinator" init --github-actions "$work/shop" >/dev/null

written="$work/shop/.github/workflows"
"$lint/actionlint" -shellcheck "$venv/bin/shellcheck" -pyflakes= \
  .github/workflows/*.yml deploy/github-actions/*.yml "$written"/*.yml
echo "actionlint and shellcheck find nothing"
"$venv/bin/python" .ci/workflows/promises.py .github/workflows deploy/github-actions "$written"
