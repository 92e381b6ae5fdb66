#!/usr/bin/env bash
# Installs, builds and runs the fast tests; the last line says "N passed, N failed".
#
#   scripts/test.sh [CTEST OPTIONS]      such as -L ops, -R Safetensors, -V; default: -LE slow
#
# BUILD=DIR chooses the build folder (default: build), CMAKE_OPTIONS="-DKINDRED_CUDA=OFF" adds CMake options.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
case ${1:-} in -h | --help) sed -n '2,6s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 0 ;; esac

"$root/scripts/setup.sh"
"$root/scripts/build.sh"
if (($# == 0)); then set -- -LE slow; fi
exec "$root/scripts/ctest.sh" "${BUILD:-$root/build}" "$@"
