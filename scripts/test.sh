#!/usr/bin/env bash
# Sets up what is missing and runs every test; the last line counts them. `scripts/test.sh --quick` leaves out the
# multi-rank and end-to-end tests.
set -uo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
cd "$ROOT"

scripts/setup.sh --tests || exit 1

export OMP_NUM_THREADS="${OMP_NUM_THREADS:-2}"
results="$BUILD_DIR/test-results"
rm -rf "$results" && mkdir -p "$results"
status=0

say "layers"
python3 scripts/check_layers.py || status=1

say "unit tests"
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
  say "end to end, and against the outside world"
  PATH="$BUILD_DIR:$PATH" "$PEERS_ENV/bin/python" -m pytest -q tests --junitxml="$results/pytest.xml" || status=1
fi

python3 scripts/count_tests.py "$results" || status=1
exit $status
