#!/usr/bin/env bash
# try.sh TARGET BINARY VERSION: fails unless the binary starts here, has this version, accepts the
# shipped roster and, on Linux, needs no library of the machine.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

target=${1:?name the target} binary=${2:?name the binary} version=${3:?name the version}
found=$("$binary" --version)
if [ "$found" != "coordinator $version" ]; then
  echo "$binary is \"$found\", not \"coordinator $version\"" >&2
  exit 1
fi
"$binary" check --config roster.toml >/dev/null
case $target in
  *-linux-*)
    # An interpreter is the dynamic loader, which only libraries need.
    if headers=$(readelf --program-headers --wide "$binary") && ! grep -q INTERP <<<"$headers"; then
      echo "$target: $found, statically linked"
    else
      echo "$binary is not statically linked" >&2
      exit 1
    fi
    ;;
  *) echo "$target: $found" ;;
esac
