#pragma once
// AdamW over flat slices, bound by memory: one pass over all that an element has.

#include "ops/attention_loops.h"

namespace granule::GRANULE_ISA {

/// The elements of one vector.
template <class Element>
inline void update_vector(const AdamWTask<Element>& task, float* master, Element* m, Element* v,
                          const float* gradient, Bf16* parameter) {
  const Vec g = load(gradient) * task.gradient_scale, w = load(master);
  const Vec new_m = load(m) * task.beta1 + g * task.rest1;
  const Vec new_v = load(v) * task.beta2 + g * g * task.rest2;
  const Vec move = new_m * task.correction1 / (root_of(new_v * task.correction2) + task.eps);
  const Vec new_w = w - task.lr * (move + w * task.weight_decay);
  store(master, new_w);
  store(m, new_m);
  store(v, new_v);
  if (parameter != nullptr) store(parameter, new_w);
}

template <class Element>
void update_elements(const AdamWTask<Element>& task, int64_t begin, int64_t end) {
  const auto parameter_at = [&](int64_t i) {
    return task.parameter == nullptr ? nullptr : task.parameter + i;
  };
  int64_t i = begin;
  for (; i + kWidth <= end; i += kWidth) {
    update_vector(task, task.master + i, task.m + i, task.v + i, task.gradient + i, parameter_at(i));
  }
  if (i == end) return;
  // The last few in a vector of their own, so that an element does not depend on where the slice ends.
  const auto count = static_cast<size_t>(end - i);
  float master[kWidth] = {}, gradient[kWidth] = {};
  Element m[kWidth] = {}, v[kWidth] = {};
  Bf16 parameter[kWidth];
  std::memcpy(master, task.master + i, count * sizeof(float));
  std::memcpy(gradient, task.gradient + i, count * sizeof(float));
  std::memcpy(m, task.m + i, count * sizeof(Element));
  std::memcpy(v, task.v + i, count * sizeof(Element));
  update_vector(task, master, m, v, gradient, parameter);
  std::memcpy(task.master + i, master, count * sizeof(float));
  std::memcpy(task.m + i, m, count * sizeof(Element));
  std::memcpy(task.v + i, v, count * sizeof(Element));
  if (task.parameter != nullptr) std::memcpy(task.parameter + i, parameter, count * sizeof(Bf16));
}

}  // namespace granule::GRANULE_ISA
