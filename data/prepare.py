#!/usr/bin/env python3
"""Prepares a corpus: documents to token files, split into training and validation, with a vocabulary of their own.

Without a source, the Python files inside the installed torch wheel are taken (about 41 MB of real code):

  data/prepare.py --output corpus/python
  data/prepare.py --output corpus/mine --text ~/books notes.txt.gz --jsonl crawl.jsonl.zst --key text
  data/prepare.py --output corpus/english --debian dict-gcide dict-foldoc --vocab-size 4096

Writes train.bin/.idx, valid.bin/.idx, tokenizer.json, tokenizer_config.json and, last, corpus.json with what was
read and how much. Started again with the same arguments and inputs it does nothing; its own files are no input, where
the output lies inside a directory of --text.
"""

import argparse
import hashlib
import json
import math
import os
import shutil
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import sources
import vocabulary
from token_file import TokenFileWriter, place_of, smallest_dtype

FORMAT = 2  # of what is made: another number makes corpora anew
BATCH_BYTES = 8 << 20
FILES = ["train.bin", "train.idx", "valid.bin", "valid.idx", "tokenizer.json", "tokenizer_config.json"]
NAMED = 3  # files of a warning


def say(text):
    print(text, file=sys.stderr, flush=True)


class Progress:
    """A line every few seconds."""

    def __init__(self, verb, total=None):
        self.verb, self.total = verb, total
        self.begin = self.last = time.monotonic()
        self.done = 0

    def add(self, num_bytes):
        self.done += num_bytes
        if time.monotonic() - self.last >= 5:
            self.last = time.monotonic()
            self.line()

    def line(self):
        rate = self.done / max(time.monotonic() - self.begin, 1e-9) / 1e6
        of = f" of {self.total / 1e6:.1f}" if self.total else ""
        say(f"  {self.verb} {self.done / 1e6:.1f}{of} MB, {rate:.1f} MB/s")


def parse_arguments(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", required=True, metavar="DIR", type=Path, help="directory to write")

    source = parser.add_argument_group("sources (several may be given; default: --wheel)")
    source.add_argument("--wheel", action="store_true", help="the Python files inside the installed torch wheel")
    source.add_argument("--text", nargs="+", metavar="PATH", default=[],
                        help="text files or directories of them; .gz and .zst are unpacked")
    source.add_argument("--jsonl", nargs="+", metavar="PATH", default=[],
                        help="files with a JSON object a line, each a document; .gz and .zst are unpacked")
    source.add_argument("--key", default="text", help="where an object of --jsonl holds its text (default: %(default)s)")
    source.add_argument("--debian", nargs="+", metavar="PACKAGE", default=[],
                        help="Debian packages with text, HTML or dictionaries, fetched by apt-get without root")

    tokens = parser.add_argument_group("vocabulary")
    kind = tokens.add_mutually_exclusive_group()
    kind.add_argument("--vocab-size", type=int, default=8192, metavar="N",
                      help="entries of the byte-pair vocabulary to train, special tokens included (default: %(default)s)")
    kind.add_argument("--bytes", action="store_true", help="no training: 256 bytes and the special tokens")
    kind.add_argument("--tokenizer", type=Path, metavar="FILE", help="use this tokenizer.json; it must know "
                      + vocabulary.END_OF_DOCUMENT)
    tokens.add_argument("--special-tokens", nargs="+", default=[], metavar="TOKEN",
                        help="names to reserve beside " + vocabulary.END_OF_DOCUMENT)
    tokens.add_argument("--sample-mb", type=float, default=100, metavar="MB",
                        help="text to train the vocabulary on, spread over all documents (default: %(default)s)")

    split = parser.add_argument_group("split")
    split.add_argument("--valid-fraction", type=float, default=0.02, metavar="F",
                       help="share of documents for validation, chosen by hash of their text (default: %(default)s)")
    split.add_argument("--seed", type=int, default=1234, help="another seed chooses others (default: %(default)s)")

    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="threads (default: all cores)")
    parser.add_argument("--force", action="store_true", help="make it anew even if it is there")

    options = parser.parse_args(arguments)
    options.wheel = options.wheel or not (options.text or options.jsonl or options.debian)
    if not 0 <= options.valid_fraction < 1:
        parser.error("--valid-fraction must be at least 0 and below 1")
    if not 0 <= options.seed < 1 << 63:
        parser.error("--seed must be a number from 0 to 2^63 - 1")
    smallest = 257 + len(options.special_tokens)
    if options.vocab_size < smallest:
        parser.error(f"--vocab-size must be at least {smallest}: 256 bytes and the special tokens")
    if options.workers < 1:
        parser.error("--workers must be at least 1")
    return options


def fingerprint_of_files(paths):
    """Changes when a file is added, removed or written."""
    digest = hashlib.sha256()
    for path in paths:
        status = path.stat()
        digest.update(f"{path.resolve()}\0{status.st_size}\0{status.st_mtime_ns}\0".encode())
    return digest.hexdigest()


def made_in(output):
    """What a run writes there, which none may read below a directory of text."""
    return {(output / name).resolve() for name in [*FILES, "corpus.json"]}


def request_of(options):
    """All that decides the result, comparable with what a corpus.json says."""
    made = made_in(options.output)
    user_files = [f for p in [*options.text, *options.jsonl] for f in sources.files_below(Path(p), made)]
    wheel_files = sources.WheelSource().files if options.wheel else []
    tokenizer_files = [options.tokenizer] if options.tokenizer else []
    return {
        "format": FORMAT,
        "wheel": options.wheel,
        "text": options.text,
        "jsonl": options.jsonl,
        "key": options.key,
        "debian": options.debian,
        "files": fingerprint_of_files([*wheel_files, *user_files, *tokenizer_files]),
        "vocabulary": "bytes" if options.bytes else str(options.tokenizer or options.vocab_size),
        "special_tokens": options.special_tokens,
        "sample_mb": options.sample_mb,
        "valid_fraction": options.valid_fraction,
        "seed": options.seed,
    }


def already_made(output, request):
    try:
        made = json.loads((output / "corpus.json").read_text())
    except (OSError, ValueError):
        return None
    complete = all((output / name).exists() for name in FILES)
    return made if complete and made.get("request") == request else None


def open_sources(options):
    opened = []
    made = made_in(options.output)
    if options.wheel:
        opened.append(sources.WheelSource())
    if options.text:
        opened.append(sources.TextSource(options.text, made))
    if options.jsonl:
        opened.append(sources.JsonlSource(options.jsonl, options.key, made))
    if options.debian:
        say(f"fetching {', '.join(options.debian)}")
        opened.append(sources.DebianSource(options.debian))
    return opened


def documents_of(opened):
    """The texts of all sources that hold anything."""
    for source in opened:
        for _, text in source.documents():
            if text.strip():
                yield text


def warn_of(paths, what):
    if paths:
        more = f" and {len(paths) - NAMED} more" if len(paths) > NAMED else ""
        say(f"  warning: {what}: {', '.join(paths[:NAMED])}{more}")


def warn_of_damage(opened):
    """Says which text files, read once, did not come through as they are."""
    for source in opened:
        if isinstance(source, sources.TextSource):
            skipped, replaced = source.skipped, source.replaced
            warn_of(skipped, f"{len(skipped)} of {len(source.files)} files are left out, being binary or UTF-16 (NUL bytes)")
            warn_of(replaced, f"{len(replaced)} of {len(source.files)} files are not UTF-8; unreadable bytes become U+FFFD")


class Survey:
    """A first reading: how much there is, and where the border of the split lies."""

    def __init__(self, opened, options):
        self.documents = self.bytes = 0
        smallest, self.largest = 1.0, 0.0
        progress = Progress("read")
        for text in documents_of(opened):
            content = text.encode()
            self.documents += 1
            self.bytes += len(content)
            place = place_of(content, options.seed)
            smallest, self.largest = min(smallest, place), max(self.largest, place)
            progress.add(len(content))
        # Few documents may all miss a small share: then the nearest one is taken, unless all are equal.
        wanted = options.valid_fraction > 0 and smallest < self.largest
        self.border = max(options.valid_fraction, math.nextafter(smallest, 1)) if wanted else 0.0
        say(f"  {self.documents} documents, {self.bytes / 1e6:.1f} MB")

    def check(self, options):
        if self.documents == 0:
            raise sources.SourceError("the sources hold no text")
        if self.largest < self.border:
            raise sources.SourceError(f"--valid-fraction {options.valid_fraction} takes all {self.documents} documents for "
                                      "validation and leaves none to train on; choose a smaller one or another --seed")


def sample_of(texts, share):
    """Every document, or an even choice of them that comes to about `share` of the text."""
    taken = 0.0
    for text in texts:
        taken += share
        if taken >= 1 - 1e-9:
            taken -= 1
            yield text


def given_tokenizer(path):
    """The tokenizer of a file, which reads documents whole whatever the file says of truncation and padding."""
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:
        raise sources.SourceError(f"{path}: {error}") from error
    if tokenizer.token_to_id(vocabulary.END_OF_DOCUMENT) is None:
        raise sources.SourceError(f"{path}: has no token {vocabulary.END_OF_DOCUMENT}")
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def make_vocabulary(opened, survey, options):
    special_tokens = [vocabulary.END_OF_DOCUMENT, *options.special_tokens]
    if options.tokenizer:
        return given_tokenizer(options.tokenizer)
    if options.bytes:
        return vocabulary.byte_vocabulary(special_tokens)
    share = min(1.0, options.sample_mb * 1e6 / max(survey.bytes, 1))
    say(f"training a vocabulary of {options.vocab_size} on {survey.bytes * share / 1e6:.1f} MB")
    begin = time.monotonic()
    tokenizer = vocabulary.train_bpe(sample_of(documents_of(opened), share), options.vocab_size, special_tokens)
    if tokenizer.get_vocab_size() < options.vocab_size:
        say("  warning: the text has no more pairs that come twice")
    say(f"  {tokenizer.get_vocab_size()} entries in {time.monotonic() - begin:.0f} s")
    return tokenizer


def batches_of(texts):
    """Lists of texts of about BATCH_BYTES characters, which the threads share."""
    batch, size = [], 0
    for text in texts:
        batch.append(text)
        size += len(text)
        if size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def encode_documents(opened, tokenizer, survey, options, directory):
    """Writes train and valid; returns the numbers of both."""
    vocab_size = max(tokenizer.get_vocab().values()) + 1
    end_of_document = tokenizer.token_to_id(vocabulary.END_OF_DOCUMENT)
    # A document that spells out a special token's name must not become one.
    tokenizer.encode_special_tokens = True
    writers, counts = {}, {}
    for name in ("train", "valid"):
        writers[name] = TokenFileWriter(str(directory / name), smallest_dtype(vocab_size))
        counts[name] = {"documents": 0, "bytes": 0, "tokens": 0}
    say(f"encoding with {vocab_size} entries")
    progress = Progress("encoded", survey.bytes)
    for batch in batches_of(documents_of(opened)):
        for text, encoded in zip(batch, tokenizer.encode_batch_fast(batch, add_special_tokens=False)):
            content = text.encode()
            name = "valid" if place_of(content, options.seed) < survey.border else "train"
            ids = [*encoded.ids, end_of_document]
            writers[name].add_document(ids)
            counts[name]["documents"] += 1
            counts[name]["bytes"] += len(content)
            counts[name]["tokens"] += len(ids)
            progress.add(len(content))
    progress.line()
    for writer in writers.values():
        writer.close()
    return counts


def prepare(options, request):
    options.output.mkdir(parents=True, exist_ok=True)
    temporary = options.output / f".unfinished-{os.getpid()}"
    temporary.mkdir()
    try:
        opened = open_sources(options)
        say("reading")
        survey = Survey(opened, options)
        warn_of_damage(opened)
        survey.check(options)
        tokenizer = make_vocabulary(opened, survey, options)
        if options.tokenizer:
            shutil.copyfile(options.tokenizer, temporary / "tokenizer.json")
        else:
            tokenizer.save(str(temporary / "tokenizer.json"))
        vocabulary.write_tokenizer_config(temporary / "tokenizer_config.json")
        counts = encode_documents(opened, tokenizer, survey, options, temporary)
        num_tokens = counts["train"]["tokens"] + counts["valid"]["tokens"]
        corpus = {
            "request": request,
            "sources": [source.describe() for source in opened],
            "vocab_size": max(tokenizer.get_vocab().values()) + 1,
            "end_of_document": tokenizer.token_to_id(vocabulary.END_OF_DOCUMENT),
            "bytes": survey.bytes,
            "documents": survey.documents,
            "tokens": num_tokens,
            "bytes_per_token": round(survey.bytes / (num_tokens - survey.documents), 4),
            **counts,
        }
        (temporary / "corpus.json").write_text(json.dumps(corpus, indent=2) + "\n")
        # Without corpus.json a directory counts as unfinished, so it goes first and comes last.
        (options.output / "corpus.json").unlink(missing_ok=True)
        for name in [*FILES, "corpus.json"]:
            os.replace(temporary / name, options.output / name)
        return corpus
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def main(arguments=None):
    options = parse_arguments(arguments)
    os.environ["RAYON_NUM_THREADS"] = str(options.workers)
    os.environ["TOKENIZERS_PARALLELISM"] = "true"
    try:
        request = request_of(options)
        corpus = None if options.force else already_made(options.output, request)
        if corpus:
            say(f"{options.output} is there already")
        else:
            begin = time.monotonic()
            corpus = prepare(options, request)
            say(f"made {options.output} in {time.monotonic() - begin:.0f} s")
    except (sources.SourceError, OSError) as error:
        sys.exit(f"error: {error}")
    say(f"  {corpus['documents']} documents, {corpus['bytes'] / 1e6:.1f} MB, {corpus['tokens']} tokens "
        f"(train {corpus['train']['tokens']}, valid {corpus['valid']['tokens']}), "
        f"{corpus['bytes_per_token']:.2f} bytes a token, vocabulary {corpus['vocab_size']}")
    if corpus["valid"]["tokens"] == 0 and options.valid_fraction > 0:
        say("  warning: no two documents differ, so nothing is left for validation")


if __name__ == "__main__":
    main()
