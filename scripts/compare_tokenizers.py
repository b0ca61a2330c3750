#!/usr/bin/env python3
"""How fast text becomes tokens on one thread: Granule beside Hugging Face's tokenizers, and whether the ids agree in
number.

  scripts/compare_tokenizers.py TEXTS.jsonl tokenizer.json ... [--rounds 5] [--granule build/cpu/granule]

TEXTS.jsonl holds {"text": ...} on each line. The two take turns, each time with a tokenizer that has seen no text;
medians are printed. Run it in the environment of scripts/requirements-test.txt, on a machine that does nothing else.
"""
import argparse
import json
import os
import statistics
import subprocess
import time
from pathlib import Path

# Before the import: its threads are counted there.
os.environ["RAYON_NUM_THREADS"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
from tokenizers import Tokenizer  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", type=Path)
    parser.add_argument("tokenizers", type=Path, nargs="+", metavar="tokenizer")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each (default: %(default)s)")
    parser.add_argument("--granule", default=str(ROOT / "build/cpu/granule"), help="default: %(default)s")
    return parser.parse_args()


def read_texts(path):
    # Not by splitlines, which also cuts at characters that JSON holds as they are.
    return [json.loads(line)["text"] for line in path.read_text(encoding="utf-8").split("\n") if line.strip()]


def time_theirs(path, texts):
    """Seconds and tokens, by the fastest of their calls: a batch without offsets."""
    tokenizer = Tokenizer.from_file(str(path))
    begin = time.perf_counter()
    encodings = tokenizer.encode_batch_fast(texts, add_special_tokens=False)
    seconds = time.perf_counter() - begin
    return seconds, sum(len(encoding.ids) for encoding in encodings)


def time_ours(granule, path, texts_path):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    job = subprocess.run([granule, "bench", "tokens", str(path), str(texts_path), "--passes", "1"], check=True,
                         stdout=subprocess.PIPE, text=True, env=environment)
    result = json.loads(job.stdout)
    return result["seconds"][0], result["tokens"]


def main():
    options = parse_arguments()
    texts = read_texts(options.texts)
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    print(f"{len(texts)} texts, {megabytes:.1f} MB, one thread, medians of {options.rounds}")
    print(f"{'tokenizer':40} {'tokens':>10} {'granule MB/s':>13} {'tokenizers MB/s':>16} {'ratio':>6}")
    for path in options.tokenizers:
        ours, theirs = [], []
        for _ in range(options.rounds):
            ours.append(time_ours(options.granule, path, options.texts))
            theirs.append(time_theirs(path, texts))
        if ours[0][1] != theirs[0][1]:
            raise SystemExit(f"{path}: {ours[0][1]} tokens here, {theirs[0][1]} there")
        mine, other = (megabytes / statistics.median(seconds for seconds, _ in runs) for runs in (ours, theirs))
        print(f"{str(path)[-40:]:40} {ours[0][1]:10} {mine:13.2f} {other:16.2f} {mine / other:6.2f}")


if __name__ == "__main__":
    main()
