#include "train/expert_analysis_report.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <iomanip>
#include <sstream>

#include "train/expert_statistics.h"

namespace granule {

namespace {

// Of a set's column: its name and a space fit.
int width_of(const NamedData& set) {
  return std::max(12, static_cast<int>(set.name.size()) + 2);
}

void loss_table(std::ostream& out, const ModelConfig& model, const ExpertAnalysis& analysis) {
  const auto line = [&](const std::string& what, const SetLosses& losses) {
    out << "  " << std::left << std::setw(34) << what << std::right;
    for (size_t i = 0; i < losses.by_set.size(); ++i) {
      out << std::setw(width_of(analysis.sets[i])) << losses.by_set[i];
    }
    out << std::setw(12) << losses.mean << '\n';
  };
  out << "loss, nats per token" << std::setw(16) << "";
  for (const auto& set : analysis.sets) out << std::setw(width_of(set)) << set.name;
  out << std::setw(12) << "mean" << '\n';
  line("as trained", analysis.unchanged);
  for (const auto& changed : analysis.disabled) {
    line("top " + std::to_string(changed.intervention.num_disabled) + " of " +
             std::to_string(model.router.n_routed_experts) + " disabled",
         changed.losses);
  }
  for (const auto& changed : analysis.fewer) {
    line(std::to_string(changed.intervention.num_chosen) + " routed experts a token", changed.losses);
  }
  if (analysis.replaced) {
    line("no shared, " + std::to_string(analysis.replaced->intervention.num_chosen) + " routed experts",
         analysis.replaced->losses);
  }
}

// The experts of a layer that a set uses most beyond the mean over sets; empty if none.
std::string favourites(const ExpertAnalysis& analysis, size_t set, size_t layer) {
  constexpr int64_t kShown = 3;
  at::Tensor mean_E;
  const auto share_of = [](const ExpertUse& use) {
    return use.count_E.to(at::kDouble) / std::max<int64_t>(1, use.num_tokens);
  };
  for (const auto& uses : analysis.use) {
    const auto share_E = share_of(uses[layer]) / static_cast<double>(analysis.use.size());
    mean_E = mean_E.defined() ? mean_E + share_E : share_E;
  }
  const auto own_E = share_of(analysis.use[set][layer]);
  const auto excess_E = own_E - mean_E;
  const auto order_E = excess_E.argsort(/*dim=*/0, /*descending=*/true);
  std::ostringstream out;
  for (int64_t i = 0; i < std::min(kShown, order_E.numel()); ++i) {
    const auto e = order_E[i].item<int64_t>();
    if (std::lround(100 * excess_E[e].item<double>()) <= 0) break;
    out << (i > 0 ? ", " : "") << e << " (" << std::lround(100 * own_E[e].item<double>()) << " %)";
  }
  return out.str();
}

void use_table(std::ostream& out, const ExpertAnalysis& analysis) {
  for (size_t layer = 0; layer < analysis.layers.size(); ++layer) {
    std::vector<const ExpertUse*> uses;
    for (const auto& set : analysis.use) uses.push_back(&set[layer]);
    out << "layer " << analysis.layers[layer];
    if (uses.size() > 1) out << ", divergence between the sets " << domain_divergence(uses) << " nats";
    out << '\n';
    for (size_t set = 0; set < analysis.sets.size(); ++set) {
      const auto& use = *uses[set];
      const auto count_E = use.count_E.contiguous();
      const std::span<const int64_t> counts(count_E.data_ptr<int64_t>(),
                                            static_cast<size_t>(count_E.numel()));
      const auto statistics = expert_statistics(counts, 0, 0, use.num_tokens);
      out << "  " << std::left << std::setw(width_of(analysis.sets[set])) << analysis.sets[set].name
          << std::right << " busiest / mean expert " << statistics.load_imbalance;
      const auto liked = favourites(analysis, set, layer);
      if (!liked.empty()) out << ", more than others it uses experts " << liked;
      out << '\n';
    }
  }
}

}  // namespace

std::string analysis_as_text(const TrainedModel& trained, const ExpertAnalysis& analysis) {
  std::ostringstream out;
  out << std::fixed << std::setprecision(4);
  loss_table(out, trained.config.model, analysis);
  use_table(out, analysis);
  return out.str();
}

}  // namespace granule
