#!/usr/bin/env bash
# Installs the packages that Kindred is built, tested and shown with. Does nothing when they are there already.
#
#   scripts/setup.sh [--demo] [--ci] [--list]
#     --demo   also the fonts and icons that the demo data is made of (scripts/demo_packages.txt)
#     --ci     also what .ci/run checks with: clang-format, clang-tidy
#     --list   print the names of the packages and install nothing
#
# Needs Debian 12 or Ubuntu 22.04/24.04, and root or sudo only if something is missing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

# The same names on Debian 12, Ubuntu 22.04 and Ubuntu 24.04, but for the lines that say otherwise.
packages=(
  g++ cmake ninja-build ccache pkg-config
  libopenmpi-dev openmpi-bin                 # ranks
  libdnnl-dev                                # convolutions on the CPU: oneDNN 2.6 (Debian), 2.5 (22.04), 3.1 (24.04)
  libopenblas-dev                            # matrix products, LAPACK for FAISS
  libsqlite3-dev                             # galleries
  libboost-dev libboost-program-options-dev  # the HTTP server; options
  nlohmann-json3-dev
  libssl-dev                                 # SHA-256
  libjpeg-dev libpng-dev libwebp-dev         # libjpeg-dev is libjpeg-turbo: libjpeg62-turbo-dev (Debian), libjpeg-turbo8-dev (Ubuntu)
  libfreetype-dev zlib1g-dev                 # demo data
  libgtest-dev libgmock-dev libbenchmark-dev
  python3 python3-numpy                      # scripts/convert_weights.py and its tests; nothing else needs Python
)
# Not on every release. Without FAISS only the exact index is built, and the other kinds say so.
wanted_if_offered=(libfaiss-dev)
ci_packages=(clang-format-14 clang-tidy-14 clang-14)

list_only=false
for argument in "$@"; do
  case $argument in
    --demo)
      while read -r name _; do
        [[ -z $name || $name == \#* ]] || packages+=("$name")
      done <demo_packages.txt
      ;;
    --ci) packages+=("${ci_packages[@]}") ;;
    --list) list_only=true ;;
    -h | --help) sed -n '2,9s/^# \{0,1\}//p' setup.sh; exit 0 ;;
    *) echo "setup.sh: unknown option '$argument'; see scripts/setup.sh --help" >&2; exit 2 ;;
  esac
done

# Ubuntu 22.04 compiles with g++ 11 unless told otherwise; the build asks for 12.
release=$(. /etc/os-release 2>/dev/null && echo "${ID:-}-${VERSION_ID:-}" || true)
[[ $release != ubuntu-22.04 ]] || packages+=(g++-12)

if $list_only; then
  printf '%s\n' "${packages[@]}" "${wanted_if_offered[@]}"
  exit 0
fi

installed() { [[ $(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null) == installed ]]; }

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
  echo "setup.sh: apt-get was not found: this script knows Debian and Ubuntu only." >&2
  echo "Install what matches these packages, then build with CMake (README.md, 'Requirements'):" >&2
  printf '  %s\n' "${packages[@]}" "${wanted_if_offered[@]}" >&2
  exit 1
fi

missing=()
for package in "${packages[@]}"; do
  installed "$package" || missing+=("$package")
done
optional_missing=()
for package in "${wanted_if_offered[@]}"; do
  installed "$package" || optional_missing+=("$package")
done
if ((${#missing[@]} == 0 && ${#optional_missing[@]} == 0)); then
  echo "setup: all packages are installed"
  exit 0
fi

if ((EUID == 0)); then
  as_root=(env DEBIAN_FRONTEND=noninteractive)
elif command -v sudo >/dev/null; then
  as_root=(sudo env DEBIAN_FRONTEND=noninteractive)
elif ((${#missing[@]} == 0)); then
  echo "setup: installed, but for the optional ${optional_missing[*]}"
  exit 0
else
  echo "setup.sh: these packages are missing, and installing them takes root or sudo:" >&2
  printf '  %s\n' "${missing[@]}" >&2
  exit 1
fi

echo "setup: installing ${missing[*]} ${optional_missing[*]}"
"${as_root[@]}" apt-get update -qq
for package in "${optional_missing[@]}"; do
  candidate=$(apt-cache policy "$package" | sed -n 's/^ *Candidate: //p')
  if [[ -n $candidate && $candidate != "(none)" ]]; then
    missing+=("$package")
  else
    echo "setup: $release has no $package; building without it"
  fi
done
if ((${#missing[@]} > 0)); then
  "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}"
fi
echo "setup: done"
