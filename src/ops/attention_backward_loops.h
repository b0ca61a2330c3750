#pragma once
// Causal attention, backward: blocks of query rows against blocks of keys. The weights are made again from
// the saved logarithm of their sums; gradients of keys and values are summed over query blocks and heads in
// fp32.

#include "ops/attention_loops.h"
#include "ops/matrix_loops.h"

namespace granule::GRANULE_ISA {

constexpr int64_t kBackwardRows = 128;
constexpr int64_t kBackwardKeys = 256;
/// See kScoreStride.
constexpr int64_t kBackwardStride = kBackwardKeys + 16;

template <class Element>
struct AttentionBackwardBuffers {
  static constexpr int64_t kPanelLanes = kBackwardRows / kPerLane<Element> * kPanel;

  AttentionBackwardBuffers(int64_t S, int64_t dim, std::byte* buffer) : carver(buffer) {
    const int64_t keys = divide_up(S, kPanel) * kPanel, columns = divide_up(dim, kPanel) * kPanel;
    key_panels = carver.template take<uint32_t>(keys * dim / kPerLane<Element>);
    value_panels = carver.template take<uint32_t>(keys * dim / kPerLane<Element>);
    key_rows = carver.template take<uint32_t>(columns * divide_up(S, kPerLane<Element>));
    query_panels = carver.template take<uint32_t>(columns / kPanel * kPanelLanes);
    grad_out_panels = carver.template take<uint32_t>(columns / kPanel * kPanelLanes);
    weight_panels = carver.template take<uint32_t>(kBackwardKeys / kPanel * kPanelLanes);
    if constexpr (kPerLane < Element >> 1) {
      grad_score_panels = carver.template take<uint32_t>(kBackwardKeys / kPanel * kPanelLanes);
    }
    grad_score = carver.template take<Element>(kBackwardRows * kBackwardStride);
    delta = carver.template take<float>(kBackwardRows);
    grad_q = carver.template take<float>(kBackwardRows * dim);
    grad_k = carver.template take<float>(keys * dim);
    grad_v = carver.template take<float>(keys * dim);
  }

  Carver carver;
  uint32_t *key_panels, *value_panels;       // keys and values for sums along dim
  uint32_t* key_rows;                        // keys for sums over keys
  uint32_t *query_panels, *grad_out_panels;  // of the query block, for sums over its rows
  uint32_t* weight_panels;                   // of the query block, for sums over its rows
  uint32_t* grad_score_panels = nullptr;     // see row_lanes
  Element* grad_score;                       // [rows, keys]
  float* delta;                              // sum of out * grad_out of each row
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

/// Weights and gradients of scores of rows [row, row + rows) and keys [key, key + 32), from the scores and
/// the gradients of weights: in panels, and the latter as rows too. All pointers are at the tile's first row
/// and key.
template <class Element>
inline void finish_attention_tile(const AttentionTask<Element>& task, const float* score, const float* grad,
                                  const float* log_sum, const float* delta, int64_t row, int64_t rows,
                                  int64_t key, uint32_t* weight_panel, uint32_t* grad_score_panel,
                                  Element* grad_score) {
  constexpr int64_t per_lane = kPerLane<Element>;
  const float scale2 = task.scale * kLog2E;
  const bool all_seen = key >= task.first[row + rows - 1] && key + kPanel - 1 <= row;
  for (int64_t i = 0; i < rows; i += per_lane) {
    for (int64_t j = 0; j < kPanel; j += kWidth) {
      Vec weight[2] = {}, grad_part[2] = {};
#pragma GCC unroll 2
      for (int64_t part = 0; part < per_lane; ++part) {
        const int64_t r = i + part;
        if (r == rows) break;
        Vec value = exp2(load(score + r * kPanel + j) * scale2 - log_sum[r] * kLog2E);
        if (!all_seen) {
          const IntVec number = lane_numbers() + static_cast<int32_t>(key + j);
          const IntVec unseen = (number < splat(static_cast<int32_t>(task.first[row + r]))) |
                                (number > splat(static_cast<int32_t>(row + r)));
          value = unseen ? Vec{} : value;
        }
        weight[part] = value;
        grad_part[part] = value * ((load(grad + r * kPanel + j) - delta[r]) * task.scale);
      }
      const auto stored = as_stored(Element(), grad_part[0], grad_part[1]);
      store_row(grad_score + i * kBackwardStride + j, stored, 0);
      if (per_lane > 1 && i + 1 < rows) store_row(grad_score + (i + 1) * kBackwardStride + j, stored, 1);
      if constexpr (per_lane > 1) {
        store_as(grad_score_panel + i / per_lane * kPanel + j, lanes_of(stored));
      }
      store_as(weight_panel + i / per_lane * kPanel + j,
               lanes_of(as_stored(Element(), weight[0], weight[1])));
    }
  }
}

/// Weights and gradients of scores of a block of rows and `keys` keys from `start` on.
template <class Element>
inline void make_weights(const AttentionTask<Element>& task, const QueryBlock& block, int64_t start,
                         int64_t keys, const AttentionBackwardBuffers<Element>& buffers) {
  constexpr int64_t panel_lanes = AttentionBackwardBuffers<Element>::kPanelLanes;
  const int64_t dim = task.dim, depth = dim / kPerLane<Element>;
  const uint32_t *query[kTileRows], *grad_out[kTileRows];
  alignas(64) float score[kTileRows * kPanel], grad[kTileRows * kPanel];
  for (int64_t r = 0; r < block.rows; r += kTileRows) {
    const int64_t rows = smaller(kTileRows, block.rows - r), row = block.row + r, end = row + rows;
    const auto place = [&](int64_t s) { return (s * task.H + block.head) * dim; };
    set_row_bases([&](int64_t s) { return task.q_SHd + place(s); }, row, end, query);
    set_row_bases([&](int64_t s) { return task.grad_out_SHd + place(s); }, row, end, grad_out);
    // Panels of keys that some row of the tile sees.
    const int64_t seen_from = larger<int64_t>(0, task.first[row] - start) / kPanel * kPanel;
    const int64_t seen_to = divide_up(larger<int64_t>(0, smaller(keys, end - start)), kPanel) * kPanel;
    for (int64_t k = 0; k < keys; k += kPanel) {
      const int64_t lane = k / kPanel * panel_lanes + r / kPerLane<Element> * kPanel;
      Element* grad_score = buffers.grad_score + r * kBackwardStride + k;
      if (k >= seen_from && k < seen_to) {
        const int64_t panel = (start + k) * depth;
        multiply_tile<Element, Into::kStore>(query, 1, buffers.key_panels + panel, depth, score, kPanel,
                                             kPanel);
        multiply_tile<Element, Into::kStore>(grad_out, 1, buffers.value_panels + panel, depth, grad, kPanel,
                                             kPanel);
        finish_attention_tile(task, score, grad, task.log_sum_HS + block.head * task.S + row,
                              buffers.delta + r, row, rows, start + k, buffers.weight_panels + lane,
                              buffers.grad_score_panels + lane, grad_score);
        continue;
      }
      const auto lane_bytes = static_cast<size_t>(divide_up(rows, kPerLane<Element>) * kPanel) * 4;
      std::memset(buffers.weight_panels + lane, 0, lane_bytes);
      if (kPerLane < Element >> 1) std::memset(buffers.grad_score_panels + lane, 0, lane_bytes);
      for (int64_t i = 0; i < rows; ++i) {
        std::memset(grad_score + i * kBackwardStride, 0, kPanel * sizeof(Element));
      }
    }
  }
}

/// Gradients of queries, keys and values from those weights.
template <class Element>
inline void add_gradients(const AttentionTask<Element>& task, const QueryBlock& block, int64_t start,
                          int64_t keys, const AttentionBackwardBuffers<Element>& buffers) {
  constexpr int64_t per_lane = kPerLane<Element>;
  constexpr int64_t panel_lanes = AttentionBackwardBuffers<Element>::kPanelLanes;
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
  const RowLanes grad_score =
      row_lanes(buffers.grad_score, kBackwardStride, buffers.grad_score_panels, panel_lanes);
  const RowLanes weight{buffers.weight_panels, kPanel, panel_lanes};
  for (int64_t k = 0; k < keys; k += kTileRows) {
    // Earlier rows of the block see none of these keys.
    const int64_t from = larger<int64_t>(0, start + k - block.row) / kTileRows * kTileRows;
    if (from >= block.rows) break;
    const int64_t lane_row = from / per_lane, steps = divide_up(block.rows - from, per_lane);
    for (int64_t i = 0; i < kTileRows; ++i) {
      base[i] = grad_score.from_column(k).first + lane_row * grad_score.row_step + i;
      weight_base[i] = weight.from_column(k).first + lane_row * weight.row_step + i;
    }
    for (int64_t d = 0; d < dim; d += kPanel) {
      const int64_t panel = d / kPanel * panel_lanes + lane_row * kPanel, place = (start + k) * dim + d;
      const int64_t columns = smaller(kPanel, dim - d);
      multiply_tile<Element, Into::kAdd>(base, grad_score.row_step, buffers.query_panels + panel, steps,
                                         buffers.grad_k + place, dim, columns);
      multiply_tile<Element, Into::kAdd>(weight_base, weight.row_step, buffers.grad_out_panels + panel, steps,
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
    const int64_t later = place(smaller(r + kRowsAhead, block.rows - 1));
    ask_for(task.out_SHd + later, dim);
    ask_for(task.grad_out_SHd + later, dim);
    Vec dot = {};
    for (int64_t d = 0; d < dim; d += kWidth) {
      dot += load(task.out_SHd + place(r) + d) * load(task.grad_out_SHd + place(r) + d);
    }
    buffers.delta[r] = sum_of_lanes(dot);
  }
  for (int64_t d = 0; d < dim; d += kPanel) {
    const int64_t columns = smaller(kPanel, dim - d);
    const int64_t panel = d / kPanel * AttentionBackwardBuffers<Element>::kPanelLanes;
    pack_rows<Element>([&](int64_t r) { return task.q_SHd + place(r) + d; }, block.rows, columns,
                       buffers.query_panels + panel);
    pack_rows<Element>([&](int64_t r) { return task.grad_out_SHd + place(r) + d; }, block.rows, columns,
                       buffers.grad_out_panels + panel);
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
