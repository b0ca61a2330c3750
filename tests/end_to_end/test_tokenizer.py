"""Tokenizers in C++ give the ids of Hugging Face's, for every character there is; damaged files are refused."""
import json
import random
import subprocess
import sys
import unicodedata

import jobs
import pytest
from tokenizers import Tokenizer
from transformers import LlamaTokenizerFast, PreTrainedTokenizerFast

sys.path.insert(0, str(jobs.ROOT / "tests" / "data"))
import make_tokenizer_golden as golden_maker  # noqa: E402

KINDS = ("gpt2", "deepseek", "llama", "digits", "llama2", "mistral", "marks", "marks_fused")


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory):
    """Trained here and now, by name: what the two see is the same file."""
    directory = tmp_path_factory.mktemp("tokenizers")
    made = {}
    for name, tokenizer in golden_maker.make_tokenizers():
        if name in KINDS:
            tokenizer.save(str(directory / f"{name}.json"))
            made[name] = directory / f"{name}.json"
    return made


def ids_of(path, texts, *options):
    lines = "".join(json.dumps(text) + "\n" for text in texts)
    job = jobs.run("inspect", "tokens", path, "--lines", *options, ranks=None, stdin=lines)
    return [json.loads(line)["ids"] for line in job.stdout.splitlines()]


def all_characters():
    """Every character of a category that does not change with the Unicode version, in neighbourhoods of all kinds."""
    assigned = [chr(code) for code in range(0x110000) if unicodedata.category(chr(code)) not in ("Cs", "Cn", "Co")]
    for begin in range(0, len(assigned), 128):
        block = assigned[begin:begin + 128]
        for join in ("", " ", "a", "1", "\n"):
            yield join.join(block)


def mixtures():
    rng = random.Random(11)
    pieces = [" ", "  ", "\n", "\r\n", "\t", "\u00a0", "\u3000", "'s", "'LL", "I", "we", "ing", "é", "e\u0301", "ß", "日本", "語", "中文",
              "한국", "Привет", "שלום", "नमस्ते", "ไทย", "😀", "👨‍👩‍👧‍👦", "🇩🇪", "1", "23", "456", "٣", "Ⅷ", "½", "_", "-", "--", "...", "。",
              "！", "#include <x>", "def f(x):", "    return x", "{", "}", "!=", "\\n", "\x00", "\u200b", "\u0300", "\U0010fffd",
              "<|endoftext|>", "<|end", "<hole>", golden_maker.BEGIN, "the loss", "http://x.y/z?a=b&c=%20"]
    for _ in range(3000):
        yield "".join(rng.choice(pieces) for _ in range(rng.randint(1, 24)))
    for length in (1, 2, 3, 47, 48, 49, 1000, 20000):
        yield from ("a" * length, " " * length, "\n" * length, "9" * length, "語" * length, "ab" * length, " a" * length)


def sources():
    for path in sorted([*(jobs.ROOT / "src").rglob("*.cpp"), *(jobs.ROOT / "docs").glob("*.md")]):
        yield path.read_text()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("texts", [golden_maker.make_texts, all_characters, mixtures, sources])
def test_ids_are_those_of_hugging_face(tokenizers, kind, texts):
    texts = list(texts())
    reference = Tokenizer.from_file(str(tokenizers[kind]))
    expected = [encoding.ids for encoding in reference.encode_batch(texts, add_special_tokens=False)]
    for text, ours, theirs in zip(texts, ids_of(tokenizers[kind], texts), expected, strict=True):
        assert ours == theirs, repr(text[:200])


@pytest.mark.parametrize("kind", KINDS)
def test_templates_and_plain_text_are_those_of_hugging_face(tokenizers, kind):
    texts = [*golden_maker.make_texts(), *list(mixtures())[:300]]
    reference = Tokenizer.from_file(str(tokenizers[kind]))
    assert ids_of(tokenizers[kind], texts, "--template") == [e.ids for e in reference.encode_batch(texts)]
    reference.encode_special_tokens = True
    assert ids_of(tokenizers[kind], texts, "--plain") == [
        e.ids for e in reference.encode_batch(texts, add_special_tokens=False)]


def test_a_template_counts_for_more_than_the_settings_beside_it_as_in_transformers(tmp_path):
    golden = json.loads((jobs.ROOT / "tests/data/golden/tokenizer_llama2.json").read_text())
    (tmp_path / "tokenizer.json").write_text(json.dumps(golden["tokenizer"]))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(
        {"bos_token": "<s>", "eos_token": "</s>", "add_bos_token": False, "add_eos_token": True}))
    (ours,) = ids_of(tmp_path / "tokenizer.json", ["the"], "--template")
    for kind in (LlamaTokenizerFast, PreTrainedTokenizerFast):
        assert kind.from_pretrained(tmp_path)("the").input_ids == ours


@pytest.mark.parametrize("kind", KINDS)
def test_broken_utf8_is_read_as_python_replaces_it(tokenizers, kind):
    rng = random.Random(5)
    broken = b"a\xff\xfe b\xc3 \xe2\x82 \xf0\x9f\x98 \xed\xa0\x80 \xc0\xaf \xf4\x90\x80\x80 \x80"
    broken += bytes(rng.randrange(256) for _ in range(4000)) + b"\xe2\x82"
    job = subprocess.run(jobs.command("inspect", "tokens", tokenizers[kind], ranks=None), input=broken,
                         capture_output=True, env=jobs.environment(), timeout=jobs.PATIENCE_SECONDS, check=True)
    reference = Tokenizer.from_file(str(tokenizers[kind]))
    expected = reference.encode(broken.decode("utf-8", errors="replace"), add_special_tokens=False).ids
    assert json.loads(job.stdout)["ids"] == expected


def changed(tokenizers, change):
    document = json.loads(tokenizers["gpt2"].read_text())
    change(document)
    return document


def nested(depth):
    steps = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}
    for _ in range(depth):
        steps = {"type": "Sequence", "pretokenizers": [steps]}
    return steps


# What was changed, and what the message must say.
DAMAGES = [
    (lambda d: d["model"].pop("merges"), 'has no "merges"'),
    (lambda d: d["model"].pop("vocab"), 'has no "vocab"'),
    (lambda d: d["model"]["merges"].append(["zz", "q"]), "not in the vocabulary"),
    (lambda d: d["model"]["merges"].append(d["model"]["merges"][0]), "repeats the merge"),
    (lambda d: d["model"]["merges"].insert(0, "a b c"), "neither"),
    (lambda d: d["model"]["vocab"].update({"zz": 1 << 40}), "whole number"),
    (lambda d: d["model"]["vocab"].update({"zz": -1}), "whole number"),
    (lambda d: d["model"]["vocab"].update({"zz": 0}), "two tokens"),
    (lambda d: d["added_tokens"].append({"id": 1 << 31, "content": "<x>", "special": True}), "whole number"),
    (lambda d: d.update(pre_tokenizer=nested(40)), "nests deeper"),
    (lambda d: d.update(pre_tokenizer={"type": "Whitespace"}), "Whitespace"),
    (lambda d: d.update(pre_tokenizer={"type": "Split", "pattern": {"Regex": "("}, "behavior": "Isolated"}), "pattern"),
    (lambda d: d.update(normalizer={"type": "NFC"}), "NFC"),
    (lambda d: d["model"].update(type="Unigram"), "Unigram"),
    (lambda d: d.update(version="2.0"), "expected"),
]


@pytest.mark.parametrize("number", range(len(DAMAGES)))
def test_a_damaged_file_is_refused_by_name_of_what_is_wrong(tokenizers, tmp_path, number):
    change, message = DAMAGES[number]
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(changed(tokenizers, change)))
    error = jobs.run("inspect", "tokens", path, ranks=None, code=3, stdin="x").stderr
    assert str(path) in error and message in error


def test_a_pattern_without_end_is_given_up_not_waited_for(tokenizers, tmp_path):
    document = changed(tokenizers, lambda d: d.update(pre_tokenizer={"type": "Sequence", "pretokenizers": [
        {"type": "Split", "pattern": {"Regex": "(a+)+$"}, "behavior": "Isolated", "invert": False}, nested(0)]}))
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(document))
    assert "cannot split" in jobs.run("inspect", "tokens", path, ranks=None, code=3, stdin="a" * 60 + "!").stderr
