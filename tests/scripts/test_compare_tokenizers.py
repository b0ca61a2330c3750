"""What scripts/compare_tokenizers.py reads."""
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))
import compare_tokenizers  # noqa: E402


def test_only_line_ends_part_texts(tmp_path):
    texts = ["one\u2028text\x85", "two\n"]
    path = tmp_path / "texts.jsonl"
    path.write_text("\n".join(json.dumps({"text": text}, ensure_ascii=False) for text in texts) + "\n\n", encoding="utf-8")
    assert compare_tokenizers.read_texts(path) == texts
