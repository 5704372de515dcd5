# shellcheck shell=bash
# Installs what is missing on Debian and Ubuntu; says what to install elsewhere. Sourced, after say.sh.
#
# Every function is named after what must be there, does nothing when it is, and may be called any number of times.
# Servers that are installed here are neither started nor left to start with the machine: Attune runs its own.

readonly POSTGRES_OLDEST=14
readonly RUST_OLDEST=1.94
INSTALL_FOLDER=$(dirname "${BASH_SOURCE[0]}")

# Installs packages by their Debian names; $1 is what they are for.
apt_install() {
  local purpose=$1
  shift
  if ! command -v apt-get >/dev/null; then
    fail "$purpose is missing, and this script can install it on Debian and Ubuntu only." \
      "Install what corresponds to these Debian packages: $*"
  fi
  local -a as_root=()
  if ((EUID != 0)); then
    if ! command -v sudo >/dev/null || { [[ ! -t 0 ]] && ! sudo -n true 2>/dev/null; }; then
      fail "$purpose is missing, and installing it needs root." \
        "Run this as root, and then this script again: apt-get install $*"
    fi
    as_root=(sudo)
  fi
  say "installing $purpose: $*"
  "${as_root[@]}" bash "$INSTALL_FOLDER/apt_install.sh" "$@" ||
    fail "apt-get could not install: $*" "Its messages are above. Try: apt-get update && apt-get install $*"
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
  postgres_bin >/dev/null && return
  apt_install "the PostgreSQL programs" postgresql
  postgres_bin >/dev/null ||
    fail "this system's PostgreSQL is older than $POSTGRES_OLDEST." "Install a newer one: https://www.postgresql.org/download/"
}

# Prints the program that starts a RabbitMQ node as whoever calls it (Debian's wrapper on PATH insists on its own user).
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
  apt_install "RabbitMQ" rabbitmq-server
}

# need_command NAME [PACKAGE]
need_command() {
  command -v "$1" >/dev/null || apt_install "$1" "${2:-$1}"
}

# Python with its environments; Debian divides it into two packages.
need_python() {
  python3 -c 'import ensurepip, venv' 2>/dev/null || apt_install "Python" python3 python3-venv
}

# Rust needs a linker and the C library's files.
need_c_compiler() {
  command -v cc >/dev/null || apt_install "a C compiler" gcc libc6-dev
}

# The toolchain is the user's choice, so it is asked for and never installed. Arguments: further components that are needed.
need_rust() {
  if ! command -v cargo >/dev/null && [[ -r $HOME/.cargo/env ]]; then
    # shellcheck disable=SC1091  # made by rustup
    source "$HOME/.cargo/env"
  fi
  command -v cargo >/dev/null ||
    fail "the Rust toolchain is missing: there is no \`cargo\` on PATH or in ~/.cargo/bin." \
      "Install it as https://rustup.rs says, and run this script again."
  local version component
  version=$(cargo --version | cut -d ' ' -f 2)
  if [[ $(printf '%s\n' "$RUST_OLDEST" "$version" | sort -V | head -n 1) != "$RUST_OLDEST" ]]; then
    fail "Rust $version is too old, Attune needs $RUST_OLDEST or newer." "Bring it up to date with: rustup update stable"
  fi
  for component in "$@"; do
    cargo "$component" --version >/dev/null 2>&1 && continue
    command -v rustup >/dev/null ||
      fail "\`cargo $component\` is missing." "Install that part of the Rust toolchain, and run this script again."
    say "adding $component to the Rust toolchain"
    local name=$component
    if [[ $component == fmt ]]; then name=rustfmt; fi
    rustup component add "$name"
  done
}
