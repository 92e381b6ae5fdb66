#!/usr/bin/env bash
# Runs CTest in a build folder and ends with the line "N passed, N failed". Fails when a test failed or none ran.
#
#   scripts/ctest.sh BUILD_DIR [CTEST OPTIONS]
set -euo pipefail
build=$1
shift
results=$(mktemp)
trap 'rm -f "$results"' EXIT

status=0
ctest --test-dir "$build" --output-on-failure --output-junit "$results" -j "$(nproc)" "$@" || status=$?

count() { sed -n "s/.*[[:space:]]$1=\"\([0-9]*\)\".*/\1/p" <<<"$header"; }
header=$(tr '\n\t' '  ' <"$results" | sed -n 's/.*\(<testsuite [^>]*>\).*/\1/p')
total=$(count tests) failed=$(count failures) not_run=$(count skipped) disabled=$(count disabled)
# A program that was not built counts as not run: only what a test says itself is a skip.
skipped=$(grep -c '<skipped message="SKIP_' "$results" || true)
failed=$((failed + not_run - skipped))
if [[ -z $total || $total == 0 ]]; then
  echo "ctest.sh: no test ran in $build" >&2
  echo "0 passed, 1 failed"
  exit 1
fi
if ((skipped + disabled > 0)); then echo "$((skipped + disabled)) skipped"; fi
echo "$((total - failed - skipped - disabled)) passed, $failed failed"
exit "$status"
