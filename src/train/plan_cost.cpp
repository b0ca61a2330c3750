#include "train/plan_cost.h"

#include <cmath>

#include "comm/collective_log.h"
#include "comm/loopback_communicator.h"
#include "model/transformer.h"

namespace granule {

namespace {

ModelSize size_on_meta_device(const ModelConfig& config, const LoraConfig& lora) {
  LoopbackCommunicator alone("plan", std::make_shared<CollectiveLog>());
  Transformer model(config, alone, at::kBFloat16, at::kMeta);
  if (lora.is_on()) model.adapt(lora, /*seed=*/0);
  return measure_size(model);
}

// Parameters in the rows of learned routers that a token's gates come from, over all layers.
double chosen_router_rows(const ModelConfig& config, const ModelSize& size) {
  if (size.router == 0) return 0;
  return static_cast<double>(config.num_routed_layers() * config.router.num_experts_per_tok *
                             config.hidden_size);
}

double nominal_parameters(const ModelConfig& config, const ModelSize& size) {
  const auto h = static_cast<double>(config.hidden_size);
  const double routed =
      config.router.n_routed_experts > 0 ? static_cast<double>(config.router.num_experts_per_tok) : 0;
  const double experts = static_cast<double>(config.n_shared_experts) + routed;
  double parameters = static_cast<double>(config.vocab_size) * h + chosen_router_rows(config, size);
  for (int64_t layer = 0; layer < config.num_hidden_layers; ++layer) {
    const double width = config.has_experts(layer)
                             ? experts * nominal_width(config.moe_intermediate_size, config.hidden_size)
                             : nominal_width(config.intermediate_size, config.hidden_size);
    parameters += 4 * h * h + 3 * h * width;
  }
  return parameters;
}

double real_parameters(const ModelConfig& config, const ModelSize& size) {
  const int64_t matrices =
      size.logits_matrix() + size.attention + size.dense + size.shared + size.routed_activated;
  return static_cast<double>(matrices) + chosen_router_rows(config, size);
}

}  // namespace

double nominal_width(int64_t width, int64_t hidden_size) {
  constexpr double kParts = 40;
  constexpr double kLargestRounding = 256;
  const double part = 8.0 / 3.0 * static_cast<double>(hidden_size) / kParts;
  const auto real = static_cast<double>(width);
  const double nominal = std::round(real / part) * part;
  // Some widths are exact multiples, up to the last bits of the division.
  const double rounded_up_by = real - nominal;
  return nominal > 0 && rounded_up_by > -1e-6 && rounded_up_by < kLargestRounding ? nominal : real;
}

ModelCost measure_cost(const ModelConfig& config, int64_t seq_length, const LoraConfig& lora) {
  ModelCost cost;
  cost.size = size_on_meta_device(config, lora);
  const auto T = static_cast<double>(seq_length);
  const auto attention_width = static_cast<double>(config.num_attention_heads * config.head_dim_used());
  const double attention = 12 * static_cast<double>(config.num_hidden_layers) * attention_width * T * T;
  cost.flops.paper_nominal = 6 * nominal_parameters(config, cost.size) * T + attention;
  cost.flops.paper_real = 6 * real_parameters(config, cost.size) * T + attention;
  cost.flops.causal = training_flops_per_token(config, cost.size, seq_length) * T;
  return cost;
}

}  // namespace granule
