#!/usr/bin/env bash
# deploy/kubernetes, and what `coordinator init --kubernetes` makes of it: kustomize builds them,
# every object is valid for the oldest and the newest Kubernetes, and they hold what
# docs/platforms/kubernetes.md promises.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
source .ci/cache.sh

pin=.ci/manifests/requirements.txt
venv="$cache/manifests-$( (python3 --version; cat "$pin") | cksum | tr ' ' -)"
if [ ! -e "$venv/complete" ]; then
  rm -rf "$venv"
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps -r "$pin"
  touch "$venv/complete"
fi

kustomize=$(bash .ci/kustomize.sh)
# The kustomize inside kubectl 1.27, the oldest that docs/platforms/kubernetes.md allows.
oldest=$(bash .ci/kustomize.sh v5.0.1)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The program as the tests build it, so that nothing is compiled twice.
cargo test --quiet --locked --test it --no-run
# Of the same name as the example, so that both must build to the same objects.
"${CARGO_TARGET_DIR:-target}/debug/coordinator" init --full --kubernetes "$work/example" >/dev/null

# As docs/platforms/kubernetes.md has it: the component beside the fleet's own kustomization.yaml.
cp -r "$work/example" "$work/pushing"
cp -r deploy/kubernetes/components/pushgateway "$work/pushing/"
printf '\ncomponents: [pushgateway]\n' >>"$work/pushing/kustomization.yaml"

for built in pushing="$work/pushing" base=deploy/kubernetes/base overlay=deploy/kubernetes/overlays/example init="$work/example"; do
  "$kustomize" build "${built#*=}" >"$work/${built%%=*}.yaml"
  "$oldest" build "${built#*=}" | cmp - "$work/${built%%=*}.yaml"
  for release in 1.31 1.37; do
    "$venv/bin/kubernetes-validate" --strict --quiet -k "$release" "$work/${built%%=*}.yaml"
  done
done
"$venv/bin/python" .ci/manifests/promises.py "$work"/{base,overlay,init,pushing}.yaml
