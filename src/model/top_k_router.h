#pragma once
// The learned router: score every expert, choose the K best, gate by their scores (arXiv 2401.06066, eq.
// 9-11; with sigmoid scores, groups and selection bias arXiv 2405.04434 and 2412.19437).

#include "model/router.h"

namespace granule {

class TopKRouter : public Router {
 public:
  TopKRouter(const RouterConfig& config, int64_t hidden_size, at::TensorOptions options);

  /// Logits and scores are fp32 (fp64 for fp64 weights) whatever the dtype of `x_TD`.
  Routing route(const at::Tensor& x_TD, const SequenceLayout& layout,
                const at::Tensor& chosen_TK) const override;

 private:
  at::Tensor scores(const at::Tensor& logit_TE) const;
  /// Score plus bias, -inf outside the best groups.
  at::Tensor merits(const at::Tensor& score_TE) const;
  /// From the scores alone: the bias never enters.
  at::Tensor gates(const at::Tensor& score_TE, const at::Tensor& chosen_TK) const;

  const RouterConfig config_;
  at::Tensor centroid_ED_;
  at::Tensor selection_bias_E_;  // if enabled; moved by update_selection_bias, not by gradients
};

}  // namespace granule
