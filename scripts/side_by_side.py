"""What comparisons with another library share: their options, and each side in a process of its own, in turn. Used by
compare_transformers.py and compare_layer.py."""
import argparse
import json
import os
import subprocess
import sys

PRECISIONS = ["fp32", "bf16"]


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--precisions", nargs="+", choices=PRECISIONS, default=PRECISIONS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", action="store_true", help="print a list of objects instead of a table")
    parser.add_argument("--peer", help=argparse.SUPPRESS)  # the arguments of a script's own process for the peer


def measure_peer(script: str, arguments: dict) -> dict:
    """What `script --peer ARGUMENTS` prints last, or {"error": why it printed nothing}."""
    job = subprocess.run([sys.executable, script, "--peer", json.dumps(arguments)], capture_output=True, text=True)
    if job.returncode != 0:
        return {"error": job.stderr.strip().splitlines()[-1] if job.stderr.strip() else f"exit code {job.returncode}"}
    return json.loads(job.stdout.splitlines()[-1])


def run_granule(options: argparse.Namespace, *arguments) -> str:
    environment = {**os.environ, "OMP_NUM_THREADS": str(options.threads)}
    try:
        job = subprocess.run([options.granule, *map(str, arguments)], env=environment, capture_output=True, text=True)
    except OSError as error:
        sys.exit(f"{options.granule}: {error.strerror}; scripts/setup.sh builds it, with --cuda the one for GPUs")
    if job.returncode != 0:
        sys.exit(f"{' '.join(map(str, job.args))}: exit code {job.returncode}\n{job.stderr}")
    return job.stdout
