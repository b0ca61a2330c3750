"""scripts/ablation_data.py: what tells data of other content apart."""
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

import ablation_data  # noqa: E402
import ablation_suite  # noqa: E402


@pytest.mark.parametrize("name, size, place", [("x.idx", 100, 99), ("x.bin", 3 << 20, 2 << 20), ("x.bin", 1 << 30, 0),
                                               ("x.bin", 1 << 30, 1 << 29), ("x.bin", (1 << 30) + 5, (1 << 30) + 4),
                                               ("tokenizer.json", 10, 5), ("x", 100, 50)])
def test_a_fingerprint_changes_with_a_byte_of_any_file(tmp_path, name, size, place):
    def fingerprint() -> str:
        ablation_data.fingerprint.cache_clear()
        return ablation_data.fingerprint(str(tmp_path / "x"))

    found = [fingerprint()]
    with open(tmp_path / name, "wb") as file:
        file.truncate(size)
    found.append(fingerprint())
    with open(tmp_path / name, "r+b") as file:
        file.seek(place)
        file.write(b"!")
    found.append(fingerprint())
    assert len(set(found)) == 3
    (tmp_path / name).touch()
    assert fingerprint() == found[-1]


def test_all_data_of_a_config_are_in_its_key(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def key() -> str:
        ablation_data.fingerprint.cache_clear()
        return ablation_suite.Variant("x", {"data.train": ["chats.jsonl"], "data.valid": ["valid"], "data.tokenizer": "words",
                                            "model.moe_router_hash_counts": "counts",
                                            "checkpoint.load": "base"}, ranks=1).key()

    keys = {key()}
    for number, name in enumerate(("chats.jsonl", "valid.bin", "words", "counts"), 2):
        (tmp_path / name).write_text("made")
        keys.add(key())
        assert len(keys) == number, name
    (tmp_path / "base/checkpoints/step-0000001").mkdir(parents=True)
    (tmp_path / "base/checkpoints/step-0000001/manifest.json").write_text("hashes")
    assert key() not in keys
