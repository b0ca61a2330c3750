"""A trained model in transformers: Hugging Face's Qwen2Moe with the parameters of a run's checkpoint. The shared
experts fit with the gate trick: a gate of zeros halves, stored down projections are doubled."""
from pathlib import Path

import jobs
import torch
from transformers import Qwen2MoeConfig, Qwen2MoeForCausalLM


def make_twin(run: Path) -> Qwen2MoeForCausalLM:
    """Of a run with jobs.CONFIG's model, whatever its vocabulary."""
    parameters = {name.removeprefix("parameter/"): torch.from_numpy(values) for name, values
                  in jobs.tensors(jobs.newest_checkpoint(run)).items() if name.startswith("parameter/")}
    config = Qwen2MoeConfig(
        vocab_size=len(parameters["lm_head.weight"]), hidden_size=32, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2,
        intermediate_size=64, moe_intermediate_size=16, shared_expert_intermediate_size=32, num_experts=8,
        num_experts_per_tok=3, norm_topk_prob=False, decoder_sparse_step=1, mlp_only_layers=[0], rms_norm_eps=1e-6,
        rope_theta=10000.0, max_position_embeddings=64, use_sliding_window=False, tie_word_embeddings=False)
    config._attn_implementation = "eager"
    model = Qwen2MoeForCausalLM(config).float().eval()
    with torch.no_grad():
        copy_parameters(parameters, model)
    return model


def copy_parameters(parameters, model):
    target = model.state_dict()
    for name, values in target.items():
        if name.endswith("_proj.bias") or name.endswith("shared_expert_gate.weight"):
            values.zero_()
        elif name.endswith("mlp.experts.gate_up_proj"):
            layer = name.removesuffix("gate_up_proj")
            for expert in range(8):
                gate_up = [parameters[f"{layer}{expert}.{part}_proj.weight"] for part in ("gate", "up")]
                values[expert].copy_(torch.cat(gate_up))
        elif name.endswith("mlp.experts.down_proj"):
            layer = name.removesuffix("down_proj")
            for expert in range(8):
                values[expert].copy_(parameters[f"{layer}{expert}.down_proj.weight"])
        else:
            ours = parameters[name.replace(".shared_expert.", ".shared_experts.")]
            values.copy_(2 * ours if name.endswith("shared_expert.down_proj.weight") else ours)
