#!/usr/bin/env bash
# Compares many processes over RabbitMQ with a single process: the cost of distribution on this machine.
#
#   scripts/bench_scale.sh [option of `attune-bench`]...      # --seconds 10, --json FILE …
#
# Builds the programs (release), starts a private RabbitMQ and PostgreSQL, and stops both. docs/operations/scaling.md
# explains the output.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/lib/say.sh
source scripts/lib/install.sh
source scripts/lib/servers.sh

trap stop_servers EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# shellcheck disable=SC2119  # no further components of Rust are needed
need_rust
need_c_compiler
need_postgres
need_rabbitmq
install_needed
say "building"
cargo build --locked --release --workspace
say "starting RabbitMQ"
start_rabbitmq
say "measuring"
"${CARGO_TARGET_DIR:-target}/release/attune-bench" --suite scale --amqp-url "$RABBITMQ_URL" "$@"
