#!/usr/bin/env bash
# Holds the API to its own document: a client that is generated from it works, and schemathesis asks a real `attune up` everything that the OpenAPI document allows and
# much that it forbids. No answer may be a 5xx, and each must have a status, a content type and a shape that is documented.
#
#   scripts/api_conformance.sh [SECONDS] [SEED]
#
# Uses target/debug/attune (built when it is missing) on a data directory of its own. Needs Python with venv, which is
# installed when it is missing, and a package index for the first run: the tool is kept in target/conformance.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/lib/say.sh
source scripts/lib/install.sh

readonly SECONDS_MAX=${1:-75}
readonly SEED=${2:-20260501}
readonly TOOLS=$PWD/target/conformance
readonly PINNED=scripts/lib/api_conformance.txt

scratch=$(mktemp -d /tmp/attune-conformance.XXXXXX)
attune=''
finish() {
  if [[ -n $attune ]]; then
    kill -TERM "$attune" 2>/dev/null || true
    wait "$attune" 2>/dev/null || true
  fi
  rm -rf "$scratch"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Made anew when what is pinned has changed.
install_tool() {
  if cmp -s "$PINNED" "$TOOLS/pinned"; then return; fi
  say "installing schemathesis into $TOOLS"
  rm -rf "$TOOLS"
  python3 -m venv "$TOOLS" || fail "python3 could not make $TOOLS; its messages are above."
  "$TOOLS/bin/pip" install --quiet --disable-pip-version-check --constraint "$PINNED" schemathesis openapi-python-client \
    >"$scratch/pip" 2>&1 || {
    cat "$scratch/pip" >&2
    fail "schemathesis could not be installed, so the API was not tested against its document." \
      "Is a Python package index reachable (pip's settings: PIP_INDEX_URL, PIP_PROXY)? Run this script again when it is."
  }
  cp "$PINNED" "$TOOLS/pinned"
}

start_attune() {
  [[ -x target/debug/attune ]] || cargo build --locked -p attune --bin attune
  : >"$scratch/log"
  local -a apart=()
  if setpriv --pdeathsig TERM true 2>/dev/null; then apart=(setpriv --pdeathsig TERM); fi
  # As fast as it can be asked: without a rate, most answers would be 429.
  ATTUNE__API__REQUESTS_PER_SECOND=0 "${apart[@]}" target/debug/attune up --data-dir "$scratch/data" \
    --listen 127.0.0.1:0 --log warn </dev/null >"$scratch/log" 2>&1 &
  attune=$!
  local end=$((SECONDS + 120))
  until url=$(sed -n 's/^ *API  *\(http[^ ]*\).*$/\1/p' "$scratch/log") && [[ -n $url ]] &&
    curl --silent --fail --output /dev/null "$url/health/ready"; do
    if ! kill -0 "$attune" 2>/dev/null || ((SECONDS > end)); then
      tail -n 30 "$scratch/log" >&2
      fail "\`attune up\` was not ready; the end of what it said is above."
    fi
    sleep 0.1
  done
}

sign_in() {
  jq -n --rawfile password "$scratch/data/admin-password" '{login: "admin", password: ($password | rtrimstr("\n"))}' |
    curl --silent --fail --header 'content-type: application/json' --data @- "$url/auth/login" | jq -re .data.access_token
}

need_command curl
need_command jq
cmp -s "$PINNED" "$TOOLS/pinned" || need_python
install_needed
install_tool
start_attune
token=$(sign_in) || fail "the admin could not sign in." "Look at what the API says: $(tail -n 3 "$scratch/log")"

say "generating a client from the document, and calling the API with it"
"$TOOLS/bin/openapi-python-client" generate --path docs/generated/openapi.json --meta none \
  --output-path "$scratch/attune_client" >"$scratch/generated" 2>&1 || {
  cat "$scratch/generated" >&2
  fail "no client could be generated from docs/generated/openapi.json; the reason is above."
}
if grep -iE 'unable to process|cannot parse' "$scratch/generated" >&2; then
  cat "$scratch/generated" >&2
  fail "parts of docs/generated/openapi.json were left out of the generated client; which ones is said above."
fi
PYTHONPATH=$scratch "$TOOLS/bin/python" scripts/lib/api_client.py "$url" "$token" ||
  fail "the generated client could not use the API; the reason is above."

say "asking the API for at most $SECONDS_MAX s, seed $SEED"
# Left out: the stream never ends, and signing out would end the sign-in of this run.
# What a rule of the database refuses is not in a JSON schema, so good data may be refused.
status=0
# It writes files where it stands.
(cd "$scratch" && exec "$TOOLS/bin/schemathesis" run "$url/api/v1/openapi.json" \
  --header "Authorization: Bearer $token" \
  --exclude-path /api/v1/stream --exclude-path /auth/logout --exclude-path /auth/password \
  --phases coverage,fuzzing --max-examples 5 --max-time "$SECONDS_MAX" --seed "$SEED" \
  --checks all --exclude-checks positive_data_acceptance \
  --continue-on-failure --no-shrink --generation-database none --request-timeout 35 --warnings off --no-color) \
  >"$scratch/report" 2>&1 || status=$?
if ((status != 0)); then
  cat "$scratch/report" >&2
  tail -n 20 "$scratch/log" >&2
  fail "the API does not keep to docs/generated/openapi.json; what was found is above." \
    "Once more: scripts/api_conformance.sh $SECONDS_MAX $SEED"
fi
asked=$(sed -n 's/^ *\([0-9][0-9]*\) generated.*$/\1/p' "$scratch/report")
# A run that asked nothing must not pass.
((${asked:-0} >= 100)) || { cat "$scratch/report" >&2; fail "only ${asked:-0} requests were made, at least 100 were expected."; }
if grep -E 'panicked|the database answered with an error' "$scratch/log" >&2; then
  fail "the API has had an error of its own; its log is above."
fi
note "$asked requests, all answered as documented"
