#pragma once
// The rows of the table of architectures, each in a source file of its name.

#include "interchange/architecture.h"

namespace granule {

/// Dense models (LLaMA 2, DeepSeek LLM 7B and 67B), also those whose experts are all shared.
Architecture llama_architecture();
/// Softmax routers with shared experts: DeepSeekMoE as it is. Its shared MLP is weighted by sigmoid(g x);
/// with g = 0 that is 1/2, and down projections stored twice as large make up for it, both exactly.
Architecture qwen2_moe_architecture();
/// Sigmoid routers with selection bias and groups, in the style of DeepSeek-V3.
Architecture glm4_moe_architecture();
/// Softmax routers whose gates are divided by their sum, without shared experts.
Architecture mixtral_architecture();
/// deepseek-moe-16b: the names are Granule's own. Its code lies beside the public weights, not in
/// transformers.
Architecture deepseek_architecture();

}  // namespace granule
