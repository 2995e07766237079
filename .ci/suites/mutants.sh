#!/usr/bin/env bash
# A test of crates/core fails for every change of one operator, condition or result in crates/core.
# .cargo/mutants.toml lists the exceptions, with reasons. It takes half an hour on two cores, so it
# runs by name alone and is not in the waves of .ci/run. MUTANTS="-f crates/core/src/plan.rs"
# narrows it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
source .ci/cache.sh

version=27.1.0
mutants="$cache/cargo-mutants-$version/bin/cargo-mutants"
if [ ! -x "$mutants" ]; then
  # Built to be quick to build: it waits for cargo.
  CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_LTO=off CARGO_TARGET_DIR="$cache/cargo-mutants-build" \
    cargo install cargo-mutants --version "$version" --locked --quiet --root "$cache/cargo-mutants-$version"
  rm -rf "$cache/cargo-mutants-build"
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Property tests try the same cases for every mutant, and store no failed case for the next one.
export PROPTEST_RNG_SEED=1 PROPTEST_DISABLE_FAILURE_PERSISTENCE=1

state=0
read -ra narrowed <<<"${MUTANTS:-}"
"$mutants" mutants --package coordinator-core --jobs "$(nproc)" --colors never --output "$work" "${narrowed[@]}" || state=$?
# 2: one survived; 3: one ran until the time limit. Anything else is not about a mutant.
case $state in
  0 | 2 | 3) ;;
  *) exit "$state" ;;
esac

count() { cat "${@/#/$work/mutants.out/}" | wc -l; }
killed=$(count caught.txt timeout.txt)
survived=$(count missed.txt)
echo "$killed passed, $survived failed"
[ "$survived" -eq 0 ]
