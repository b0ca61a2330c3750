#include "train/expert_analysis.h"

#include <ATen/ATen.h>

#include <cmath>
#include <set>

#include "base/check.h"
#include "base/log.h"
#include "data/open_sources.h"
#include "model/routing_intervention.h"
#include "train/evaluate.h"

namespace granule {

namespace {

constexpr int64_t kSixteenths = 4;  // of figure 4

class Analyst {
 public:
  Analyst(const TrainedModel& trained, const std::vector<NamedData>& sets, const AnalysisOptions& options)
      : trained_(trained), router_(trained.config.model.router) {
    const int64_t length = trained.config.train.seq_length;
    const int64_t max_samples =
        options.max_tokens > 0 ? std::max<int64_t>(1, options.max_tokens / length) : SampleSource::kEndless;
    for (const auto& set : sets) {
      auto data = trained.data();
      data.valid = {set.prefix};
      names_.push_back(set.prefix);
      loaders_.emplace_back(
          open_validation_source(data, length, trained.config.model.vocab_size, max_samples),
          options.batch_size * replica().size());
    }
  }

  Communicator& replica() const { return trained_.mesh->replica(); }
  std::vector<Loader>& loaders() { return loaders_; }

  SetLosses losses(const RoutingIntervention& intervention, std::vector<int64_t>* num_tokens = nullptr) {
    SetLosses losses;
    for (auto& loader : loaders_) {
      const auto result = evaluate(*trained_.model, replica(), loader, {}, intervention);
      if (result.num_tokens == 0) throw InputError(names_[losses.by_set.size()], kNothingCounts);
      losses.by_set.push_back(result.loss);
      losses.mean += result.loss / static_cast<double>(loaders_.size());
      if (num_tokens != nullptr) num_tokens->push_back(result.num_tokens);
    }
    return losses;
  }

  // Nothing where the intervention cannot be.
  std::optional<ChangedLosses> changed(const RoutingIntervention& intervention, const std::string& in_words) {
    try {
      check_intervention(router_, intervention);
    } catch (const ConfigError& error) {
      log_info(in_words + " left out: " + error.what());
      return std::nullopt;
    }
    ChangedLosses result{intervention, losses(intervention)};
    log_info(join_text(in_words, ": loss ", result.losses.mean));
    return result;
  }

 private:
  const TrainedModel& trained_;
  const RouterConfig& router_;
  std::vector<std::string> names_;  // the sets' prefixes
  std::vector<Loader> loaders_;
};

void change_routing(Analyst& analyst, const ModelConfig& model, ExpertAnalysis& analysis) {
  const auto& router = model.router;
  // Of few experts several shares are the same number, or none.
  std::set<int64_t> numbers;
  for (int64_t sixteenths = 1; sixteenths <= kSixteenths; ++sixteenths) {
    numbers.insert(
        std::llround(static_cast<double>(router.n_routed_experts) * static_cast<double>(sixteenths) / 16));
  }
  numbers.erase(0);
  for (const int64_t num_disabled : numbers) {
    auto result =
        analyst.changed({.num_disabled = num_disabled}, join_text(num_disabled, " top experts disabled"));
    if (result) analysis.disabled.push_back(std::move(*result));
  }
  for (int64_t k = router.num_experts_per_tok - 1; k > 0; --k) {
    auto result = analyst.changed({.num_chosen = k}, join_text(k, " routed experts a token"));
    if (result) analysis.fewer.push_back(std::move(*result));
  }
  if (model.n_shared_experts > 0) {
    analysis.replaced = analyst.changed(
        {.num_chosen = router.num_experts_per_tok + model.n_shared_experts, .shared_experts = false},
        "shared experts replaced by routed ones");
  }
}

}  // namespace

ExpertAnalysis analyze_experts(const TrainedModel& trained, const std::vector<NamedData>& sets,
                               const AnalysisOptions& options) {
  const auto& model = trained.config.model;
  if (model.num_routed_layers() == 0) {
    throw InputError(trained.checkpoint, "is a model without routed experts; there is nothing to analyze");
  }
  Analyst analyst(trained, sets, options);
  ExpertAnalysis analysis;
  analysis.sets = sets;
  analysis.layers = model.routed_layers();
  analysis.unchanged = analyst.losses({}, &analysis.num_tokens);
  log_info(join_text("as trained: loss ", analysis.unchanged.mean));
  if (model.router.is_hash()) {
    log_info("a hash router ranks no experts: only their use is counted");
  } else {
    change_routing(analyst, model, analysis);
  }
  for (auto& loader : analyst.loaders()) {
    analysis.use.push_back(expert_use(*trained.model, analyst.replica(), loader));
  }
  return analysis;
}

double domain_divergence(const std::vector<const ExpertUse*>& use_by_set) {
  const auto entropy = [](const at::Tensor& share_E) {
    return -at::xlogy(share_E, share_E).sum().item<double>();
  };
  at::Tensor mean_E;
  double mean_entropy = 0;
  const double weight = 1.0 / static_cast<double>(use_by_set.size());
  for (const auto* use : use_by_set) {
    const auto share_E = use->count_E.to(at::kDouble) / use->count_E.sum().clamp_min(1);
    mean_E = mean_E.defined() ? mean_E + share_E * weight : share_E * weight;
    mean_entropy += entropy(share_E) * weight;
  }
  return std::max(0.0, entropy(mean_E) - mean_entropy);
}

}  // namespace granule
