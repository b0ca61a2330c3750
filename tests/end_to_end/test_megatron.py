"""Token files both ways: what Megatron's own classes write is read here, what is written here is read by them."""
import json
import subprocess
import sys
import warnings

import jobs
import numpy as np
import pytest
import torch

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from megatron.core.datasets.indexed_dataset import IndexedDataset, IndexedDatasetBuilder

sys.path.insert(0, str(jobs.ROOT / "data"))
import token_file  # noqa: E402

DTYPES = [np.uint8, np.int8, np.int16, np.uint16, np.int32, np.int64]


def documents(seed=1, count=40):
    """Documents of several sequences, of one, of an empty one and of none."""
    rng = np.random.default_rng(seed)
    return [[rng.integers(0, 100, rng.integers(0, 30)) for _ in range(rng.integers(0, 4))] for _ in range(count)]


def write_as_megatron(prefix, documents, dtype, multimodal=False):
    builder = IndexedDatasetBuilder(f"{prefix}.bin", dtype=dtype, multimodal=multimodal)
    for sequences in documents:
        for ids in sequences:
            if multimodal:
                builder.add_item(torch.from_numpy(ids), mode=1)
            else:
                builder.add_item(torch.from_numpy(ids))
        builder.end_document()
    builder.finalize(f"{prefix}.idx")
    return str(prefix)


def write_as_we_do(prefix, documents, dtype):
    writer = token_file.TokenFileWriter(str(prefix), dtype)
    for sequences in documents:
        for ids in sequences:
            writer.add_sequence(ids)
        writer.end_document()
    writer.close()
    return str(prefix)


def read_as_megatron(prefix):
    dataset = IndexedDataset(str(prefix))
    ends = dataset.document_indices
    # Its arrays are views of a mapping that ends with the dataset.
    return [[np.array(dataset[i]) for i in range(first, last)] for first, last in zip(ends[:-1], ends[1:])]


def assert_same(left, right):
    assert len(left) == len(right)
    for ours, theirs in zip(left, right):
        assert [list(ids) for ids in ours] == [list(ids) for ids in theirs]


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_bytes_are_megatrons(tmp_path, dtype):
    ours = write_as_we_do(tmp_path / "ours", documents(), dtype)
    theirs = write_as_megatron(tmp_path / "theirs", documents(), dtype)
    for suffix in (".bin", ".idx"):
        assert open(ours + suffix, "rb").read() == open(theirs + suffix, "rb").read()
    assert_same(read_as_megatron(ours), documents())
    assert_same(list(token_file.TokenFile.open(theirs).documents()), documents())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("multimodal", [False, True])
def test_the_program_reads_what_megatron_wrote(tmp_path, dtype, multimodal):
    prefix = write_as_megatron(tmp_path / "theirs", documents(), dtype, multimodal)
    lengths = [len(ids) for sequences in documents() for ids in sequences]
    words = jobs.run("inspect", "data", prefix, ranks=None).stdout
    assert f"tokens: {sum(lengths)} " in words
    assert f"documents: {len(documents())}\n" in words
    assert f"sequences: {len(lengths)}\n" in words
    largest = max(int(ids.max()) for sequences in documents() for ids in sequences if len(ids))
    assert f"largest id: {largest}\n" in words


def test_the_program_trains_on_the_ids_that_megatron_wrote(tmp_path):
    one_document = [[ids for sequences in documents(count=60) for ids in sequences]]
    theirs = write_as_megatron(tmp_path / "train", one_document, np.int32)
    write_as_megatron(tmp_path / "valid", documents(2), np.int32)
    config = jobs.write_config(tmp_path / "job", tmp_path)
    batch = json.loads(jobs.run("inspect", "batch", config, "--step", 3, ranks=None).stdout)
    # An epoch is followed by the next.
    stream = 2 * [int(i) for ids in read_as_megatron(theirs)[0] for i in ids]
    rows = {tuple(stream[begin:begin + 33]) for begin in range(len(stream) - 32)}
    assert len(batch["tokens"]) == 8
    for row in batch["tokens"]:
        assert tuple(row) in rows


def run_tool(*arguments):
    subprocess.run([sys.executable, str(jobs.ROOT / "data/token_file.py"), *map(str, arguments)], check=True,
                   capture_output=True)


def test_merging_gives_megatrons_bytes(tmp_path):
    first, second = documents(3), documents(4)
    one = write_as_megatron(tmp_path / "one", first, np.uint16)
    two = write_as_megatron(tmp_path / "two", second, np.uint16)
    builder = IndexedDatasetBuilder(str(tmp_path / "theirs.bin"), dtype=np.uint16)
    builder.add_index(one)
    builder.add_index(two)
    builder.finalize(str(tmp_path / "theirs.idx"))
    run_tool("merge", tmp_path / "ours", one, two)
    for suffix in (".bin", ".idx"):
        assert (tmp_path / f"ours{suffix}").read_bytes() == (tmp_path / f"theirs{suffix}").read_bytes()
    assert_same(read_as_megatron(tmp_path / "ours"), first + second)


def test_megatron_reads_both_parts_of_a_split(tmp_path):
    prefix = write_as_megatron(tmp_path / "all", documents(), np.uint16)
    run_tool("split", prefix, tmp_path / "train", tmp_path / "valid", "--valid-fraction", 0.4)
    parts = [read_as_megatron(tmp_path / name) for name in ("train", "valid")]
    assert all(parts)
    together = [[list(ids) for ids in sequences] for part in parts for sequences in part]
    assert sorted(together) == sorted([list(map(int, ids)) for ids in sequences] for sequences in documents())
