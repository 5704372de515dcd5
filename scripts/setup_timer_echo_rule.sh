#!/usr/bin/env bash
# Creates the rule core.timer_echo_10s: every 10 seconds, print a greeting. Safe to run again: it updates what differs.
#
#   ATTUNE_API_URL            the URL of the API                   (default http://127.0.0.1:8080)
#   ATTUNE_API_USER           the user; needs the role editor      (default admin)
#   ATTUNE_API_PASSWORD       the password, or
#   ATTUNE_API_PASSWORD_FILE  a file that contains it
#
# Needs curl and jq. Exit codes: 2 usage, 3 no response, 4 sign-in failed, 5 a definition is missing, 6 the rule was rejected.
set -euo pipefail
umask 077

readonly rule=core.timer_echo_10s
readonly trigger=core.timer_10s
readonly action=core.echo

url=${ATTUNE_API_URL:-http://127.0.0.1:8080}
url=${url%/}
user=${ATTUNE_API_USER:-admin}
token=
status=

say() { printf '%s\n' "$*"; }

# fail CODE STEP REASON
fail() {
    printf 'setup_timer_echo_rule.sh: %s: %s\n' "$2" "$3" >&2
    exit "$1"
}

read_password() {
    if [[ -n ${ATTUNE_API_PASSWORD:-} ]]; then
        printf '%s' "$ATTUNE_API_PASSWORD"
    elif [[ -n ${ATTUNE_API_PASSWORD_FILE:-} ]]; then
        cat -- "$ATTUNE_API_PASSWORD_FILE" ||
            fail 2 'reading the password' "ATTUNE_API_PASSWORD_FILE is $ATTUNE_API_PASSWORD_FILE, which is not readable"
    else
        fail 2 'reading the password' 'set ATTUNE_API_PASSWORD, or ATTUNE_API_PASSWORD_FILE to a file that contains it'
    fi
}

# request STEP METHOD PATH [BODY]: sets $status, and writes the response to $answer. Secrets are never arguments of a
# program: curl reads the token from a configuration in a pipe, and the body from standard input.
request() {
    local step=$1 method=$2 path=$3 code=0
    local -a arguments=(--silent --show-error --connect-timeout 5 --max-time 30 --noproxy '127.0.0.1,localhost,::1'
        --request "$method" --output "$answer" --write-out '%{http_code}' --header 'Accept: application/json')
    if [[ $# -ge 4 ]]; then
        arguments+=(--header 'Content-Type: application/json' --data-binary @-)
    fi
    : >"$answer"
    status=$(curl "${arguments[@]}" --config <(authorization) -- "$url$path" 2>"$scratch/error" <<<"${4:-}") || code=$?
    if ((code != 0)); then
        fail 3 "$step" "$url does not answer ($(tail -n 1 "$scratch/error")). Is Attune running there? Set ATTUNE_API_URL if it is elsewhere."
    fi
}

authorization() {
    if [[ -n $token ]]; then
        printf 'header = "Authorization: Bearer %s"\n' "$token"
    fi
}

# The reason in a problem, in one line.
reason() {
    jq -r '[.detail // .title // empty, ((.errors // [])[] | "\(.path): \(.message)")] | join("; ")' "$answer" 2>"$scratch/error" |
        grep . || printf 'no reason'
}

sign_in() {
    local body step='signing in'
    body=$(printf '%s' "$password" | jq -Rs --arg user "$user" '{username: $user, password: .}')
    request "$step" POST /auth/login "$body"
    case $status in
    200 | 201) ;;
    400 | 401 | 403 | 422) fail 4 "$step" "the user $user or the password is wrong (HTTP $status: $(reason))" ;;
    404) fail 3 "$step" "$url answers, but it is not Attune (HTTP 404 at /auth/login)" ;;
    429) fail 4 "$step" "too many attempts, wait a minute (HTTP 429: $(reason))" ;;
    *) fail 3 "$step" "HTTP $status: $(reason)" ;;
    esac
    token=$(jq -er '.data.access_token | strings' "$answer" 2>"$scratch/error") ||
        fail 3 "$step" "the response of $url contains no access token"
}

# verify KIND REF: the definition exists. Warns if it is disabled, because nothing would happen then.
verify() {
    local kind=$1 ref=$2 step="checking the $1 $2"
    request "$step" GET "/api/v1/${kind}s/$ref"
    case $status in
    200) ;;
    404) fail 5 "$step" "it does not exist. Load the core pack: psql \"\$DATABASE_URL\" -v ON_ERROR_STOP=1 -f scripts/seed_core_pack.sql" ;;
    *) fail 5 "$step" "HTTP $status: $(reason)" ;;
    esac
    if [[ $(jq -r '.data.enabled' "$answer") == false ]]; then
        say "note: the $kind $ref is disabled, so nothing will happen until it is enabled."
    fi
}

# The desired rule, without its ref and its pack.
desired() {
    jq -n --arg trigger "$trigger" --arg action "$action" '{
        label: "Say hello every 10 seconds",
        trigger_ref: $trigger,
        action_ref: $action,
        action_params: {message: "Hello World at {{ event.payload.fired_at }}"},
        condition: null,
        enabled: true
    }'
}

write_rule() {
    local body step="creating the rule $rule"
    body=$(desired)
    request "$step" POST /api/v1/rules "$(jq --arg ref "$rule" '{ref: $ref, pack_ref: "core"} + .' <<<"$body")"
    case $status in
    200 | 201) say "The rule $rule was created." ;;
    409) update_rule "$body" ;;
    403) fail 6 "$step" "$user may not create rules; the role editor is required (HTTP 403: $(reason))" ;;
    *) fail 6 "$step" "HTTP $status: $(reason)" ;;
    esac
}

update_rule() {
    local body=$1 step="updating the rule $rule"
    request "$step" GET "/api/v1/rules/$rule"
    [[ $status == 200 ]] || fail 6 "$step" "HTTP $status: $(reason)"
    if jq -e --argjson desired "$body" '.data as $stored | $desired | all(to_entries[]; .value == $stored[.key])' "$answer" >"$scratch/same"; then
        say "The rule $rule already exists and is up to date."
        return
    fi
    request "$step" PATCH "/api/v1/rules/$rule" "$body"
    case $status in
    200 | 204) say "The rule $rule was updated." ;;
    *) fail 6 "$step" "HTTP $status: $(reason)" ;;
    esac
}

print_instructions() {
    local sign_in
    # shellcheck disable=SC2016 # The reader's shell expands it, not this one.
    if [[ -n ${ATTUNE_API_PASSWORD:-} ]]; then
        sign_in='printf %s "$ATTUNE_API_PASSWORD" | jq -Rs'
    else
        sign_in="cat $(printf %q "$ATTUNE_API_PASSWORD_FILE") | jq -Rs"
    fi
    cat <<TEXT

Every 10 seconds, an execution of $action now prints hello. Watch it:

  TOKEN=\$($sign_in '{username: "$user", password: rtrimstr("\\n")}' |
      curl -sS -H 'Content-Type: application/json' --data @- '$url/auth/login' | jq -r .data.access_token)

  # the newest executions and their output
  curl -sS -H "Authorization: Bearer \$TOKEN" '$url/api/v1/executions?rule_ref=$rule&limit=5' |
      jq -r '.data[] | "\\(.created_at)  \\(.status)  \\(.output_tail // "")"'

  # the events of the timer
  curl -sS -H "Authorization: Bearer \$TOKEN" '$url/api/v1/events?trigger_ref=$trigger&limit=5' |
      jq -r '.data[] | "\\(.received_at)  \\(.status)  \\(.payload.scheduled_at)"'

  # disable it, and enable it again
  curl -sS -X POST -H "Authorization: Bearer \$TOKEN" '$url/api/v1/rules/$rule/disable'
  curl -sS -X POST -H "Authorization: Bearer \$TOKEN" '$url/api/v1/rules/$rule/enable'
TEXT
}

for tool in curl jq; do
    command -v "$tool" >/dev/null || fail 2 'checking the tools' "$tool is not installed: apt-get install $tool"
done
password=$(read_password)
scratch=$(mktemp -d)
trap 'rm -rf -- "$scratch"' EXIT
answer=$scratch/answer

sign_in
say "Signed in to $url as $user."
verify pack core
verify trigger "$trigger"
verify action "$action"
say "The core pack, $trigger and $action exist."
write_rule
print_instructions
