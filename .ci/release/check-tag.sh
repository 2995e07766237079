#!/usr/bin/env bash
# check-tag.sh TAG: prints the version that the tag releases. Fails unless the tag is `v` and the
# version of Cargo.toml, and CHANGELOG.md has a section for it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

tag=${1:?name the tag}
# The first one is that of [package].
version=$(sed -n '/^version = "\(.*\)"$/{s//\1/p;q;}' Cargo.toml)
if [ "$tag" != "v$version" ]; then
  echo "the tag $tag does not match version $version of Cargo.toml; tag v$version" >&2
  exit 1
fi
bash .ci/release/notes.sh "$version" >/dev/null
echo "$version"
