#!/usr/bin/env bash
# Writes .env with random secrets for docker-compose.yml. Never overwrites existing secrets.
#
#   scripts/make_env.sh [FILE]
set -euo pipefail
umask 077
cd "$(dirname "$0")/.."

file=${1:-.env}
# random BYTES: random bytes in hexadecimal, which need no escaping in a URL.
random() {
    od -An -v -tx1 -N "$1" /dev/urandom | tr -d ' \n'
}

if [[ -e $file ]]; then
    # A file of an earlier version has no key for the pool.
    if [[ -w $file ]] && ! grep -q '^ATTUNE_POOL_KEY=' "$file"; then
        printf 'ATTUNE_POOL_KEY=%s\n' "$(random 32)" >>"$file"
        printf 'Added ATTUNE_POOL_KEY to %s; everything else stays unchanged.\n' "$file"
        exit 0
    fi
    printf '%s already exists and stays unchanged. Remove it to create new secrets (databases keep the old ones).\n' "$file"
    exit 0
fi

made=$(mktemp "$file.XXXXXX")
trap 'rm -f -- "$made"' EXIT
cat >"$made" <<SECRETS
# Made by scripts/make_env.sh; read by docker-compose.yml. Keep it out of every repository.
POSTGRES_PASSWORD=$(random 24)
RABBITMQ_PASSWORD=$(random 24)
# Signs access tokens.
ATTUNE_JWT_SECRET=$(random 32)
# Encrypts secrets in the database; without it they are lost.
ATTUNE_ENCRYPTION_KEY=$(random 32)
# The private key of the workers' pool: opens the secrets that are granted to it.
ATTUNE_POOL_KEY=$(random 32)
# The first password of the user admin; change it after signing in.
ATTUNE_ADMIN_PASSWORD=$(random 12)
SECRETS

# A link fails if another process was faster; a move would overwrite.
if ln -- "$made" "$file" 2>/dev/null; then
    printf 'Wrote %s with new secrets. The user admin signs in with the ATTUNE_ADMIN_PASSWORD in it.\n' "$file"
elif [[ -e $file ]]; then
    printf '%s already exists and stays unchanged.\n' "$file"
else
    printf 'make_env.sh: failed to write %s\n' "$file" >&2
    exit 1
fi
