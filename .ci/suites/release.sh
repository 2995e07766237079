#!/usr/bin/env bash
# The scripts of a release, run with stand-ins for the binary: the tag, the notes, the archives,
# their checksums and the context of the image.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
before=$(git status --porcelain)
version=$(sed -n '/^version = "\(.*\)"$/{s//\1/p;q;}' Cargo.toml)
linux=x86_64-unknown-linux-musl

passed=0
# holds WHAT COMMAND..: counts it, or ends the suite.
holds() {
  local what=$1
  shift
  if ! "$@"; then
    echo "does not hold: $what" >&2
    echo "$passed passed, 1 failed"
    exit 1
  fi
  echo "holds: $what"
  passed=$((passed + 1))
}
# refuses WHY COMMAND..: whether it fails, prints nothing and has WHY in its error.
refuses() {
  local why=$1
  shift
  if "$@" >"$work/out" 2>"$work/err"; then return 1; fi
  [ ! -s "$work/out" ] && grep -q -e "$why" "$work/err"
}
release() { bash ".ci/release/$1.sh" "${@:2}"; }

# The notes and the tag.
cat >"$work/changelog.md" <<CHANGELOG
# Changelog

## [Unreleased]

- To come.

## [$version] - 2026-01-31

### Added

- The first part.

- The second part.

## [$version-rc.1] - 2026-01-01

- A candidate.

## [0.0.0] - 2025-12-31
CHANGELOG
export CHANGELOG=$work/changelog.md
notes=$'### Added\n\n- The first part.\n\n- The second part.'
holds "the notes are the section of the version alone" test "$(release notes "$version")" = "$notes"
holds "the last section has an end" test "$(release notes "$version-rc.1")" = "- A candidate."
holds "a version without a section has no notes" refuses "has no section ## \[9.9.9\]" release notes 9.9.9
holds "nor has one with an empty section" refuses "or an empty one" release notes 0.0.0
holds "the tag of this version is accepted" test "$(release check-tag "v$version")" = "$version"
holds "another tag is refused" refuses "tag v$version" release check-tag v9.9.9
holds "and so is one without its v" refuses "tag v$version" release check-tag "$version"
echo "# Changelog" >"$work/changelog.md"
holds "a version without notes is not released" refuses "has no section" release check-tag "v$version"
unset CHANGELOG

# The binary, before it is packed.
stand_in() {
  printf '#include <stdio.h>\nint main(void) { puts("coordinator %s"); return 0; }\n' "$version" |
    cc "$@" -x c -
}
stand_in -static -o "$work/static"
stand_in -o "$work/dynamic"
holds "a static binary of this version is accepted" \
  test "$(release try "$linux" "$work/static" "$version")" = "$linux: coordinator $version, statically linked"
holds "another version is refused" refuses "not \"coordinator 9.9.9\"" release try "$linux" "$work/static" 9.9.9
holds "a binary that needs libraries is refused" \
  refuses "not statically linked" release try "$linux" "$work/dynamic" "$version"
holds "except on macOS" release try aarch64-apple-darwin "$work/dynamic" "$version"

# The archives. A workflow's artifact has lost its mode.
chmod 0600 "$work/static"
dist=$work/dist
archive=$dist/coordinator-$linux.tar.gz
holds "an archive is written under its target's name" \
  test "$(release package "$linux" "$work/static" "$dist")" = "$archive"
(umask 077 && release package "$linux" "$work/static" "$work/again" >/dev/null)
holds "a second one has the same bytes" cmp "$archive" "$work/again/coordinator-$linux.tar.gz"
manual=$(find docs -type d -printf "coordinator-$linux/%p/\n" -o -printf "coordinator-$linux/%p\n")
listing="coordinator-$linux/
coordinator-$linux/CHANGELOG.md
coordinator-$linux/LICENSE-APACHE
coordinator-$linux/LICENSE-MIT
coordinator-$linux/README.md
coordinator-$linux/SECURITY.md
coordinator-$linux/THIRD-PARTY
coordinator-$linux/coordinator
$(LC_ALL=C sort <<<"$manual")
coordinator-$linux/plugins/
coordinator-$linux/plugins/README.md
coordinator-$linux/plugins/container
coordinator-$linux/plugins/tmux"
holds "it has the program, its licences, the manual and the plugins" \
  test "$(tar -tzf "$archive" | LC_ALL=C sort)" = "$listing"
modes=$(tar --numeric-owner -tvzf "$archive" | awk '{ print $1, $2 }' | sort -u)
holds "owned by root, and readable by all users" \
  test "$modes" = $'-rw-r--r-- 0/0\n-rwxr-xr-x 0/0\ndrwxr-xr-x 0/0'
mkdir "$work/unpacked"
tar -xzf "$archive" -C "$work/unpacked" --strip-components=1
holds "its program is the binary" cmp "$work/static" "$work/unpacked/coordinator"
holds "and starts" test "$("$work/unpacked/coordinator")" = "coordinator $version"
holds "the licence of a library is in it" grep -q '^tokio [0-9.]*: MIT$' "$work/unpacked/THIRD-PARTY"
holds "with its text" grep -q 'Permission is hereby granted, free of charge' "$work/unpacked/THIRD-PARTY"
absent() { ! grep -q "^$1 " "$work/unpacked/THIRD-PARTY"; }
holds "what only the tests use is not" absent proptest
holds "nor what only the compiler runs" absent syn

# Where `cargo binstall` looks.
binstall() {
  cargo metadata --format-version 1 --locked --no-deps | node -e '
    const { binstall } = JSON.parse(require("fs").readFileSync(0)).packages.find((it) => it.name === "coordinator").metadata;
    const [, key, target] = process.argv;
    console.log(binstall[key].replaceAll("{ target }", target).replaceAll("{ bin }", "coordinator"));
  ' "$1" "$linux"
}
holds "cargo binstall finds the archive" test "$(basename "$(binstall pkg-url)")" = "${archive##*/}"
holds "and the program in it" grep -qxF "$(binstall bin-dir)" <(tar -tzf "$archive")

# The checksums.
release package aarch64-unknown-linux-musl "$work/dynamic" "$dist" >/dev/null
release checksums "$dist"
sums() { (cd "$dist" && sha256sum --check --strict --quiet SHA256SUMS); }
holds "every archive has its checksum" sums
holds "and no other file has one" test "$(wc -l <"$dist/SHA256SUMS")" = 2
mkdir "$work/empty"
holds "a folder without archives has none" refuses "has no archive" release checksums "$work/empty"

# The image.
echo authorities >"$work/certificates"
export CERTIFICATES=$work/certificates
release image "$dist" "$work/context"
holds "the image of each architecture has its own binary" \
  cmp "$work/static" "$work/context/amd64/coordinator"
holds "for arm64 too" cmp "$work/dynamic" "$work/context/arm64/coordinator"
copied=$(sed -n 's/^COPY \([^ ]*\) .*/\1/p' deploy/Dockerfile.release | sed 's/[$]{TARGETARCH}/arm64/')
there() { (cd "$work/context" && xargs -n 1 test -f) <<<"$copied"; }
holds "the context has what the Dockerfile copies" there
ends_alike() { diff <(tail -n 3 deploy/Dockerfile) <(tail -n 3 deploy/Dockerfile.release); }
holds "both Dockerfiles make the same image" ends_alike
echo more >>"$archive"
holds "an archive that was changed is refused" refuses "did NOT match" release image "$dist" "$work/refused"

# The workflow.
targets=$(sed -n 's/^ *- target: //p' .github/workflows/release.yml)
holds "the workflow builds four targets" test "$(wc -l <<<"$targets")" = 4
checked() { for target in $targets; do grep -q "^    \"$target\",$" deny.toml || return 1; done; }
holds "whose dependencies deny.toml checks" checked

holds "nothing is left in the checkout" test "$(git status --porcelain)" = "$before"
echo "$passed passed, 0 failed"
