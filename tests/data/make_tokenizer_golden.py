"""Writes golden/*.json: small tokenizers of every supported kind with the ids that Hugging Face's tokenizers give.

Run with the environment of scripts/requirements-test.txt when a kind or a text is added. The C++ tests read the
files; nothing else does.
"""

import json
import random
import unicodedata
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

GOLDEN = Path(__file__).parent / "golden"
WORDS = (
    "def forward(self, hidden): return self.norm(hidden) the router chooses experts for every token "
    "in the layer and the the loss of the batch is 3.14 or 1024 it's we've Größe naïve café straße "
    "日本語の文章 中文字符 한국어 Привет мир 😀😁 import numpy as np\n\tfor i in range(10):\n        print(i)\n"
)
LLAMA = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
BEGIN = "<｜begin▁of▁sentence｜>"


def byte_level(use_regex=False):
    return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=use_regex)


def sequence(*steps):
    return pre_tokenizers.Sequence([*steps, byte_level()])


def isolate(pattern):
    return pre_tokenizers.Split(Regex(pattern), "isolated")


def make_corpus():
    rng = random.Random(1)
    words = WORDS.split(" ")
    return [" ".join(rng.choice(words) for _ in range(200)) for _ in range(50)]


def train(pre_tokenizer, special, ignore_merges=False, vocab_size=440):
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=vocab_size, special_tokens=special, show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(make_corpus(), trainer)
    return tokenizer


MARK = "▁"
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
PIECES = (decoders.Replace(MARK, " "), decoders.ByteFallback(), decoders.Fuse())


def train_characters(byte_tokens, **model):
    """As SentencePiece's vocabularies are written since LLaMA: characters, few of them known, and tokens for bytes."""
    special = ["<unk>", "<s>", "</s>"]
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=bool(byte_tokens), **model))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(MARK)
    tokenizer.train_from_iterator(make_corpus(), trainers.BpeTrainer(
        vocab_size=480, special_tokens=special + byte_tokens, limit_alphabet=50, show_progress=False))
    document = json.loads(tokenizer.to_str())
    document["added_tokens"] = document["added_tokens"][:len(special)]
    tokenizer = Tokenizer.from_str(json.dumps(document))
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return tokenizer


def make_character_tokenizers():
    llama2 = train_characters(BYTES, fuse_unk=True)
    llama2.normalizer = normalizers.Sequence([normalizers.Prepend(MARK), normalizers.Replace(" ", MARK)])
    llama2.pre_tokenizer = None
    llama2.decoder = decoders.Sequence([*PIECES, decoders.Strip(" ", 1, 0)])
    llama2.add_tokens([AddedToken("<hole>", normalized=False), AddedToken("the loss", normalized=True)])
    yield "llama2", llama2

    mistral = train_characters(BYTES)
    mistral.pre_tokenizer = pre_tokenizers.Metaspace(MARK, prepend_scheme="first", split=False)
    mistral.decoder = decoders.Sequence([*PIECES, decoders.Strip(" ", 1, 0)])
    mistral.add_tokens([AddedToken("<hole>", normalized=False), AddedToken("the loss", normalized=True)])
    yield "mistral", mistral

    # Without tokens for some bytes, and then for all.
    holes = train_characters([token for token in BYTES if not token.startswith("<0xE")], fuse_unk=True)
    holes.normalizer = normalizers.Replace(" ", MARK)
    holes.pre_tokenizer = None
    holes.decoder = decoders.Sequence([*PIECES])
    yield "holes", holes
    for fuse in (False, True):
        marks = train_characters([], fuse_unk=fuse, ignore_merges=fuse)
        marks.pre_tokenizer = pre_tokenizers.Sequence([
            pre_tokenizers.Metaspace(MARK, prepend_scheme="always"), pre_tokenizers.Digits(individual_digits=True)])
        marks.decoder = decoders.Metaspace(MARK, prepend_scheme="always")
        yield "marks_fused" if fuse else "marks", marks


def make_tokenizers():
    yield "gpt2", train(byte_level(use_regex=True), ["<|endoftext|>"])

    deepseek = train(
        sequence(isolate(r"[\r\n]"), isolate(r"\s?\p{L}+"), isolate(r"\s?[!-/:-~！-／：-～‘-‟　-。]+"),
                 isolate(r"\s+$"), isolate("[一-龥ࠀ-一가-퟿]+"), pre_tokenizers.Digits(individual_digits=True)),
        [BEGIN, "<｜end▁of▁sentence｜>"])
    deepseek.post_processor = processors.TemplateProcessing(single=f"{BEGIN} $A", special_tokens=[(BEGIN, 0)])
    deepseek.add_tokens([AddedToken("<hole>", normalized=False), AddedToken("the loss", normalized=True)])
    yield "deepseek", deepseek

    llama = train(sequence(isolate(LLAMA)), ["<|begin|>", "<|endoftext|>", "<|end", "<|endoftext|>x"], True)
    llama.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=False),
        processors.TemplateProcessing(single="<|begin|> $A <|endoftext|>",
                                      special_tokens=[("<|begin|>", 0), ("<|endoftext|>", 1)])])
    yield "llama", llama

    yield "digits", train(sequence(pre_tokenizers.Digits(individual_digits=False)), [])
    for behavior in ("removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous"):
        for invert in (False, True):
            steps = sequence(pre_tokenizers.Split("e", behavior, invert=invert),
                             pre_tokenizers.Split(Regex(r"(?=[A-Z])|\d"), behavior))
            yield f"split_{behavior}" + ("_inverted" if invert else ""), train(steps, [], vocab_size=290)
    yield from make_character_tokenizers()


def make_texts():
    texts = [
        "", " ", "\n", "\r\n", "a", "  a  b ", "\t\tx\n\n\n y   \n", "it's I'LL we've 'S ''s", "12345 3.14 ١٢٣ Ⅷ ½ ²",
        "seeeen THE Experts e1e2", "the losses, the loss the lost", "<|endoftext|>",
        "x<|endoftext|>x y<|end<|endoftext|><|begin|>", f"{BEGIN}hi<hole>\n<hol", "a" * 300, "the" * 90, "\n" * 70,
        " " * 81 + "x", "😀" * 20, "👨‍👩‍👧‍👦 🇩🇪 ❤️", "e\u0301\u0327" * 9, "\u200b\u200d\ufeff\u00a0\u3000\u2028\u2029",
        "\x00\x01\x7f\x80\x85", WORDS,
    ]
    rng = random.Random(2)
    by_category = {}
    for code in range(0x110000):
        category = unicodedata.category(chr(code))
        # Characters that no Unicode version has assigned yet change their nature with the version.
        if category not in ("Cs", "Cn"):
            by_category.setdefault(category, []).append(chr(code))
    for category in sorted(by_category):
        characters = by_category[category]
        texts.append("".join(rng.choice(characters) + rng.choice([" ", "a", "1", "\n", "", "。"]) for _ in range(16)))
    return texts


def main():
    GOLDEN.mkdir(exist_ok=True)
    texts = make_texts()
    for name, tokenizer in make_tokenizers():
        golden = {
            "tokenizer": json.loads(tokenizer.to_str()),
            "texts": texts,
            "ids": [tokenizer.encode(text, add_special_tokens=False).ids for text in texts],
            "ids_with_template": [tokenizer.encode(text, add_special_tokens=True).ids for text in texts],
        }
        # Byte-level vocabularies give the text back.
        if name.partition("_")[0] in ("llama2", "mistral", "holes", "marks"):
            golden["decoded"] = [tokenizer.decode(ids, skip_special_tokens=True) for ids in golden["ids"]]
        tokenizer.encode_special_tokens = True
        golden["ids_without_special"] = [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]
        with open(GOLDEN / f"tokenizer_{name}.json", "w") as file:
            json.dump(golden, file, separators=(",", ":"))
            file.write("\n")


if __name__ == "__main__":
    main()
