#pragma once
// The router of a Hash Layer (arXiv 2106.04426): the token's id alone decides, through a table that never
// changes. Its one expert has weight 1 (times routed_scaling_factor).

#include "model/router.h"

namespace granule {

class HashRouter : public Router {
 public:
  HashRouter(const RouterConfig& config, int64_t vocab_size, at::TensorOptions options);

  /// Needs `layout.token_T`; `x_TD` is not looked at. Probabilities are 1 for the chosen expert, without
  /// gradient.
  Routing route(const at::Tensor& x_TD, const SequenceLayout& layout,
                const at::Tensor& chosen_TK) const override;

 private:
  const RouterConfig config_;
  // An expert's number for each token id, filled by fill_hash_tables. A parameter without gradient, so that
  // checkpoints hold it: what a model learned stands with its table.
  at::Tensor table_V_;
};

}  // namespace granule
