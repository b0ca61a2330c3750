#!/usr/bin/env bash
# Installs what is missing and builds build/cpu/granule. With --tests also what the tests compare with.
# Can be run again: does only what is missing.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

packages=(
  build-essential cmake ninja-build ccache git python3 python3-venv
  openmpi-bin libopenmpi-dev libyaml-cpp-dev libcli11-dev nlohmann-json3-dev libspdlog-dev
  libxxhash-dev libonig-dev libgtest-dev libgmock-dev libbenchmark-dev
)

install_packages() {
  local missing=() package
  for package in "${packages[@]}"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
  done
  [ ${#missing[@]} = 0 ] && return
  local install="apt-get update && apt-get install -y --no-install-recommends ${missing[*]}"
  if [ "$(id -u)" = 0 ]; then
    say "installing ${missing[*]}"
    DEBIAN_FRONTEND=noninteractive bash -c "$install" >"$ROOT/build/apt.log" 2>&1 || {
      tail -20 "$ROOT/build/apt.log"
      exit 1
    }
  elif sudo -n true 2>/dev/null; then
    say "installing ${missing[*]}"
    sudo DEBIAN_FRONTEND=noninteractive bash -c "$install"
  else
    echo "Packages are missing. Run this as root, then start again:" >&2
    echo "  $install" >&2
    exit 1
  fi
}

build() {
  say "building $BUILD_DIR/granule"
  cd "$ROOT"
  cmake --preset cpu -DGRANULE_LIBTORCH="$(echo "$RUNTIME_ENV"/lib/python3*/site-packages/torch)" >"$BUILD_DIR.configure.log" 2>&1 || {
    cat "$BUILD_DIR.configure.log"
    exit 1
  }
  cmake --build --preset cpu "$@"
}

mkdir -p "$ROOT/build"
install_packages
make_environment "$RUNTIME_ENV" "$ROOT/scripts/requirements.txt" --no-deps
if [ "${1:-}" = --tests ]; then
  make_environment "$PEERS_ENV" "$ROOT/scripts/requirements-test.txt"
  build
else
  build --target granule
fi
