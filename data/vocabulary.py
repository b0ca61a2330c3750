"""Vocabularies as tokenizer.json: byte-level BPE trained on text, the 256 bytes alone, or one that is given."""

import json

from sources import SourceError

END_OF_DOCUMENT = "<|endoftext|>"
CONFIG = "tokenizer_config.json"
# What models come with beside these two that says how their tokens are used.
SIDE_FILES = ["chat_template.jinja", "special_tokens_map.json", "generation_config.json", "added_tokens.json",
              "vocab.json", "merges.txt", "tokenizer.model"]

# Words with the space or sign before them, single digits, runs of signs, line breaks, other white space.
PATTERN = (
    r"'(?i:[sdmt]|ll|ve|re)(?!\p{L})|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def byte_level_tokenizer(model):
    from tokenizers import Regex, Tokenizer, decoders, pre_tokenizers

    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(PATTERN), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def train_bpe(texts, vocab_size, special_tokens):
    """Learns merges from an iterator of texts; special tokens take the first ids."""
    from tokenizers import models, pre_tokenizers, trainers

    tokenizer = byte_level_tokenizer(models.BPE())
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=2,
        special_tokens=special_tokens,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def byte_alphabet():
    """The character that stands for each byte, in order of bytes."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = iter(range(0x100, 0x200))
    return [chr(byte if byte in printable else next(others)) for byte in range(256)]


def byte_vocabulary(special_tokens):
    """The id of a byte is its value; special tokens follow."""
    from tokenizers import AddedToken, models

    tokenizer = byte_level_tokenizer(models.BPE(vocab={c: i for i, c in enumerate(byte_alphabet())}, merges=[]))
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special_tokens])
    return tokenizer


def side_files(tokenizer_file):
    """CONFIG and SIDE_FILES, as far as they lie beside a tokenizer.json."""
    return [path for path in map(tokenizer_file.with_name, [CONFIG, *SIDE_FILES]) if path.is_file()]


def configured_end(tokenizer_file):
    """eos_token of the tokenizer_config.json beside a tokenizer.json, if there is one."""
    path = tokenizer_file.with_name(CONFIG)
    if not path.is_file():
        return None
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise SourceError(f"{path}: no JSON: {error}") from error
    token = said.get("eos_token") if isinstance(said, dict) else None
    name = token.get("content") if isinstance(token, dict) else token
    return name if isinstance(name, str) else None


def given_tokenizer(path):
    """The tokenizer of a file, which reads documents whole whatever the file says of truncation and padding, and the id
    that ends a document."""
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:
        raise SourceError(f"{path}: {error}") from error
    configured = configured_end(path)
    end = tokenizer.token_to_id(configured or END_OF_DOCUMENT)
    if end is None:
        said = f"{configured}, the eos_token of" if configured else f"{END_OF_DOCUMENT}, nor is there an eos_token in"
        raise SourceError(f"{path}: has no token {said} the {CONFIG} beside it")
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer, end


def write_tokenizer_config(path):
    """What transformers' AutoTokenizer needs beside tokenizer.json."""
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": END_OF_DOCUMENT,
        "clean_up_tokenization_spaces": False,
    }
    path.write_text(json.dumps(config, indent=2) + "\n")
