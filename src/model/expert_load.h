#pragma once
// How much each expert is used: what balance losses are made of. Counts are whole numbers without gradient;
// the gradient of a balance loss flows through the probabilities. Padding never counts.

#include <ATen/core/Tensor.h>

#include "model/forward_context.h"
#include "model/router.h"

namespace granule {

/// int64 [n]: how often each of 0 ... n - 1 is among the int64 `id`; negative ones are not counted. Waits for
/// no device.
at::Tensor count_ids(const at::Tensor& id, int64_t n);

/// The tokens over which a load is taken.
enum class LoadScope {
  kSequence,  ///< each sequence by itself
  kBatch,     ///< all tokens together
};

/// int64 [s, E + G + 1] for s sequences, or for the one batch: tokens that chose each expert (by
/// `counted_TK`), tokens that went to each of `num_groups` groups of experts (once, however many experts of
/// the group they chose), tokens. Sums of such counts are counts.
at::Tensor count_choices(const Routing& routing, const SequenceLayout& layout, LoadScope scope,
                         int64_t num_groups);

/// For s sequences, or for the one batch.
struct ExpertLoad {
  at::Tensor frequency_sE;  ///< f_i = E / (K T) * tokens that chose i; 1 if even
  at::Tensor reach_sG;      ///< G / T * tokens that went to group i; M if all went to M groups, evenly
  at::Tensor
      probability_sE;  ///< P_i: mean probability of i, times the weight of the sequence; differentiable
};

/// `count_sC` as by `count_choices`, of this micro-batch or, for kBatch, of more. For kSequence P_i is the
/// mean over the sequence times the context's sequence_weight, for kBatch the sum over this micro-batch times
/// its token_weight.
ExpertLoad expert_load(const Routing& routing, const ForwardContext& context, LoadScope scope,
                       const at::Tensor& count_sC);

}  // namespace granule
