#include "train/plan_memory.h"

#include <algorithm>

namespace granule {

namespace {

constexpr double kFp32Bytes = 4;
constexpr double kRemainderBytes = 2;  // of a master beside its bf16 parameter

// The share of `total` that `count` of `of` equal layers have.
double share(int64_t total, int64_t count, int64_t of) {
  return of == 0 ? 0 : static_cast<double>(total) * static_cast<double>(count) / static_cast<double>(of);
}

int64_t num_expert_layers(const ModelConfig& model) {
  int64_t count = 0;
  for (int64_t layer = 0; layer < model.num_hidden_layers; ++layer) count += model.has_experts(layer);
  return count;
}

// The largest of a stage's blocks, by `bytes_of(has_experts)`.
template <class Bytes>
double largest_block(const PlanStage& stage, const Bytes& bytes_of) {
  return std::max(stage.dense_layers > 0 ? bytes_of(false) : 0, stage.expert_layers > 0 ? bytes_of(true) : 0);
}

// Of a token, in the block of a stage that keeps most.
double largest_block_activations(const RunConfig& config, const PlanStage& stage) {
  return largest_block(stage, [&](bool has_experts) {
    return layer_activation_bytes(config.model, has_experts, element_bytes(config.train));
  });
}

double tokens_of(const RunConfig& config, const PlanLayout& layout) {
  return static_cast<double>(layout.micro_batch_size * config.train.seq_length);
}

double activation_bytes(const RunConfig& config, const PlanLayout& layout, const PlanStage& stage,
                        int64_t in_flight) {
  const auto& model = config.model;
  const int64_t e = element_bytes(config.train);
  const double dense = layer_activation_bytes(model, false, e);
  const double experts = layer_activation_bytes(model, true, e);
  const double whole =
      static_cast<double>(stage.dense_layers) * dense + static_cast<double>(stage.expert_layers) * experts;
  const double hidden = static_cast<double>(e * model.hidden_size);
  // A recomputed block keeps its input; one block at a time has all of its activations.
  const double live = largest_block_activations(config, stage);
  const auto flights = static_cast<double>(in_flight);
  double per_token =
      layout.recompute ? flights * hidden * static_cast<double>(stage.layers()) + live : flights * whole;
  // The last stage turns to backward at once: final norm's input and output of one micro-batch.
  if (stage.last) per_token += 2 * hidden;
  return per_token * tokens_of(config, layout);
}

// A step of one micro-batch: backward begins with all activations and the gradients of one block and of none,
// and ends with all gradients and the activations of one block.
double reused_bytes(const RunConfig& config, const ModelSize& size, const PlanLayout& layout,
                    const PlanStage& stage, double activations) {
  const auto gradients = [&](const PlanStage& part) {
    return kFp32Bytes * rank_parameters(config.model, size, part, layout.expert).trained().total();
  };
  const double of_one_block = largest_block(stage, [&](bool has_experts) {
    return gradients(has_experts ? PlanStage{.expert_layers = 1} : PlanStage{.dense_layers = 1});
  });
  const double of_no_block = gradients({.first = stage.first, .last = stage.last});
  const double to_come = gradients(stage) - of_no_block - of_one_block;
  const double to_go = activations - largest_block_activations(config, stage) * tokens_of(config, layout);
  return std::max(0.0, std::min(to_come, to_go));
}

}  // namespace

int64_t element_bytes(const TrainConfig& train) {
  return static_cast<int64_t>(c10::elementSize(train.dtype()));
}

RankParameters rank_parameters(const ModelConfig& model, const ModelSize& size, const PlanStage& stage,
                               int64_t expert_ranks) {
  const int64_t layers = model.num_hidden_layers, expert_layers = num_expert_layers(model);
  RankParameters parameters;
  parameters.matrices = share(size.attention, stage.layers(), layers) +
                        share(size.dense, stage.dense_layers, layers - expert_layers) +
                        share(size.shared, stage.expert_layers, expert_layers);
  if (stage.first || (stage.last && model.tie_word_embeddings)) {
    parameters.matrices += static_cast<double>(size.embedding);
  }
  if (stage.last) parameters.matrices += static_cast<double>(size.head);
  // Two norms a layer, one at the end.
  parameters.fp32 = share(size.norm, 2 * stage.layers() + (stage.last ? 1 : 0), 2 * layers + 1) +
                    share(size.router, stage.expert_layers, expert_layers);
  parameters.experts =
      share(size.routed, stage.expert_layers, expert_layers) / static_cast<double>(expert_ranks);
  parameters.adapters = share(size.adapters, stage.layers(), layers);
  parameters.expert_adapters =
      share(size.routed_adapters, stage.expert_layers, expert_layers) / static_cast<double>(expert_ranks);
  return parameters;
}

RankParameters RankParameters::trained() const {
  if (adapters + expert_adapters == 0) return *this;
  return {.matrices = adapters, .experts = expert_adapters};
}

RankMemory state_bytes(const RankParameters& parameters, const Replication& replication,
                       int64_t element_bytes, int64_t moment_bytes) {
  const auto e = static_cast<double>(element_bytes);
  const double moments = 2 * static_cast<double>(moment_bytes);
  const double own_state = moments + (element_bytes == 2 ? kRemainderBytes : 0);
  const auto replicas = static_cast<double>(replication.replicated),
             copies = static_cast<double>(replication.experts);
  const auto trained = parameters.trained();
  return {.parameters = e * (parameters.total() - parameters.fp32) + kFp32Bytes * parameters.fp32,
          .gradients = kFp32Bytes * trained.total(),
          .optimizer = own_state * (trained.matrices / replicas + trained.experts / copies) +
                       moments * trained.fp32 / replicas};
}

double layer_activation_bytes(const ModelConfig& model, bool has_experts, int64_t element_bytes) {
  const int64_t h = model.hidden_size, f = model.moe_intermediate_size;
  const int64_t query = model.num_attention_heads * model.head_dim_used();
  const int64_t key = model.num_key_value_heads_used() * model.head_dim_used();
  const int64_t experts = model.router.n_routed_experts;
  int64_t elements = 4 * h + 2 * query + 2 * key;
  if (!has_experts) return static_cast<double>(element_bytes * (elements + 3 * model.intermediate_size));
  elements += 3 * f * model.n_shared_experts;
  if (experts > 0) elements += model.router.num_experts_per_tok * (2 * h + 3 * f);
  return static_cast<double>(element_bytes * elements) + 3 * kFp32Bytes * static_cast<double>(experts);
}

RankMemory stage_memory(const RunConfig& config, const ModelSize& size, const PlanLayout& layout,
                        int64_t index) {
  const auto stage = split_stages(config.model, layout.pipeline).at(static_cast<size_t>(index));
  const auto parameters = rank_parameters(config.model, size, stage, layout.expert);
  auto memory = state_bytes(parameters, {layout.replicas(), layout.data()}, element_bytes(config.train),
                            moment_bytes(config.optimizer));
  const int64_t in_flight = std::min(num_micro_batches(config, layout), layout.pipeline - index);
  memory.activations = activation_bytes(config, layout, stage, in_flight);
  if (num_micro_batches(config, layout) == 1) {
    memory.reused = reused_bytes(config, size, layout, stage, memory.activations);
  }
  return memory;
}

RankMemory largest_memory(const RunConfig& config, const ModelSize& size, const PlanLayout& layout) {
  RankMemory largest;
  for (int64_t index = 0; index < layout.pipeline; ++index) {
    const auto memory = stage_memory(config, size, layout, index);
    if (memory.total() > largest.total()) largest = memory;
  }
  return largest;
}

int64_t moment_bytes(const OptimizerConfig& optimizer) {
  return static_cast<int64_t>(c10::elementSize(optimizer.moment_dtype()));
}

double checkpoint_bytes(const ModelSize& size, const OptimizerConfig& optimizer) {
  const double moments = 2 * static_cast<double>(moment_bytes(optimizer));
  return (kFp32Bytes + moments) * static_cast<double>(size.trained());
}

}  // namespace granule
