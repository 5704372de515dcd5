# shellcheck shell=bash
# Output of the scripts. Sourced.

if [[ -t 2 ]]; then
  SAY_BOLD=$'\033[1m' SAY_RED=$'\033[1;31m' SAY_PLAIN=$'\033[0m'
else
  SAY_BOLD='' SAY_RED='' SAY_PLAIN=''
fi

# A headline for the current step.
say() { printf '%s==> %s%s\n' "$SAY_BOLD" "$*" "$SAY_PLAIN" >&2; }

# A detail below it.
note() { printf '    %s\n' "$*" >&2; }

# Exits with an error: what is wrong and what to do, one line each.
fail() {
  printf '%serror:%s %s\n' "$SAY_RED" "$SAY_PLAIN" "$1" >&2
  shift
  if (($# > 0)); then printf '       %s\n' "$@" >&2; fi
  exit 1
}
