#!/usr/bin/env bash
# The oldest Rust that Cargo.toml promises: a build with it where rustup has it, and everywhere that
# no locked dependency requires a newer one. (What the standard library offers is watched by
# Clippy's `incompatible_msrv`.)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

promised=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
cargo metadata --format-version 1 --locked | node -e '
  const [, promised] = process.argv;
  const number = (version) => version.split(".").slice(0, 2).reduce((sum, part) => sum * 1000 + Number(part), 0);
  const packages = JSON.parse(require("fs").readFileSync(0)).packages;
  const newer = packages.filter((it) => it.rust_version && number(it.rust_version) > number(promised));
  for (const it of newer) console.error(`${it.name} ${it.version} asks for Rust ${it.rust_version}`);
  console.log(`${packages.length} packages, ${newer.length} require more than Rust ${promised}`);
  process.exitCode = newer.length ? 1 : 0;
' "$promised"

toolchain=$(rustup toolchain list 2>/dev/null | awk '{ print $1 }' | grep -E "^$promised(\.|-)" | head -n 1 || true)
if [ -n "$toolchain" ]; then
  cargo "+$toolchain" check --locked --workspace --bins --lib
else
  echo "Rust $promised is not installed: the build with it is left to .github/workflows/ci.yml"
fi
