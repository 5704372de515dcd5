# shellcheck shell=bash
# Installs what is missing on Debian and Ubuntu; elsewhere prints what to install. Sourced, after say.sh.
#
# Each need_* function is named after its requirement and may be called repeatedly. install_needed then installs everything
# that is missing at once, with one password prompt or one message.
# Installed servers are neither started nor enabled at boot: Attune runs its own.

readonly POSTGRES_OLDEST=14
readonly RUST_OLDEST=1.94
INSTALL_FOLDER=${BASH_SOURCE[0]%/*}

NEEDED_FOR='' NEEDED=()

# need_packages PURPOSE PACKAGE...: by their Debian names.
need_packages() {
  NEEDED_FOR+=${NEEDED_FOR:+, }$1
  NEEDED+=("${@:2}")
}

install_needed() {
  ((${#NEEDED[@]} > 0)) || return 0
  if ! command -v apt-get >/dev/null; then
    fail "missing: $NEEDED_FOR. This script can install that only on Debian and Ubuntu." \
      "Install the equivalents of these Debian packages: ${NEEDED[*]}"
  fi
  local -a as_root=()
  if ((EUID != 0)); then
    if ! command -v sudo >/dev/null || { [[ ! -t 0 ]] && ! sudo -n true 2>/dev/null; }; then
      fail "missing: $NEEDED_FOR. Installing that needs root." \
        "Run this as root, and then this script again: apt-get install ${NEEDED[*]}"
    fi
    as_root=(sudo)
  fi
  say "installing $NEEDED_FOR: ${NEEDED[*]}"
  "${as_root[@]}" bash "$INSTALL_FOLDER/apt_install.sh" "${NEEDED[@]}" ||
    fail "apt-get failed to install: ${NEEDED[*]}" \
      "Its messages are above. Try: apt-get update && apt-get install ${NEEDED[*]}"
  if [[ " ${NEEDED[*]} " == *" postgresql "* ]] && ! postgres_bin >/dev/null; then
    fail "this system's PostgreSQL is older than $POSTGRES_OLDEST." "Install a newer one: https://www.postgresql.org/download/"
  fi
  NEEDED_FOR='' NEEDED=()
}

# Prints the folder of the newest PostgreSQL programs that are new enough.
postgres_bin() {
  local folder version best='' best_version=0
  local -a folders=(/usr/lib/postgresql/*/bin /usr/pgsql-*/bin /opt/homebrew/opt/postgresql*/bin /usr/local/pgsql/bin)
  if folder=$(command -v postgres); then folders+=("$(dirname "$folder")"); fi
  for folder in "${folders[@]}"; do
    [[ -x $folder/postgres && -x $folder/initdb ]] || continue
    version=$("$folder/postgres" --version | sed -n 's/^.*(PostgreSQL) \([0-9]*\).*$/\1/p')
    if ((${version:-0} >= POSTGRES_OLDEST && version > best_version)); then
      best=$folder best_version=$version
    fi
  done
  [[ -n $best ]] && printf '%s\n' "$best"
}

need_postgres() {
  postgres_bin >/dev/null || need_packages "the PostgreSQL programs" postgresql
}

# Prints the program that starts a RabbitMQ node as the current user (Debian's wrapper on PATH requires its own user).
rabbitmq_server() {
  local program
  for program in /usr/lib/rabbitmq/bin/rabbitmq-server "$(command -v rabbitmq-server || true)"; do
    if [[ -x $program ]]; then
      printf '%s\n' "$program"
      return
    fi
  done
  return 1
}

need_rabbitmq() {
  rabbitmq_server >/dev/null && command -v epmd >/dev/null && return
  need_packages "RabbitMQ" rabbitmq-server
}

# The reverse proxy that a test runs; Debian installs it outside the PATH of users.
need_nginx() {
  command -v nginx >/dev/null || [[ -x /usr/sbin/nginx ]] || need_packages "nginx" nginx-light
}

# The browser of the tests of the web UI.
need_chromium() {
  command -v chromium >/dev/null || need_packages "Chromium" chromium
}

# need_command NAME [PACKAGE]
need_command() {
  command -v "$1" >/dev/null || need_packages "$1" "${2:-$1}"
}

# Python with venv; Debian splits it into two packages.
need_python() {
  python3 -c 'import ensurepip, venv' 2>/dev/null || need_packages "Python" python3 python3-venv
}

# Rust needs a linker and the development files of the C library.
need_c_compiler() {
  command -v cc >/dev/null || need_packages "a C compiler" gcc libc6-dev
}

# The toolchain is the user's choice, so it is never installed. Arguments: required components.
need_rust() {
  if ! command -v cargo >/dev/null && [[ -r $HOME/.cargo/env ]]; then
    # shellcheck disable=SC1091  # made by rustup
    source "$HOME/.cargo/env"
  fi
  command -v cargo >/dev/null ||
    fail "the Rust toolchain is missing: there is no \`cargo\` on PATH or in ~/.cargo/bin." \
      "Install it as https://rustup.rs describes, and run this script again."
  local version component
  version=$(cargo --version | cut -d ' ' -f 2)
  if [[ $(printf '%s\n' "$RUST_OLDEST" "$version" | sort -V | head -n 1) != "$RUST_OLDEST" ]]; then
    fail "Rust $version is too old; Attune needs $RUST_OLDEST or newer." "Update it: rustup update stable"
  fi
  for component in "$@"; do
    cargo "$component" --version >/dev/null 2>&1 && continue
    command -v rustup >/dev/null ||
      fail "\`cargo $component\` is missing." "Install that component of the Rust toolchain, and run this script again."
    say "adding $component to the Rust toolchain"
    local name=$component
    if [[ $component == fmt ]]; then name=rustfmt; fi
    rustup component add "$name"
  done
}
