#!/usr/bin/env bash
# The text of the ablation suites (configs/ablations): English from Debian's dictionaries and books, code from the torch
# wheel, one vocabulary for both. `scripts/ablation_corpus.sh [DIRECTORY]`, by default corpus/ablation. Can be run again.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

corpus="${1:-$ROOT/corpus/ablation}"
language=(dict-gcide dict-foldoc dict-jargon dict-devil fortunes anarchism)
prepare=("$RUNTIME_ENV/bin/python" "$ROOT/data/prepare.py")

say "a vocabulary for both"
"${prepare[@]}" --output "$corpus/vocabulary" --wheel --debian "${language[@]}" --vocab-size 4096 --sample-mb 30

say "English"
"${prepare[@]}" --output "$corpus/language" --debian "${language[@]}" \
  --tokenizer "$corpus/vocabulary/tokenizer.json" --valid-fraction 0.01

say "code"
"${prepare[@]}" --output "$corpus/code" --wheel \
  --tokenizer "$corpus/vocabulary/tokenizer.json" --valid-fraction 0.01
