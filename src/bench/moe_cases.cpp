#include "bench/moe_cases.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/check.h"
#include "base/random.h"
#include "base/strict_json.h"
#include "bench/machine_limits.h"
#include "comm/device.h"
#include "comm/mesh.h"
#include "model/moe.h"
#include "ops/expert_mlp.h"

namespace granule {

namespace {

constexpr uint64_t kSeed = 1234;
constexpr uint64_t kMaxLoadsBytes = 1 << 20;

at::Tensor random_matrix(at::IntArrayRef shape, double scale, at::TensorOptions options, const char* name,
                         int rank) {
  const RandomStream stream(kSeed + static_cast<uint64_t>(rank), name);
  auto matrix = at::empty(shape, at::kFloat);
  auto* value = matrix.data_ptr<float>();
  for (int64_t i = 0; i < matrix.numel(); ++i)
    value[i] = static_cast<float>(scale * stream.normal(static_cast<uint64_t>(i)));
  return matrix.to(options.device(), options.dtype().toScalarType());
}

at::TensorOptions options_of(const MoeShape& shape, at::Device device) {
  return at::TensorOptions(device).dtype(shape.bf16 ? at::kBFloat16 : at::kFloat);
}

ModelConfig layer_config(const MoeShape& shape) {
  ModelConfig config;
  config.hidden_size = shape.hidden_size;
  config.num_attention_heads = 1;
  config.head_dim = 2;  // of no attention, whatever the layer's width
  config.moe_intermediate_size = shape.moe_intermediate_size;
  config.n_shared_experts = shape.n_shared_experts;
  config.router.n_routed_experts = shape.n_routed_experts;
  config.router.num_experts_per_tok = shape.num_experts_per_tok;
  config.check();
  return config;
}

// A layer with the gradients' buffers in place, as a training step has them.
struct LayerBench {
  LayerBench(World& world, const MoeShape& shape, at::Device device)
      : mesh(world, {.expert = world.size()}, device),
        layer(layer_config(shape), mesh.expert(), options_of(shape, device),
              options_of(shape, device).dtype(at::kFloat)) {
    const auto options = options_of(shape, device);
    x_TD = random_matrix({shape.tokens, shape.hidden_size}, 1, options, "x", world.rank()).requires_grad_();
    grad_y_TD = random_matrix({shape.tokens, shape.hidden_size}, 1e-3, options, "grad", world.rank());
    context.layout = SequenceLayout::rows(1, shape.tokens);
    decision.chosen_TK = choose_by_load(expert_loads(shape), shape.tokens, shape.num_experts_per_tok,
                                        kSeed + static_cast<uint64_t>(world.rank()))
                             .to(device);
    for (auto& parameter : layer.named_parameters()) {
      auto& weight = parameter.value();
      at::NoGradGuard no_grad;
      weight.copy_(random_matrix(weight.sizes(), 0.02, weight.options(), parameter.key().c_str(), 0));
      weight.mutable_grad() = at::zeros(weight.sizes(), weight.options().dtype(at::kFloat).requires_grad(false));
    }
  }

  at::Tensor forward() const { return layer.forward(x_TD, context, decision).y_TD; }

  Mesh mesh;
  Moe layer;
  at::Tensor x_TD, grad_y_TD;
  ForwardContext context;
  RoutingDecision decision;
};

// The experts of one rank alone, all of whose rows are there already, up to the sum for each token.
struct ExpertsBench {
  ExpertsBench(const MoeShape& shape, const at::Tensor& chosen_TK)
      : order(order_rows(chosen_TK, shape.n_routed_experts)) {
    const auto options = options_of(shape, chosen_TK.device());
    const int64_t E = shape.n_routed_experts, D = shape.hidden_size, F = shape.moe_intermediate_size;
    x_TD = random_matrix({shape.tokens, D}, 1, options, "x", 0).requires_grad_();
    grad_y_TD = random_matrix({shape.tokens, D}, 1e-3, options, "grad", 0);
    const double share = 1.0 / static_cast<double>(shape.num_experts_per_tok);
    scale_N = at::full({order.num_rows()}, share, options.dtype(at::kFloat)).requires_grad_();
    weights = {random_matrix({E, F, D}, 0.02, options, "gate", 0),
               random_matrix({E, F, D}, 0.02, options, "up", 0),
               random_matrix({E, D, F}, 0.02, options, "down", 0)};
    for (auto* weight : {&weights.gate_eFD, &weights.up_eFD, &weights.down_eDF}) {
      weight->requires_grad_();
      weight->mutable_grad() = at::zeros(weight->sizes(), options.dtype(at::kFloat));
    }
  }

  at::Tensor forward() const { return expert_mlp(x_TD, order, scale_N, weights); }

  RowOrder order;
  at::Tensor x_TD, scale_N, grad_y_TD;
  ExpertWeights weights;
};

}  // namespace

void check_experts(int64_t num_experts, int64_t num_chosen, int num_ranks) {
  if (num_chosen > num_experts) {
    throw ConfigError("--top-k", num_chosen, "must not exceed --experts = ", num_experts);
  }
  if (num_experts % num_ranks == 0) return;
  throw ConfigError("--experts", num_experts, join_text("must be a multiple of the ", num_ranks, " ranks"));
}

std::vector<double> expert_loads(const MoeShape& shape) {
  std::vector<double> load_E;
  if (shape.loads_file.empty()) {
    for (int64_t e = 0; e < shape.n_routed_experts; ++e)
      load_E.push_back(std::pow(static_cast<double>(e + 1), -shape.skew));
    return load_E;
  }
  const auto json = read_strict_json(shape.loads_file, kMaxLoadsBytes);
  const bool numbers = json.is_array() && std::all_of(json.begin(), json.end(), [](const auto& load) {
                         return load.is_number() && load.template get<double>() >= 0;
                       });
  if (!numbers || static_cast<int64_t>(json.size()) != shape.n_routed_experts) {
    throw InputError(shape.loads_file, join_text("must be a JSON array of ", shape.n_routed_experts,
                                                 " numbers, the load of each expert"));
  }
  load_E = json.get<std::vector<double>>();
  const auto used = std::count_if(load_E.begin(), load_E.end(), [](double load) { return load > 0; });
  if (used < shape.num_experts_per_tok) {
    throw InputError(shape.loads_file,
                     join_text("has only ", used, " experts with any load, but every token chooses ",
                               shape.num_experts_per_tok));
  }
  return load_E;
}

// The K largest of log(load) plus Gumbel noise are a sample without replacement in proportion to the loads.
at::Tensor choose_by_load(const std::vector<double>& load_E, int64_t num_tokens, int64_t num_chosen,
                          uint64_t seed) {
  const auto E = static_cast<int64_t>(load_E.size());
  CHECK(num_chosen <= E, num_chosen, " of ", E, " experts");
  const RandomStream stream(seed, "choose_by_load");
  auto key_TE = at::empty({num_tokens, E}, at::kFloat);
  auto* key = key_TE.data_ptr<float>();
  for (int64_t i = 0; i < key_TE.numel(); ++i) {
    const double uniform = stream.uniform(static_cast<uint64_t>(i)) + 1e-18;
    key[i] = static_cast<float>(std::log(load_E[static_cast<size_t>(i % E)]) - std::log(-std::log(uniform)));
  }
  return std::get<1>(key_TE.topk(num_chosen, 1));
}

std::vector<TimedCase> moe_cases(World& world, const MoeShape& shape) {
  check_experts(shape.n_routed_experts, shape.num_experts_per_tok, world.size());
  const auto device = open_device(world, shape.device);
  const auto layer = std::make_shared<LayerBench>(world, shape, device);
  world.all().barrier();
  const double limit = device.is_cpu()
                           ? measure_machine_limits().flops(shape.bf16)
                           : measure_matrix_flops(device, layer->x_TD.scalar_type());
  const double expert_flops =
      6.0 * static_cast<double>(shape.tokens * shape.hidden_size * shape.moe_intermediate_size);

  std::vector<TimedCase> cases;
  add_differentiable_cases(
      cases, "layer", [layer] { return layer->forward(); }, layer->grad_y_TD, {layer->x_TD},
      expert_flops * static_cast<double>(shape.num_experts_per_tok + shape.n_shared_experts), limit);
  if (world.size() == 1) {
    const auto experts = std::make_shared<ExpertsBench>(shape, layer->decision.chosen_TK);
    add_differentiable_cases(
        cases, "routed experts", [experts] { return experts->forward(); }, experts->grad_y_TD,
        {experts->x_TD, experts->scale_N}, expert_flops * static_cast<double>(shape.num_experts_per_tok),
        limit);
  }
  return cases;
}

}  // namespace granule
