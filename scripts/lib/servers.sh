# shellcheck shell=bash
# Temporary servers for scripts, in one new folder, on private sockets and ports. Sourced, after install.sh.
#
# A script that calls start_* sets a trap that calls stop_servers. If the script is killed, the kernel signals the servers
# (setpriv --pdeathsig), and only their folder in /tmp remains.

SERVER_FOLDER=''
SERVER_PIDS=()

# The folder of all servers of this script; the users that run them can enter it.
make_server_folder() {
  if [[ -z $SERVER_FOLDER ]]; then
    SERVER_FOLDER=$(mktemp -d /tmp/attune-servers.XXXXXX)
    chmod 711 "$SERVER_FOLDER"
  fi
}

# Sets AS_SERVER to a command prefix: run as user $1 if we are root, and send signal $2 when this script exits.
as_server() {
  AS_SERVER=()
  if setpriv --pdeathsig INT true 2>/dev/null; then AS_SERVER=(setpriv --pdeathsig "$2"); fi
  ((EUID == 0)) || return 0
  local user=$1
  id "$user" >/dev/null 2>&1 || user=nobody
  AS_SERVER+=(--reuid="$user" --regid="$(id -g "$user")" --clear-groups)
  [[ ${AS_SERVER[0]} == setpriv ]] || fail "setpriv is missing (package util-linux)."
}

# Creates the server's folder $1, owned by user $2 if we are root.
give_folder() {
  mkdir -m 700 "$1"
  ((EUID == 0)) || return 0
  chown "$2:" "$1" 2>/dev/null || chown nobody: "$1"
}

# wait_for WHAT SECONDS PID LOG COMMAND...: waits until COMMAND succeeds; fails if the process exits or the time is over.
wait_for() {
  local what=$1 seconds=$2 pid=$3 log=$4
  shift 4
  local end=$((SECONDS + seconds))
  until "$@" >/dev/null 2>&1; do
    if ! kill -0 "$pid" 2>/dev/null || ((SECONDS > end)); then
      tail -n 30 "$log" >&2
      fail "$what did not start; the end of its log is above."
    fi
    sleep 0.05
  done
}

# An unused port of 127.0.0.1, below the range for outgoing connections.
free_port() {
  local port
  while true; do
    port=$((20000 + RANDOM % 10000))
    if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
      printf '%s\n' "$port"
      return
    fi
  done
}

# Sets POSTGRES_URL, for a superuser `attune`. Not durable, and therefore fast.
start_postgres() {
  local bin folder log
  bin=$(postgres_bin) || fail "the PostgreSQL programs are missing."
  make_server_folder
  folder=$SERVER_FOLDER/postgres log=$SERVER_FOLDER/postgres.log
  give_folder "$folder" postgres
  as_server postgres QUIT
  (cd / && "${AS_SERVER[@]}" "$bin/initdb" -D "$folder" --username=attune --auth=trust --encoding=UTF8 --locale=C \
    --lc-ctype=C.UTF-8 --no-sync >"$log" 2>&1) || { cat "$log" >&2; fail "initdb failed; its messages are above."; }
  local -a settings=(listen_addresses= "unix_socket_directories=$folder" port=5432 max_connections=400
    shared_buffers=128MB fsync=off synchronous_commit=off full_page_writes=off wal_level=minimal max_wal_senders=0
    timezone=UTC)
  "${AS_SERVER[@]}" "$bin/postgres" -D "$folder" "${settings[@]/#/--}" </dev/null >>"$log" 2>&1 &
  SERVER_PIDS+=($!)
  wait_for PostgreSQL 60 $! "$log" "$bin/psql" -h "$folder" -U attune -d postgres -qc 'select 1'
  # shellcheck disable=SC2034  # read by the scripts that source this
  POSTGRES_URL="postgres://attune@localhost:5432/postgres?host=${folder//\//%2F}"
}

# Sets RABBITMQ_URL.
start_rabbitmq() {
  local program folder log port epmd_port
  program=$(rabbitmq_server) || fail "rabbitmq-server is missing."
  make_server_folder
  folder=$SERVER_FOLDER/rabbitmq log=$SERVER_FOLDER/rabbitmq.log
  give_folder "$folder" rabbitmq
  port=$(free_port) epmd_port=$(free_port)
  printf '[].\n' >"$SERVER_FOLDER/rabbitmq-plugins"
  printf 'log.file.level = warning\n' >"$SERVER_FOLDER/rabbitmq.conf"
  : >"$SERVER_FOLDER/rabbitmq-env.conf"

  # The node would start a name server that outlives it; this one ends with the script.
  as_server rabbitmq TERM
  "${AS_SERVER[@]}" epmd -port "$epmd_port" -address 127.0.0.1 </dev/null >"$SERVER_FOLDER/epmd.log" 2>&1 &
  local epmd=$!
  wait_for "Erlang's name server" 10 $epmd "$SERVER_FOLDER/epmd.log" listens "$epmd_port"

  local -a environment=(
    HOME="$folder" PATH="$PATH" LC_ALL=C.UTF-8
    ERL_EPMD_PORT="$epmd_port" ERL_EPMD_ADDRESS=127.0.0.1
    RABBITMQ_NODENAME="attune-$$@localhost" RABBITMQ_NODE_IP_ADDRESS=127.0.0.1 RABBITMQ_NODE_PORT="$port"
    RABBITMQ_DIST_PORT="$(free_port)" RABBITMQ_MNESIA_BASE="$folder/data" RABBITMQ_LOG_BASE="$folder/log"
    RABBITMQ_PID_FILE="$folder/pid" RABBITMQ_CONF_ENV_FILE="$SERVER_FOLDER/rabbitmq-env.conf"
    RABBITMQ_CONFIG_FILE="$SERVER_FOLDER/rabbitmq.conf" RABBITMQ_ENABLED_PLUGINS_FILE="$SERVER_FOLDER/rabbitmq-plugins"
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="-kernel inet_dist_use_interface {127,0,0,1} +sbwt none"
    # Makes the start script exec the node, so that its pid is the node's.
    RUNNING_UNDER_SYSTEMD=true
  )
  (cd / && exec "${AS_SERVER[@]}" env -i "${environment[@]}" "$program") </dev/null >"$log" 2>&1 &
  # Stopped in this order.
  SERVER_PIDS+=($! "$epmd")
  wait_for RabbitMQ 120 $! "$log" speaks_amqp "$port"
  # shellcheck disable=SC2034  # read by the scripts that source this
  RABBITMQ_URL="amqp://guest:guest@127.0.0.1:$port/%2f"
}

listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1"); }

# A listening port is not enough: the node must answer the protocol header.
speaks_amqp() {
  (
    exec 3<>"/dev/tcp/127.0.0.1/$1"
    printf 'AMQP\0\0\11\1' >&3
    [[ -n $(timeout 2 head -c 7 <&3 | tr -d '\0') ]]
  )
}

# Stops everything that start_* started, in order, and removes the folder. Silent and idempotent.
stop_servers() {
  local pid tries
  for pid in "${SERVER_PIDS[@]}"; do
    kill -TERM "$pid" 2>/dev/null || continue
  done
  for pid in "${SERVER_PIDS[@]}"; do
    for ((tries = 0; tries < 200; tries++)); do
      kill -0 "$pid" 2>/dev/null || break
      sleep 0.05
    done
    kill -KILL "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
  done
  SERVER_PIDS=()
  if [[ -n $SERVER_FOLDER ]]; then rm -rf "$SERVER_FOLDER"; fi
  SERVER_FOLDER=''
}
