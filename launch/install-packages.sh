#!/usr/bin/env bash
# Installs the Debian packages Weft needs, only those that are missing: install-packages.sh [--list] [ROLE...]
#
# Roles: build (compile and run; the default), run (run a binary built elsewhere on Debian 12), test (build and run the
# tests), check (format and script checks of CI).
# --list prints the packages of the roles, one per line, and installs nothing. Needs root or sudo only when something
# is missing, so that a second run works without network and without either.
set -euo pipefail

packages_of() {
  case $1 in
    build) echo g++ cmake ninja-build pkg-config ccache libopenmpi-dev openmpi-bin libdnnl-dev libyaml-cpp-dev \
      nlohmann-json3-dev libfmt-dev libutf8proc-dev libxxhash-dev zlib1g-dev liblzma-dev libzstd-dev ;;
    run) echo openmpi-bin openssh-client libdnnl2 libyaml-cpp0.7 libfmt9 libutf8proc2 libxxhash0 zlib1g liblzma5 \
      libzstd1 libgomp1 ;;
    test) echo libgtest-dev ;;
    check) echo git clang-format-14 shellcheck ;;
    *) echo "error: no role '$1': build, run, test, check" >&2; return 2 ;;
  esac
}

list=no
if [ "${1:-}" = --list ]; then
  list=yes
  shift
fi
[ $# -gt 0 ] || set -- build
packages=()
for role in "$@"; do
  names=$(packages_of "$role")
  read -ra names <<<"$names"
  packages+=("${names[@]}")
done

if [ $list = yes ]; then
  printf '%s\n' "${packages[@]}"
  exit 0
fi
if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
  echo "No apt-get here: please see that these are installed, by their Debian names: ${packages[*]}" >&2
  exit 0
fi

missing=()
for package in "${packages[@]}"; do
  status=$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null) || status=""
  case $status in
    *" installed") ;;
    *) missing+=("$package") ;;
  esac
done
[ ${#missing[@]} -gt 0 ] || exit 0

as_root=()
if [ "$(id -u)" != 0 ]; then
  if ! command -v sudo >/dev/null; then
    echo "error: missing packages, and neither root nor sudo to install them with. As root:" >&2
    echo "  apt-get install ${missing[*]}" >&2
    exit 1
  fi
  as_root=(sudo)
fi
echo "Installing Debian packages: ${missing[*]}" >&2
"${as_root[@]}" apt-get update -q >&2
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}" >&2
