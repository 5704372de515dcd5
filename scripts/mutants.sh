#!/usr/bin/env bash
# Shows that the tests notice when a promise is broken: each patch of crates/attune/tests/mutants breaks one, in a copy of
# this folder, and the test that the patch names must fail then.
#
#   scripts/mutants.sh              all of them, and a table; fails when one survives
#   scripts/mutants.sh NAME...      these: the names of patches, without .patch
#
# Not a part of scripts/test.sh, because each mutant is built; that the patches still apply is checked there. What is built
# stays in target/mutants for the next time.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/lib/say.sh
source scripts/lib/install.sh
source scripts/lib/servers.sh

root=$PWD
patches=$root/crates/attune/tests/mutants
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$root/target/mutants}
export CARGO_INCREMENTAL=1
export INSTA_UPDATE=no
made=$(mktemp -d /tmp/attune-mutants.XXXXXX)
trap 'stop_servers; rm -rf "$made"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

declare -a names=("$@")
if ((${#names[@]} == 0)); then
  for file in "$patches"/*.patch; do names+=("$(basename "$file" .patch)"); done
fi
for name in "${names[@]}"; do
  [[ -f $patches/$name.patch ]] || fail "there is no mutant $name." "There are: $(cd "$patches" && echo ./*.patch)"
done

# shellcheck disable=SC2119  # no further components of Rust are needed
need_rust
need_c_compiler
need_command git
need_postgres
install_needed
start_postgres
export ATTUNE_TEST_DATABASE_URL=$POSTGRES_URL

# What git knows of this folder, as it is now. All of it newer (-m) than what was built before: to cargo this folder is the
# one of the last time, and what was built of a mutant there would be as good as new.
git ls-files -z | while IFS= read -r -d '' file; do if [[ -e $file ]]; then printf '%s\0' "$file"; fi; done |
  tar --null -T - -cf - | tar -xmf - -C "$made"
cd "$made"

# Mutated statements are not in .sqlx: they are checked against a database with the schema.
psql=$(postgres_bin)/psql
"$psql" -X -q "$POSTGRES_URL" -c 'create database mutants'
export DATABASE_URL=${POSTGRES_URL/\/postgres?/\/mutants?} SQLX_OFFLINE=false
for migration in migrations/*.sql; do
  "$psql" -X -q -1 -v ON_ERROR_STOP=1 "$DATABASE_URL" -f "$migration" >/dev/null || fail "$migration does not apply."
done

# field NAME FIELD: what the head of a patch says.
field() { sed -n "s/^$2: //p" "$patches/$1.patch" | head -n 1; }

# test_of NAME WORD...: cargo test for the test that should kill, with further words for the test program.
test_of() {
  local package kind target test
  read -r package kind target test <<<"$(field "$1" 'Killed by')"
  if [[ $kind == --lib ]]; then
    cargo test --locked -p "$package" --lib "${@:2}" -- --exact "$target"
  else
    cargo test --locked -p "$package" "$kind" "$target" "${@:2}" -- --exact "$test"
  fi
}

# run_test NAME LOG: whether its test passes; a test that was not built or not run ends everything.
run_test() {
  if ! test_of "$1" --no-run >"$2" 2>&1; then
    tail -n 30 "$2" >&2
    fail "$1 does not build; the end of what the compiler said is above."
  fi
  if test_of "$1" >"$2" 2>&1; then return 0; fi
  grep -q '^test result: FAILED. 0 passed; 1 failed' "$2" && return 1
  tail -n 30 "$2" >&2
  fail "$1: the test was not run; the end of what it said is above."
}

# What the test complained of. A mutant must be killed for what it breaks: that is for people to judge.
complaint() { awk '/ panicked at / { left = 8 } /^(note|stack backtrace):/ { exit } left-- > 0' "$1"; }

say "each test without its mutant: one that fails anyway kills nothing"
for name in "${names[@]}"; do
  if run_test "$name" "$made/log"; then
    note "passes: $(field "$name" 'Killed by')"
  else
    complaint "$made/log" >&2
    fail "it fails without $name, too: $(field "$name" 'Killed by')"
  fi
done

survivors=0
table=$made/table
row() { printf '%-30s %-8s %5s s  %s\n' "$1" "$2" "$3" "$4" | tee -a "$table"; }

for name in "${names[@]}"; do
  say "$name: $(field "$name" What)"
  begun=$SECONDS verdict=killed
  git apply "$patches/$name.patch" || fail "$name does not apply."
  if run_test "$name" "$made/log"; then
    verdict=SURVIVED survivors=$((survivors + 1))
  else
    complaint "$made/log"
  fi
  git apply -R "$patches/$name.patch"
  row "$name" "$verdict" $((SECONDS - begun)) "$(field "$name" 'Killed by')"
done

say "mutants"
cat "$table"
((survivors == 0)) || fail "$survivors of ${#names[@]} mutants were not killed."
note "all ${#names[@]} mutants were killed"
