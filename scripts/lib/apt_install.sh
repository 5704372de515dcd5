#!/usr/bin/env bash
# Installs the given packages, as root, for install.sh. Meanwhile no service may start (policy-rc.d) and PostgreSQL creates
# no cluster; both settings are restored on every exit.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive

policy=/usr/sbin/policy-rc.d
no_cluster=/etc/postgresql-common/createcluster.d/attune-install.conf
mark="# written by an installation script of attune; it is removed at its end"
ours() { [[ -e $1 ]] && grep -qF "$mark" "$1"; }
restore() {
  local file
  for file in "$policy" "$no_cluster"; do if ours "$file"; then rm -f "$file"; fi; done
}
log=$(mktemp)
trap 'restore; rm -f "$log"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
if [[ ! -e $policy ]] || ours "$policy"; then
  printf "#!/bin/sh\n%s\nexit 101\n" "$mark" >"$policy"
  chmod 755 "$policy"
fi
mkdir -p "${no_cluster%/*}"
printf "%s\ncreate_main_cluster = false\n" "$mark" >"$no_cluster"

# Waits for another apt-get, such as an unattended upgrade. The output is stored and printed only on failure.
apt() {
  printf '    apt-get %s\n' "$*" >&2
  apt-get -q -y -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 -o Dpkg::Use-Pty=0 "$@" 2>&1 | keep_log
}
keep_log() {
  local line reported=''
  : >"$log"
  while IFS= read -r line; do
    printf '%s\n' "$line" >>"$log"
    if [[ -z $reported && $line == *"Waiting for cache lock"* ]]; then
      printf '    waiting up to 5 minutes for another program that installs packages\n' >&2
      reported=yes
    fi
  done
}
install() { apt install --no-install-recommends "$@"; }

# Updates the package lists if they are missing or outdated.
if ! compgen -G '/var/lib/apt/lists/*_Packages*' >/dev/null || ! install "$@"; then
  { apt update && install "$@"; } || { cat "$log" >&2; exit 1; }
fi

for package in "$@"; do
  if [[ $package == rabbitmq-server && -d /run/systemd/system ]]; then
    systemctl disable --quiet rabbitmq-server || true
  fi
  if [[ $package == nginx-light && -d /run/systemd/system ]]; then
    systemctl disable --quiet nginx || true
  fi
done
