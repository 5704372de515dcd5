#!/usr/bin/env bash
# Checks that the OpenAPI document is valid, and that the API conforms to it:
#
# - linters find no error in the document;
# - a Python client and, if npm is installed, a TypeScript client that are generated from it compile and work;
# - schemathesis sends a real `attune up` requests that the document allows, and many that it forbids. No answer may be a
#   5xx, and each must have a documented status, content type and body.
#
#   scripts/api_conformance.sh [SECONDS] [SEED]
#
# SECONDS limits schemathesis. Uses target/debug/attune (built if it is missing) with its own data directory. Needs Python
# with venv, which it installs if it is missing, and package registries for the first run: the tools are stored in
# target/conformance.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/lib/say.sh
source scripts/lib/install.sh

readonly SECONDS_MAX=${1:-75}
readonly SEED=${2:-20260501}
readonly TOOLS=$PWD/target/conformance
readonly PINNED=scripts/lib/api_conformance.txt
readonly TYPESCRIPT=scripts/lib/api_typescript
readonly DOCUMENT=docs/generated/openapi.json

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

# Installs again when the pinned versions have changed.
install_tools() {
  if cmp -s "$PINNED" "$TOOLS/pinned"; then return; fi
  say "installing schemathesis, a client generator and a linter into $TOOLS"
  rm -rf "$TOOLS"
  python3 -m venv "$TOOLS" || fail "python3 failed to create $TOOLS; its messages are above."
  "$TOOLS/bin/pip" install --quiet --disable-pip-version-check --constraint "$PINNED" schemathesis openapi-python-client openapi-spec-validator \
    >"$scratch/pip" 2>&1 || {
    cat "$scratch/pip" >&2
    fail "failed to install schemathesis, so the API was not tested against its document." \
      "Is a Python package index reachable (pip's settings: PIP_INDEX_URL, PIP_PROXY)? Run this script again when it is."
  }
  cp "$PINNED" "$TOOLS/pinned"
}

# The versions are pinned in package-lock.json.
install_npm_tools() {
  if cmp -s "$TYPESCRIPT/package-lock.json" "$TOOLS/npm/package-lock.json"; then return; fi
  say "installing the TypeScript tools into $TOOLS/npm"
  rm -rf "$TOOLS/npm" "$TOOLS/npm.new"
  mkdir -p "$TOOLS/npm.new"
  cp "$TYPESCRIPT/package.json" "$TYPESCRIPT/package-lock.json" "$TOOLS/npm.new"
  (cd "$TOOLS/npm.new" && npm ci --ignore-scripts --no-audit --no-fund --loglevel error) >"$scratch/npm" 2>&1 || {
    cat "$scratch/npm" >&2
    fail "failed to install the TypeScript tools." "Is an npm registry reachable (npm config get registry)?"
  }
  mv "$TOOLS/npm.new" "$TOOLS/npm"
}

lint_document() {
  say "linting $DOCUMENT"
  "$TOOLS/bin/openapi-spec-validator" "$DOCUMENT" >"$scratch/lint" 2>&1 || {
    cat "$scratch/lint" >&2
    fail "$DOCUMENT is not a valid OpenAPI document; the errors are above."
  }
  if ((has_npm)); then
    cp "$TYPESCRIPT/lint.mjs" "$TOOLS/npm/lint.mjs"
    node "$TOOLS/npm/lint.mjs" "$DOCUMENT" >"$scratch/lint" 2>&1 || {
      cat "$scratch/lint" >&2
      fail "the linter found errors in $DOCUMENT; they are above."
    }
  fi
}

call_with_python() {
  say "generating a Python client, and calling the API with it"
  # The generator knows only one type of binary bodies.
  printf '%s\n' '{"content_type_overrides": {"application/gzip": "application/octet-stream",' \
    '"application/zip": "application/octet-stream", "application/x-ndjson": "application/octet-stream"}}' >"$scratch/generator.json"
  "$TOOLS/bin/openapi-python-client" generate --path "$DOCUMENT" --meta none --config "$scratch/generator.json" \
    --output-path "$scratch/attune_client" >"$scratch/generated" 2>&1 || {
    cat "$scratch/generated" >&2
    fail "failed to generate a client from $DOCUMENT; the reason is above."
  }
  if grep -iE 'unable to|cannot parse|unsupported' "$scratch/generated" >&2; then
    cat "$scratch/generated" >&2
    fail "the generated client lacks parts of $DOCUMENT; they are listed above."
  fi
  PYTHONPATH=$scratch "$TOOLS/bin/python" scripts/lib/api_client.py "$url" "$token" >&2 ||
    fail "the generated Python client failed; the reason is above."
}

call_with_typescript() {
  if ((!has_npm)); then
    note "npm is not installed: the TypeScript client is skipped"
    return
  fi
  say "generating a TypeScript client, and calling the API with it"
  cp "$TYPESCRIPT"/{client.ts,tsconfig.json} "$TOOLS/npm/"
  (cd "$TOOLS/npm" && npx --no-install openapi-typescript "$OLDPWD/$DOCUMENT" --default-non-nullable=false --output schema.d.ts &&
    npx --no-install tsc --project tsconfig.json) >"$scratch/generated" 2>&1 || {
    cat "$scratch/generated" >&2
    fail "the generated TypeScript client does not compile; the errors are above."
  }
  node "$TOOLS/npm/client.js" "$url" "$token" >&2 || fail "the generated TypeScript client failed; the reason is above."
}

start_attune() {
  [[ -x target/debug/attune ]] || cargo build --locked -p attune --bin attune
  : >"$scratch/log"
  local -a apart=()
  if setpriv --pdeathsig TERM true 2>/dev/null; then apart=(setpriv --pdeathsig TERM); fi
  # Without a rate limit, because most answers would be 429.
  ATTUNE__API__REQUESTS_PER_SECOND=0 "${apart[@]}" target/debug/attune up --data-dir "$scratch/data" \
    --listen 127.0.0.1:0 --log warn </dev/null >"$scratch/log" 2>&1 &
  attune=$!
  local end=$((SECONDS + 120))
  until url=$(sed -n 's/^ *API  *\(http[^ ]*\).*$/\1/p' "$scratch/log") && [[ -n $url ]] &&
    curl --silent --fail --output /dev/null "$url/health/ready"; do
    if ! kill -0 "$attune" 2>/dev/null || ((SECONDS > end)); then
      tail -n 30 "$scratch/log" >&2
      fail "\`attune up\` did not become ready; the end of its log is above."
    fi
    sleep 0.1
  done
}

sign_in() {
  jq -n --rawfile password "$scratch/data/admin-password" '{login: "admin", password: ($password | rtrimstr("\n"))}' |
    curl --silent --fail --header 'content-type: application/json' --data @- "$url/auth/login" | jq -re .data.access_token
}

has_npm=0
if command -v npm >/dev/null && command -v node >/dev/null; then has_npm=1; fi
need_command curl
need_command jq
cmp -s "$PINNED" "$TOOLS/pinned" || need_python
install_needed
install_tools
if ((has_npm)); then install_npm_tools; fi
lint_document
start_attune
token=$(sign_in) || fail "the admin failed to sign in." "The last lines of the log: $(tail -n 3 "$scratch/log")"
call_with_python
call_with_typescript

say "testing the API for at most $SECONDS_MAX s, seed $SEED"
# Excluded: the stream never ends, and signing out would end the sign-in of this run. Each item of a batch has an outcome of
# its own, so an invalid one does not refuse the request; the tests of event_batch cover it.
# A JSON schema does not contain every rule of the API, so valid data may be refused.
status=0
# If-Match is checked before the body, so 412 is an answer to an invalid body, too.
cat >"$scratch/schemathesis.toml" <<'TOML'
[checks.negative_data_rejection]
expected-statuses = ["400", "401", "403", "404", "405", "406", "409", "412", "413", "415", "422", "428", "429", "5xx"]
TOML
# It reads its configuration from the current folder, and writes files to it.
(cd "$scratch" && exec "$TOOLS/bin/schemathesis" run "$url/api/v1/openapi.json" \
  --header "Authorization: Bearer $token" \
  --exclude-path /api/v1/stream --exclude-path /api/v1/events/batch --exclude-path /auth/logout --exclude-path /auth/password \
  --phases coverage,fuzzing --max-examples 5 --max-time "$SECONDS_MAX" --seed "$SEED" \
  --checks all --exclude-checks positive_data_acceptance \
  --continue-on-failure --no-shrink --generation-database none --request-timeout 35 --warnings off --no-color) \
  >"$scratch/report" 2>&1 || status=$?
if ((status != 0)); then
  cat "$scratch/report" >&2
  tail -n 20 "$scratch/log" >&2
  fail "the API does not conform to $DOCUMENT; the failures are above." \
    "To repeat: scripts/api_conformance.sh $SECONDS_MAX $SEED"
fi
sent=$(sed -n 's/^ *\([0-9][0-9]*\) generated.*$/\1/p' "$scratch/report")
# A run without requests must not pass.
((${sent:-0} >= 100)) || { cat "$scratch/report" >&2; fail "only ${sent:-0} requests were made, at least 100 were expected."; }
if grep -E 'panicked|the database returned an error' "$scratch/log" >&2; then
  fail "the API logged an internal error, which is above."
fi
note "$sent requests, all answered as documented"
