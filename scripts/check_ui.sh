#!/usr/bin/env bash
# Checks the web UI: types of the API, lints, unit tests, the committed ui/dist, and browser tests with Debian's Chromium
# against target/debug/attune.
#
#   scripts/check_ui.sh
#
# Without npm it does nothing: the committed ui/dist is part of the program as it is.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/lib/say.sh
source scripts/lib/install.sh

readonly NODE_OLDEST=20.19

if ! command -v npm >/dev/null; then
  note "npm is not installed: the web UI is not checked, and ui/dist is used as it is"
  exit 0
fi
node_version=$(node --version)
if [[ $(printf '%s\n' "$NODE_OLDEST" "${node_version#v}" | sort -V | head -n 1) != "$NODE_OLDEST" ]]; then
  note "Node $node_version is older than $NODE_OLDEST: the web UI is not checked, and ui/dist is used as it is"
  exit 0
fi
need_chromium
install_needed

# The files of the build. Another Node may compress differently, so then only the uncompressed ones count.
built() {
  local -a names=(-type f)
  if [[ ${node_version#v} != "$(<ui/.node-version)" ]]; then names+=(! -name '*.br' ! -name '*.gz'); fi
  find ui/dist "${names[@]}" -exec sha256sum {} + | sort -k 2
}

unchanged() { # NAME BEFORE AFTER
  [[ $2 == "$3" ]] || fail "$1 is not what the sources in ui/src and docs/generated make." "Commit the new files: git add $1"
}

install_modules() {
  local lock
  lock=$(sha256sum ui/package-lock.json)
  if [[ -f ui/node_modules/.installed && $(<ui/node_modules/.installed) == "$lock" ]]; then return; fi
  local try
  for try in 1 2 3; do
    if npm --prefix ui ci --ignore-scripts --no-audit --no-fund; then
      printf '%s\n' "$lock" >ui/node_modules/.installed
      return
    fi
    note "npm ci failed, try $try of 3"
    sleep 5
  done
  fail "npm ci failed." "Its messages are above. Without npm on PATH, the web UI is not checked."
}

install_modules
cd ui
types=$(sha256sum src/gen/api.ts)
npm run --silent gen
unchanged ui/src/gen "$types" "$(sha256sum src/gen/api.ts)"
npm run --silent check
npm test --silent
cd ..
before=$(built)
npm --prefix ui run --silent build
unchanged ui/dist "$before" "$(built)"
ATTUNE_BIN=${ATTUNE_BIN:-$PWD/target/debug/attune} npm --prefix ui run --silent e2e
