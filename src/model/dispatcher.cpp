#include "model/dispatcher.h"

#include <ATen/ATen.h>

#include <numeric>

#include "base/check.h"
#include "comm/autograd_collectives.h"

namespace granule {

namespace {

// rows_re[r][e]: rows that rank r sends for our local expert e; they arrive rank by rank, expert by expert.
at::Tensor local_expert_of_rows(const at::Tensor& rows_re) {
  const auto [ranks, experts] = get_shape<2>(rows_re);
  return at::repeat_interleave(at::arange(experts, at::kLong).repeat({ranks}), rows_re.reshape({-1}));
}

std::vector<int64_t> to_vector(const at::Tensor& values) {
  const auto* begin = values.data_ptr<int64_t>();
  return {begin, begin + values.numel()};
}

}  // namespace

Dispatcher::Dispatcher(Communicator& group, int64_t num_experts)
    : group_(group),
      num_experts_(num_experts),
      num_local_experts_(num_experts / group.size()) {
  CHECK(num_experts % group.size() == 0, num_experts, " experts on ", group.size(), " ranks");
}

DispatchPlan Dispatcher::plan(const at::Tensor& expert_TK) const {
  DispatchPlan plan;
  plan.by_expert = order_rows(expert_TK, num_experts_);
  if (group_.size() == 1) {
    plan.by_local_expert = plan.by_expert;
    return plan;
  }
  auto send_re = at::empty({group_.size(), num_local_experts_}, at::kLong);
  std::adjacent_difference(plan.by_expert.end_G.begin(), plan.by_expert.end_G.end(), send_re.data_ptr<int64_t>());
  auto receive_re = at::empty_like(send_re);
  group_.all_to_all(send_re, receive_re);
  plan.send_rows = to_vector(send_re.sum(1));
  plan.receive_rows = to_vector(receive_re.sum(1));
  plan.by_local_expert =
      order_rows(local_expert_of_rows(receive_re).unsqueeze(1), num_local_experts_).to(expert_TK.device());
  return plan;
}

at::Tensor Dispatcher::dispatch(const at::Tensor& x_TD, const DispatchPlan& plan) const {
  if (group_.size() == 1) return x_TD;
  return all_to_all_rows(group_, gather_rows(x_TD, plan.by_expert), plan.send_rows, plan.receive_rows);
}

at::Tensor Dispatcher::dispatch_gates(const at::Tensor& gate_TK, const DispatchPlan& plan) const {
  const auto gate_N = gather_slots(gate_TK, plan.by_expert);
  if (group_.size() == 1) return gate_N;
  const auto gate_R1 = all_to_all_rows(group_, gate_N.unsqueeze(1), plan.send_rows, plan.receive_rows);
  return gather_slots(gate_R1, plan.by_local_expert);
}

at::Tensor Dispatcher::combine(const at::Tensor& y_RD, const DispatchPlan& plan) const {
  if (group_.size() == 1) return y_RD;
  return combine_rows(all_to_all_rows(group_, y_RD, plan.receive_rows, plan.send_rows), plan.by_expert);
}

}  // namespace granule
