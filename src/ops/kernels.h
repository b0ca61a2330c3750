#pragma once
// The CPU kernels behind the operators: one table of functions per element type and instruction set. The
// loops are written once (the *_loops.h files) and compiled for each set in kernels_<set>.cpp, in a namespace
// of its own, so that no instruction of one set reaches another. Plain pointers, no LibTorch: row-major
// unless said otherwise.

#include <cstddef>
#include <cstdint>

#include "ops/team.h"

namespace granule {

/// A bf16 value as stored: the upper half of an fp32.
struct Bf16 {
  uint16_t bits;
};

/// One expert and the rows that go through it. Gradients may be null: not wanted.
template <class Element>
struct ExpertTask {
  int64_t D;  ///< a multiple of 16
  int64_t F;  ///< even
  int64_t rows;
  const Element* x_TD;
  const int64_t* source;  ///< row n of the task reads x_TD[source[n]] and grad_y_TD[source[n]]
  const float* scale;     ///< what the result of each row is multiplied by
  const Element *gate_FD, *up_FD, *down_DF;
  /// Gate and up before the activation, kept for backward: for each 16 columns f a block of all rows of the
  /// layer, a row being 16 values of gate and 16 of up, zeros where F has ended. Points at the task's first
  /// row of the first block.
  Element* gate_up;
  int64_t gate_up_stride;  ///< elements from one block to the next
  Element* y_RD;
  const Element* grad_y_TD;
  Element* grad_x_RD;
  float* grad_scale;
  float *grad_gate_FD, *grad_up_FD, *grad_down_DF;  ///< added to
};

/// One sequence and one of its G key heads, with the H / G query heads that read it. Token s sees the tokens
/// [first[s], s]; `first` never falls.
template <class Element>
struct AttentionTask {
  int64_t S, H, G, dim;  ///< dim a multiple of 16
  int64_t group;
  const int64_t* first;
  float scale;
  const Element *q_SHd, *k_SGd, *v_SGd;
  Element* out_SHd;
  float* log_sum_HS;  ///< log of the sum of exp(scores) of each row, for backward
  const Element* grad_out_SHd;
  Element *grad_q_SHd, *grad_k_SGd, *grad_v_SGd;
};

/// The vocabulary head over some of the tokens.
template <class Element>
struct HeadTask {
  int64_t D, V;  ///< D a multiple of 16
  int64_t rows;
  const int64_t* token;  ///< row n is token[n]; all else is indexed by token
  const Element *hidden_TD, *head_VD;
  const int64_t* label;
  float* loss_T;
  float* grad_hidden_TD;  ///< of the sum of losses; null: no gradients are wanted
  float* grad_head_VD;    ///< added to; may be null
};

/// y = x W^T, widths multiples of 16. Gradients may be null: not wanted.
template <class Element>
struct LinearTask {
  int64_t in, out, rows;
  const Element *x_RI, *weight_OI;
  Element* y_RO;
  const Element* grad_y_RO;
  Element* grad_x_RI;
  float* grad_weight_OI;  ///< added to
};

/// Sums of the rows of each token's K slots.
template <class Element>
struct SlotTask {
  int64_t K, D;  ///< D a multiple of 16, here and below
  const int64_t* position_TK;  ///< -1: dropped
  const Element* y_ND;
  Element* out_TD;
};

/// RMSNorm of rows.
template <class Element>
struct NormTask {
  int64_t D;
  float eps;
  const Element* x_TD;
  const float* weight_D;
  float* scale_T;  ///< 1 / root mean square, for backward
  Element* y_TD;
  const Element* grad_y_TD;
  Element* grad_x_TD;
};

/// Rotary embedding; `half` of the head's width a multiple of 16.
template <class Element>
struct RotaryTask {
  int64_t H, half;
  const float *cos_Pd, *sin_Pd;
  const int64_t* position_T;
  float direction;  ///< 1, or -1 to turn back
  const Element* x_THd;
  Element* y_THd;
};

/// AdamW over flat slices; Element is that of the moments. See ops/adamw_update.h for the formula.
template <class Element>
struct AdamWTask {
  float lr, beta1, beta2, eps, weight_decay, gradient_scale;
  float rest1, rest2;              ///< 1 - beta
  float correction1, correction2;  ///< 1 / (1 - beta^t)
  float* master;    ///< null: its halves are the next two (ops/master_weights.h)
  Bf16* parameter;
  int16_t* remainder;
  Element *m, *v;
  const float* gradient;
};

constexpr int64_t kPeakValues = 16;  ///< see Kernels::multiply_registers

template <class Element>
struct Kernels {
  /// Bytes that a task needs once (shared by its team), and once for each thread.
  size_t (*expert_shared_bytes)(int64_t D, int64_t F);
  size_t (*expert_thread_bytes)(int64_t D, int64_t F);
  void (*expert_forward)(const ExpertTask<Element>& task, const Team& team, std::byte* shared,
                         std::byte* own);
  void (*expert_backward)(const ExpertTask<Element>& task, const Team& team, std::byte* shared,
                          std::byte* own);

  /// Bytes of scratch for a task, which is one thread's.
  size_t (*attention_forward_bytes)(int64_t S, int64_t dim);
  size_t (*attention_backward_bytes)(int64_t S, int64_t dim);
  void (*attention_forward)(const AttentionTask<Element>& task, std::byte* own);
  void (*attention_backward)(const AttentionTask<Element>& task, std::byte* own);

  size_t (*head_shared_bytes)(int64_t D, int64_t V);
  size_t (*head_thread_bytes)(int64_t D, int64_t V);
  void (*head_losses)(const HeadTask<Element>& task, const Team& team, std::byte* shared, std::byte* own);

  size_t (*linear_shared_bytes)(int64_t in, int64_t out);
  size_t (*linear_thread_bytes)(int64_t in, int64_t out);
  void (*linear_forward)(const LinearTask<Element>& task, const Team& team, std::byte* shared,
                         std::byte* own);
  void (*linear_backward)(const LinearTask<Element>& task, const Team& team, std::byte* shared,
                          std::byte* own);

  /// Tokens or rows [begin, end) each.
  void (*sum_slots)(const SlotTask<Element>& task, int64_t begin, int64_t end);
  void (*normalize)(const NormTask<Element>& task, int64_t begin, int64_t end);
  void (*normalize_backward)(const NormTask<Element>& task, int64_t begin, int64_t end, float* grad_weight_D);
  void (*turn_heads)(const RotaryTask<Element>& task, int64_t begin, int64_t end);

  /// Elements [begin, end).
  void (*update_elements)(const AdamWTask<Element>& task, int64_t begin, int64_t end);

  /// The products of the tile from registers alone, as the limit of all the above; returns their
  /// floating-point operations. `values` [2 * kPeakValues] is read and written.
  double (*multiply_registers)(int64_t steps, float* values);
};

/// All of one instruction set.
struct KernelSet {
  Kernels<float> fp32;
  Kernels<Bf16> bf16;
};

/// The kernels of `kernel_isa()`; Element is float or Bf16.
template <class Element>
const Kernels<Element>& kernels();

}  // namespace granule
