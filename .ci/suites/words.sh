#!/usr/bin/env bash
# What no file of the project may contain.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

found=0

# refuse WHAT PATTERN [PATHSPEC..]: prints each line that matches.
refuse() {
  local what=$1 pattern=$2
  shift 2
  if git grep -nIP -e "$pattern" -- "${@:-.}" ':!Cargo.lock' ':!*/package-lock.json'; then
    echo "^ $what" >&2
    found=1
  else
    echo "none: $what"
  fi
}

refuse "path of one machine" '/(home|Users)/(?!someone/)[a-z]+/|/root[/"]'
refuse "host of a package registry" '(registry|static|index|proxy|files)\.[a-z]+\.(io|org|com)|(npmjs|pypi|crates)\.(com|org|io)'
refuse "secret" '(ghp|gho|ghs|ghu)_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{50}|sk-ant-[A-Za-z0-9-]{20}'
refuse "private key" '^-----BEGIN [A-Z ]*PRIVATE KEY-----' ':!tests'
refuse "unfinished work" '\b(TO[D]O|FIX[M]E|XX[X])\b|unimplemented!\('

# Habits of language. The brackets keep the patterns from matching this file. Published documents of
# others are not ours.
prose=(. ':!LICENSE-*' ':!tests/contract')
refuse '"is not a", not a bare "no" after "is"' '\bis n[o] (?!(longer|more|less|fewer|later|earlier)\b)' "${prose[@]}"
refuse 'MAX_ for limits' '\bMOST[_]' "${prose[@]}"
refuse 'a subject with a name' '(?i)\bwho[e]ver\b|\bfor[ ]ever\b' "${prose[@]}"
refuse "number of a requirement" '\bR[0-9]-[0-9]{3}\b' "${prose[@]}"

# In characters: `awk` and `grep` may count bytes.
if git ls-files -z '*.rs' | python3 -c '
import sys
long = [
    f"{path}:{number}: {len(line)} characters"
    for path in sys.stdin.read().split("\0")[:-1]
    for number, line in enumerate(open(path, encoding="utf-8").read().split("\n"), 1)
    if len(line) > 100
]
print(*long, sep="\n", end="\n" if long else "")
sys.exit(bool(long))
'; then
  echo "none: Rust lines of more than 100 characters"
else
  echo "^ Rust lines of more than 100 characters" >&2
  found=1
fi

# A comment that names a document which the reader cannot open.
while IFS=: read -r file line document; do
  case $document in briefs/* | */* | prompt.md) continue ;; esac
  if [ ! -e "$document" ]; then
    echo "$file:$line names $document, which is not in the project" >&2
    found=1
  fi
done < <(git grep -nE '^ *//.*[a-zA-Z_]+\.md' -- '*.rs' | sed -nE 's/^([^:]+):([0-9]+):.*[^a-zA-Z_\/]([a-zA-Z_\/]+\.md).*/\1:\2:\3/p')

# anchors PAGE: the anchors that GitHub makes of its headings, one a line. The second `setup` is
# `setup-1`.
anchors() {
  awk '/^ *```/ { code = !code; next } !code && /^#+ / { sub(/^#+ +/, ""); print tolower($0) }' "$1" |
    sed -E 's/\[([^]]*)\]\([^)]*\)/\1/g; s/[^a-z0-9 _-]//g; s/ /-/g' |
    awk '{ print $0 (seen[$0]++ ? "-" seen[$0] - 1 : "") }'
}

# A link, or a path of the code, in a page for people that leads nowhere.
while IFS= read -r page; do
  folder=$(dirname "$page")
  while IFS= read -r link; do
    target=${link%%#*}
    target=${target:+$folder/$target}
    target=${target:-$page}
    if [ ! -e "$target" ]; then
      echo "$page links to $link, which is not in the project" >&2
      found=1
    elif [[ $link == *#* ]] && ! anchors "$target" | grep -qxF -- "${link#*#}"; then
      echo "$page links to $link, which is not a heading of that page" >&2
      found=1
    fi
  done < <(grep -oE '\]\([^):]+\)' "$page" | sed -E 's/^..//; s/.$//')
  while IFS= read -r path; do
    if [ ! -e "$path" ]; then
      echo "$page names $path, which is not in the project" >&2
      found=1
    fi
  done < <(grep -oE '`(crates|src|tests|proofs|benches|docs|deploy|\.ci|\.github)/[A-Za-z0-9_./-]*`' "$page" | tr -d '`')
done < <(git ls-files '*.md' ':!briefs' ':!CHANGELOG.md')
echo "links, anchors and paths of the pages lead somewhere"

exit "$found"
