#pragma once
// Cross-entropy of the vocabulary head: logits exist for one tile at a time in forward, and for a block of
// the vocabulary in backward, where they turn into their gradients in place.

#include "ops/attention_loops.h"
#include "ops/matrix_loops.h"

namespace granule::GRANULE_ISA {

constexpr int64_t kHeadRows = 512;
constexpr int64_t kHeadBlock = 512;  // of the vocabulary

/// Lanes from one row of gradients to the next; see kBackwardStride.
constexpr int64_t kHeadStride = kHeadBlock + 16;

template <class Element>
struct HeadForwardBuffers {
  HeadForwardBuffers(int64_t V, std::byte* buffer) : carver(buffer) {
    const int64_t blocks = divide_up(V, kHeadBlock);
    maximum = carver.template take<float>(blocks * kHeadRows);
    sum = carver.template take<float>(blocks * kHeadRows);
    target = carver.template take<float>(kHeadRows);
  }

  Carver carver;
  float *maximum, *sum;  // [blocks, rows]: of each block of the vocabulary
  float* target;         // the label's logit
};

template <class Element>
struct HeadBackwardBuffers {
  HeadBackwardBuffers(int64_t D, std::byte* buffer) : carver(buffer) {
    constexpr int64_t lane_rows = kHeadRows / kPerLane<Element>;
    const int64_t columns = divide_up(D, kPanel) * kPanel;
    grad_lanes = carver.template take<uint32_t>(lane_rows * kHeadStride);
    grad = kPerLane<Element> == 1 ? reinterpret_cast<Element*>(grad_lanes)
                                  : carver.template take<Element>(kHeadRows * kHeadStride);
    hidden_rows = carver.template take<uint32_t>(columns * lane_rows);
    grad_hidden = carver.template take<float>(kHeadRows * D);
  }

  Carver carver;
  uint32_t* grad_lanes;   // gradients of logits [rows per lane, block]
  Element* grad;          // [rows, block], in the same place for fp32
  uint32_t* hidden_rows;  // panels for sums over rows
  float* grad_hidden;     // [rows, D]
};

template <class Element>
size_t head_shared_bytes(int64_t D, int64_t V) {
  return larger(HeadForwardBuffers<Element>(V, nullptr).carver.used_since(nullptr),
                HeadBackwardBuffers<Element>(D, nullptr).carver.used_since(nullptr));
}

/// A packed panel, and the running maxima and sums of each row.
template <class Element>
size_t head_thread_bytes(int64_t D, int64_t) {
  return static_cast<size_t>((larger(D, kHeadBlock) * kPanel + 2 * kHeadRows * kWidth) * 4);
}

/// Logits of up to 32 columns from v on; columns beyond the vocabulary are kUnseen.
template <class Element>
inline void make_logits(const HeadTask<Element>& task, int64_t start, int64_t r, int64_t rows, int64_t v,
                        const uint32_t* panel, float* c) {
  const uint32_t* base[kTileRows];
  set_row_bases([&](int64_t n) { return task.hidden_TD + task.token[start + n] * task.D; }, r, r + rows,
                base);
  multiply_tile<Element, Into::kStore>(base, 1, panel, task.D / kPerLane<Element>, c, kPanel, kPanel);
  for (int64_t column = task.V - v; column < kPanel; ++column) {
    for (int64_t i = 0; i < kTileRows; ++i) c[i * kPanel + column] = kUnseen;
  }
}

/// Maximum and sum of exponentials of one block of the vocabulary for all rows of a chunk. Each lane of a
/// vector keeps its own until the end of the block.
template <class Element>
inline void sum_block(const HeadTask<Element>& task, int64_t start, int64_t rows, int64_t block,
                      const HeadForwardBuffers<Element>& buffers, uint32_t* panel, float* lane_maximum,
                      float* lane_sum) {
  alignas(64) float c[kTileRows * kPanel];
  for (int64_t i = 0; i < rows * kWidth; ++i) {
    lane_maximum[i] = kUnseen;
    lane_sum[i] = 0;
  }
  const int64_t end = smaller(task.V, (block + 1) * kHeadBlock);
  for (int64_t v = block * kHeadBlock; v < end; v += kPanel) {
    pack_rows_transposed(task.head_VD + v * task.D, task.D, smaller(kPanel, task.V - v), task.D, panel);
    for (int64_t r = 0; r < rows; r += kTileRows) {
      const int64_t tile_rows = smaller(kTileRows, rows - r);
      make_logits(task, start, r, tile_rows, v, panel, c);
      for (int64_t i = 0; i < tile_rows; ++i) {
        const float* logit = c + i * kPanel;
        const int64_t label = task.label[task.token[start + r + i]] - v;
        if (label >= 0 && label < kPanel) buffers.target[r + i] = logit[label];
        const Vec old = load(lane_maximum + (r + i) * kWidth);
        Vec best = old;
        for (int64_t j = 0; j < kPanel; j += kWidth) best = max_of(best, load(logit + j));
        Vec sum = load(lane_sum + (r + i) * kWidth) * exp(old - best);
        for (int64_t j = 0; j < kPanel; j += kWidth) sum += exp(load(logit + j) - best);
        store(lane_maximum + (r + i) * kWidth, best);
        store(lane_sum + (r + i) * kWidth, sum);
      }
    }
  }
  for (int64_t r = 0; r < rows; ++r) {
    const Vec maximum = load(lane_maximum + r * kWidth);
    const float best = max_of_lanes(maximum);
    buffers.maximum[block * kHeadRows + r] = best;
    buffers.sum[block * kHeadRows + r] = sum_of_lanes(load(lane_sum + r * kWidth) * exp(maximum - best));
  }
}

template <class Element>
void head_forward(const HeadTask<Element>& task, const Team& team, std::byte* shared, std::byte* own) {
  const HeadForwardBuffers<Element> buffers(task.V, shared);
  Carver carver(own);
  auto* panel = carver.template take<uint32_t>(task.D * kPanel);
  auto* lane_maximum = carver.template take<float>(kHeadRows * kWidth);
  auto* lane_sum = carver.template take<float>(kHeadRows * kWidth);
  const int64_t blocks = divide_up(task.V, kHeadBlock);
  for (int64_t start = 0; start < task.rows; start += kHeadRows) {
    const int64_t rows = smaller(kHeadRows, task.rows - start);
    for (int64_t block = team.begin(blocks); block < team.end(blocks); ++block) {
      sum_block(task, start, rows, block, buffers, panel, lane_maximum, lane_sum);
    }
    team.barrier();
    for (int64_t r = team.begin(rows); r < team.end(rows); ++r) {
      float best = kUnseen, sum = 0;
      for (int64_t block = 0; block < blocks; ++block)
        best = larger(best, buffers.maximum[block * kHeadRows + r]);
      for (int64_t block = 0; block < blocks; ++block) {
        sum += buffers.sum[block * kHeadRows + r] *
               __builtin_expf(buffers.maximum[block * kHeadRows + r] - best);
      }
      const int64_t token = task.token[start + r];
      task.log_sum_T[token] = best + __builtin_logf(sum);
      task.loss_T[token] = best - buffers.target[r] + __builtin_logf(sum);
    }
    team.barrier();
  }
}

/// Logits in `c` become the gradients of logits of rows [r, r + rows), columns [v, v + 32).
template <class Element>
inline void finish_head_tile(const HeadTask<Element>& task, float* c, int64_t start, int64_t r, int64_t rows,
                             int64_t v, Element* grad, uint32_t* grad_lanes) {
  constexpr int64_t per_lane = kPerLane<Element>;
  for (int64_t i = 0; i < rows; ++i) {
    const int64_t token = task.token[start + r + i], label = task.label[token] - v;
    const float log_sum = task.log_sum_T[token], weight = task.grad_loss_T[token];
    for (int64_t j = 0; j < kPanel; j += kWidth) {
      float* place = c + i * kPanel + j;
      store(place, exp(load(place) - log_sum) * weight);
    }
    if (label >= 0 && label < kPanel) c[i * kPanel + label] -= weight;
  }
  for (int64_t i = 0; i < rows; i += per_lane) {
    for (int64_t j = 0; j < kPanel; j += kWidth) {
      using Stored = decltype(rounded(Element(), Vec()));
      Stored part[2] = {};
      for (int64_t k = 0; k < per_lane && i + k < rows; ++k) {
        part[k] = rounded(Element(), load(c + (i + k) * kPanel + j));
        store_as(grad + (r + i + k) * kHeadStride + j, part[k]);
      }
      if constexpr (per_lane > 1) {
        store_as(grad_lanes + (r + i) / per_lane * kHeadStride + j, lanes_of(part[0], part[1]));
      }
    }
  }
}

template <class Element>
void head_backward(const HeadTask<Element>& task, const Team& team, std::byte* shared, std::byte* own) {
  const int64_t D = task.D, d_panels = divide_up(D, kPanel);
  constexpr int64_t lane_rows = kHeadRows / kPerLane<Element>;
  const HeadBackwardBuffers<Element> buffers(D, shared);
  auto* panel = reinterpret_cast<uint32_t*>(own);
  alignas(64) float c[kTileRows * kPanel];
  for (int64_t start = 0; start < task.rows; start += kHeadRows) {
    const int64_t rows = smaller(kHeadRows, task.rows - start);
    const auto hidden_row = [&](int64_t r) { return task.hidden_TD + task.token[start + r] * D; };
    for (int64_t p = team.begin(d_panels); p < team.end(d_panels); ++p) {
      pack_rows<Element>([&](int64_t r) { return hidden_row(r) + p * kPanel; }, rows,
                         smaller(kPanel, D - p * kPanel), buffers.hidden_rows + p * kPanel * lane_rows,
                         kPanel);
    }
    for (int64_t r = team.begin(rows); r < team.end(rows); ++r) {
      std::memset(buffers.grad_hidden + r * D, 0, static_cast<size_t>(D) * sizeof(float));
    }
    for (int64_t block = 0; block < task.V; block += kHeadBlock) {
      const int64_t words = smaller(kHeadBlock, task.V - block), v_panels = divide_up(words, kPanel);
      for (int64_t p = team.begin(v_panels); p < team.end(v_panels); ++p) {
        const int64_t v = block + p * kPanel;
        pack_rows_transposed(task.head_VD + v * D, D, smaller(kPanel, task.V - v), D, panel);
        for (int64_t r = 0; r < rows; r += kTileRows) {
          const int64_t tile_rows = smaller(kTileRows, rows - r);
          make_logits(task, start, r, tile_rows, v, panel, c);
          finish_head_tile(task, c, start, r, tile_rows, v, buffers.grad + p * kPanel,
                           buffers.grad_lanes + p * kPanel);
        }
      }
      team.barrier();
      // Even items: gradients of hidden rows; odd ones: of the head. Both for 32 columns.
      for (int64_t item = team.begin(2 * d_panels); item < team.end(2 * d_panels); ++item) {
        const int64_t d = item / 2 * kPanel, columns = smaller(kPanel, D - d);
        if (item % 2 == 0) {
          pack_rows<Element>([&](int64_t w) { return task.head_VD + (block + w) * D + d; }, words, columns,
                             panel, kPanel);
          add_rows<Element>([&](int64_t r) { return buffers.grad + r * kHeadStride; }, rows, panel,
                            divide_up(words, kPerLane<Element>), buffers.grad_hidden + d, D, columns);
        } else if (task.grad_head_VD != nullptr) {
          add_sum_over_rows<Element>(buffers.grad_lanes, kHeadStride, buffers.hidden_rows + d * lane_rows,
                                     divide_up(rows, kPerLane<Element>), task.grad_head_VD + block * D + d, D,
                                     words, columns);
        }
      }
      team.barrier();
    }
    for (int64_t r = team.begin(rows); r < team.end(rows); ++r) {
      for (int64_t d = 0; d < D; d += kWidth) {
        store(task.grad_hidden_TD + task.token[start + r] * D + d, load(buffers.grad_hidden + r * D + d));
      }
    }
    team.barrier();
  }
}

}  // namespace granule::GRANULE_ISA
