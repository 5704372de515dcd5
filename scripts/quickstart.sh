#!/usr/bin/env bash
# The quickstart: installs what is missing, builds Attune, runs it with a rule that prints a greeting every 10 seconds, and
# shows executions as they happen. Ctrl-C stops everything; the history stays in the data directory. Safe to run again.
#
#   scripts/quickstart.sh [--check] [--data-dir DIR] [--listen ADDR:PORT]
#
#   --check             exit when three executions have succeeded; fail if that takes more than two minutes from the start
#   --data-dir DIR      the folder of the database and the generated password    (default: attune-data in this repository)
#   --listen ADDR:PORT  the address of the API                 (default: 127.0.0.1:8080, or the next free port)
#
# Needs a Debian or Ubuntu machine with a Rust toolchain, and root or sudo if something must be installed.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
source "$root/scripts/lib/say.sh"
source "$root/scripts/lib/install.sh"

readonly RULE=core.timer_echo_10s
readonly CHECK_SUCCESSES=3
readonly CHECK_SECONDS=120
readonly STOP_SECONDS=30

check=''
data_dir=$root/attune-data
listen=''
program=''
attune=''
log=''
scratch=''
url=''
token=''
begun_at=''
succeeded=0
declare -A shown=()

read_arguments() {
  while (($# > 0)); do
    case $1 in
    --check) check=yes ;;
    --data-dir | --listen)
      (($# > 1)) || fail "$1 needs a value: see scripts/quickstart.sh --help"
      if [[ $1 == --listen ]]; then listen=$2; else data_dir=$(realpath -m -- "$2"); fi
      shift
      ;;
    -h | --help)
      sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"
      exit 0
      ;;
    *) fail "unknown argument $1" "Expected one of: --check, --data-dir DIR, --listen ADDR:PORT" ;;
    esac
    shift
  done
}

# Attune itself refuses to start twice on one data directory, but only after minutes of building.
refuse_second_instance() {
  local lock=$data_dir/attune.lock
  if [[ -r $lock ]] && ! flock --nonblock --shared "$lock" true; then
    fail "Attune already runs on $data_dir (process $(head -n 1 "$lock"))." \
      "Stop that one first, or choose another folder with --data-dir DIR."
  fi
}

install_missing() {
  # shellcheck disable=SC2119  # no further component is needed
  need_rust
  need_c_compiler
  need_command curl
  need_command jq
  need_postgres
  install_needed
}

build() {
  local target
  target=$(cargo metadata --locked --format-version 1 --no-deps | jq -r .target_directory)
  program=$target/quick/attune
  if [[ -x $program ]]; then
    say "building what changed in Attune"
  else
    say "building Attune; the first build takes some minutes"
  fi
  cargo build --locked --profile quick --package attune
}

answers() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

choose_port() {
  [[ -z $listen ]] || return 0
  local port
  for ((port = 8080; port < 8180; port++)); do
    if ! answers "$port"; then
      listen=127.0.0.1:$port
      if ((port != 8080)); then note "port 8080 is in use, so the API listens on $port"; fi
      return
    fi
  done
  fail "all ports from 8080 to 8179 are in use." "Choose another one with --listen 127.0.0.1:PORT."
}

# In a separate session, so that Ctrl-C reaches it only through this script: a second signal would end it immediately.
# If this script is killed, the kernel sends SIGTERM to Attune.
start_attune() {
  local -a apart=(setsid)
  if setpriv --pdeathsig TERM true 2>/dev/null; then apart+=(setpriv --pdeathsig TERM); fi
  log=$scratch/attune.log
  begun_at=$(date -u +%Y-%m-%dT%H:%M:%S)
  SECONDS=0
  "${apart[@]}" "$program" up --data-dir "$data_dir" --listen "$listen" </dev/null >"$log" 2>&1 &
  attune=$!
}

runs() { kill -0 "$attune" 2>/dev/null; }

# Prints the last lines of the log, and fails with the reason.
abort() {
  if [[ -s $log ]]; then
    printf '\nThe last lines of the log:\n' >&2
    tail -n 20 "$log" | sed 's/^/    /' >&2
  fi
  fail "$@"
}

check_progress() {
  if ! runs; then abort "Attune exited."; fi
  if [[ -n $check ]] && ((SECONDS > CHECK_SECONDS)); then
    abort "$succeeded of $CHECK_SUCCESSES executions succeeded within $CHECK_SECONDS seconds of the start." "$1"
  fi
}

fetch() { curl --silent --show-error --noproxy '*' --connect-timeout 2 --max-time 10 "$@"; }

wait_until_ready() {
  local next_note=10
  until fetch --fail --output "$scratch/health" "$url/health/ready" 2>"$scratch/error"; do
    check_progress "It was not ready: $(head -c 500 "$scratch/error")"
    if ((SECONDS >= next_note)); then
      note "still starting, after $SECONDS s: $(tail -n 1 "$log")"
      next_note=$((next_note + 10))
    fi
    sleep 0.1
  done
  sed -n '/^Attune is running/,/^To try it/{/^To try it/d;/^$/d;s/^ */    /p}' "$log" >&2
}

# If the first password came from ATTUNE_ADMIN_PASSWORD, or was changed since, ATTUNE_API_PASSWORD must contain it.
find_password() {
  export ATTUNE_API_URL=$url
  if [[ -n ${ATTUNE_API_PASSWORD-} || -n ${ATTUNE_API_PASSWORD_FILE-} ]]; then return; fi
  if [[ -r $data_dir/admin-password ]]; then
    export ATTUNE_API_PASSWORD_FILE=$data_dir/admin-password
  elif [[ -n ${ATTUNE_ADMIN_PASSWORD-} ]]; then
    export ATTUNE_API_PASSWORD=$ATTUNE_ADMIN_PASSWORD
  else
    fail "the password of the user admin is unknown: $data_dir/admin-password does not exist." \
      "Set ATTUNE_API_PASSWORD and run this script again."
  fi
}

create_rule() {
  if ! "$root/scripts/setup_timer_echo_rule.sh" >"$scratch/setup" 2>&1; then
    cat "$scratch/setup" >&2
    abort "failed to create the rule $RULE; the reason is above." \
      "If the password of the user admin was changed, set ATTUNE_API_PASSWORD and run this script again."
  fi
  grep "^The rule" "$scratch/setup" | sed 's/^/    /' >&2
}

sign_in() {
  local password=${ATTUNE_API_PASSWORD-}
  if [[ -z $password ]]; then password=$(<"$ATTUNE_API_PASSWORD_FILE"); fi
  token=$(printf '%s' "$password" | jq -Rs --arg user "${ATTUNE_API_USER:-admin}" '{username: $user, password: .}' |
    fetch --header 'Content-Type: application/json' --data-binary @- "$url/auth/login" 2>"$scratch/error" |
    jq -r '.data.access_token // empty') || token=''
}

# Writes the newest executions of the rule to the scratch folder. The token is not an argument, which other users could see.
fetch_executions() {
  local status
  if [[ -z $token ]]; then sign_in; fi
  status=$(fetch --output "$scratch/executions" --write-out '%{http_code}' \
    --config <(printf 'header = "Authorization: Bearer %s"\n' "$token") \
    "$url/api/v1/executions?rule_ref=$RULE&limit=50" 2>"$scratch/error") || status=000
  if [[ $status == 200 ]]; then return; fi
  if [[ $status == 401 ]]; then token=''; fi
  printf 'HTTP %s' "$status" >>"$scratch/error"
  return 1
}

# Prints the executions that ended since the last query, the oldest first.
show_new() {
  local id at status output
  while IFS=$'\t' read -r id at status output; do
    [[ -z ${shown[$id]-} ]] || continue
    shown[$id]=yes
    if [[ $status == succeeded ]]; then succeeded=$((succeeded + 1)); fi
    printf '    %s  %-9s  %s\n' "${at:11:8}" "$status" "$output"
  done < <(jq -r --arg since "$begun_at" '
    .data | reverse[] | select((.finished_at // "") >= $since)
    | [.id, .finished_at, .status, ((.error // .output_tail // "") | split("\n")[0])] | @tsv' "$scratch/executions")
}

watch_executions() {
  while true; do
    if fetch_executions; then show_new; fi
    if [[ -n $check ]] && ((succeeded >= CHECK_SUCCESSES)); then return; fi
    check_progress "The last query of executions failed: $(tail -n 1 "$scratch/error")"
    sleep 1
  done
}

stop_attune() {
  if [[ -z $attune ]] || ! runs; then return 0; fi
  say "stopping Attune"
  kill -TERM "$attune" 2>/dev/null || true
  local tries
  for ((tries = 0; tries < STOP_SECONDS * 20; tries++)); do
    if ! runs; then break; fi
    sleep 0.05
  done
  if runs; then
    note "it did not stop within $STOP_SECONDS s and is killed"
    kill -KILL "$attune" 2>/dev/null || true
  fi
  wait "$attune" 2>/dev/null || true
}

finish() {
  local status=$?
  trap '' INT TERM HUP
  stop_attune
  if [[ -n $scratch ]]; then rm -rf -- "$scratch"; fi
  exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

read_arguments "$@"
cd "$root"
scratch=$(mktemp -d)
refuse_second_instance
say "checking the requirements: Rust, a C compiler, curl, jq, PostgreSQL programs"
install_missing
build
choose_port
url=http://$listen
if [[ -e $data_dir/postgres ]]; then
  say "starting Attune with the existing data in $data_dir"
else
  say "starting Attune on $data_dir (the first start creates the database)"
fi
start_attune
wait_until_ready
find_password
say "creating the rule $RULE: every 10 seconds, core.echo prints a greeting"
create_rule
if [[ -n $check ]]; then
  say "waiting for $CHECK_SUCCESSES executions that succeed"
else
  # Ctrl-C is the normal end.
  trap 'printf "\n" >&2; exit 0' INT
  say "executions as they happen, times in UTC (Ctrl-C stops everything)"
fi
watch_executions
say "$succeeded executions succeeded, $SECONDS s after the start"
