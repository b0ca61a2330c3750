#!/usr/bin/env python3
"""Token files in the format of Megatron's indexed data sets: PREFIX.bin and PREFIX.idx.

As a program: joins files, or splits one into two by document.
"""

import argparse
import hashlib
import math
import os
import struct
import sys
from dataclasses import dataclass

import numpy as np

MAGIC = b"MMIDIDX\x00\x00"
HEADER = struct.Struct("<9sQBQQ")
DTYPE_OF_CODE = {1: np.uint8, 2: np.int8, 3: np.int16, 4: np.int32, 5: np.int64, 8: np.uint16}
CODE_OF_DTYPE = {np.dtype(dtype): code for code, dtype in DTYPE_OF_CODE.items()}
UNIT = float(1 << 64)
NOTHING_TO_VALIDATE = "warning: no two documents differ, so nothing is left for validation"


class TokenFileError(Exception):
    """A file that is damaged or of another kind."""


def smallest_dtype(vocab_size):
    """What Megatron chooses for a vocabulary of this size."""
    return np.dtype(np.uint16 if vocab_size < 65500 else np.int32)


def place_of(content, seed):
    """A number in [0, 1) that depends on the bytes and the seed alone: equal documents share their fate."""
    digest = hashlib.blake2b(content, digest_size=8, salt=seed.to_bytes(8, "little")).digest()
    return int.from_bytes(digest, "little") / UNIT


def border_of_split(smallest, largest, valid_fraction):
    """Documents whose place lies below it are for validation; `smallest` and `largest` are the places of all."""
    # Few documents may all miss a small share: then the nearest one is taken, unless all are equal.
    wanted = valid_fraction > 0 and smallest < largest
    return max(valid_fraction, math.nextafter(smallest, 1)) if wanted else 0.0


def takes_all(valid_fraction, num_documents):
    return (f"--valid-fraction {valid_fraction} takes all {num_documents} documents for validation and leaves none to train "
            "on; choose a smaller one or another --seed")


def check_split(parser, options):
    """Of the options --valid-fraction and --seed."""
    if not 0 <= options.valid_fraction < 1:
        parser.error("--valid-fraction must be at least 0 and below 1")
    if not 0 <= options.seed < 1 << 63:
        parser.error("--seed must be a number from 0 to 2^63 - 1")


class TokenFileWriter:
    """Writes documents one after another; the pair of files is complete after `close`."""

    def __init__(self, prefix, dtype):
        self.prefix = prefix
        self.dtype = np.dtype(dtype)
        self.lengths = []
        self.document_ends = [0]
        self.num_tokens = 0
        self._bin = open(prefix + ".bin", "wb")

    def add_sequence(self, ids):
        ids = np.asarray(ids)
        if len(ids) > np.iinfo(np.int32).max:
            raise TokenFileError(f"{self.prefix}: a sequence of {len(ids)} tokens is too long for the format")
        limits = np.iinfo(self.dtype)
        if len(ids) and (ids.min() < limits.min or ids.max() > limits.max):
            raise TokenFileError(f"{self.prefix}: ids up to {ids.max()} do not fit {self.dtype}")
        self._bin.write(ids.astype(self.dtype, copy=False).tobytes())
        self.lengths.append(len(ids))
        self.num_tokens += len(ids)

    def end_document(self):
        self.document_ends.append(len(self.lengths))

    def add_document(self, ids):
        """One document of one sequence; without ids an empty one."""
        if len(ids):
            self.add_sequence(ids)
        self.end_document()

    def close(self):
        self._bin.flush()
        os.fsync(self._bin.fileno())
        self._bin.close()
        lengths = np.asarray(self.lengths, dtype="<i4")
        ends = np.cumsum(lengths, dtype=np.int64) * self.dtype.itemsize
        offsets = np.concatenate([np.zeros(min(1, len(ends)), np.int64), ends[:-1]]).astype("<i8")
        with open(self.prefix + ".idx", "wb") as idx:
            idx.write(HEADER.pack(MAGIC, 1, CODE_OF_DTYPE[self.dtype], len(lengths), len(self.document_ends)))
            idx.write(lengths.tobytes())
            idx.write(offsets.tobytes())
            idx.write(np.asarray(self.document_ends, dtype="<i8").tobytes())
            idx.flush()
            os.fsync(idx.fileno())


@dataclass
class TokenFile:
    """An opened pair of files; `ids` is mapped, not read."""

    prefix: str
    ids: np.ndarray
    lengths: np.ndarray  # of sequences
    document_ends: np.ndarray  # in sequences, the first entry being 0

    @classmethod
    def open(cls, prefix):
        """Raises TokenFileError unless index and ids agree in every number."""
        path = prefix + ".idx"

        def require(condition, problem):
            if not condition:
                raise TokenFileError(f"{path}: {problem}")

        with open(path, "rb") as file:
            index = file.read()
        require(len(index) >= HEADER.size, f"{len(index)} bytes are too few for a header")
        magic, version, code, num_sequences, num_entries = HEADER.unpack_from(index)
        require(magic == MAGIC, "is no token index")
        require(version == 1, f"version is {version}, expected 1")
        require(code in DTYPE_OF_CODE, f"dtype code is {code}, expected one of {sorted(DTYPE_OF_CODE)}")
        expected = HEADER.size + 12 * num_sequences + 8 * num_entries
        require(len(index) in (expected, expected + num_sequences),
                f"is {len(index)} bytes long, {num_sequences} sequences and {num_entries} entries take {expected}")
        lengths = np.frombuffer(index, "<i4", num_sequences, HEADER.size)
        offsets = np.frombuffer(index, "<i8", num_sequences, HEADER.size + 4 * num_sequences)
        document_ends = np.frombuffer(index, "<i8", num_entries, HEADER.size + 12 * num_sequences)
        dtype = np.dtype(DTYPE_OF_CODE[code])
        require((lengths >= 0).all(), "has a negative length")
        ends = np.cumsum(lengths, dtype=np.int64) * dtype.itemsize
        require((offsets[1:] == ends[:-1]).all() and (offsets[:1] == 0).all(), "offsets do not follow from lengths")
        require(num_entries > 0 and document_ends[0] == 0 and document_ends[-1] == num_sequences
                and (np.diff(document_ends) >= 0).all(), "documents do not cover the sequences in order")
        size = int(ends[-1]) if num_sequences else 0
        actual = os.path.getsize(prefix + ".bin")
        require(actual == size, f"describes {size} bytes of ids, {prefix}.bin has {actual}")
        ids = np.memmap(prefix + ".bin", dtype, "r") if size else np.zeros(0, dtype)
        return cls(prefix, ids, lengths, document_ends)

    @property
    def num_documents(self):
        return len(self.document_ends) - 1

    def documents(self):
        """For each document the list of its sequences."""
        ends = np.cumsum(self.lengths, dtype=np.int64)
        for first, last in zip(self.document_ends[:-1], self.document_ends[1:]):
            yield [self.ids[ends[s] - self.lengths[s]:ends[s]] for s in range(first, last)]


def copy_documents(source, choose_writer):
    for sequences in source.documents():
        writer = choose_writer(sequences)
        for ids in sequences:
            writer.add_sequence(ids)
        writer.end_document()


def merge(prefixes, output):
    """Joins files of one dtype; returns the number of tokens."""
    sources = [TokenFile.open(prefix) for prefix in prefixes]
    dtypes = {source.ids.dtype for source in sources}
    if len(dtypes) > 1:
        listed = ", ".join(f"{s.prefix}: {s.ids.dtype}" for s in sources)
        raise TokenFileError(f"files of different types cannot be joined ({listed}): one vocabulary is needed")
    writer = TokenFileWriter(output, dtypes.pop())
    for source in sources:
        copy_documents(source, lambda _: writer)
    writer.close()
    return writer.num_tokens


def split(prefix, train, valid, valid_fraction, seed):
    """Deals documents out by hash of their ids; returns both numbers of tokens."""
    source = TokenFile.open(prefix)

    def place(sequences):
        return place_of(b"".join(ids.astype("<i8").tobytes() for ids in sequences), seed)

    places = np.fromiter((place(document) for document in source.documents() if any(map(len, document))), float)
    border = border_of_split(places.min(initial=1), places.max(initial=0), valid_fraction)
    if places.max(initial=0) < border:
        raise TokenFileError(f"{prefix}: {takes_all(valid_fraction, len(places))}")
    train_writer = TokenFileWriter(train, source.ids.dtype)
    valid_writer = TokenFileWriter(valid, source.ids.dtype)
    copy_documents(source, lambda document: valid_writer if place(document) < border else train_writer)
    train_writer.close()
    valid_writer.close()
    return train_writer.num_tokens, valid_writer.num_tokens


def files_of(prefixes):
    """The files behind prefixes, whatever links lead to them."""
    return {os.path.realpath(prefix + suffix) for prefix in prefixes for suffix in (".bin", ".idx")}


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    merging = commands.add_parser("merge", help="join token files of one vocabulary")
    merging.add_argument("output", help="prefix to write")
    merging.add_argument("inputs", nargs="+", help="prefixes to read, in order")
    splitting = commands.add_parser("split", help="split a token file into training and validation by document")
    splitting.add_argument("input", help="prefix to read")
    splitting.add_argument("train", help="prefix to write")
    splitting.add_argument("valid", help="prefix to write")
    splitting.add_argument("--valid-fraction", type=float, default=0.02, help="share of documents (default %(default)s)")
    splitting.add_argument("--seed", type=int, default=1234, help="another seed chooses others (default %(default)s)")
    arguments = parser.parse_args()
    if arguments.command == "split":
        check_split(parser, arguments)
    outputs = [arguments.output] if arguments.command == "merge" else [arguments.train, arguments.valid]
    inputs = arguments.inputs if arguments.command == "merge" else [arguments.input]
    if files_of(inputs) & files_of(outputs):
        parser.error("an input cannot be written over")
    if arguments.command == "split" and files_of([arguments.train]) & files_of([arguments.valid]):
        parser.error("training and validation need a file each, both would go into " + arguments.train)
    return arguments


def main():
    arguments = parse_arguments()
    try:
        if arguments.command == "merge":
            num_tokens = merge(arguments.inputs, arguments.output)
            print(f"{arguments.output}: {num_tokens} tokens")
        else:
            counts = split(arguments.input, arguments.train, arguments.valid, arguments.valid_fraction, arguments.seed)
            for prefix, num_tokens in zip([arguments.train, arguments.valid], counts):
                print(f"{prefix}: {num_tokens} tokens")
            if counts[1] == 0 and arguments.valid_fraction > 0:
                print(NOTHING_TO_VALIDATE, file=sys.stderr)
    except (TokenFileError, OSError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
