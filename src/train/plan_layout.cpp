#include "train/plan_layout.h"

#include <algorithm>

namespace granule {

PlanLayout layout_of_config(const RunConfig& config, int64_t ranks) {
  const auto& parallel = config.parallel;
  const int64_t own_product = parallel.pipeline * std::max<int64_t>(1, parallel.data) * parallel.expert;
  return {.ranks = ranks > 0 ? ranks : own_product,
          .pipeline = parallel.pipeline,
          .expert = parallel.expert,
          .micro_batch_size = config.train.micro_batch_size,
          .recompute = config.train.recompute_granularity == "full"};
}

std::string layout_fault(const RunConfig& config, const PlanLayout& layout) {
  const int64_t layers = config.model.num_hidden_layers, experts = config.model.router.n_routed_experts;
  const int64_t sequences = config.train.global_batch_size;
  if (layout.ranks % layout.pipeline != 0) {
    return join_text(layout.pipeline, " stages do not divide ", layout.ranks, " ranks");
  }
  if (layout.pipeline > layers) return join_text(layout.pipeline, " stages, but ", layers, " layers");
  if (layout.replicas() % layout.expert != 0) {
    return join_text(layout.expert, " expert ranks do not divide the ", layout.replicas(),
                     " ranks of a stage");
  }
  if (const int64_t data = config.parallel.data; data > 0 && data != layout.data()) {
    return join_text("parallel.data = ", data, ", but ", layout.ranks, " ranks leave ", layout.data());
  }
  if (layout.expert > 1 && experts == 0) return "expert ranks without routed experts";
  if (experts % layout.expert != 0) {
    return join_text(layout.expert, " expert ranks do not divide ", experts, " routed experts");
  }
  if (const int64_t product = layout.replicas() * layout.micro_batch_size; sequences % product != 0) {
    return join_text("a global batch of ", sequences, " is no multiple of ", product, " = ",
                     layout.replicas(), " readers x micro-batch ", layout.micro_batch_size);
  }
  return "";
}

int64_t num_micro_batches(const RunConfig& config, const PlanLayout& layout) {
  return config.train.global_batch_size / (layout.replicas() * layout.micro_batch_size);
}

std::vector<PlanStage> split_stages(const ModelConfig& model, int64_t pipeline) {
  CHECK(pipeline >= 1 && pipeline <= model.num_hidden_layers, pipeline, " stages of ",
        model.num_hidden_layers, " layers");
  const int64_t even = model.num_hidden_layers / pipeline, left = model.num_hidden_layers % pipeline;
  std::vector<PlanStage> stages(static_cast<size_t>(pipeline));
  stages.front().first = true;
  stages.back().last = true;
  int64_t layer = 0;
  for (int64_t s = 0; s < pipeline; ++s) {
    auto& stage = stages[static_cast<size_t>(s)];
    const int64_t end = layer + even + (s >= 1 && s <= left ? 1 : 0);
    for (; layer < end; ++layer) ++(model.has_experts(layer) ? stage.expert_layers : stage.dense_layers);
  }
  CHECK(layer == model.num_hidden_layers, layer, " layers in stages");
  return stages;
}

}  // namespace granule
