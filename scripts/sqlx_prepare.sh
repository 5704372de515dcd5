#!/usr/bin/env bash
# Renews .sqlx, the cache of checked statements that lets everybody build without a database.
#
#   scripts/sqlx_prepare.sh           writes .sqlx from the migrations and the statements in crates/common and crates/bench
#   scripts/sqlx_prepare.sh --check   fails when the committed .sqlx is not what would be written
#
# Statements are compiled against a throw-away PostgreSQL with all migrations; needs no sqlx-cli.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/lib/say.sh
source scripts/lib/install.sh
source scripts/lib/servers.sh

case ${1-} in
  '' | --check) mode=${1-} ;;
  *) fail "unknown argument: $1" "usage: $0 [--check]" ;;
esac

need_rust fmt
need_c_compiler
need_postgres
install_needed
made=$(mktemp -d)
trap 'stop_servers; rm -rf "$made"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

start_postgres
psql=$(postgres_bin)/psql
"$psql" -X -q "$POSTGRES_URL" -c 'create database prepare'
url=${POSTGRES_URL/\/postgres?/\/prepare?}
for migration in migrations/*.sql; do
  "$psql" -X -q -1 -v ON_ERROR_STOP=1 "$url" -f "$migration" >/dev/null || fail "$migration does not apply."
done

# The compiler looks at statements only when it compiles their crate, and it does not know that the database is another one.
touch crates/common/src/lib.rs crates/bench/src/main.rs
DATABASE_URL=$url SQLX_OFFLINE=false SQLX_OFFLINE_DIR=$made cargo check --locked -q -p attune-common -p attune-bench --all-targets ||
  fail "crates/common or crates/bench does not compile against the migrated database."

if [[ $mode == --check ]]; then
  diff -r .sqlx "$made" >&2 || fail ".sqlx is out of date." "Run scripts/sqlx_prepare.sh and commit what it changes."
  note ".sqlx is up to date: $(find "$made" -name 'query-*.json' | wc -l) statements"
else
  mkdir -p .sqlx
  find .sqlx -name 'query-*.json' -delete
  find "$made" -name 'query-*.json' -exec cp {} .sqlx/ \;
  note "wrote .sqlx: $(find .sqlx -name 'query-*.json' | wc -l) statements"
fi
