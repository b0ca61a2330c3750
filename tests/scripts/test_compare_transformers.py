"""Which mode of the peer a precision is held against, and with what figures."""
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))
import compare_transformers  # noqa: E402


def runs(*speeds: float, gib: float = 1.0) -> list[dict]:
    return [{"tokens_per_s": speed, "peak_rss_gib": gib} for speed in speeds]


OURS = {"fp32": runs(200, 220, 900, gib=1.5), "bf16": runs(450, gib=1.4), "bf16, moments too": runs(480, gib=1.1)}
PEERS = {"fp32 grouped_mm": runs(90, 100, 500, gib=3.0), "fp32 eager": runs(80), "bf16 autocast": runs(150, gib=2.0)}


def test_fp32_is_held_against_the_best_fp32_mode_by_medians():
    row = compare_transformers.compare("tiny", "fp32", OURS, PEERS)
    assert row == {"model": "tiny", "precision": "fp32", "peer": "fp32 grouped_mm", "tokens_per_s": 220,
                   "peer_tokens_per_s": 100, "ratio": 2.2, "peak_rss_gib": 1.5, "peer_peak_rss_gib": 3.0}


def test_bf16_is_held_against_the_best_of_any_precision():
    row = compare_transformers.compare("tiny", "bf16", OURS, PEERS)
    assert (row["peer"], row["ratio"], row["peak_rss_gib"], row["peer_peak_rss_gib"]) == ("bf16 autocast", 3.0, 1.4, 2.0)
    without = {name: results for name, results in PEERS.items() if name.startswith("fp32")}
    assert compare_transformers.compare("tiny", "bf16", OURS, without)["peer"] == "fp32 grouped_mm"


def test_a_peer_with_moments_in_bf16_is_held_against_ours_with_the_same():
    row = compare_transformers.compare("tiny", "bf16", OURS, {**PEERS, "bf16 weights": runs(160)})
    assert (row["peer"], row["ratio"], row["peak_rss_gib"]) == ("bf16 weights", 3.0, 1.1)
    assert row["precision"] == "bf16"


def test_a_peer_that_never_ran_is_no_comparison():
    with pytest.raises(SystemExit, match="no mode of transformers ran"):
        compare_transformers.compare("tiny", "fp32", OURS, {"bf16 autocast": runs(1)})


def test_the_benchmarks_configs_are_read_as_numbers():
    config = compare_transformers.read_config("small")
    assert config["model"]["n_routed_experts"] == 64 and config["optimizer"]["lr"] == pytest.approx(1e-4)
