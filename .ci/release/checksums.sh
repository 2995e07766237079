#!/usr/bin/env bash
# checksums.sh DIR: writes DIR/SHA256SUMS over its archives, in the form that `sha256sum --check`
# reads.
set -euo pipefail

cd "${1:?name the folder of the archives}"
shopt -s nullglob
archives=(*.tar.gz)
if [ ${#archives[@]} -eq 0 ]; then
  echo "$PWD has no archive" >&2
  exit 1
fi
sha256sum "${archives[@]}" >SHA256SUMS
