#!/usr/bin/env bash
# Verifies that the tests detect broken promises: each patch in crates/attune/tests/mutants breaks one, in a copy of this
# folder, and the test that the patch names must fail.
#
#   scripts/mutants.sh              all of them, and a table; fails if one survives
#   scripts/mutants.sh NAME...      these patches, without .patch
#
# Not part of scripts/test.sh, because each mutant is a build; a house rule there checks that the patches apply. Builds stay
# in target/mutants.
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
  [[ -f $patches/$name.patch ]] || fail "unknown mutant $name." "Expected one of: $(cd "$patches" && echo ./*.patch)"
done

# shellcheck disable=SC2119  # no further components of Rust are needed
need_rust
need_c_compiler
need_command git
need_postgres
install_needed
start_postgres
export ATTUNE_TEST_DATABASE_URL=$POSTGRES_URL

# Tracked files in their current state, with new times (-m): cargo would otherwise reuse the build of a mutant from the
# previous run.
git ls-files -z | while IFS= read -r -d '' file; do if [[ -e $file ]]; then printf '%s\0' "$file"; fi; done |
  tar --null -T - -cf - | tar -xmf - -C "$made"
cd "$made"

# Mutated statements are not in .sqlx, so they are checked against a database.
psql=$(postgres_bin)/psql
"$psql" -X -q "$POSTGRES_URL" -c 'create database mutants'
export DATABASE_URL=${POSTGRES_URL/\/postgres?/\/mutants?} SQLX_OFFLINE=false
for migration in migrations/*.sql; do
  "$psql" -X -q -1 -v ON_ERROR_STOP=1 "$DATABASE_URL" -f "$migration" >/dev/null || fail "$migration does not apply."
done

# field NAME FIELD: a field of the head of a patch.
field() { sed -n "s/^$2: //p" "$patches/$1.patch" | head -n 1; }

# test_of NAME ARGUMENT...: runs the test that should kill the mutant, with further arguments.
test_of() {
  local package kind target test
  read -r package kind target test <<<"$(field "$1" 'Killed by')"
  if [[ $kind == --lib ]]; then
    cargo test --locked -p "$package" --lib "${@:2}" -- --exact "$target"
  else
    cargo test --locked -p "$package" "$kind" "$target" "${@:2}" -- --exact "$test"
  fi
}

# run_test NAME LOG: whether its test passes; exits if the test was not built or not run.
run_test() {
  if ! test_of "$1" --no-run >"$2" 2>&1; then
    tail -n 30 "$2" >&2
    fail "$1 does not build; the end of the compiler output is above."
  fi
  if test_of "$1" >"$2" 2>&1; then return 0; fi
  grep -q '^test result: FAILED. 0 passed; 1 failed' "$2" && return 1
  tail -n 30 "$2" >&2
  fail "$1: the test was not run; the end of its output is above."
}

# The failure of the test. A mutant must be killed for what it breaks; a person judges that.
complaint() { awk '/ panicked at / { left = 8 } /^(note|stack backtrace):/ { exit } left-- > 0' "$1"; }

say "running each test without its mutant; it must pass"
for name in "${names[@]}"; do
  if run_test "$name" "$made/log"; then
    note "passes: $(field "$name" 'Killed by')"
  else
    complaint "$made/log" >&2
    fail "it also fails without $name: $(field "$name" 'Killed by')"
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
