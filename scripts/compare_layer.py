#!/usr/bin/env python3
"""One MoE layer beside transformers: forward and backward of router, experts and shared expert, Granule and Qwen2Moe's
block with grouped experts in turn, medians over rounds. Run it with the tests' Python environment
(docs/performance.md has the command), on a machine that does nothing else.

  scripts/compare_layer.py [--shapes tiny small 16b wide] [--precisions fp32 bf16] [--device cpu|cuda] [--rounds 3] [--json]
"""
import argparse
import json
import statistics
import sys
import time
from pathlib import Path

from side_by_side import add_options, measure_peer, run_granule

ROOT = Path(__file__).resolve().parent.parent
# Options of `granule bench moe`. tiny and small: those of configs/bench; 16b: DeepSeekMoE 16B; wide: 128 experts of 256.
SHAPES = {
    "tiny": {"tokens": 4096, "hidden": 256, "width": 176, "experts": 63, "top-k": 7, "shared": 1},
    "small": {"tokens": 4096, "hidden": 512, "width": 352, "experts": 64, "top-k": 6, "shared": 2},
    "16b": {"tokens": 4096, "hidden": 2048, "width": 1408, "experts": 64, "top-k": 6, "shared": 2},
    "wide": {"tokens": 24576, "hidden": 1536, "width": 256, "experts": 128, "top-k": 8, "shared": 0},
}
DTYPES = {"fp32": "float32", "bf16": "bfloat16"}
DIRECTIONS = ("forward", "backward")


def run_peer(arguments: dict) -> dict:
    """In a process of its own: median seconds of Qwen2Moe's block, weights in the precision."""
    import torch
    from transformers import Qwen2MoeConfig
    from transformers.models.qwen2_moe.modeling_qwen2_moe import Qwen2MoeSparseMoeBlock

    shape = arguments["shape"]
    torch.manual_seed(0)
    torch.set_num_threads(arguments["threads"])
    config = Qwen2MoeConfig(
        hidden_size=shape["hidden"], moe_intermediate_size=shape["width"], num_experts=shape["experts"],
        num_experts_per_tok=shape["top-k"], shared_expert_intermediate_size=shape["shared"] * shape["width"])
    config._experts_implementation = "grouped_mm"
    block = Qwen2MoeSparseMoeBlock(config)
    for parameter in block.parameters():
        torch.nn.init.normal_(parameter, std=0.02)
    place = {"device": arguments["device"], "dtype": getattr(torch, arguments["dtype"])}
    block = block.to(**place).train()
    x = torch.randn(1, shape["tokens"], shape["hidden"]).to(**place).requires_grad_()
    gradient = torch.randn_like(x) * 1e-3

    def seconds_of(work) -> tuple[float, object]:
        wait = torch.cuda.synchronize if arguments["device"] == "cuda" else lambda: None
        wait()
        begin = time.perf_counter()
        result = work()
        wait()
        return time.perf_counter() - begin, result

    seconds = {direction: [] for direction in DIRECTIONS}
    for _ in range(arguments["iterations"] + 1):
        for leaf in (x, *block.parameters()):
            leaf.grad = None
        forward, y = seconds_of(lambda: block(x))
        backward, _ = seconds_of(lambda: y.backward(gradient))
        seconds["forward"].append(forward)
        seconds["backward"].append(backward)
    return {direction: statistics.median(values[1:]) for direction, values in seconds.items()}


def measure_block(options, shape: str, precision: str) -> dict:
    result = measure_peer(__file__, {"shape": SHAPES[shape], "dtype": DTYPES[precision], "device": options.device,
                                     "threads": options.threads, "iterations": options.iterations})
    if "error" in result:
        sys.exit(f"{shape} {precision}: transformers' block did not run: {result['error']}")
    return result


def measure_granule(options, shape: str, precision: str) -> dict:
    sizes = [word for name, value in SHAPES[shape].items() for word in (f"--{name}", value)]
    return read_medians(run_granule(options, "bench", "moe", "--device", options.device, "--iterations", 1, "--repetitions",
                                    options.iterations, "--json", *(["--bf16"] if precision == "bf16" else []), *sizes))


def read_medians(output: str) -> dict:
    """Seconds of the layer in each direction, from the JSON of `granule bench moe`."""
    found = {}
    for case in json.loads(output)["benchmarks"]:
        name = case["run_name"].split("/")
        if name[0] == "layer" and case["aggregate_name"] == "median":
            found[name[1]] = case["real_time"] / 1e3
    return found


def compare(shape: str, precision: str, ours: list[dict], peers: list[dict]) -> dict:
    row = {"shape": shape, "precision": precision}
    for direction in DIRECTIONS:
        own, theirs = (statistics.median(result[direction] for result in results) for results in (ours, peers))
        row |= {f"{direction}_ms": round(own * 1e3, 2), f"peer_{direction}_ms": round(theirs * 1e3, 2),
                f"{direction}_ratio": round(theirs / own, 3)}
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", nargs="+", choices=list(SHAPES), default=["tiny", "small", "16b"])
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--iterations", type=int, default=5, help="of each round, after an untimed one")
    parser.add_argument("--granule", help="default: that of the build for the device")
    add_options(parser)
    options = parser.parse_args()
    options.granule = options.granule or str(ROOT / "build" / options.device / "granule")
    if options.peer:
        print(json.dumps(run_peer(json.loads(options.peer))))
        return
    rows = []
    for shape in options.shapes:
        for precision in options.precisions:
            ours, peers = [], []
            for _ in range(options.rounds):
                ours.append(measure_granule(options, shape, precision))
                peers.append(measure_block(options, shape, precision))
            rows.append(compare(shape, precision, ours, peers))
            print(f"{shape} {precision} done", file=sys.stderr)
    if options.json:
        print(json.dumps(rows, indent=2))
        return
    print(f"{'shape':6} {'':5} {'forward ms':>11} {'theirs':>9} {'ratio':>6} {'backward ms':>12} {'theirs':>9} {'ratio':>6}")
    for row in rows:
        print(f"{row['shape']:6} {row['precision']:5} {row['forward_ms']:11.1f} {row['peer_forward_ms']:9.1f} "
              f"{row['forward_ratio']:6.2f} {row['backward_ms']:12.1f} {row['peer_backward_ms']:9.1f} "
              f"{row['backward_ratio']:6.2f}")


if __name__ == "__main__":
    main()
