#!/usr/bin/env bash
# Checks the subjects of commits: `type(scope): imperative subject`, at most 72 characters (docs/development/STYLE.md).
#
#   scripts/check_commits.sh RANGE        every commit of a range, such as origin/main..HEAD
#   scripts/check_commits.sh FILE         the message in a file: as a hook, git passes .git/COMMIT_EDITMSG
#   scripts/check_commits.sh --self-test  the rules against examples
#
# Install it as a hook: ln -s ../../scripts/check_commits.sh .git/hooks/commit-msg
set -euo pipefail

readonly LENGTH_MAX=72
readonly TYPES='feat|fix|refactor|perf|test|docs|build|ci|chore|style|revert'
readonly SCOPED="^($TYPES)(\([a-z0-9_,./ -]+\))?!?: (.+)$"
# Words that end like a past tense or a third person but are imperative verbs.
readonly IMPERATIVE=' address access bypass compress cross discuss dismiss embed express feed focus guess miss need '
readonly IMPERATIVE_MORE=' pass press process proceed seed speed stress suppress toss use reuse bring string ring '

# problem SUBJECT: prints what is wrong with it; nothing when it is good.
problem() {
  local subject=$1 text word
  if ((${#subject} > LENGTH_MAX)); then
    printf 'has %d characters, at most %d are allowed\n' "${#subject}" "$LENGTH_MAX"
    return
  fi
  if [[ $subject =~ ^(wip|WIP|fixup!|squash!|amend!) || $subject =~ [[:space:]:](wip|WIP)([[:space:]]|$) ]]; then
    printf 'is unfinished work: squash it\n'
    return
  fi
  if [[ $subject =~ ^Merge[[:space:]] ]]; then
    printf 'is a merge: rebase instead\n'
    return
  fi
  if ! [[ $subject =~ $SCOPED ]]; then
    printf 'is not "type(scope): subject" with one of %s\n' "${TYPES//|/, }"
    return
  fi
  text=${BASH_REMATCH[3]}
  word=${text%% *}
  if [[ $text =~ ^[A-Z][a-z] ]]; then
    printf 'starts with a capital after the colon\n'
  elif [[ $text == *. ]]; then
    printf 'ends with a period\n'
  elif [[ $word =~ ^(a|an|the|it|this|that|these|those|what|who|whoever|which|there|no|nothing|nobody|every|each|all)$ ]]; then
    printf 'starts with "%s": start with an imperative verb such as add, fix or remove\n' "$word"
  elif [[ "$IMPERATIVE$IMPERATIVE_MORE" != *" $word "* && $word =~ ^[a-z]+(ed|ing|[^s]s)$ ]]; then
    printf '"%s" is not imperative: write add, not added, adds or adding\n' "$word"
  fi
}

# check NAME SUBJECT: reports a bad subject.
check() {
  local found
  found=$(problem "$2")
  [[ -z $found ]] && return
  printf '%s: %s\n    %s\n' "$1" "$2" "$found" >&2
  return 1
}

self_test() {
  local subject failed=0
  while IFS= read -r subject; do
    check good "$subject" || failed=1
  done <<'GOOD'
fix(worker): renew leases before they expire
refactor: use the field's names for what crates share
feat(api)!: process bodies in chunks
docs(decisions/0020): record why rows are claimed
GOOD
  while IFS= read -r subject; do
    if [[ -z $(problem "$subject") ]]; then
      printf 'accepted: %s\n' "$subject" >&2
      failed=1
    fi
  done <<'BAD'
wip
wip: more
fix(worker): wip
Merge branch 'main' into topic
renew leases
fix(worker): Renew leases
fix(worker): renew leases.
fix(worker): renewed leases
fix(worker): renews leases
fix(worker): renewing leases
fix(executor): those that failed together have a turn
fix(worker): renew leases a very long time before they expire, so that nothing is lost
BAD
  return "$failed"
}

argument=${1:?usage: scripts/check_commits.sh RANGE | FILE | --self-test}
status=0
if [[ $argument == --self-test ]]; then
  self_test || status=1
elif [[ -f $argument ]]; then
  subject=$(grep -v '^#' "$argument" | sed -n '/[^[:space:]]/{p;q}')
  # git writes the subjects of merges, reverts and fixups itself; the range check reports what must not stay.
  [[ $subject =~ ^(Merge|Revert|fixup!|squash!|amend!)[[:space:]] ]] || check "commit message" "$subject" || status=1
else
  commits=$(git log --format='%h %s' "$argument")
  while IFS=' ' read -r id subject; do
    [[ -z $id || $subject =~ ^Revert[[:space:]] ]] || check "$id" "$subject" || status=1
  done <<<"$commits"
fi
((status == 0)) || printf 'docs/development/STYLE.md describes the form of subjects.\n' >&2
exit "$status"
