#!/usr/bin/env bash
# Builds kustomize, once per version and outside of the checkout, and prints the path of its binary:
# kustomize.sh [VERSION]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source .ci/cache.sh

version=${1:-v5.8.2}
home="$cache/kustomize-$version"
if [ ! -x "$home/kustomize" ]; then
  echo "building kustomize $version, a minute the first time" >&2
  # Not straight to its place: a build that was cut short must not look complete.
  rm -rf "$home.new"
  GOBIN="$home.new" go install -trimpath "sigs.k8s.io/kustomize/kustomize/v5@$version" >&2
  rm -rf "$home"
  mv "$home.new" "$home"
fi
echo "$home/kustomize"
