#pragma once
// What is done row by row and bound by memory: one pass each, D a multiple of 16.

#include "ops/elements.h"

namespace granule::GRANULE_ISA {

/// So many vectors of columns of token t, from column d on. The rows of its slots lie anywhere: what comes
/// next of them is asked for.
template <class Element, int64_t vectors>
inline void sum_slot_columns(const SlotTask<Element>& task, int64_t t, int64_t d) {
  constexpr int64_t kSlotsAhead = 4;
  const int64_t* position = task.position_TK + t * task.K;
  Vec sum[vectors] = {};
  for (int64_t k = 0; k < task.K; ++k) {
    const int64_t later = position[smaller(k + kSlotsAhead, task.K - 1)];
    if (later >= 0) ask_for(task.y_ND + later * task.D + d, vectors * kWidth);
    if (position[k] < 0) continue;
    const Element* row = task.y_ND + position[k] * task.D + d;
#pragma GCC unroll 16
    for (int64_t j = 0; j < vectors; ++j) sum[j] += load(row + j * kWidth);
  }
#pragma GCC unroll 16
  for (int64_t j = 0; j < vectors; ++j) store(task.out_TD + t * task.D + d + j * kWidth, sum[j]);
}

template <class Element>
void sum_slots(const SlotTask<Element>& task, int64_t begin, int64_t end) {
  constexpr int64_t wide = 8 * kWidth;
  for (int64_t t = begin; t < end; ++t) {
    int64_t d = 0;
    for (; d + wide <= task.D; d += wide) sum_slot_columns<Element, 8>(task, t, d);
    for (; d < task.D; d += kWidth) sum_slot_columns<Element, 1>(task, t, d);
  }
}

template <class Element>
void normalize(const NormTask<Element>& task, int64_t begin, int64_t end) {
  const int64_t D = task.D;
  for (int64_t t = begin; t < end; ++t) {
    const Element* row = task.x_TD + t * D;
    Vec squares[2] = {};
    for (int64_t d = 0; d < D; d += 16) {
      for (int64_t j = 0; j < 16; j += kWidth) {
        const Vec value = load(row + d + j);
        squares[(d / 16 + j / kWidth) % 2] += value * value;
      }
    }
    const float mean = sum_of_lanes(squares[0] + squares[1]) / static_cast<float>(D);
    const float scale = 1.0f / __builtin_sqrtf(mean + task.eps);
    task.scale_T[t] = scale;
    for (int64_t d = 0; d < D; d += kWidth) {
      Element unit[kWidth];
      store(unit, load(row + d) * scale);
      store(task.y_TD + t * D + d, load(unit) * load(task.weight_D + d));
    }
  }
}

/// With unit = x * scale and g = grad_y * weight: grad_x = scale * (g - unit * mean(g * unit)).
template <class Element>
void normalize_backward(const NormTask<Element>& task, int64_t begin, int64_t end, float* grad_weight_D) {
  const int64_t D = task.D;
  for (int64_t t = begin; t < end; ++t) {
    const Element *row = task.x_TD + t * D, *grad = task.grad_y_TD + t * D;
    const float scale = task.scale_T[t];
    Vec dot = {};
    for (int64_t d = 0; d < D; d += kWidth) {
      const Vec g = load(grad + d), unit = load(row + d) * scale;
      store(grad_weight_D + d, load(grad_weight_D + d) + g * unit);
      dot += g * load(task.weight_D + d) * unit;
    }
    const float mean = sum_of_lanes(dot) / static_cast<float>(D);
    for (int64_t d = 0; d < D; d += kWidth) {
      const Vec unit = load(row + d) * scale;
      store(task.grad_x_TD + t * D + d, (load(grad + d) * load(task.weight_D + d) - unit * mean) * scale);
    }
  }
}

template <class Element>
void turn_heads(const RotaryTask<Element>& task, int64_t begin, int64_t end) {
  const int64_t half = task.half;
  for (int64_t t = begin; t < end; ++t) {
    const float *cos = task.cos_Pd + task.position_T[t] * half,
                *sin = task.sin_Pd + task.position_T[t] * half;
    for (int64_t head = t * task.H; head < (t + 1) * task.H; ++head) {
      const Element* x = task.x_THd + head * 2 * half;
      Element* y = task.y_THd + head * 2 * half;
      for (int64_t i = 0; i < half; i += kWidth) {
        const Vec a = load(x + i), b = load(x + half + i);
        const Vec c = load(cos + i), s = load(sin + i) * task.direction;
        store(y + i, a * c - b * s);
        store(y + half + i, b * c + a * s);
      }
    }
  }
}

}  // namespace granule::GRANULE_ISA
