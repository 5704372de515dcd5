#!/usr/bin/env bash
# Kills, freezes and cuts off every process of a whole Attune under load, at random, and checks that nothing was lost and
# nothing happened twice.
#
#   scripts/chaos.sh [--minutes N] [--seed S] [--lease SECONDS] [--report FILE] [--keep FOLDER]
#
# The plan follows from the seed and the lease, which are printed: the same do the same again. A lease is 3 seconds here;
# freezes and cuts last up to two leases. A release is tried with both of these:
#
#   scripts/chaos.sh --minutes 30 --lease 6
#   scripts/chaos.sh --minutes 30 --lease 30
#
# A run must be long enough for each of the first five faults (2 minutes with leases of 3 s, 8 with 30 s). Everything runs on servers of its own,
# on 127.0.0.1, and ends with the script. Ends with 0 when everything holds; the report is Markdown. What is kept of a run,
# however it ended, in a new folder, is the database (for pg_restore), the logs, and the marks that actions left.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/lib/say.sh
source scripts/lib/install.sh

minutes=30 seed=$((RANDOM * 32768 + RANDOM)) lease=3 report='' keep=''
while (($# > 0)); do
  case $1 in
    --minutes) minutes=${2:?--minutes needs a number} ;;
    --seed) seed=${2:?--seed needs a number} ;;
    --lease) lease=${2:?--lease needs a number} ;;
    --report) report=$(realpath -m "${2:?--report needs a file}") ;;
    --keep) keep=$(realpath -m "${2:?--keep needs a folder}") ;;
    *) fail "$1 is not known: scripts/chaos.sh [--minutes N] [--seed S] [--lease SECONDS] [--report FILE] [--keep FOLDER]" ;;
  esac
  shift 2
done

# shellcheck disable=SC2119  # no further parts of the toolchain are needed
need_rust
need_c_compiler
need_postgres
need_rabbitmq
install_needed
say "programs"
cargo build --locked --workspace --all-targets
say "$minutes minutes of chaos, seed $seed, leases of $lease s"
export ATTUNE_CHAOS_MINUTES=$minutes ATTUNE_CHAOS_SEED=$seed ATTUNE_CHAOS_LEASE=$lease
export ATTUNE_CHAOS_REPORT=$report ATTUNE_CHAOS_KEEP=$keep
exec cargo test --locked -q -p attune --test it -- --exact --nocapture \
  chaos::whatever_is_done_to_whomever_nothing_is_lost_or_doubled
