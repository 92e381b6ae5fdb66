#!/usr/bin/env bash
# Runs a training command again until it is done: a run goes on from its newest checkpoint by itself.
#
#   scripts/launch/until_done.sh [--tries N] mpirun -np 8 kindred-train --config my.conf
#
# Exit codes of kindred-train: 0 done; 1 failed and 2 wrong options would fail again, 76 (loss not finite) too;
# 75 (a rank was lost), 77 (stopped on request) and death by a signal are worth another try. SIGTERM or SIGINT to this
# script stops the run after its checkpoint and does not start it again. N tries at most (default 20), counted anew
# when a try lasted 10 minutes.
set -euo pipefail

tries=20
if [[ ${1:-} == --tries ]]; then
  tries=$2
  shift 2
fi
if (($# == 0)) || [[ $1 == -* ]]; then
  sed -n '2,9s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
  exit 2
fi

stopping=false
child=
# SIGUSR1 asks kindred-train to stop as SIGTERM does. mpirun passes it on; to a SIGTERM it answers by killing the ranks.
on_stop() {
  stopping=true
  [[ -z $child ]] || kill -USR1 "$child" 2>/dev/null || true
}
trap on_stop TERM INT

left=$tries
while true; do
  started=$SECONDS
  "$@" &
  child=$!
  status=0
  wait "$child" || status=$?
  # A trapped signal ends the wait early; the run itself still writes its checkpoint.
  while kill -0 "$child" 2>/dev/null; do
    status=0
    wait "$child" || status=$?
  done
  child=

  case $status in
    0) exit 0 ;;
    1 | 2 | 76) exit "$status" ;;
  esac
  if $stopping; then exit "$status"; fi
  ((SECONDS - started < 600)) || left=$tries
  ((--left > 0)) || { echo "until_done.sh: gave up after $tries tries, last exit code $status" >&2; exit "$status"; }
  echo "until_done.sh: exit code $status; going on from the newest checkpoint" >&2
  sleep "${KINDRED_RESTART_PAUSE:-10}"
done
