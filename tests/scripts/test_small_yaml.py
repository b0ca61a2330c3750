"""The YAML that scripts read and write."""
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
import small_yaml  # noqa: E402


def test_yaml_subset_reads_and_writes():
    path = ROOT / "configs/ablations/base.yaml"
    flat = small_yaml.flatten(small_yaml.read_yaml(path))
    assert flat["model.hidden_size"] == 192 and isinstance(flat["optimizer.lr"], float)
    assert flat["data.weights"] == [0.5, 0.5] and flat["logger.tensorboard"] is False
    assert flat["train.precision"] == "bf16"


@pytest.mark.parametrize("text", ["a: 1\na: 2\n", "a:\n\tb: 1\n", "a: {b: 1}\n", "- a\n", "a: [1,\n  2]\n", "a: \"b\n",
                                  "  a: 1\n b: 2\n", "a: *b\n"])
def test_yaml_outside_the_subset_is_refused_with_its_line(tmp_path, text):
    path = tmp_path / "x.yaml"
    path.write_text(text)
    with pytest.raises(small_yaml.YamlError, match=re.escape(str(path)) + r":\d: "):
        small_yaml.read_yaml(path)


def test_yaml_strings_are_read_with_their_escapes(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text(r"""a: "x\x0a\ty \"z\" \\x41"  # "
b: 'it''s \n'
""")
    assert small_yaml.read_yaml(path) == {"a": 'x\n\ty "z" \\x41', "b": r"it's \n"}


def test_yaml_written_is_read_back(tmp_path):
    flat = {"run_dir": "a b", "model.x": 1, "model.y": 0.01, "data.train": ["p/q", "r"], "logger.z": False,
            "data.chat.keys.system": "", "data.chat.pattern.user": 'a "b" # \\n\n: é', "data.chat.template": "none"}
    path = tmp_path / "x.yaml"
    path.write_text(small_yaml.write_yaml(flat))
    assert small_yaml.flatten(small_yaml.read_yaml(path)) == flat


def test_characters_are_written_as_they_are_but_for_controls_and_line_ends(tmp_path):
    flat = {"run_dir": "naïve 日本語 😀 \0\n\x1b\x7f\x85\u2028"}
    text = small_yaml.write_yaml(flat)
    assert text == 'run_dir: "naïve 日本語 😀 \\u0000\\n\\u001b\\u007f\\u0085\\u2028"\n'
    path = tmp_path / "x.yaml"
    path.write_text(text, encoding="utf-8")
    assert small_yaml.read_yaml(path) == flat
    # Half of a pair is refused by the program, not by the encoding of the file.
    assert small_yaml.write_yaml({"run_dir": "\ud83d"}) == 'run_dir: "\\ud83d"\n'
