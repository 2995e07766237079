#!/usr/bin/env bash
# Builds the control plane of tests/cluster, once per content and outside of the checkout, and
# prints the path of its binary.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source .ci/cache.sh

key=$( (
  go version
  cat .ci/cluster.sh tests/cluster/go.mod tests/cluster/go.sum tests/cluster/*.go tests/cluster/*.yaml
) | cksum | tr ' ' -)
binary="$cache/cluster-$key/cluster"
if [ ! -x "$binary" ]; then
  echo "building the control plane of tests/cluster, ten minutes the first time" >&2
  cd tests/cluster
  release=$(go list -m -f '{{.Version}}' k8s.io/kubernetes)
  minor=${release#v1.}
  stamp=k8s.io/component-base/version
  mkdir -p "${binary%/*}"
  # Not straight to its place: a build that was cut short must not look complete.
  go build -trimpath -buildvcs=false -o "$binary.new" -ldflags "-s -w -X $stamp.gitVersion=$release \
    -X $stamp.gitMajor=1 -X $stamp.gitMinor=${minor%%.*} -X $stamp.gitTreeState=clean" . >&2
  mv "$binary.new" "$binary"
fi
echo "$binary"
