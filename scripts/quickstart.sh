#!/usr/bin/env bash
# From a bare Debian 12 to a trained model: installs what is missing, builds, prepares a corpus, pretrains a
# fine-grained MoE on two expert-parallel ranks, evaluates it and lets it write. Can be run again: a finished part
# is not repeated, an interrupted training goes on from its last checkpoint.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
cd "$ROOT"

for override in "$@"; do
  case "$override" in
    run_dir=* | -*) echo "usage: scripts/quickstart.sh [key=value ...], but run_dir" >&2 && exit 2 ;;
  esac
done

scripts/setup.sh

say "corpus: the Python sources inside the torch wheel"
"$RUNTIME_ENV/bin/python" data/prepare.py --output corpus/quickstart --vocab-size 4096

say "training on 2 ranks, experts split between them (configs/quickstart.yaml)"
export OMP_NUM_THREADS=1
mpirun -np 2 --oversubscribe --bind-to none build/cpu/granule train configs/quickstart.yaml "$@"

say "loss on the whole validation file"
build/cpu/granule eval runs/quickstart

say "what it writes"
build/cpu/granule generate runs/quickstart --prompt $'def forward(self, x):\n' --max-tokens 160 | tee runs/quickstart/sample.txt

python3 scripts/report.py runs/quickstart
