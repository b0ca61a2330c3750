#pragma once
// The permutation at the heart of an MoE layer: rows of x sorted by expert, each token appearing once per
// chosen expert, and the way back. No row is ever scattered: both directions gather, so results do not
// depend on threads.

#include <ATen/core/Tensor.h>

#include <vector>

namespace granule {

/// N rows sorted by (group, source row), out of T source rows with K slots each. A slot may be dropped.
struct RowOrder {
  at::Tensor source_N;         ///< int64: the source row of each sorted row
  at::Tensor position_TK;      ///< int64: the sorted row of each slot, -1 if dropped
  std::vector<int64_t> end_G;  ///< rows of group g are [end_G[g-1], end_G[g])

  int64_t num_rows() const { return end_G.empty() ? 0 : end_G.back(); }
  /// The same order, its tensors in the memory of `device`.
  RowOrder to(at::Device device) const;
};

/// Sorts the slots of `group_TK` (int64, in [0, num_groups), -1 = dropped) by group, source order kept within
/// one. The order's tensors lie where `group_TK` does; its ends are fetched from there once.
RowOrder order_rows(const at::Tensor& group_TK, int64_t num_groups);

/// x_ND[n] = x_TD[source_N[n]]; differentiable: the gradient of a source row is the sum over its slots in
/// order.
at::Tensor gather_rows(const at::Tensor& x_TD, const RowOrder& order);

/// value_N: for each sorted row that of its slot; differentiable.
at::Tensor gather_slots(const at::Tensor& value_TK, const RowOrder& order);

/// out_TD[t] = sum over k of y_ND[position_TK[t,k]], k in order, dropped slots left out, sums at least fp32,
/// the result of the dtype of y_ND; not differentiable. May be y_ND itself where every row has one slot, in
/// order.
at::Tensor sum_slots(const at::Tensor& y_ND, const at::Tensor& position_TK);

/// The same, differentiable: the transpose of gather_rows.
at::Tensor combine_rows(const at::Tensor& y_ND, const RowOrder& order);

}  // namespace granule
