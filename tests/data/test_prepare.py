"""data/prepare.py and its parts, on small corpora."""

import gzip
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import zstandard
from tokenizers import Tokenizer

DATA = Path(__file__).resolve().parents[2] / "data"
sys.path.insert(0, str(DATA))

import prepare  # noqa: E402
import sources  # noqa: E402
import token_file  # noqa: E402
import vocabulary  # noqa: E402


def run(*arguments):
    prepare.main([str(argument) for argument in arguments])


def corpus(directory):
    return json.loads((directory / "corpus.json").read_text())


def names_in(directory):
    return sorted(path.name for path in directory.iterdir())


def texts_of(directory, name):
    """Documents of a token file as text, each without its end; checks that it has one."""
    tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
    end = tokenizer.token_to_id(vocabulary.END_OF_DOCUMENT)
    texts = []
    for (ids,) in token_file.TokenFile.open(str(directory / name)).documents():
        assert ids[-1] == end and end not in ids[:-1]
        texts.append(tokenizer.decode(ids[:-1].tolist(), skip_special_tokens=False))
    return texts


@pytest.fixture
def books(tmp_path):
    """Sixty files of text that differ, with characters of one to four bytes."""
    directory = tmp_path / "books"
    directory.mkdir()
    for number in range(60):
        lines = [f"Line {line} of book {number}: naïve 日本語 😀 {number * line}\n" for line in range(20)]
        (directory / f"{number:02}.txt").write_text("".join(lines))
    return directory


@pytest.mark.parametrize("kind", [["--vocab-size", 280], ["--bytes"]])
def test_tokens_decode_to_the_documents_split_without_loss(tmp_path, books, kind):
    out = tmp_path / "out"
    run("--output", out, "--text", books, "--valid-fraction", 0.2, *kind)
    train, valid = texts_of(out, "train"), texts_of(out, "valid")
    assert sorted(train + valid) == sorted(path.read_text() for path in books.iterdir())
    assert 3 <= len(valid) <= 25
    made = corpus(out)
    assert made["documents"] == 60 and made["valid"]["documents"] == len(valid)
    assert made["bytes"] == sum(path.stat().st_size for path in books.iterdir())
    assert made["tokens"] == made["train"]["tokens"] + made["valid"]["tokens"]
    assert made["vocab_size"] == (257 if kind == ["--bytes"] else 280)


def test_byte_vocabulary_numbers_bytes_by_value(tmp_path, books):
    out = tmp_path / "out"
    run("--output", out, "--text", books, "--bytes", "--special-tokens", "<|user|>")
    tokenizer = Tokenizer.from_file(str(out / "tokenizer.json"))
    text = "naïve 日本語 😀\r\n"
    assert tokenizer.encode(text).ids == list(text.encode())
    assert tokenizer.token_to_id(vocabulary.END_OF_DOCUMENT) == 256
    assert tokenizer.token_to_id("<|user|>") == 257
    assert corpus(out)["bytes_per_token"] == 1.0


def test_the_same_again_is_the_same_and_is_not_made_twice(tmp_path, books, capsys):
    first, second = tmp_path / "first", tmp_path / "second"
    for out in (first, second):
        run("--output", out, "--text", books, "--vocab-size", 280)
    for name in prepare.FILES:
        assert (first / name).read_bytes() == (second / name).read_bytes(), name
    before = (first / "train.bin").stat().st_mtime_ns
    run("--output", first, "--text", books, "--vocab-size", 280)
    assert "is there already" in capsys.readouterr().err
    assert (first / "train.bin").stat().st_mtime_ns == before

    (books / "new.txt").write_text("A book more.\n")
    run("--output", first, "--text", books, "--vocab-size", 280)
    assert corpus(first)["documents"] == 61
    (first / "valid.idx").unlink()
    run("--output", first, "--text", books, "--vocab-size", 280)
    assert (first / "valid.idx").exists()
    run("--output", first, "--text", books, "--vocab-size", 270)
    assert corpus(first)["vocab_size"] == 270


def test_names_of_special_tokens_in_text_stay_text(tmp_path):
    text = f"a trap: {vocabulary.END_OF_DOCUMENT} in the middle\n"
    (tmp_path / "trap.txt").write_text(text)
    run("--output", tmp_path / "out", "--text", tmp_path / "trap.txt", "--bytes")
    assert texts_of(tmp_path / "out", "train") == [text]


def test_seed_decides_who_validates_and_equal_documents_stay_together(tmp_path):
    records = [{"text": f"document {number % 50}"} for number in range(100)]
    path = tmp_path / "x.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    chosen = []
    for seed in (1, 2):
        out = tmp_path / str(seed)
        run("--output", out, "--jsonl", path, "--bytes", "--valid-fraction", 0.3, "--seed", seed)
        train, valid = texts_of(out, "train"), texts_of(out, "valid")
        assert not set(train) & set(valid)
        chosen.append(set(valid))
    assert chosen[0] != chosen[1]


def test_a_small_share_of_few_documents_still_validates_on_one(tmp_path):
    for number in range(3):
        (tmp_path / f"{number}.txt").write_text(f"text {number}\n")
    run("--output", tmp_path / "out", "--text", *sorted(tmp_path.glob("*.txt")), "--bytes", "--valid-fraction", 1e-9)
    assert len(texts_of(tmp_path / "out", "valid")) == 1
    run("--output", tmp_path / "none", "--text", tmp_path / "0.txt", "--bytes")
    assert texts_of(tmp_path / "none", "valid") == []


def test_something_is_always_left_to_train_on(tmp_path, capsys):
    for number in range(3):
        (tmp_path / f"{number}.txt").write_text("the same text\n")
    texts = ["--text", *tmp_path.glob("*.txt"), "--bytes"]
    run("--output", tmp_path / "equal", *texts)
    assert len(texts_of(tmp_path / "equal", "train")) == 3
    assert "no two documents differ, so nothing is left for validation" in capsys.readouterr().err
    run("--output", tmp_path / "unsplit", *texts, "--valid-fraction", 0)
    assert "warning" not in capsys.readouterr().err

    (tmp_path / "0.txt").write_text("another text\n")
    with pytest.raises(SystemExit, match="--valid-fraction 0.9999999 takes all 3 documents"):
        run("--output", tmp_path / "none", *texts, "--valid-fraction", 0.9999999)
    assert names_in(tmp_path / "none") == [".lock"]


def test_compressed_files_are_read_like_plain_ones(tmp_path):
    lines = "".join(json.dumps({"body": f"text {number} é"}) + "\n" for number in range(30)).encode()
    (tmp_path / "a.jsonl").write_bytes(lines)
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(lines))
    compressor = zstandard.ZstdCompressor()
    (tmp_path / "c.jsonl.zst").write_bytes(compressor.compress(lines[:100]) + compressor.compress(lines[100:]))
    found = [list(sources.JsonlSource([path], "body").documents()) for path in sorted(tmp_path.iterdir())]
    assert len(found[0]) == 30
    assert [text for _, text in found[0]] == [text for _, text in found[1]] == [text for _, text in found[2]]


def test_zstd_frames_of_long_windows_are_read(tmp_path):
    # Magic number, no checksum or size, a window of 2^28 bytes (the library takes 2^27 unless told), one last raw block.
    text = b"text of a long window\n"
    frame = b"\x28\xb5\x2f\xfd\0" + bytes([(28 - 10) << 3]) + (len(text) << 3 | 1).to_bytes(3, "little") + text
    (tmp_path / "x.txt.zst").write_bytes(frame)
    assert sources.read_bytes(tmp_path / "x.txt.zst") == text


def test_the_mark_before_utf8_is_no_text(tmp_path):
    mark = b"\xef\xbb\xbf"
    (tmp_path / "a.txt").write_bytes(mark + b"first\n")
    (tmp_path / "b.txt").write_bytes(mark + b"caf\xe9\n")
    (tmp_path / "c.jsonl").write_bytes(mark + b'{"text": "first"}\n{"text": "second"}\n')
    assert [text for _, text in sources.TextSource(sorted(tmp_path.glob("*.txt"))).documents()] == ["first\n", "caf\ufffd\n"]
    assert [text for _, text in sources.JsonlSource([tmp_path / "c.jsonl"], "text").documents()] == ["first", "second"]


@pytest.mark.parametrize("kind", ["gz", "zst"])
@pytest.mark.parametrize("source", ["text", "jsonl"])
def test_damaged_files_are_refused_by_name(tmp_path, kind, source):
    compress = gzip.compress if kind == "gz" else zstandard.ZstdCompressor(write_checksum=True).compress
    lines = "".join(json.dumps({"text": f"text {number} {hash(number ** 9)}"}) + "\n" for number in range(300)).encode()
    first, second = compress(lines[:8000]), compress(lines[8000:])
    whole = first + second
    flipped = bytearray(whole)
    flipped[len(first) // 2] ^= 0xFF
    path = tmp_path / f"x.{source}.{kind}"
    for content in (first[:len(first) // 2], whole[:len(first) + 9], whole[:-5], whole[:-1], bytes(flipped), b"text" * 50):
        path.write_bytes(content)
        with pytest.raises(SystemExit, match=f"error: .*{path.name}:"):
            run("--output", tmp_path / "out", f"--{source}", path, "--bytes")
    path.write_bytes(whole)
    assert sources.read_bytes(path) == lines


def test_errors_name_the_place(tmp_path):
    path = tmp_path / "x.jsonl"
    for content, problem in [
        ('{"text": "a"}\n{"body": "b"}\n', 'x.jsonl:2: has no "text", only: body'),
        ('{"text": "a"}\n\n{"text"\n', "x.jsonl:3: no JSON"),
        ("[1]\n", "x.jsonl:1: expected an object"),
        ('{"text": 3}\n', 'x.jsonl:1: "text" is no text'),
        ('{"text": "a\\ud800b"}\n', r'x.jsonl:1: "text" holds \ud800, half of a pair'),
        ('{"text": ' + "[" * 100_000 + "\n", "x.jsonl:1: lists or objects are nested too deeply"),
    ]:
        path.write_text(content)
        with pytest.raises(SystemExit, match="error: ") as error:
            run("--output", tmp_path / "out", "--jsonl", path, "--bytes")
        assert problem in str(error.value)
    with pytest.raises(SystemExit, match="no such file or directory"):
        run("--output", tmp_path / "out", "--text", tmp_path / "missing", "--bytes")
    (tmp_path / "cut.gz").write_bytes(gzip.compress(b"text " * 1000)[:40])
    with pytest.raises(SystemExit, match="cut.gz"):
        run("--output", tmp_path / "out", "--text", tmp_path / "cut.gz", "--bytes")
    (tmp_path / "empty.txt").write_text(" \n")
    with pytest.raises(SystemExit, match="hold no text"):
        run("--output", tmp_path / "out", "--text", tmp_path / "empty.txt", "--bytes")
    assert names_in(tmp_path / "out") == [".lock"], "nothing unfinished is left behind"


@pytest.mark.parametrize("name", ["tokenizer.json", "generation_config.json", "train.bin"])
def test_files_of_others_are_not_written_over(tmp_path, books, name):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text("mine")
    with pytest.raises(SystemExit, match=f"{name}: is of no corpus"):
        run("--output", tmp_path / "out", "--text", books, "--bytes")
    assert names_in(tmp_path / "out") == [name] and (tmp_path / "out" / name).read_text() == "mine"


def test_side_files_of_a_tokenizer_are_those_that_the_program_carries():
    source = (Path(__file__).resolve().parents[2] / "src/train/checkpoint_directory.h").read_text()
    named = dict(re.findall(r'char (k\w+)\[\] = "(.*?)"', source))
    listed = source.partition("kTokenizerSideFiles = {")[2].partition("}")[0].replace("\n", " ").split(",")
    carried = [named.get(item.strip(), item.strip().strip('"')) for item in listed]
    assert sorted(carried) == sorted([vocabulary.CONFIG, *vocabulary.SIDE_FILES])


def test_binary_and_hidden_files_are_left_out(tmp_path):
    (tmp_path / "a.txt").write_text("text\n")
    (tmp_path / "b.png").write_bytes(b"\x89PNG\0\0")
    (tmp_path / ".hidden").write_text("no\n")
    (tmp_path / "c.txt").write_bytes(b"caf\xe9\n")
    source = sources.TextSource([tmp_path])
    assert [text for _, text in source.documents()] == ["text\n", "caf\ufffd\n"]
    assert source.skipped == [str(tmp_path / "b.png")]


def test_files_that_do_not_come_through_whole_are_named_once(tmp_path, capsys):
    texts = tmp_path / "texts"
    texts.mkdir()
    (texts / "a.txt").write_text("text\n")
    for number in range(5):
        (texts / f"latin{number}.txt").write_bytes(b"caf\xe9\n")
    (texts / "wide.txt").write_bytes("text".encode("utf-16"))
    run("--output", tmp_path / "out", "--text", texts, "--bytes")
    warnings = [line for line in capsys.readouterr().err.splitlines() if "of 7 files" in line]
    assert len(warnings) == 2
    assert warnings[0].startswith("  warning: 1 of 7 files are left out") and warnings[0].endswith("wide.txt")
    assert "5 of 7 files are not UTF-8" in warnings[1] and warnings[1].endswith("latin2.txt and 2 more")


@pytest.mark.parametrize("output", ["corpus", "."])
def test_output_inside_the_text_is_no_text(tmp_path, capsys, output):
    (tmp_path / "a.txt").write_text("text\n")
    for _ in range(2):
        run("--output", tmp_path / output, "--text", tmp_path, "--bytes")
        assert corpus(tmp_path / output)["documents"] == 1
    assert "is there already" in capsys.readouterr().err


def test_the_default_source_is_the_torch_wheel():
    options = prepare.parse_arguments(["--output", "x"])
    assert options.wheel and not options.text
    assert not prepare.parse_arguments(["--output", "x", "--text", "y"]).wheel
    source = sources.WheelSource()
    assert source.describe()["files"] > 1000
    name, text = next(source.documents())
    assert (source.root / name).read_text() == text


def fake_debian_package(directory, monkeypatch):
    """Puts an `apt-get` into PATH that "downloads" a package built here."""
    tree = directory / "tree"
    share = tree / "usr" / "share"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN" / "control").write_text(
        "Package: some-text\nVersion: 1\nArchitecture: all\nMaintainer: x <x@y>\nDescription: x\n")
    for name, content in {
        "dictd/words.dict.dz": gzip.compress("word\n   a unit of speech\n".encode()),
        "doc/some-text/copyright": b"boilerplate\n",
        "doc/some-text/changelog.gz": gzip.compress(b"boilerplate\n"),
        "doc/some-text/book.html": "<p>Größe &lt;3</p>".encode(),
        "doc/some-text/latin.txt": "café\n".encode("latin-1"),
        "doc/some-text/marked.txt": "Größe\n".encode("utf-8-sig"),
        "lintian/overrides/some-text": b"boilerplate\n",
        "games/fortunes/wit.dat": b"\0\1",
        "games/fortunes/wit": b"Wit.\n",
    }.items():
        (share / name).parent.mkdir(parents=True, exist_ok=True)
        (share / name).write_bytes(content)
    subprocess.run(["dpkg-deb", "--root-owner-group", "-b", tree, directory / "some-text_1_all.deb"], check=True,
                   capture_output=True)
    tools = directory / "tools"
    tools.mkdir()
    (tools / "apt-get").write_text(
        f'#!/bin/sh\nfor last; do :; done\n[ "$last" = some-text ] && cp {directory}/some-text_1_all.deb .\n')
    (tools / "apt-get").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")


def test_debian_packages_give_their_texts(tmp_path, monkeypatch):
    fake_debian_package(tmp_path, monkeypatch)
    out = tmp_path / "out"
    run("--output", out, "--debian", "some-text", "--bytes", "--valid-fraction", 0)
    assert sorted(texts_of(out, "train")) == sorted(
        ["word\n   a unit of speech\n", "Größe <3\n", "café\n", "Größe\n", "Wit.\n"])
    assert corpus(out)["sources"][0]["archives"] == {"some-text": "some-text_1_all.deb"}
    with pytest.raises(SystemExit, match="other-text: apt-get cannot download"):
        run("--output", tmp_path / "none", "--debian", "other-text", "--bytes")


@pytest.fixture
def slow(tmp_path, monkeypatch):
    """Begins a preparation that stays where it fetches packages until the file `go` is there."""
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "apt-get").write_text(f"#!/bin/sh\nwhile [ ! -e {tmp_path}/go ]; do sleep 0.05; done\nexit 1\n")
    (tools / "apt-get").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")

    def begin(output):
        job = subprocess.Popen([sys.executable, DATA / "prepare.py", "--output", output, "--debian", "x", "--bytes"],
                               stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while not (output / f".unfinished-{job.pid}").exists():
            assert job.poll() is None and time.monotonic() < deadline
            time.sleep(0.02)
        return job

    yield begin
    (tmp_path / "go").touch()


def test_one_preparation_at_a_time(tmp_path, books, slow):
    out = tmp_path / "out"
    job = slow(out)
    try:
        with pytest.raises(SystemExit, match=f"error: {out}: another preparation is at work here"):
            run("--output", out, "--text", books, "--bytes")
        assert (out / f".unfinished-{job.pid}").exists()
    finally:
        job.kill()
        job.wait()


@pytest.mark.parametrize("how, code, left", [(signal.SIGTERM, 143, False), (signal.SIGKILL, -9, True)])
def test_what_an_ended_preparation_leaves_is_removed(tmp_path, books, slow, how, code, left):
    out = tmp_path / "out"
    job = slow(out)
    job.send_signal(how)
    assert job.wait(timeout=60) == code
    assert (out / f".unfinished-{job.pid}").exists() == left
    # In a container the next one may well have the same number.
    (out / f".unfinished-{os.getpid()}").mkdir()
    run("--output", out, "--text", books, "--bytes")
    assert names_in(out) == sorted([".lock", "corpus.json", *prepare.FILES])


def test_a_given_tokenizer_is_used_as_it_is(tmp_path, books):
    run("--output", tmp_path / "first", "--text", books, "--vocab-size", 270)
    tokenizer = tmp_path / "first" / "tokenizer.json"
    run("--output", tmp_path / "second", "--text", books, "--tokenizer", tokenizer)
    for name in ("train.bin", "train.idx", "tokenizer.json"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()
    cutting = json.loads(tokenizer.read_text())
    cutting["truncation"] = {"direction": "Right", "max_length": 8, "strategy": "LongestFirst", "stride": 0}
    cutting["padding"] = {"strategy": {"Fixed": 2000}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0,
                          "pad_type_id": 0, "pad_token": "!"}
    (tmp_path / "cutting.json").write_text(json.dumps(cutting))
    run("--output", tmp_path / "whole", "--text", books, "--tokenizer", tmp_path / "cutting.json")
    assert (tmp_path / "first/train.bin").read_bytes() == (tmp_path / "whole/train.bin").read_bytes()
    (tmp_path / "bad.json").write_text("{}")
    with pytest.raises(SystemExit, match="bad.json"):
        run("--output", tmp_path / "third", "--text", books, "--tokenizer", tmp_path / "bad.json")


def make_tokenizer(directory, *special_tokens):
    directory.mkdir()
    path = directory / "tokenizer.json"
    vocabulary.byte_vocabulary(list(special_tokens)).save(str(path))
    return path


@pytest.mark.parametrize("eos", ["</s>", {"__type": "AddedToken", "content": "</s>", "lstrip": False}])
def test_a_given_tokenizer_ends_documents_as_its_config_says(tmp_path, books, eos):
    tokenizer = make_tokenizer(tmp_path / "model", vocabulary.END_OF_DOCUMENT, "</s>")
    for name in vocabulary.SIDE_FILES:
        (tokenizer.parent / name).write_text(f"that of the model: {name}")
    (tokenizer.parent / vocabulary.CONFIG).write_text(json.dumps({"eos_token": eos, "model_max_length": 7}))
    out = tmp_path / "out"
    run("--output", out, "--text", books, "--tokenizer", tokenizer)
    assert corpus(out)["end_of_document"] == 257
    assert all(ids[-1] == 257 for (ids,) in token_file.TokenFile.open(str(out / "train")).documents())
    for name in ["tokenizer.json", vocabulary.CONFIG, *vocabulary.SIDE_FILES]:
        assert (out / name).read_bytes() == (tokenizer.parent / name).read_bytes(), name

    before = (out / "train.bin").stat().st_mtime_ns
    run("--output", out, "--text", books, "--tokenizer", tokenizer)
    assert (out / "train.bin").stat().st_mtime_ns == before
    (tokenizer.parent / vocabulary.CONFIG).unlink()
    run("--output", out, "--text", books, "--tokenizer", tokenizer)
    assert corpus(out)["end_of_document"] == 256
    assert json.loads((out / vocabulary.CONFIG).read_text())["eos_token"] == vocabulary.END_OF_DOCUMENT
    run("--output", out, "--text", books, "--bytes")
    assert names_in(out) == sorted([".lock", "corpus.json", *prepare.FILES]), "the model's other files went with it"


@pytest.mark.parametrize("config, problem", [
    (None, "has no token <|endoftext|>, nor is there an eos_token in the tokenizer_config.json beside it"),
    ('{"eos_token": null}', "has no token <|endoftext|>, nor is there an eos_token in the tokenizer_config.json beside it"),
    ('{"eos_token": "</t>"}', "has no token </t>, the eos_token of the tokenizer_config.json beside it"),
    ("{", "tokenizer_config.json: no JSON"),
])
def test_a_given_tokenizer_without_an_end_is_refused(tmp_path, books, config, problem):
    tokenizer = make_tokenizer(tmp_path / "model", "</s>")
    if config:
        (tokenizer.parent / vocabulary.CONFIG).write_text(config)
    for given in (tokenizer, tokenizer.parent):
        with pytest.raises(SystemExit) as error:
            run("--output", tmp_path / "out", "--text", books, "--tokenizer", given)
        assert problem in str(error.value)


@pytest.mark.parametrize("arguments, problem", [
    (["--tokenizer", "x", "--special-tokens", "<|user|>"], "--special-tokens are for a new vocabulary"),
    (["--special-tokens", "<|user|>", ""], "--special-tokens must be of two characters or more"),
    (["--special-tokens", "a"], "--special-tokens must be of two characters or more"),
    (["--sample-mb", "0"], "--sample-mb must be a number above 0"),
    (["--sample-mb", "-1"], "--sample-mb must be a number above 0"),
    (["--sample-mb", "nan"], "--sample-mb must be a number above 0"),
    (["--sample-mb", "inf"], "--sample-mb must be a number above 0"),
    (["--vocab-size", "100"], "at least 257"),
    (["--valid-fraction", "1"], "below 1"),
    (["--seed", "-1"], "--seed"),
    (["--bytes", "--tokenizer", "x"], "not allowed with"),
])
def test_wrong_arguments_are_refused_before_anything_is_read(arguments, problem, capsys):
    with pytest.raises(SystemExit):
        prepare.parse_arguments(["--output", "x", *arguments])
    assert problem in capsys.readouterr().err
