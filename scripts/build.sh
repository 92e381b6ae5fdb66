#!/usr/bin/env bash
# Configures and builds, Release unless CMAKE_OPTIONS says otherwise. BUILD and CMAKE_OPTIONS as in test.sh; arguments
# are targets (default: all).
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=${BUILD:-$root/build}

# The first g++ that is new enough. Ubuntu 22.04 has g++ 11 under the plain name.
if [[ -z ${CXX:-} ]] && command -v g++-12 >/dev/null && (($(g++ -dumpversion 2>/dev/null || echo 0) < 12)); then
  export CXX=g++-12
fi
# About 1 GiB a compiler: fewer at a time where memory is short.
memory_gib=$(awk '/^MemAvailable/ { print int($2 / 1048576) }' /proc/meminfo)
jobs=$(nproc)
((jobs <= memory_gib)) || jobs=$((memory_gib > 0 ? memory_gib : 1))

read -r -a options <<<"${CMAKE_OPTIONS:-}"
cmake -S "$root" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release "${options[@]}"
if (($# == 0)); then set -- all; fi
cmake --build "$build" -j "$jobs" --target "$@"
