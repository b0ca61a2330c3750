#include "ops/row_order.h"

#include <ATen/ATen.h>
#include <ATen/Dispatch.h>
#include <ATen/OpMathType.h>
#include <ATen/Parallel.h>
#include <ATen/record_function.h>
#include <torch/csrc/autograd/custom_function.h>

#include "base/check.h"
#include "ops/element_types.h"
#include "ops/kernels.h"

namespace granule {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr int64_t kRowsPerTask = 32;

// out[t] = sum over k of y[position[t,k]].
template <class Value>
void sum_slots_by_loop(const Value* y, const int64_t* position, int64_t T, int64_t K, int64_t D, Value* out) {
  using Sum = at::opmath_type<Value>;
  at::parallel_for(0, T, kRowsPerTask, [&](int64_t begin, int64_t end) {
    std::vector<Sum> sum(static_cast<size_t>(D));
    for (int64_t t = begin; t < end; ++t) {
      std::fill(sum.begin(), sum.end(), Sum(0));
      for (int64_t k = 0; k < K; ++k) {
        const int64_t n = position[t * K + k];
        if (n < 0) continue;
        for (int64_t d = 0; d < D; ++d) sum[static_cast<size_t>(d)] += static_cast<Sum>(y[n * D + d]);
      }
      for (int64_t d = 0; d < D; ++d) out[t * D + d] = static_cast<Value>(sum[static_cast<size_t>(d)]);
    }
  });
}

// The same by the kernels, if they take these rows.
bool sum_by_kernels(const at::Tensor& y_ND, const at::Tensor& position_TK, at::Tensor& out_TD) {
  return with_kernel_element(y_ND, y_ND.size(1), [&]<class Element>(Element) {
    const SlotTask<Element> task{.K = position_TK.size(1),
                                 .D = y_ND.size(1),
                                 .position_TK = position_TK.const_data_ptr<int64_t>(),
                                 .y_ND = elements<Element>(y_ND),
                                 .out_TD = elements<Element>(out_TD)};
    at::parallel_for(0, position_TK.size(0), kRowsPerTask,
                     [&](int64_t begin, int64_t end) { kernels<Element>().sum_slots(task, begin, end); });
  });
}

bool is_identity(const int64_t* position, int64_t T) {
  for (int64_t t = 0; t < T; ++t) {
    if (position[t] != t) return false;
  }
  return true;
}

// By operators, for any device. Slot by slot in order, by gathering, so that sums are the same in every run.
at::Tensor sum_slots_by_operators(const at::Tensor& y_ND, const at::Tensor& position_TK) {
  const auto [T, K] = get_shape<2>(position_TK);
  const auto sum_dtype = y_ND.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  auto sum_TD = at::zeros({T, y_ND.size(1)}, y_ND.options().dtype(sum_dtype));
  if (y_ND.size(0) == 0) return sum_TD.to(y_ND.scalar_type());
  const bool some_dropped = y_ND.size(0) < T * K;
  if (K == 1 && !some_dropped) return y_ND.index_select(0, position_TK.select(1, 0));
  for (int64_t k = 0; k < K; ++k) {
    const auto position_T = position_TK.select(1, k);
    auto term_TD = y_ND.index_select(0, position_T.clamp_min(0)).to(sum_dtype);
    if (some_dropped) term_TD = term_TD.masked_fill(position_T.lt(0).unsqueeze(1), 0);
    sum_TD.add_(term_TD);
  }
  return sum_TD.to(y_ND.scalar_type());
}

// The slot of each sorted row: what position_TK says, read the other way.
at::Tensor slot_of_rows(const at::Tensor& position_TK, int64_t num_rows) {
  // Dropped slots share a place behind the rows.
  const auto place_S = position_TK.flatten();
  const auto slot_N = at::empty({num_rows + 1}, place_S.options());
  slot_N.scatter_(0, place_S.masked_fill(place_S.lt(0), num_rows),
                  at::arange(place_S.numel(), place_S.options()));
  return slot_N.narrow(0, 0, num_rows);
}

struct GatherRows : torch::autograd::Function<GatherRows> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x_TD, const at::Tensor& source_N,
                            const at::Tensor& position_TK) {
    RECORD_USER_SCOPE("row order");
    context->save_for_backward({position_TK});
    return at::index_select(x_TD, 0, source_N);
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    RECORD_USER_SCOPE("row order backward");
    const auto saved = context->get_saved_variables();
    return {sum_slots(gradients[0].contiguous(), saved[0]), at::Tensor(), at::Tensor()};
  }
};

struct CombineRows : torch::autograd::Function<CombineRows> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& y_ND, const at::Tensor& source_N,
                            const at::Tensor& position_TK) {
    RECORD_USER_SCOPE("row order");
    context->save_for_backward({source_N});
    return sum_slots(y_ND.contiguous(), position_TK);
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    RECORD_USER_SCOPE("row order backward");
    const auto saved = context->get_saved_variables();
    return {gradients[0].index_select(0, saved[0]), at::Tensor(), at::Tensor()};
  }
};

// By operators, for any device.
RowOrder order_rows_by_sorting(const at::Tensor& group_TK, int64_t num_groups) {
  const int64_t K = group_TK.size(1);
  // Dropped slots become a last group, which is cut off.
  const auto group_S = group_TK.flatten();
  const auto [sorted_S, slot_S] = at::sort(group_S.masked_fill(group_S.lt(0), num_groups), /*stable=*/true,
                                           /*dim=*/0, /*descending=*/false);
  const auto groups_G = at::arange(num_groups, group_S.options());
  const auto end_G = at::searchsorted(sorted_S, groups_G, /*out_int32=*/false, /*right=*/true).to(at::kCPU);
  RowOrder order;
  order.end_G.assign(end_G.const_data_ptr<int64_t>(), end_G.const_data_ptr<int64_t>() + num_groups);
  const auto slot_N = slot_S.narrow(0, 0, order.num_rows());
  order.source_N = slot_N.div(K, "floor");
  order.position_TK = at::full_like(group_S, -1)
                          .scatter_(0, slot_N, at::arange(order.num_rows(), group_S.options()))
                          .view(group_TK.sizes());
  return order;
}

}  // namespace

RowOrder RowOrder::to(at::Device device) const {
  const auto moved = [&](const at::Tensor& rows) {
    return rows.to(device, rows.scalar_type(), /*non_blocking=*/true);
  };
  return {moved(source_N), moved(position_TK), end_G};
}

RowOrder order_rows(const at::Tensor& group_TK, int64_t num_groups) {
  RECORD_USER_SCOPE("row order");
  const auto [T, K] = get_shape<2>(group_TK);
  if (!group_TK.is_cpu()) return order_rows_by_sorting(group_TK, num_groups);
  const auto group_contiguous_TK = group_TK.contiguous();
  const auto* group = group_contiguous_TK.const_data_ptr<int64_t>();

  RowOrder order;
  order.end_G.assign(static_cast<size_t>(num_groups), 0);
  for (int64_t slot = 0; slot < T * K; ++slot) {
    CHECK(group[slot] >= -1 && group[slot] < num_groups, "group ", group[slot], " of ", num_groups);
    if (group[slot] >= 0) ++order.end_G[static_cast<size_t>(group[slot])];
  }
  // After this loop end_G[g] is the next free row of group g, and once all rows are placed, its end.
  int64_t num_rows = 0;
  for (auto& end : order.end_G) {
    const int64_t count = end;
    end = num_rows;
    num_rows += count;
  }
  order.source_N = at::empty({num_rows}, at::kLong);
  order.position_TK = at::empty({T, K}, at::kLong);
  auto* source = order.source_N.mutable_data_ptr<int64_t>();
  auto* position = order.position_TK.mutable_data_ptr<int64_t>();
  for (int64_t slot = 0; slot < T * K; ++slot) {
    if (group[slot] < 0) {
      position[slot] = -1;
      continue;
    }
    const int64_t row = order.end_G[static_cast<size_t>(group[slot])]++;
    source[row] = slot / K;
    position[slot] = row;
  }
  return order;
}

at::Tensor gather_rows(const at::Tensor& x_TD, const RowOrder& order) {
  CHECK(order.position_TK.size(0) == x_TD.size(0), "order of ", order.position_TK.size(0), " rows, x has ",
        x_TD.size(0));
  return GatherRows::apply(x_TD, order.source_N, order.position_TK.contiguous());
}

at::Tensor gather_slots(const at::Tensor& value_TK, const RowOrder& order) {
  RECORD_USER_SCOPE("row order");
  CHECK(value_TK.sizes() == order.position_TK.sizes(), "values and slots differ in shape");
  return value_TK.flatten().index_select(0, slot_of_rows(order.position_TK, order.num_rows()));
}

at::Tensor sum_slots(const at::Tensor& y_ND, const at::Tensor& position_TK) {
  const auto [T, K] = get_shape<2>(position_TK);
  const int64_t D = y_ND.size(1);
  if (!y_ND.is_cpu()) return sum_slots_by_operators(y_ND, position_TK);
  const auto* position = position_TK.const_data_ptr<int64_t>();
  if (K == 1 && y_ND.size(0) == T && is_identity(position, T)) return y_ND;
  auto out_TD = at::empty({T, D}, y_ND.options());
  if (sum_by_kernels(y_ND, position_TK, out_TD)) return out_TD;
  AT_DISPATCH_FLOATING_TYPES_AND(at::kBFloat16, y_ND.scalar_type(), "rows", [&] {
    sum_slots_by_loop(y_ND.const_data_ptr<scalar_t>(), position, T, K, D,
                      out_TD.mutable_data_ptr<scalar_t>());
  });
  return out_TD;
}

at::Tensor combine_rows(const at::Tensor& y_ND, const RowOrder& order) {
  CHECK(y_ND.size(0) == order.num_rows(), "rows ", y_ND.size(0), ", order of ", order.num_rows());
  return CombineRows::apply(y_ND, order.source_N, order.position_TK.contiguous());
}

}  // namespace granule
