#!/usr/bin/env bash
# Feeds damaged files to the parsers of foreign bytes: scripts/fuzz.sh [SECONDS [TARGET ...]], by default 60 seconds for
# each of token_file, safetensors, tokenizer and yaml. What it finds lies in build/fuzz/finds, and the exit code says so; add
# it to tests/fuzz/seeds once it is mended, where fuzz_test reads it for good. Inputs that were new to a target stay in
# build/fuzz/corpus, from where the next call goes on.
set -uo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

# Inputs become files: in memory, where there is such a place.
[ -w /dev/shm ] && export TMPDIR=/dev/shm
seconds="${1:-60}"
shift
targets=("${@:-}")
[ -n "${targets[0]}" ] || targets=(token_file safetensors tokenizer yaml)

"$ROOT/scripts/setup.sh" --fuzz || exit 1
status=0
for target in "${targets[@]}"; do
  say "$target for $seconds seconds"
  corpus="$FUZZ_DIR/corpus/$target" finds="$FUZZ_DIR/finds/$target"
  mkdir -p "$corpus" "$finds"
  # An input may take a second in a regular expression before it is given up, many times that under the sanitizers.
  UBSAN_OPTIONS=print_stacktrace=1 "$FUZZ_DIR/tests/fuzz/${target}_fuzz" -max_total_time="$seconds" -max_len=8192 \
    -rss_limit_mb=2048 -malloc_limit_mb=1024 -timeout=60 -print_final_stats=1 -verbosity=0 -artifact_prefix="$finds/" \
    "$corpus" "$ROOT/tests/fuzz/seeds/$target" || status=1
done
exit $status
