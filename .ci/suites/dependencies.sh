#!/usr/bin/env bash
# Licences, banned crates and sources of all dependencies: deny.toml.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
source .ci/cache.sh

version=0.20.2
deny="$cache/cargo-deny-$version/bin/cargo-deny"
if [ ! -x "$deny" ]; then
  # Built to be quick to build: it runs for a second.
  CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_LTO=off CARGO_TARGET_DIR="$cache/cargo-deny-build" \
    cargo install cargo-deny --version "$version" --locked --no-default-features --quiet --root "$cache/cargo-deny-$version"
  rm -rf "$cache/cargo-deny-build"
fi
"$deny" --locked check --hide-inclusion-graph bans licenses sources
