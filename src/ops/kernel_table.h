#pragma once
// The end of each kernels_<set>.cpp: the table of this instruction set's kernels.

#include "ops/adamw_loops.h"
#include "ops/attention_backward_loops.h"
#include "ops/attention_loops.h"
#include "ops/expert_loops.h"
#include "ops/head_loops.h"
#include "ops/linear_loops.h"
#include "ops/peak_loops.h"
#include "ops/row_loops.h"

namespace granule::GRANULE_ISA {

template <class Element>
constexpr Kernels<Element> make_kernels() {
  return {.expert_shared_bytes = expert_shared_bytes<Element>,
          .expert_thread_bytes = expert_thread_bytes<Element>,
          .expert_forward = expert_forward<Element>,
          .expert_backward = expert_backward<Element>,
          .attention_forward_bytes = attention_forward_bytes<Element>,
          .attention_backward_bytes = attention_backward_bytes<Element>,
          .attention_forward = attention_forward<Element>,
          .attention_backward = attention_backward<Element>,
          .head_shared_bytes = head_shared_bytes<Element>,
          .head_thread_bytes = head_thread_bytes<Element>,
          .head_losses = head_losses<Element>,
          .linear_shared_bytes = linear_shared_bytes<Element>,
          .linear_thread_bytes = linear_thread_bytes<Element>,
          .linear_forward = linear_forward<Element>,
          .linear_backward = linear_backward<Element>,
          .sum_slots = sum_slots<Element>,
          .normalize = normalize<Element>,
          .normalize_backward = normalize_backward<Element>,
          .turn_heads = turn_heads<Element>,
          .update_elements = update_elements<Element>,
          .multiply_registers = multiply_registers<Element>};
}

extern const KernelSet kKernels;
const KernelSet kKernels{make_kernels<float>(), make_kernels<Bf16>()};

}  // namespace granule::GRANULE_ISA
