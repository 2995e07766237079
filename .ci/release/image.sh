#!/usr/bin/env bash
# image.sh DIR CONTEXT: makes the context of deploy/Dockerfile.release from the archives for Linux
# in DIR, each of which must have its checksum in DIR/SHA256SUMS. CERTIFICATES names the trusted
# authorities, by default those of this machine.
set -euo pipefail

dir=$(realpath "${1:?name the folder of the archives}") context=${2:?name the context to write}
certificates=${CERTIFICATES:-/etc/ssl/certs/ca-certificates.crt}
mkdir -p "$context"
context=$(realpath "$context")

install -m 0644 "$certificates" "$context/ca-certificates.crt"
# As BuildKit names architectures, and as Rust does.
for pair in amd64=x86_64 arm64=aarch64; do
  name=coordinator-${pair#*=}-unknown-linux-musl
  (cd "$dir" && grep " $name.tar.gz$" SHA256SUMS | sha256sum --check --strict --quiet >&2)
  mkdir -p "$context/${pair%%=*}"
  tar --extract --gzip --file "$dir/$name.tar.gz" --directory "$context/${pair%%=*}" --strip-components=1 "$name/coordinator"
done
