#pragma once
// Causal attention, forward: for each tile of query rows the scores of a block of keys, their softmax with a
// running maximum, and the weighted sum of values. Nothing of size S x S exists.

#include "ops/matrix_loops.h"

namespace granule::GRANULE_ISA {

/// Keys whose scores are held at a time.
constexpr int64_t kKeyBlock = 512;
/// Elements from one row of scores to the next: a power of two would send a column to few places of the
/// cache.
constexpr int64_t kScoreStride = kKeyBlock + 16;

/// Stands for a score that is not seen; far below any that is.
constexpr float kUnseen = -1e30f;

template <class Element>
struct AttentionForwardBuffers {
  AttentionForwardBuffers(int64_t S, int64_t dim, std::byte* buffer) : carver(buffer) {
    key_panels = carver.template take<uint32_t>(divide_up(S, kPanel) * kPanel * dim / kPerLane<Element>);
    value_panels =
        carver.template take<uint32_t>(divide_up(dim, kPanel) * kPanel * divide_up(S, kPerLane<Element>));
    score = carver.template take<float>(kTileRows * kScoreStride);
    weight = kPerLane<Element> == 1 ? reinterpret_cast<Element*>(score)
                                    : carver.template take<Element>(kTileRows * kScoreStride);
    mixed = carver.template take<float>(kTileRows * dim);
  }

  Carver carver;
  uint32_t *key_panels, *value_panels;
  float* score;     // [tile rows, key block]
  Element* weight;  // e^score, in the same place for fp32
  float* mixed;     // [tile rows, dim]
};

template <class Element>
size_t attention_forward_bytes(int64_t S, int64_t dim) {
  return AttentionForwardBuffers<Element>(S, dim, nullptr).carver.used_since(nullptr);
}

/// Columns [key, key + columns) of rows [row, row + rows): what a row does not see becomes kUnseen.
inline void hide_unseen(float* score, int64_t row, int64_t rows, int64_t key, int64_t columns,
                        const int64_t* first) {
  for (int64_t i = 0; i < rows; ++i) {
    const IntVec lowest = splat(static_cast<int32_t>(first[row + i])),
                 highest = splat(static_cast<int32_t>(row + i));
    for (int64_t j = 0; j < columns; j += kWidth) {
      float* place = score + i * kScoreStride + j;
      const IntVec number = lane_numbers() + static_cast<int32_t>(key + j);
      store(place, (number < lowest) | (number > highest) ? splat(kUnseen) : load(place));
    }
  }
}

/// One row of scores becomes 2^(scale * (score - maximum)), summed lane by lane; what was summed under an
/// older maximum is scaled down.
template <class Element>
inline void soften_row(const float* score, int64_t keys, float scale, Element* weight, float& maximum,
                       Vec& lane_sum, float* mixed, int64_t dim) {
  Vec best = splat(maximum);
  for (int64_t j = 0; j < keys; j += kWidth) best = max_of(best, load(score + j));
  const float new_maximum = max_of_lanes(best);
  if (maximum != kUnseen && new_maximum > maximum) {
    const Vec shrink = exp2(splat((maximum - new_maximum) * scale));
    lane_sum *= shrink;
    for (int64_t d = 0; d < dim; d += kWidth) store(mixed + d, load(mixed + d) * shrink);
  }
  maximum = new_maximum;
  // A row whose document has not begun yet has seen nothing: no weight is e^0 of kUnseen less kUnseen.
  const Vec shift = splat(maximum == kUnseen ? 0.0f : maximum * scale);
  Vec sum = lane_sum;
  for (int64_t j = 0; j < keys; j += kWidth) {
    const Vec value = exp2(load(score + j) * scale - shift);
    sum += value;
    store(weight + j, value);
  }
  lane_sum = sum;
}

/// Query rows [row, row + rows) of one head.
template <class Element>
inline void attend_tile(const AttentionTask<Element>& task, int64_t head, int64_t row, int64_t rows,
                        const AttentionForwardBuffers<Element>& buffers) {
  const int64_t dim = task.dim, depth = dim / kPerLane<Element>;
  const uint32_t *base[kTileRows], *weight_base[kTileRows];
  const auto query_row = [&](int64_t s) { return task.q_SHd + (s * task.H + head) * dim; };
  set_row_bases(query_row, row, row + rows, base);
  set_row_bases([&](int64_t i) { return buffers.weight + i * kScoreStride; }, 0, kTileRows, weight_base);
  float maximum[kTileRows];
  Vec lane_sum[kTileRows];
  for (int64_t i = 0; i < kTileRows; ++i) {
    maximum[i] = kUnseen;
    lane_sum[i] = Vec{};
    for (int64_t d = 0; d < dim; d += kWidth) store(buffers.mixed + i * dim + d, Vec{});
    ask_for(query_row(smaller(row + kTileRows + i, task.S - 1)), dim);
  }

  const int64_t end = row + rows, all_see_from = task.first[end - 1];
  for (int64_t start = task.first[row] / kPanel * kPanel; start < end; start += kKeyBlock) {
    const int64_t keys = smaller(kKeyBlock, end - start), columns = divide_up(keys, 16) * 16;
    for (int64_t k = 0; k < columns; k += kPanel) {
      const int64_t width = smaller(kPanel, columns - k);
      multiply_tile<Element, Into::kStore>(base, 1, buffers.key_panels + (start + k) * depth, depth,
                                           buffers.score + k, kScoreStride, width);
      const bool all_seen = start + k >= all_see_from && start + k + width - 1 <= row;
      if (!all_seen) hide_unseen(buffers.score + k, row, rows, start + k, width, task.first);
    }
    for (int64_t i = 0; i < rows; ++i) {
      soften_row(buffers.score + i * kScoreStride, columns, task.scale * kLog2E,
                 buffers.weight + i * kScoreStride, maximum[i], lane_sum[i], buffers.mixed + i * dim, dim);
    }
    for (int64_t d = 0; d < dim; d += kPanel) {
      const uint32_t* panel = buffers.value_panels + d * divide_up(task.S, kPerLane<Element>);
      multiply_tile<Element, Into::kAdd>(weight_base, 1, panel + start / kPerLane<Element> * kPanel,
                                         divide_up(keys, kPerLane<Element>), buffers.mixed + d, dim,
                                         smaller(kPanel, dim - d));
    }
  }
  for (int64_t i = 0; i < rows; ++i) {
    Element* out = task.out_SHd + ((row + i) * task.H + head) * dim;
    const float sum = sum_of_lanes(lane_sum[i]);
    for (int64_t d = 0; d < dim; d += kWidth) {
      store(out + d, load(buffers.mixed + i * dim + d) * (1.0f / sum));
    }
    task.log_sum_HS[head * task.S + row + i] = maximum[i] * task.scale + __builtin_logf(sum);
  }
}

template <class Element>
void attention_forward(const AttentionTask<Element>& task, std::byte* own) {
  const AttentionForwardBuffers<Element> buffers(task.S, task.dim, own);
  const int64_t stride = task.G * task.dim, offset = task.group * task.dim, heads = task.H / task.G;
  pack_rows_transposed(task.k_SGd + offset, stride, task.S, task.dim, buffers.key_panels);
  pack_all_rows(task.v_SGd + offset, stride, task.S, task.dim, buffers.value_panels);
  for (int64_t head = task.group * heads; head < (task.group + 1) * heads; ++head) {
    for (int64_t row = 0; row < task.S; row += kTileRows) {
      attend_tile(task, head, row, smaller(kTileRows, task.S - row), buffers);
    }
  }
}

}  // namespace granule::GRANULE_ISA
