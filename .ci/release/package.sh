#!/usr/bin/env bash
# package.sh TARGET BINARY OUT: writes OUT/coordinator-TARGET.tar.gz and prints its path. One commit
# and one binary give the same bytes each time. Takes GNU tar.
#
# Roster and briefs are not in it: `coordinator init` writes them.
set -euo pipefail

target=${1:?name the target} binary=$(realpath "${2:?name the binary}") out=${3:?name the folder of the archive}
mkdir -p "$out"
out=$(realpath "$out")
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
name=coordinator-$target
folder=$work/$name
mkdir "$folder"
# An artifact of a workflow loses its mode.
install -m 0755 "$binary" "$folder/coordinator"
cp README.md CHANGELOG.md SECURITY.md LICENSE-APACHE LICENSE-MIT "$folder"
# The binary contains libraries whose licences require their texts.
node .ci/release/notices.mjs "$target" >"$folder/THIRD-PARTY"
cp -R deploy/plugins "$folder/plugins"
# The README and the plugins link to the manual.
cp -R docs "$folder/docs"
chmod -R u=rwX,go=rX "$folder"

when=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
tar --create --directory "$work" --format=ustar --sort=name --mtime="@$when" --owner=0 --group=0 --numeric-owner "$name" |
  gzip --no-name --best >"$out/$name.tar.gz"
echo "$out/$name.tar.gz"
