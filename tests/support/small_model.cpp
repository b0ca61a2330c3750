#include "tests/support/small_model.h"

#include <ATen/ATen.h>

#include "base/random.h"
#include "comm/loopback_communicator.h"

namespace granule {

Communicator& alone() {
  static LoopbackCommunicator communicator("alone", std::make_shared<CollectiveLog>());
  return communicator;
}

ModelConfig small_config() {
  ModelConfig config;
  config.vocab_size = 32;
  config.hidden_size = 16;
  config.num_hidden_layers = 3;
  config.num_attention_heads = 4;
  config.num_key_value_heads = 2;
  config.intermediate_size = 24;
  config.moe_intermediate_size = 8;
  config.n_shared_experts = 1;
  config.first_k_dense_replace = 1;
  config.router.n_routed_experts = 8;
  config.router.num_experts_per_tok = 3;
  config.balance.moe_aux_loss_coeff = 0.1;
  config.initializer_range = 0.3;
  return config;
}

void as_v3(RouterConfig& router) {
  router.scoring_func = "sigmoid";
  router.moe_router_enable_expert_bias = true;
  router.topk_method = "noaux_tc";
  router.n_group = 4;
  router.topk_group = 2;
  router.norm_topk_prob = true;
}

ModelConfig published_16b_config() {
  ModelConfig config;
  config.vocab_size = 102400;
  config.hidden_size = 2048;
  config.num_hidden_layers = 28;
  config.num_attention_heads = 16;
  config.intermediate_size = 10944;
  config.moe_intermediate_size = 1408;
  config.n_shared_experts = 2;
  config.first_k_dense_replace = 1;
  config.router.n_routed_experts = 64;
  config.router.num_experts_per_tok = 6;
  return config;
}

void fill_from_seed(torch::nn::Module& module, uint64_t seed, double std) {
  const at::NoGradGuard no_grad;
  for (auto& item : module.named_parameters()) {
    const RandomStream stream(seed, item.key());
    auto values = at::empty({item.value().numel()}, at::kDouble);
    for (int64_t i = 0; i < values.numel(); ++i) {
      values.data_ptr<double>()[i] = std * stream.normal(static_cast<uint64_t>(i));
    }
    item.value().copy_(values.view(item.value().sizes()));
  }
}

std::map<std::string, at::Tensor> pieces_of(const Transformer& model) {
  std::map<std::string, at::Tensor> pieces;
  for (const auto& parameter : model.placed_parameters()) {
    const auto flat = parameter.tensor.detach().view({-1});
    for (const auto& piece : parameter.pieces) {
      pieces[piece.name] = flat.narrow(0, piece.offset, c10::multiply_integers(piece.shape)).clone();
    }
  }
  return pieces;
}

at::Tensor some_tokens(at::IntArrayRef shape, int64_t vocab, uint64_t seed) {
  auto tokens = at::empty(shape, at::kLong);
  const RandomStream stream(seed, "tokens");
  for (int64_t i = 0; i < tokens.numel(); ++i) {
    tokens.data_ptr<int64_t>()[i] =
        static_cast<int64_t>(stream.below(static_cast<uint64_t>(vocab), static_cast<uint64_t>(i)));
  }
  return tokens;
}

}  // namespace granule
