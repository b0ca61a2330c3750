#pragma once
// AdamW over flat slices, bound by memory: one pass over all that an element has.

#include "ops/elements.h"

namespace granule::GRANULE_ISA {

/// Where masters lie: in one piece, or in halves (ops/master_weights.h).
struct WholeMasters {
  float* whole;

  WholeMasters at(int64_t i) const { return {whole + i}; }
  Vec read() const { return load(whole); }
  void write(Vec value) const { store(whole, value); }
  void copy_to(const WholeMasters& target, size_t count) const {
    std::memcpy(target.whole, whole, count * sizeof(float));
  }
};
struct HalvedMasters {
  Bf16* parameter;
  int16_t* remainder;

  HalvedMasters at(int64_t i) const { return {parameter + i, remainder + i}; }
  Vec read() const {
    const IntVec low = widen(load_as<HalfVec>(remainder)) << 16 >> 16;  // with its sign
    return vec_of((widen(load_as<HalfVec>(parameter)) << 16) + low);
  }
  void write(Vec value) const {
    const IntVec bits = bits_of(value);
    store_as(parameter, narrow(((bits + 0x8000) >> 16) & 0xffff));
    store_as(remainder, narrow(bits & 0xffff));
  }
  void copy_to(const HalvedMasters& target, size_t count) const {
    std::memcpy(target.parameter, parameter, count * sizeof(Bf16));
    std::memcpy(target.remainder, remainder, count * sizeof(int16_t));
  }
};

/// The elements of one vector.
template <class Masters, class Element>
inline void update_vector(const AdamWTask<Element>& task, const Masters& masters, Element* m, Element* v,
                          const float* gradient) {
  const Vec g = load(gradient) * task.gradient_scale, w = masters.read();
  const Vec new_m = load(m) * task.beta1 + g * task.rest1;
  const Vec new_v = load(v) * task.beta2 + g * g * task.rest2;
  const Vec move = new_m * task.correction1 / (root_of(new_v * task.correction2) + task.eps);
  masters.write(w - task.lr * (move + w * task.weight_decay));
  store(m, new_m);
  store(v, new_v);
}

/// `last`: room for a vector of masters.
template <class Masters, class Element>
inline void update_masters(const AdamWTask<Element>& task, const Masters& masters, const Masters& last,
                           int64_t begin, int64_t end) {
  int64_t i = begin;
  for (; i + kWidth <= end; i += kWidth) {
    update_vector(task, masters.at(i), task.m + i, task.v + i, task.gradient + i);
  }
  if (i == end) return;
  // The last few in a vector of their own, so that an element does not depend on where the slice ends.
  const auto count = static_cast<size_t>(end - i);
  float gradient[kWidth] = {};
  Element m[kWidth] = {}, v[kWidth] = {};
  masters.at(i).copy_to(last, count);
  std::memcpy(gradient, task.gradient + i, count * sizeof(float));
  std::memcpy(m, task.m + i, count * sizeof(Element));
  std::memcpy(v, task.v + i, count * sizeof(Element));
  update_vector(task, last, m, v, gradient);
  last.copy_to(masters.at(i), count);
  std::memcpy(task.m + i, m, count * sizeof(Element));
  std::memcpy(task.v + i, v, count * sizeof(Element));
}

template <class Element>
void update_elements(const AdamWTask<Element>& task, int64_t begin, int64_t end) {
  if (task.master != nullptr) {
    float whole[kWidth] = {};
    update_masters(task, WholeMasters{task.master}, WholeMasters{whole}, begin, end);
  } else {
    Bf16 parameter[kWidth] = {};
    int16_t remainder[kWidth] = {};
    update_masters(task, HalvedMasters{task.parameter, task.remainder}, HalvedMasters{parameter, remainder},
                   begin, end);
  }
}

}  // namespace granule::GRANULE_ISA
