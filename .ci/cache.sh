# Sourced by the suites that install a tool: where tools stay between runs, outside of the checkout.
cache="${COORDINATOR_CI_CACHE:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/coordinator-ci}"
mkdir -p "$cache"
