#!/usr/bin/env python3
"""Prepares a corpus: documents to token files, split into training and validation, with a vocabulary of their own.

Without a source, the Python files inside the installed torch wheel are taken (about 41 MB of real code):

  data/prepare.py --output corpus/python
  data/prepare.py --output corpus/mine --text ~/books notes.txt.gz --jsonl crawl.jsonl.zst --key text
  data/prepare.py --output corpus/english --debian dict-gcide dict-foldoc --vocab-size 4096

Writes train.bin/.idx, valid.bin/.idx, tokenizer.json, tokenizer_config.json (with --tokenizer, what lies beside it of
this and chat_template.jinja, special_tokens_map.json, generation_config.json) and, last, corpus.json with what was
read and how much. Started again with the same arguments and inputs it does nothing; its own files are no input, where
the output lies inside a directory of --text.
"""

import argparse
import contextlib
import fcntl
import hashlib
import json
import math
import os
import shutil
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import sources
import vocabulary
from token_file import (NOTHING_TO_VALIDATE, TokenFileWriter, border_of_split, check_split, place_of, smallest_dtype,
                        takes_all)

FORMAT = 2  # of what is made: another number makes corpora anew
BATCH_BYTES = 8 << 20
FILES = ["train.bin", "train.idx", "valid.bin", "valid.idx", "tokenizer.json", vocabulary.CONFIG]
ALL_FILES = [*FILES, *vocabulary.SIDE_FILES, "corpus.json"]
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
    kind.add_argument("--tokenizer", type=Path, metavar="FILE", help="use this tokenizer.json; documents end with the "
                      f"eos_token of the {vocabulary.CONFIG} beside it, else with {vocabulary.END_OF_DOCUMENT}")
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
    check_split(parser, options)
    if options.tokenizer and options.tokenizer.is_dir():  # of Hugging Face
        options.tokenizer /= "tokenizer.json"
    if options.tokenizer and options.special_tokens:
        parser.error("--special-tokens are for a new vocabulary, that of --tokenizer stays as it is")
    if any(len(token) < 2 for token in options.special_tokens):
        parser.error("--special-tokens must be of two characters or more: one alone may be a byte's")
    if not 0 < options.sample_mb < math.inf:
        parser.error("--sample-mb must be a number above 0")
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
    return {(output / name).resolve() for name in ALL_FILES}


def request_of(options):
    """All that decides the result, comparable with what a corpus.json says."""
    made = made_in(options.output)
    user_files = [f for p in [*options.text, *options.jsonl] for f in sources.files_below(Path(p), made)]
    wheel_files = sources.WheelSource().files if options.wheel else []
    tokenizer_files = [options.tokenizer, *vocabulary.side_files(options.tokenizer)] if options.tokenizer else []
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
        self.border = border_of_split(smallest, self.largest, options.valid_fraction)
        say(f"  {self.documents} documents, {self.bytes / 1e6:.1f} MB")

    def check(self, options):
        if self.documents == 0:
            raise sources.SourceError("the sources hold no text")
        if self.largest < self.border:
            raise sources.SourceError(takes_all(options.valid_fraction, self.documents))


def sample_of(texts, share):
    """Every document, or an even choice of them that comes to about `share` of the text."""
    taken = 0.0
    for text in texts:
        taken += share
        if taken >= 1 - 1e-9:
            taken -= 1
            yield text


def make_vocabulary(opened, survey, options):
    """The tokenizer and the id that ends a document."""
    special_tokens = [vocabulary.END_OF_DOCUMENT, *options.special_tokens]
    if options.bytes:
        tokenizer = vocabulary.byte_vocabulary(special_tokens)
    else:
        tokenizer = learn_vocabulary(opened, survey, options, special_tokens)
    return tokenizer, tokenizer.token_to_id(vocabulary.END_OF_DOCUMENT)


def learn_vocabulary(opened, survey, options, special_tokens):
    share = min(1.0, options.sample_mb * 1e6 / max(survey.bytes, 1))
    say(f"training a vocabulary of {options.vocab_size} on {survey.bytes * share / 1e6:.1f} MB")
    begin = time.monotonic()
    tokenizer = vocabulary.train_bpe(sample_of(documents_of(opened), share), options.vocab_size, special_tokens)
    if tokenizer.get_vocab_size() < options.vocab_size:
        say("  warning: the text has no more pairs that come twice")
    say(f"  {tokenizer.get_vocab_size()} entries in {time.monotonic() - begin:.0f} s")
    return tokenizer


def write_vocabulary(tokenizer, options, directory):
    if options.tokenizer:
        shutil.copyfile(options.tokenizer, directory / "tokenizer.json")
        for path in vocabulary.side_files(options.tokenizer):
            shutil.copyfile(path, directory / path.name)
    else:
        tokenizer.save(str(directory / "tokenizer.json"))
    if not (directory / vocabulary.CONFIG).exists():
        vocabulary.write_tokenizer_config(directory / vocabulary.CONFIG)


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


def encode_documents(opened, tokenizer, end_of_document, survey, options, directory):
    """Writes train and valid; returns the numbers of both."""
    vocab_size = max(tokenizer.get_vocab().values()) + 1
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


@contextlib.contextmanager
def workplace(output):
    """An empty directory in `output`, for one preparation at a time; it goes in the end, as does what killed ones left."""
    output.mkdir(parents=True, exist_ok=True)
    if not (output / ".lock").exists() and not (output / "corpus.json").exists():
        for name in ALL_FILES:
            if (output / name).exists():
                raise sources.SourceError(f"{output / name}: is of no corpus and would be written over; "
                                          "give the corpus a directory of its own (--output)")
    # A file that is open for writing, without which file systems of a network refuse an exclusive lock.
    with open(output / ".lock", "ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise sources.SourceError(f"{output}: another preparation is at work here") from None
        for left in output.glob(".unfinished-*"):
            shutil.rmtree(left)
        directory = output / f".unfinished-{os.getpid()}"
        directory.mkdir()
        try:
            yield directory
        finally:
            shutil.rmtree(directory, ignore_errors=True)


def publish(directory, output):
    """Moves what was made into its place."""
    # Without corpus.json a directory counts as unfinished, so it goes first and comes last.
    (output / "corpus.json").unlink(missing_ok=True)
    for name in ALL_FILES:
        if (directory / name).exists():
            os.replace(directory / name, output / name)
        else:
            # Of an earlier vocabulary.
            (output / name).unlink(missing_ok=True)


def prepare(options, request):
    with workplace(options.output) as temporary:
        opened = open_sources(options)
        # What is wrong with it is said before hours of reading.
        given = vocabulary.given_tokenizer(options.tokenizer) if options.tokenizer else None
        say("reading")
        survey = Survey(opened, options)
        warn_of_damage(opened)
        survey.check(options)
        tokenizer, end_of_document = given or make_vocabulary(opened, survey, options)
        write_vocabulary(tokenizer, options, temporary)
        counts = encode_documents(opened, tokenizer, end_of_document, survey, options, temporary)
        num_tokens = counts["train"]["tokens"] + counts["valid"]["tokens"]
        corpus = {
            "request": request,
            "sources": [source.describe() for source in opened],
            "vocab_size": max(tokenizer.get_vocab().values()) + 1,
            "end_of_document": end_of_document,
            "bytes": survey.bytes,
            "documents": survey.documents,
            "tokens": num_tokens,
            "bytes_per_token": round(survey.bytes / (num_tokens - survey.documents), 4),
            **counts,
        }
        (temporary / "corpus.json").write_text(json.dumps(corpus, indent=2) + "\n")
        publish(temporary, options.output)
        return corpus


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
        say(f"  {NOTHING_TO_VALIDATE}")


if __name__ == "__main__":
    # As an exception, which leaves through what cleans up.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    main()
