#!/usr/bin/env bash
# The real agent: Claude Code, pinned by version and hash, as a session of the real binary, against
# a loopback model.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
source .ci/cache.sh

pin=.ci/agent/package-lock.json
home="$cache/agent-$(cksum <"$pin" | tr ' ' -)"
if [ ! -e "$home/complete" ]; then
  rm -rf "$home"
  mkdir -p "$home"
  cp .ci/agent/package.json "$pin" "$home"
  # Its install script only moves the binary that is used from here.
  npm ci --prefix "$home" --ignore-scripts --no-audit --no-fund --loglevel=error
  touch "$home/complete"
fi

for claude in "$home"/node_modules/@anthropic-ai/claude-code-*/claude; do
  if "$claude" --version; then
    COORDINATOR_TEST_CLAUDE="$claude" cargo test --locked --test agent
    exit
  fi
done
echo "no Claude Code under $home starts on this machine" >&2
exit 1
