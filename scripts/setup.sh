#!/usr/bin/env bash
# Installs what is missing and builds build/cpu/granule. With --tests also what the tests compare with and all tests;
# with --cuda build/cuda/granule, which computes on GPUs, and its tests; with --fuzz the fuzz targets (scripts/fuzz.sh).
# Can be run again: does only what is missing.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

case "${1:-}" in
  "" | --tests | --cuda | --fuzz) ;;
  *)
    echo "usage: scripts/setup.sh [--tests | --cuda | --fuzz]" >&2
    exit 2
    ;;
esac

packages=(
  build-essential cmake ninja-build ccache git python3 python3-venv
  openmpi-bin libopenmpi-dev libyaml-cpp-dev libcli11-dev nlohmann-json3-dev libspdlog-dev
  libxxhash-dev libonig-dev libgtest-dev libgmock-dev libbenchmark-dev
)
[ "${1:-}" = --fuzz ] && packages+=(clang libclang-rt-dev)

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
  cmake --preset cpu -DGRANULE_LIBTORCH="$(torch_of "$RUNTIME_ENV")" >"$BUILD_DIR.configure.log" 2>&1 || {
    cat "$BUILD_DIR.configure.log"
    exit 1
  }
  cmake --build --preset cpu "$@"
}

torch_of() { echo "$1"/lib/python3*/site-packages/torch; }

# The full torch wheel of the tests' environment brings the CUDA libraries with their headers; everything that knows no
# CUDA is compiled as for the CPU and comes out of the compiler's cache.
build_cuda() {
  say "building $CUDA_BUILD_DIR/granule"
  cd "$ROOT"
  cmake --preset cuda -DGRANULE_LIBTORCH="$(torch_of "$RUNTIME_ENV")" \
    -DGRANULE_CUDA_LIBTORCH="$(torch_of "$PEERS_ENV")" >"$CUDA_BUILD_DIR.configure.log" 2>&1 || {
    cat "$CUDA_BUILD_DIR.configure.log"
    exit 1
  }
  cmake --build --preset cuda --target granule gpu_test
}

build_fuzz() {
  say "building $FUZZ_DIR"
  cd "$ROOT"
  cmake --preset fuzz -DGRANULE_LIBTORCH="$(torch_of "$RUNTIME_ENV")" >"$FUZZ_DIR.configure.log" 2>&1 || {
    cat "$FUZZ_DIR.configure.log"
    exit 1
  }
  cmake --build --preset fuzz
}

mkdir -p "$ROOT/build"
install_packages
make_environment "$RUNTIME_ENV" "$ROOT/scripts/requirements.txt" --no-deps
case "${1:-}" in
  --tests)
    make_environment "$PEERS_ENV" "$ROOT/scripts/requirements-test.txt"
    build
    ;;
  --cuda)
    make_environment "$PEERS_ENV" "$ROOT/scripts/requirements-test.txt"
    build_cuda
    ;;
  --fuzz)
    build_fuzz
    ;;
  *)
    build --target granule
    ;;
esac
