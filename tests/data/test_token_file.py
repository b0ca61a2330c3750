"""data/token_file.py: files of tokens byte by byte, merged and split."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

DATA = Path(__file__).resolve().parents[2] / "data"
sys.path.insert(0, str(DATA))

import token_file  # noqa: E402

GOLDEN_IDX = bytes.fromhex(
    "4d4d494449445800000100000000000000080300000000000000"
    "0300000000000000"
    "030000000200000004000000"
    "000000000000000006000000000000000a00000000000000"
    "000000000000000001000000000000000300000000000000"
)


def test_token_files_are_megatrons_bytes(tmp_path):
    prefix = str(tmp_path / "golden")
    writer = token_file.TokenFileWriter(prefix, np.uint16)
    writer.add_document([1, 2, 3])
    writer.add_sequence([4, 5])
    writer.add_sequence([6, 7, 8, 65535])
    writer.end_document()
    writer.close()
    assert Path(prefix + ".idx").read_bytes() == GOLDEN_IDX
    read = token_file.TokenFile.open(prefix)
    assert [[list(ids) for ids in document] for document in read.documents()] == [[[1, 2, 3]],
                                                                                  [[4, 5], [6, 7, 8, 65535]]]


@pytest.mark.parametrize("offset, value", [(0, b"X"), (9, b"\2"), (17, b"\6"), (18, b"\4"), (26, b"\xff"), (34, b"\xff"),
                                           (38, b"\1"), (54, b"\7"), (70, b"\1"), (78, b"\4"), (86, b"\2")])
def test_lying_indexes_are_refused(tmp_path, offset, value):
    (tmp_path / "x.bin").write_bytes(bytes(18))
    (tmp_path / "x.idx").write_bytes(GOLDEN_IDX[:offset] + value + GOLDEN_IDX[offset + 1:])
    with pytest.raises(token_file.TokenFileError, match="x.idx"):
        token_file.TokenFile.open(str(tmp_path / "x"))


def write_documents(prefix, documents, dtype=np.uint16):
    writer = token_file.TokenFileWriter(str(prefix), dtype)
    for ids in documents:
        writer.add_document(ids)
    writer.close()
    return str(prefix)


def documents_of(prefix):
    return [[int(i) for ids in document for i in ids] for document in token_file.TokenFile.open(str(prefix)).documents()]


def test_merging_keeps_documents_in_order_and_empty_ones(tmp_path):
    a = write_documents(tmp_path / "a", [[1, 2], [], [3]])
    b = write_documents(tmp_path / "b", [[4, 5, 6]])
    empty = write_documents(tmp_path / "empty", [])
    assert token_file.merge([a, empty, b], str(tmp_path / "all")) == 6
    assert documents_of(tmp_path / "all") == [[1, 2], [], [3], [4, 5, 6]]
    wide = write_documents(tmp_path / "wide", [[70000]], np.int32)
    with pytest.raises(token_file.TokenFileError, match="one vocabulary is needed"):
        token_file.merge([a, wide], str(tmp_path / "mixed"))


def test_splitting_deals_out_every_document_once(tmp_path):
    documents = [[number, number + 1] for number in range(200)]
    write_documents(tmp_path / "all", documents)
    program = [sys.executable, DATA / "token_file.py", "split", tmp_path / "all", tmp_path / "t", tmp_path / "v",
               "--valid-fraction", "0.25"]
    subprocess.run(program, check=True)
    train, valid = documents_of(tmp_path / "t"), documents_of(tmp_path / "v")
    assert sorted(train + valid) == documents
    assert 20 < len(valid) < 80
    refused = subprocess.run([sys.executable, DATA / "token_file.py", "merge", tmp_path / "t", tmp_path / "t"],
                             capture_output=True, text=True)
    assert refused.returncode == 2 and "cannot be written over" in refused.stderr


def split(directory, documents, *arguments):
    write_documents(directory / "all", documents)
    return subprocess.run([sys.executable, DATA / "token_file.py", "split", "all", "t", "v", *arguments], cwd=directory,
                          capture_output=True, text=True)


def test_splitting_few_documents_still_validates_on_one(tmp_path):
    documents = [[1, 2], [], [3]]
    assert split(tmp_path, documents, "--valid-fraction", "1e-9").stderr == ""
    train, valid = documents_of(tmp_path / "t"), documents_of(tmp_path / "v")
    assert sorted(train + valid) == sorted(documents)
    assert any(train) and any(valid)


def test_splitting_what_cannot_be_split_says_so(tmp_path):
    equal = split(tmp_path, [[1], [1], []])
    assert equal.returncode == 0 and "no two documents differ" in equal.stderr
    assert [1] in documents_of(tmp_path / "t") and not any(documents_of(tmp_path / "v"))
    assert split(tmp_path, [[1], [1]], "--valid-fraction", "0").stderr == ""
    (tmp_path / "t.bin").unlink()
    whole = split(tmp_path, [[1], [2]], "--valid-fraction", "0.9999999")
    assert whole.returncode == 1 and "takes all 2 documents" in whole.stderr
    assert not (tmp_path / "t.bin").exists()
    for arguments in (["--valid-fraction", "1"], ["--valid-fraction", "nan"], ["--seed", "-1"]):
        refused = split(tmp_path, [[1], [2]], *arguments)
        assert refused.returncode == 2 and arguments[0] in refused.stderr


def test_splitting_refuses_outputs_that_are_one_file_or_the_input(tmp_path):
    write_documents(tmp_path / "all", [[1, 2], [3]])
    (tmp_path / "link.bin").symlink_to(tmp_path / "all.bin")
    for train, valid, problem in [("s", "s", "need a file each"), ("s", "./s", "need a file each"),
                                  ("all", "v", "cannot be written over"), ("link", "v", "cannot be written over")]:
        refused = subprocess.run([sys.executable, DATA / "token_file.py", "split", "all", train, valid], cwd=tmp_path,
                                 capture_output=True, text=True)
        assert refused.returncode == 2 and problem in refused.stderr
    assert documents_of(tmp_path / "all") == [[1, 2], [3]]
