#include "model/hash_router.h"

#include <ATen/ATen.h>
#include <ATen/record_function.h>

#include "base/check.h"
#include "model/capacity.h"
#include "model/hash_table.h"

namespace granule {

HashRouter::HashRouter(const RouterConfig& config, int64_t vocab_size, at::TensorOptions options)
    : config_(config) {
  table_V_ = register_parameter(kHashTable, at::zeros({vocab_size}, options), /*requires_grad=*/false);
}

Routing HashRouter::route(const at::Tensor& /*x_TD*/, const SequenceLayout& layout,
                          const at::Tensor& chosen_TK) const {
  RECORD_USER_SCOPE("router");
  CHECK(layout.token_T.defined() && layout.token_T.numel() == layout.num_tokens(),
        "a hash router without token ids");
  Routing routing;
  const auto expert_T = table_V_.index({layout.token_T}).to(at::kLong);
  routing.chosen_TK =
      chosen_TK.defined() ? chosen_TK : expert_T.masked_fill(~layout.valid_T, -1).unsqueeze(1);
  routing.counted_TK = routing.chosen_TK;
  routing.expert_TK = drop_over_capacity(routing.chosen_TK, layout, config_.n_routed_experts,
                                         config_.moe_expert_capacity_factor);
  routing.gate_TK = at::full(routing.chosen_TK.sizes(), config_.routed_scaling_factor, table_V_.options());
  routing.probability_TE = at::zeros({layout.num_tokens(), config_.n_routed_experts}, table_V_.options())
                               .scatter_(1, expert_T.unsqueeze(1), 1.0);
  return routing;
}

}  // namespace granule
