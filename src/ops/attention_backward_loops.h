#pragma once
// Causal attention, backward: blocks of query rows against blocks of keys. The weights are made again from
// the saved logarithm of their sums; gradients of keys and values are summed over query blocks and heads in
// fp32.

#include "ops/attention_loops.h"

namespace granule::GRANULE_ISA {

constexpr int64_t kBackwardRows = 128;
constexpr int64_t kBackwardKeys = 256;
/// Lanes from one row of weights to the next: a power of two would send a column to few places of the cache.
constexpr int64_t kBackwardStride = kBackwardKeys + 16;

template <class Element>
struct AttentionBackwardBuffers {
  AttentionBackwardBuffers(int64_t S, int64_t dim, std::byte* buffer) : carver(buffer) {
    constexpr int64_t lane_rows = kBackwardRows / kPerLane<Element>;
    const int64_t keys = divide_up(S, kPanel) * kPanel, columns = divide_up(dim, kPanel) * kPanel;
    key_panels = carver.template take<uint32_t>(keys * dim / kPerLane<Element>);
    value_panels = carver.template take<uint32_t>(keys * dim / kPerLane<Element>);
    key_rows = carver.template take<uint32_t>(columns * divide_up(S, kPerLane<Element>));
    query_rows = carver.template take<uint32_t>(columns * lane_rows);
    grad_out_rows = carver.template take<uint32_t>(columns * lane_rows);
    weight_lanes = carver.template take<uint32_t>(lane_rows * kBackwardStride);
    grad_score_lanes = carver.template take<uint32_t>(lane_rows * kBackwardStride);
    grad_score = kPerLane<Element> == 1 ? reinterpret_cast<Element*>(grad_score_lanes)
                                        : carver.template take<Element>(kBackwardRows * kBackwardStride);
    delta = carver.template take<float>(kBackwardRows);
    grad_q = carver.template take<float>(kBackwardRows * dim);
    grad_k = carver.template take<float>(keys * dim);
    grad_v = carver.template take<float>(keys * dim);
  }

  Carver carver;
  uint32_t *key_panels, *value_panels;        // keys and values for sums along dim
  uint32_t* key_rows;                         // keys for sums over keys
  uint32_t *query_rows, *grad_out_rows;       // of the query block, for sums over its rows
  uint32_t *weight_lanes, *grad_score_lanes;  // [rows per lane, keys]
  Element* grad_score;                        // [rows, keys], in the same place for fp32
  float* delta;                               // sum of out * grad_out of each row
  float *grad_q, *grad_k, *grad_v;
};

template <class Element>
size_t attention_backward_bytes(int64_t S, int64_t dim) {
  return AttentionBackwardBuffers<Element>(S, dim, nullptr).carver.used_since(nullptr);
}

/// A block of query rows of one head.
struct QueryBlock {
  int64_t head, row, rows;
};

/// Weights and gradients of scores, from the scores in `score` and the gradients of weights in `grad`, of
/// rows [row, row + rows) and keys [key, key + 32). `place` is the tile's first row and key within the
/// buffers.
template <class Element>
inline void finish_attention_tile(const AttentionTask<Element>& task, const float* score, const float* grad,
                                  const float* log_sum, const float* delta, int64_t row, int64_t rows,
                                  int64_t key, uint32_t* weight_lanes, uint32_t* grad_score_lanes,
                                  Element* grad_score) {
  constexpr int64_t per_lane = kPerLane<Element>;
  const bool all_seen = key >= task.first[row + rows - 1] && key + kPanel - 1 <= row;
  for (int64_t i = 0; i < rows; i += per_lane) {
    for (int64_t j = 0; j < kPanel; j += kWidth) {
      using Stored = decltype(rounded(Element(), Vec()));
      Stored weight[2] = {}, grad_part[2] = {};
#pragma GCC unroll 2
      for (int64_t part = 0; part < per_lane; ++part) {
        const int64_t r = i + part;
        if (r == rows) break;
        Vec value = exp(load(score + r * kPanel + j) * task.scale - log_sum[r]);
        if (!all_seen) {
          const IntVec number = numbers_from(key + j);
          const IntVec unseen = (number < splat(static_cast<int32_t>(task.first[row + r]))) |
                                (number > splat(static_cast<int32_t>(row + r)));
          value = unseen ? Vec{} : value;
        }
        weight[part] = rounded(Element(), value);
        grad_part[part] = rounded(Element(), value * (load(grad + r * kPanel + j) - delta[r]) * task.scale);
        store_as(grad_score + r * kBackwardStride + j, grad_part[part]);
      }
      store_as(weight_lanes + i / per_lane * kBackwardStride + j, lanes_of(weight[0], weight[1]));
      if constexpr (per_lane > 1) {
        store_as(grad_score_lanes + i / per_lane * kBackwardStride + j, lanes_of(grad_part[0], grad_part[1]));
      }
    }
  }
}

/// Weights and gradients of scores of a block of rows and `keys` keys from `start` on.
template <class Element>
inline void make_weights(const AttentionTask<Element>& task, const QueryBlock& block, int64_t start,
                         int64_t keys, const AttentionBackwardBuffers<Element>& buffers) {
  const int64_t dim = task.dim, depth = dim / kPerLane<Element>;
  const uint32_t *query[kTileRows], *grad_out[kTileRows];
  alignas(64) float score[kTileRows * kPanel], grad[kTileRows * kPanel];
  for (int64_t r = 0; r < block.rows; r += kTileRows) {
    const int64_t rows = smaller(kTileRows, block.rows - r), row = block.row + r, end = row + rows;
    const auto place = [&](int64_t s) { return (s * task.H + block.head) * dim; };
    set_row_bases([&](int64_t s) { return task.q_SHd + place(s); }, row, end, query);
    set_row_bases([&](int64_t s) { return task.grad_out_SHd + place(s); }, row, end, grad_out);
    for (int64_t k = 0; k < keys; k += kPanel) {
      const int64_t key = start + k, lane_place = r / kPerLane<Element> * kBackwardStride + k;
      if (key >= end || key + kPanel <= task.first[row]) {
        for (int64_t lane_row = 0; lane_row < divide_up(rows, kPerLane<Element>); ++lane_row) {
          const int64_t at = lane_place + lane_row * kBackwardStride;
          std::memset(buffers.weight_lanes + at, 0, kPanel * 4);
          std::memset(buffers.grad_score_lanes + at, 0, kPanel * 4);
        }
        for (int64_t i = 0; i < rows; ++i) {
          std::memset(buffers.grad_score + (r + i) * kBackwardStride + k, 0, kPanel * sizeof(Element));
        }
        continue;
      }
      multiply_tile<Element, Into::kStore>(query, 1, buffers.key_panels + key * depth, depth, score, kPanel,
                                           kPanel);
      multiply_tile<Element, Into::kStore>(grad_out, 1, buffers.value_panels + key * depth, depth, grad,
                                           kPanel, kPanel);
      finish_attention_tile(task, score, grad, task.log_sum_HS + block.head * task.S + row, buffers.delta + r,
                            row, rows, key, buffers.weight_lanes + lane_place,
                            buffers.grad_score_lanes + lane_place,
                            buffers.grad_score + r * kBackwardStride + k);
    }
  }
}

/// Gradients of queries, keys and values from those weights.
template <class Element>
inline void add_gradients(const AttentionTask<Element>& task, const QueryBlock& block, int64_t start,
                          int64_t keys, const AttentionBackwardBuffers<Element>& buffers) {
  constexpr int64_t per_lane = kPerLane<Element>, lane_rows = kBackwardRows / per_lane;
  const int64_t dim = task.dim;
  const uint32_t *base[kTileRows], *weight_base[kTileRows];
  for (int64_t r = 0; r < block.rows; r += kTileRows) {
    const int64_t end = block.row + smaller(r + kTileRows, block.rows), seen = smaller(keys, end - start);
    if (seen <= 0) continue;
    set_row_bases([&](int64_t i) { return buffers.grad_score + i * kBackwardStride; }, r, end - block.row,
                  base);
    for (int64_t d = 0; d < dim; d += kPanel) {
      const uint32_t* panel = buffers.key_rows + d * divide_up(task.S, per_lane) + start / per_lane * kPanel;
      multiply_tile<Element, Into::kAdd>(base, 1, panel, divide_up(seen, per_lane),
                                         buffers.grad_q + r * dim + d, dim, smaller(kPanel, dim - d));
    }
  }
  for (int64_t k = 0; k < keys; k += kTileRows) {
    // Earlier rows of the block see none of these keys.
    const int64_t from = larger<int64_t>(0, start + k - block.row) / kTileRows * kTileRows;
    if (from >= block.rows) break;
    const int64_t lanes = from / per_lane, steps = divide_up(block.rows - from, per_lane);
    for (int64_t i = 0; i < kTileRows; ++i) {
      base[i] = buffers.grad_score_lanes + lanes * kBackwardStride + k + i;
      weight_base[i] = buffers.weight_lanes + lanes * kBackwardStride + k + i;
    }
    for (int64_t d = 0; d < dim; d += kPanel) {
      const int64_t panel = d * lane_rows + lanes * kPanel, place = (start + k) * dim + d;
      const int64_t columns = smaller(kPanel, dim - d);
      multiply_tile<Element, Into::kAdd>(base, kBackwardStride, buffers.query_rows + panel, steps,
                                         buffers.grad_k + place, dim, columns);
      multiply_tile<Element, Into::kAdd>(weight_base, kBackwardStride, buffers.grad_out_rows + panel, steps,
                                         buffers.grad_v + place, dim, columns);
    }
  }
}

template <class Element>
inline void attend_backward_block(const AttentionTask<Element>& task, const QueryBlock& block,
                                  const AttentionBackwardBuffers<Element>& buffers) {
  const int64_t dim = task.dim;
  const auto place = [&](int64_t r) { return ((block.row + r) * task.H + block.head) * dim; };
  for (int64_t r = 0; r < block.rows; ++r) {
    Vec dot = {};
    for (int64_t d = 0; d < dim; d += kWidth) {
      dot += load(task.out_SHd + place(r) + d) * load(task.grad_out_SHd + place(r) + d);
    }
    buffers.delta[r] = sum_of_lanes(dot);
  }
  for (int64_t d = 0; d < dim; d += kPanel) {
    const int64_t columns = smaller(kPanel, dim - d), panel = d * kBackwardRows / kPerLane<Element>;
    pack_rows<Element>([&](int64_t r) { return task.q_SHd + place(r) + d; }, block.rows, columns,
                       buffers.query_rows + panel, kPanel);
    pack_rows<Element>([&](int64_t r) { return task.grad_out_SHd + place(r) + d; }, block.rows, columns,
                       buffers.grad_out_rows + panel, kPanel);
  }
  std::memset(buffers.grad_q, 0, static_cast<size_t>(kBackwardRows * dim) * sizeof(float));
  const int64_t end = block.row + block.rows;
  for (int64_t start = task.first[block.row] / kPanel * kPanel; start < end; start += kBackwardKeys) {
    const int64_t keys = smaller(kBackwardKeys, end - start);
    make_weights(task, block, start, keys, buffers);
    add_gradients(task, block, start, keys, buffers);
  }
  for (int64_t r = 0; r < block.rows; ++r) {
    for (int64_t d = 0; d < dim; d += kWidth) {
      store(task.grad_q_SHd + place(r) + d, load(buffers.grad_q + r * dim + d));
    }
  }
}

template <class Element>
void attention_backward(const AttentionTask<Element>& task, std::byte* own) {
  const AttentionBackwardBuffers<Element> buffers(task.S, task.dim, own);
  const int64_t S = task.S, dim = task.dim, stride = task.G * dim, offset = task.group * dim;
  pack_rows_transposed(task.k_SGd + offset, stride, S, dim, buffers.key_panels);
  pack_rows_transposed(task.v_SGd + offset, stride, S, dim, buffers.value_panels);
  pack_all_rows(task.k_SGd + offset, stride, S, dim, buffers.key_rows);
  const auto sum_bytes = static_cast<size_t>(divide_up(S, kPanel) * kPanel * dim) * sizeof(float);
  std::memset(buffers.grad_k, 0, sum_bytes);
  std::memset(buffers.grad_v, 0, sum_bytes);

  const int64_t heads = task.H / task.G;
  for (int64_t head = task.group * heads; head < (task.group + 1) * heads; ++head) {
    for (int64_t row = 0; row < S; row += kBackwardRows) {
      attend_backward_block(task, {head, row, smaller(kBackwardRows, S - row)}, buffers);
    }
  }
  for (int64_t s = 0; s < S; ++s) {
    for (int64_t d = 0; d < dim; d += kWidth) {
      store(task.grad_k_SGd + s * stride + offset + d, load(buffers.grad_k + s * dim + d));
      store(task.grad_v_SGd + s * stride + offset + d, load(buffers.grad_v + s * dim + d));
    }
  }
}

}  // namespace granule::GRANULE_ISA
