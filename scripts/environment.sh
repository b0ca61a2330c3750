# Where everything that is installed lies; sourced by the other scripts.
# Clones on one machine share the environments below the user's cache directory.

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
GRANULE_CACHE="${GRANULE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/granule}"

# Prints the directory of the virtual environment for a requirements file: its name carries the content,
# so that a changed file makes a new environment and an old clone keeps its own.
environment_dir() {
  local name="$1" requirements="$2"
  echo "$GRANULE_CACHE/$name-$(sha256sum "$requirements" | cut -c1-12)"
}

RUNTIME_ENV="$(environment_dir runtime "$ROOT/scripts/requirements.txt")"
PEERS_ENV="$(environment_dir peers "$ROOT/scripts/requirements-test.txt")"
BUILD_DIR="$ROOT/build/cpu"
CUDA_BUILD_DIR="$ROOT/build/cuda"
FUZZ_DIR="$ROOT/build/fuzz"

# mpirun refuses root and more ranks than cores unless told; tests and quickstart need both.
if [ "$(id -u)" = 0 ]; then
  export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi

say() { printf '\033[1m== %s\033[0m\n' "$*"; }

# Creates a virtual environment once; a half-made one is never taken for a finished one.
make_environment() {
  local dir="$1" requirements="$2"
  shift 2
  [ -e "$dir/.complete" ] && return
  mkdir -p "$GRANULE_CACHE"
  (
    flock 9
    [ -e "$dir/.complete" ] && exit 0
    say "installing $(basename "$requirements") into $dir"
    rm -rf "$dir"
    python3 -m venv "$dir"
    "$dir/bin/pip" install --quiet --disable-pip-version-check "$@" -r "$requirements"
    touch "$dir/.complete"
  ) 9>"$GRANULE_CACHE/lock"
}
