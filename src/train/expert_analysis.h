#pragma once
// What the experts of a trained model are for (arXiv 2401.06066, section 4.5): its loss without the experts
// that each token ranks first, with fewer of them, with one more routed expert in place of the shared one;
// and which experts the tokens of several data sets go to. Nothing is trained.

#include <optional>
#include <string>
#include <vector>

#include "train/expert_use.h"
#include "train/trained_model.h"

namespace granule {

/// Token file of a domain, by a name of the user's.
struct NamedData {
  std::string name;
  std::string prefix;
};

/// Nats per token on each data set, and the mean over sets.
struct SetLosses {
  std::vector<double> by_set;
  double mean = 0;
};

/// Losses under an intervention.
struct ChangedLosses {
  RoutingIntervention intervention;
  SetLosses losses;
};

struct ExpertAnalysis {
  std::vector<NamedData> sets;
  std::vector<int64_t> num_tokens;  ///< of each set
  SetLosses unchanged;
  std::vector<ChangedLosses>
      disabled;  ///< figure 4: 1/16 ... 4/16 of the routed experts, rounded to the nearest
  std::vector<ChangedLosses> fewer;         ///< figure 5: K - 1 ... 1 routed experts
  std::optional<ChangedLosses> replaced;    ///< no shared experts, as many routed ones more
  std::vector<int64_t> layers;              ///< the model's routed_layers
  std::vector<std::vector<ExpertUse>> use;  ///< [set][i], of layer layers[i]
};

struct AnalysisOptions {
  int64_t batch_size = 8;  ///< sequences a rank runs at once
  int64_t max_tokens = 0;  ///< of each set, evenly spread; 0: all
};

/// Throws InputError for a model without routed experts. Hash-routed models are only observed: their router
/// ranks nothing. Interventions that leave a token too few experts are left out. Collective over the world.
ExpertAnalysis analyze_experts(const TrainedModel& trained, const std::vector<NamedData>& sets,
                               const AnalysisOptions& options);

/// How differently the sets use a layer's experts: Jensen-Shannon divergence, in nats, of the distributions
/// of their choices over the experts, each set with the same weight; 0 alike, at most ln(sets).
double domain_divergence(const std::vector<const ExpertUse*>& use_by_set);

}  // namespace granule
