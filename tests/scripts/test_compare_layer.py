"""What is taken from both sides, and how it becomes a row."""
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))
import compare_layer  # noqa: E402


def case(name: str, aggregate: str, milliseconds: float) -> dict:
    return {"run_name": f"{name}/iterations:1/repeats:5/manual_time", "aggregate_name": aggregate, "real_time": milliseconds}


def test_medians_of_the_layer_alone_are_read_in_seconds():
    output = json.dumps({"benchmarks": [case("layer/forward", "mean", 9), case("layer/forward", "median", 20),
                                        case("layer/backward", "median", 50), case("routed experts/forward", "median", 1)]})
    assert compare_layer.read_medians(output) == {"forward": 0.02, "backward": 0.05}


def test_a_row_holds_medians_over_rounds_and_how_many_times_faster_we_are():
    ours = [{"forward": seconds, "backward": 0.2} for seconds in (0.1, 0.9, 0.1)]
    peers = [{"forward": 0.3, "backward": 0.1}] * 3
    assert compare_layer.compare("tiny", "bf16", ours, peers) == {
        "shape": "tiny", "precision": "bf16", "forward_ms": 100, "peer_forward_ms": 300, "forward_ratio": 3,
        "backward_ms": 200, "peer_backward_ms": 100, "backward_ratio": 0.5}
