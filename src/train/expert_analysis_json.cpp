#include <ATen/ATen.h>

#include <nlohmann/json.hpp>

#include "train/expert_analysis_report.h"

namespace granule {

namespace {

using Json = nlohmann::ordered_json;

template <class T>
std::vector<T> values_of(const at::Tensor& tensor) {
  const auto flat = tensor.contiguous();
  return {flat.data_ptr<T>(), flat.data_ptr<T>() + flat.numel()};
}

Json losses_json(const ExpertAnalysis& analysis, const SetLosses& losses) {
  Json json;
  for (size_t i = 0; i < analysis.sets.size(); ++i) json[analysis.sets[i].name] = losses.by_set[i];
  return {{"loss", losses.mean}, {"by_set", json}};
}

Json changed_json(const ExpertAnalysis& analysis, const ChangedLosses& changed) {
  Json json{{"disabled", changed.intervention.num_disabled},
            {"chosen", changed.intervention.num_chosen},
            {"shared", changed.intervention.shared_experts}};
  json.update(losses_json(analysis, changed.losses));
  return json;
}

Json changed_json(const ExpertAnalysis& analysis, const std::vector<ChangedLosses>& all) {
  auto json = Json::array();
  for (const auto& changed : all) json.push_back(changed_json(analysis, changed));
  return json;
}

Json use_json(const ExpertUse& use) {
  auto pairs = Json::array();
  for (int64_t e = 0; e < use.pair_EE.size(0); ++e) pairs.push_back(values_of<int64_t>(use.pair_EE[e]));
  return {{"tokens", use.num_tokens},
          {"tokens_per_expert", values_of<int64_t>(use.count_E)},
          {"probability", values_of<double>(use.probability_E)},
          {"gate", values_of<double>(use.gate_E)},
          {"chosen_together", pairs}};
}

Json layers_json(const ExpertAnalysis& analysis) {
  auto layers = Json::array();
  for (size_t i = 0; i < analysis.layers.size(); ++i) {
    Json sets;
    std::vector<const ExpertUse*> uses;
    for (size_t set = 0; set < analysis.sets.size(); ++set) {
      uses.push_back(&analysis.use[set][i]);
      sets[analysis.sets[set].name] = use_json(analysis.use[set][i]);
    }
    layers.push_back(
        {{"layer", analysis.layers[i]}, {"divergence", domain_divergence(uses)}, {"sets", sets}});
  }
  return layers;
}

}  // namespace

std::string analysis_as_json(const TrainedModel& trained, const ExpertAnalysis& analysis) {
  const auto& model = trained.config.model;
  auto sets = Json::array();
  for (size_t i = 0; i < analysis.sets.size(); ++i) {
    sets.push_back({{"name", analysis.sets[i].name},
                    {"data", analysis.sets[i].prefix},
                    {"tokens", analysis.num_tokens[i]}});
  }
  const Json json{
      {"checkpoint", trained.checkpoint},
      {"n_routed_experts", model.router.n_routed_experts},
      {"num_experts_per_tok", model.router.num_experts_per_tok},
      {"n_shared_experts", model.n_shared_experts},
      {"sets", sets},
      {"unchanged", losses_json(analysis, analysis.unchanged)},
      {"disabled_top_experts", changed_json(analysis, analysis.disabled)},
      {"fewer_experts", changed_json(analysis, analysis.fewer)},
      {"shared_replaced", analysis.replaced ? changed_json(analysis, *analysis.replaced) : Json()},
      {"layers", layers_json(analysis)}};
  return json.dump() + "\n";
}

}  // namespace granule
