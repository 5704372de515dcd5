#!/usr/bin/env bash
# Runs every check and every test, on private servers. Installs what is missing.
#
#   scripts/test.sh
#
# Needs a Debian or Ubuntu machine with a Rust toolchain, and root or sudo if something must be installed. Safe to repeat and
# to interrupt. ATTUNE_TEST_DATABASE_URL and ATTUNE_TEST_AMQP_URL select existing servers instead.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/lib/say.sh
source scripts/lib/install.sh
source scripts/lib/servers.sh

# A changed snapshot is a failed test, not a new file.
export INSTA_UPDATE=no
# Everything is built once, with failpoints (crates/common/src/failpoint) and the export of spans.
features=(--features attune/failpoints --features attune/otlp)
step='the preparation'
summary=$(mktemp)

finish() {
  local status=$?
  stop_servers
  rm -f "$summary"
  if ((status != 0)); then
    printf '\nFAILED in %s, after %d s in all (exit status %d)\n' "$step" "$SECONDS" "$status" >&2
  fi
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# run NAME COMMAND...: prints a headline, runs the command, prints its duration.
run() {
  step=$1
  shift
  say "$step"
  local begun=$SECONDS
  "$@"
  note "$step: $((SECONDS - begun)) s"
}

install_missing() {
  need_rust fmt clippy
  need_c_compiler
  need_command curl
  need_command jq
  need_python
  need_postgres
  need_rabbitmq
  need_nginx
  if command -v npm >/dev/null; then need_chromium; fi
  install_needed
}

start_servers() {
  if [[ -z ${ATTUNE_TEST_DATABASE_URL-} ]]; then
    start_postgres
    export ATTUNE_TEST_DATABASE_URL=$POSTGRES_URL
  fi
  if [[ -z ${ATTUNE_TEST_AMQP_URL-} ]]; then
    start_rabbitmq
    export ATTUNE_TEST_AMQP_URL=$RABBITMQ_URL
  fi
}

check_scripts() {
  local -a scripts
  mapfile -t scripts < <(find scripts .ci -type f \( -name '*.sh' -o -path '.ci/run' \) | sort)
  shellcheck --external-sources --source-path=SCRIPTDIR/.. "${scripts[@]}"
  scripts/check_commits.sh --self-test
}

# The summary of the test runner is printed last.
test_all() {
  if cargo nextest --version >/dev/null 2>&1; then
    cargo nextest run --profile ci --locked --workspace "${features[@]}" --no-fail-fast
  else
    local status=0
    cargo test --locked --workspace "${features[@]}" --no-fail-fast 2>&1 | tee "$summary" || status=$?
    say "the summary of each test program"
    grep '^test result:' "$summary"
    return "$status"
  fi
}

run "requirements" install_missing
run "formatting" cargo fmt --all --check
run "lints" cargo clippy --locked --workspace "${features[@]}" --all-targets -- -D warnings
run "documentation" env RUSTDOCFLAGS="-D warnings" cargo doc --locked -q --no-deps --workspace
run "the cache of checked statements" scripts/sqlx_prepare.sh --check
if command -v shellcheck >/dev/null; then run "shell scripts" check_scripts; fi
# Advisories change daily and need network access: CI runs `cargo deny check advisories` separately.
if cargo deny --version >/dev/null 2>&1; then run "dependencies" cargo deny --locked check bans licenses sources; fi
# System tests start programs of other packages, which cargo does not build for them.
run "programs" cargo build --locked --workspace "${features[@]}" --all-targets
run "the web UI" scripts/check_ui.sh
run "the API against its document" scripts/api_conformance.sh
run "servers for the tests" start_servers
if cargo nextest --version >/dev/null 2>&1; then
  # nextest does not run examples in documentation.
  run "examples in the documentation" cargo test --locked -q --workspace "${features[@]}" --doc
fi
step="tests"
say "$step"
test_all
