#include "train/expert_use.h"

#include <ATen/ATen.h>

#include "base/check.h"
#include "model/router.h"
#include "train/step.h"

namespace granule {

namespace {

ExpertUse no_use(int64_t E) {
  return {0, at::zeros({E}, at::kLong), at::zeros({E, E}, at::kLong), at::zeros({E}, at::kDouble),
          at::zeros({E}, at::kDouble)};
}

// Probabilities and gates as sums; the means are taken at the end.
void add_routing(ExpertUse& use, const Routing& routing, const at::Tensor& valid_T) {
  const auto probability_TE = routing.probability_TE.to(at::kCPU, at::kDouble);
  const auto [T, E] = get_shape<2>(probability_TE);
  const auto valid_T1 = valid_T.cpu().unsqueeze(1);
  const auto slot_TK = routing.chosen_TK.cpu().clamp_min(0);
  // Whole numbers below 2^24, so exact in fp32 whatever the order of the sum.
  const auto chosen_TE = at::zeros({T, E}, at::kFloat).scatter_(1, slot_TK, 1.0).masked_fill_(~valid_T1, 0);
  const auto gate_TE = at::zeros({T, E}, at::kDouble)
                           .scatter_(1, slot_TK, routing.gate_TK.to(at::kCPU, at::kDouble))
                           .masked_fill_(~valid_T1, 0);
  use.num_tokens += valid_T.sum().item<int64_t>();
  use.count_E += chosen_TE.sum(0).to(at::kLong);
  use.pair_EE += at::matmul(chosen_TE.t(), chosen_TE).to(at::kLong);
  use.probability_E += probability_TE.masked_fill(~valid_T1, 0).sum(0);
  use.gate_E += gate_TE.sum(0);
}

void finish(ExpertUse& use, Communicator& replica) {
  use.num_tokens = replica.all_reduce_sum(use.num_tokens);
  for (auto* part : {&use.count_E, &use.pair_EE, &use.probability_E, &use.gate_E})
    replica.all_reduce_sum(*part);
  use.probability_E /= static_cast<double>(std::max<int64_t>(1, use.num_tokens));
  use.gate_E /= use.count_E.clamp_min(1);
}

}  // namespace

std::vector<ExpertUse> expert_use(const Transformer& model, Communicator& replica, Loader& loader) {
  const at::NoGradGuard no_grad;
  CHECK(loader.global_batch_size() % replica.size() == 0);
  const int64_t num_rows = loader.global_batch_size() / replica.size();
  std::vector<ExpertUse> uses;
  for (int64_t i = 0; i < model.config().num_routed_layers(); ++i) {
    uses.push_back(no_use(model.config().router.n_routed_experts));
  }
  for (int64_t step = 0; step < loader.num_steps(); ++step) {
    const auto rows = loader.load(step, replica.rank() * num_rows, num_rows);
    std::vector<Routing> routings;
    ForwardContext context{layout_of(rows).to(model.device())};
    context.routings = &routings;
    model.forward(rows.token_BS.to(model.device()), context);
    CHECK(routings.size() == uses.size());
    for (size_t i = 0; i < uses.size(); ++i) add_routing(uses[i], routings[i], context.layout.valid_T);
  }
  for (auto& use : uses) finish(use, replica);
  return uses;
}

}  // namespace granule
