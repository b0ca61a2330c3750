#!/usr/bin/env python3
"""Training speed beside transformers: whole steps (forward, backward, clipping, AdamW) of the same architecture, Granule
and each mode of Hugging Face's Qwen2Moe in turn, several rounds, medians. Run it with the tests' Python environment
(docs/performance.md has the command), on a machine that does nothing else.

  scripts/compare_transformers.py [--models tiny small] [--precisions fp32 bf16] [--rounds 3] [--threads 2] [--json]
"""
import argparse
import json
import resource
import statistics
import sys
import time
from pathlib import Path

from side_by_side import add_options, measure_peer, run_granule
from small_yaml import read_yaml

ROOT = Path(__file__).resolve().parent.parent
# What a mode of the peer changes: dtype of weights, autocast to bf16, torch.compile, how experts are run.
PEER_MODES = {
    "fp32 grouped_mm": {}, "fp32 eager": {"experts": "eager"}, "fp32 compiled": {"compile": True},
    "bf16 autocast": {"autocast": True}, "bf16 weights": {"dtype": "bfloat16"},
    "bf16 autocast compiled": {"autocast": True, "compile": True},
}


# Of ours; the peer's bf16 weights have moments in bf16 too, and are held against the same.
OUR_MODES = {
    "fp32": ["train.precision=fp32"], "bf16": ["train.precision=bf16"],
    "bf16, moments too": ["train.precision=bf16", "optimizer.moment_precision=bf16"],
}


def read_config(model: str) -> dict:
    return read_yaml(ROOT / f"configs/bench/{model}.yaml")


def run_peer(arguments: dict) -> dict:
    """In a process of its own: steps of Qwen2Moe with the shape of a config."""
    import torch
    from transformers import Qwen2MoeConfig, Qwen2MoeForCausalLM

    config = read_config(arguments["model"])
    shape, train = config["model"], config["train"]
    torch.manual_seed(0)
    torch.set_num_threads(arguments["threads"])
    peer_config = Qwen2MoeConfig(
        vocab_size=shape["vocab_size"], hidden_size=shape["hidden_size"], num_hidden_layers=shape["num_hidden_layers"],
        num_attention_heads=shape["num_attention_heads"], num_key_value_heads=shape["num_attention_heads"],
        intermediate_size=shape.get("intermediate_size", 704), moe_intermediate_size=shape["moe_intermediate_size"],
        shared_expert_intermediate_size=shape["n_shared_experts"] * shape["moe_intermediate_size"],
        num_experts=shape["n_routed_experts"], num_experts_per_tok=shape["num_experts_per_tok"], decoder_sparse_step=1,
        mlp_only_layers=list(range(shape.get("first_k_dense_replace", 0))), max_position_embeddings=train["seq_length"],
        output_router_logits=True, router_aux_loss_coef=shape["moe_aux_loss_coeff"], use_sliding_window=False)
    peer_config._attn_implementation = "sdpa"
    peer_config._experts_implementation = arguments.get("experts", "grouped_mm")
    model = Qwen2MoeForCausalLM(peer_config).to(getattr(torch, arguments.get("dtype", "float32"))).train()
    forward = torch.compile(model) if arguments.get("compile") else model
    optimizer = torch.optim.AdamW(model.parameters(), lr=config["optimizer"]["lr"], betas=(0.9, 0.95), weight_decay=0.1,
                                  fused=True)
    seconds = []
    for _ in range(arguments["steps"] + 1):
        ids = torch.randint(0, shape["vocab_size"], (train["global_batch_size"], train["seq_length"]))
        begin = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=arguments.get("autocast", False)):
            loss = forward(input_ids=ids, labels=ids).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        seconds.append(time.perf_counter() - begin)
    tokens = train["global_batch_size"] * train["seq_length"]
    return {"tokens_per_s": tokens / statistics.median(seconds[1:]),
            "peak_rss_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20}


def measure_mode(options, model: str, mode: dict) -> dict:
    return measure_peer(__file__, {"model": model, "threads": options.threads, "steps": options.steps, **mode})


def measure_granule(options, model: str, mode: str) -> dict:
    return json.loads(run_granule(options, "bench", "step", ROOT / f"configs/bench/{model}.yaml", *OUR_MODES[mode],
                                  "--steps", options.steps, "--json"))


def measure(options, model: str) -> tuple[dict, dict]:
    """Rounds of each mode of ours and of the peer, one after the other: {name: results}."""
    # bf16 is held against the peer's best of any precision.
    modes = {name: mode for name, mode in PEER_MODES.items() if "bf16" in options.precisions or name.startswith("fp32")}
    ours = {mode: [] for mode in OUR_MODES if mode.startswith(tuple(options.precisions))}
    peers = {name: [] for name in modes}
    for number in range(1, options.rounds + 1):
        for mode, results in ours.items():
            results.append(measure_granule(options, model, mode))
            report_round(number, model, f"ours {mode}", results[-1])
        for name, mode in modes.items():
            result = measure_mode(options, model, mode)
            report_round(number, model, name, result)
            if "error" not in result:
                peers[name].append(result)
    return ours, {name: results for name, results in peers.items() if results}


def report_round(number: int, model: str, name: str, result: dict) -> None:
    text = result.get("error") or f"{result['tokens_per_s']:.0f} tokens/s"
    print(f"round {number}: {model} {name}: {text}", file=sys.stderr)


def median_of(results: list[dict], key: str) -> float:
    return statistics.median(result[key] for result in results)


def own_mode(precision: str, peer: str) -> str:
    """Ours that is held against a mode of the peer: with moments as exact as its own."""
    return "bf16, moments too" if precision == "bf16" and peer == "bf16 weights" else precision


def compare(model: str, precision: str, ours: dict[str, list[dict]], peers: dict[str, list[dict]]) -> dict:
    """Ours against the peer's best mode: in fp32 of fp32 alone, in bf16 of any precision."""
    speed = {name: median_of(results, "tokens_per_s") for name, results in peers.items()
             if precision == "bf16" or name.startswith("fp32")}
    if not speed:
        sys.exit(f"{model} {precision}: no mode of transformers ran")
    best = max(speed, key=speed.get)
    own = ours[own_mode(precision, best)]
    own_speed = median_of(own, "tokens_per_s")
    return {"model": model, "precision": precision, "peer": best, "tokens_per_s": round(own_speed, 1),
            "peer_tokens_per_s": round(speed[best], 1), "ratio": round(own_speed / speed[best], 3),
            "peak_rss_gib": round(median_of(own, "peak_rss_gib"), 3),
            "peer_peak_rss_gib": round(median_of(peers[best], "peak_rss_gib"), 3)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=["tiny", "small"], default=["tiny", "small"])
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--granule", default=str(ROOT / "build/cpu/granule"))
    add_options(parser)
    options = parser.parse_args()
    if options.peer:
        print(json.dumps(run_peer(json.loads(options.peer))))
        return
    rows = []
    for model in options.models:
        ours, peers = measure(options, model)
        rows += [compare(model, precision, ours, peers) for precision in options.precisions]
    if options.json:
        print(json.dumps(rows, indent=2))
        return
    print(f"{'model':6} {'ours':17} {'tokens/s':>9}   {'transformers, best mode':24} {'tokens/s':>9} {'ratio':>6} {'GiB':>6} {'GiB':>6}")
    for row in rows:
        mode = own_mode(row["precision"], row["peer"])
        print(f"{row['model']:6} {mode:17} {row['tokens_per_s']:9.0f}   {row['peer']:24} "
              f"{row['peer_tokens_per_s']:9.0f} {row['ratio']:6.2f} {row['peak_rss_gib']:6.2f} {row['peer_peak_rss_gib']:6.2f}")


if __name__ == "__main__":
    main()
