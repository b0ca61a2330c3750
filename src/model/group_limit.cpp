#include "model/group_limit.h"

#include <ATen/ATen.h>

#include <limits>

#include "base/check.h"
#include "ops/top_k.h"

namespace granule {

at::Tensor limit_to_groups(const at::Tensor& score_TE, const RouterConfig& config) {
  const auto [T, E] = get_shape<2>(score_TE);
  const int64_t G = config.n_group;
  const auto score_TGe = score_TE.view({T, G, E / G});
  const int64_t best_experts = config.topk_method == "noaux_tc" ? 2 : 1;
  const auto group_score_TG = std::get<0>(score_TGe.topk(best_experts, 2)).sum(2);
  const auto open_TG = at::zeros({T, G}, score_TE.options().dtype(at::kBool))
                           .scatter_(1, top_k_ids(group_score_TG, config.topk_group), true);
  return score_TGe.masked_fill(~open_TG.unsqueeze(2), -std::numeric_limits<double>::infinity()).view({T, E});
}

}  // namespace granule
