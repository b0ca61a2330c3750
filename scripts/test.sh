#!/usr/bin/env bash
# Sets up what is missing and runs every test; the last line counts them. `scripts/test.sh --quick` leaves out the
# multi-rank and end-to-end tests; `scripts/test.sh --gpu` runs those for GPUs alone, with the build for CUDA.
set -uo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
cd "$ROOT"

case "${1:-}" in
  "" | --quick | --gpu) ;;
  *)
    echo "usage: scripts/test.sh [--quick | --gpu]" >&2
    exit 2
    ;;
esac
status=0

# Fails where there is no GPU: then nothing was tested.
test_gpu() {
  local results="$CUDA_BUILD_DIR/test-results" ranks
  scripts/setup.sh --cuda || exit 1
  rm -rf "$results" && mkdir -p "$results"
  for ranks in 1 2 4; do
    say "GPU tests on $ranks ranks"
    OMP_NUM_THREADS=1 mpirun -np $ranks --oversubscribe --bind-to none "$CUDA_BUILD_DIR/tests/gpu_test" \
      --hang_seconds=300 --gtest_output="xml:$results/gpu_$ranks.xml" || status=1
  done
  python3 scripts/count_tests.py "$results" || status=1
  exit $status
}
[ "${1:-}" = --gpu ] && test_gpu

scripts/setup.sh --tests || exit 1
results="$BUILD_DIR/test-results"
rm -rf "$results" && mkdir -p "$results"
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-2}"

say "layers"
python3 scripts/check_layers.py || status=1

say "unit tests"
# Programs of tests that are no more would be run and counted.
ninja -C "$BUILD_DIR" -t cleandead >/dev/null || status=1
for program in "$BUILD_DIR"/tests/*_test; do
  name="$(basename "$program")"
  [ "$name" = multi_rank_test ] && continue
  "$program" --gtest_brief=1 --gtest_output="xml:$results/$name.xml" || status=1
done

if [ "${1:-}" != --quick ]; then
  for ranks in 1 2 4; do
    say "the same tests on every one of $ranks ranks"
    OMP_NUM_THREADS=1 mpirun -np $ranks --oversubscribe --bind-to none "$BUILD_DIR/tests/multi_rank_test" \
      --gtest_brief=1 --gtest_output="xml:$results/multi_rank_$ranks.xml" || status=1
  done
  if command -v nvcc >/dev/null || [ -x /usr/local/cuda/bin/nvcc ]; then
    say "the build with CUDA; its tests skip themselves without a GPU"
    scripts/setup.sh --cuda && "$CUDA_BUILD_DIR/tests/gpu_test" --gtest_brief=1 \
      --gtest_output="xml:$results/gpu_cuda_build.xml" || status=1
  fi
  say "end to end, and against the outside world"
  PATH="$BUILD_DIR:$PATH" "$PEERS_ENV/bin/python" -m pytest -q tests --junitxml="$results/pytest.xml" || status=1
fi

python3 scripts/count_tests.py "$results" || status=1
exit $status
