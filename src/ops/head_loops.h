#pragma once
// Cross-entropy of the vocabulary head, value and gradients in one pass over chunks of tokens: the logits of a
// chunk are made once, and turn into their gradients block by block of the vocabulary.

#include "ops/attention_loops.h"
#include "ops/matrix_loops.h"

namespace granule::GRANULE_ISA {

constexpr int64_t kHeadBlock = 512;  // of the vocabulary
constexpr int64_t kMaxHeadRows = 512;
constexpr int64_t kMinHeadRows = 64;
/// Logits of a chunk, while it has more rows than the least.
constexpr int64_t kHeadLogits = int64_t{1} << 22;

/// Lanes from one row of gradients to the next; see kBackwardStride.
constexpr int64_t kHeadStride = kHeadBlock + 16;

/// Rows of a chunk.
inline int64_t head_rows(int64_t V) {
  return larger(kMinHeadRows, smaller(kMaxHeadRows, kHeadLogits / V / kPanel * kPanel));
}

template <class Element>
struct HeadChunk {
  HeadChunk(int64_t D, int64_t V, std::byte* buffer) : carver(buffer), max_rows(head_rows(V)) {
    const int64_t lane_rows = max_rows / kPerLane<Element>, blocks = divide_up(V, kHeadBlock);
    logits = carver.template take<float>(divide_up(V, kPanel) * kPanel * max_rows);
    maximum = carver.template take<float>(blocks * max_rows);
    sum = carver.template take<float>(blocks * max_rows);
    log_sum = carver.template take<float>(max_rows);
    grad_lanes = carver.template take<uint32_t>(lane_rows * kHeadStride);
    grad = kPerLane<Element> == 1 ? reinterpret_cast<Element*>(grad_lanes)
                                  : carver.template take<Element>(max_rows * kHeadStride);
    hidden_rows = carver.template take<uint32_t>(divide_up(D, kPanel) * kPanel * lane_rows);
    grad_hidden = carver.template take<float>(max_rows * D);
  }

  /// Of rows from r on and the 32 columns from v on, a row's columns together.
  float* logits_at(int64_t v, int64_t r) const { return logits + v * max_rows + r * kPanel; }

  Carver carver;
  int64_t max_rows;
  float* logits;
  float *maximum, *sum;   // [blocks, rows]: of each block of the vocabulary
  float* log_sum;         // [rows]
  uint32_t* grad_lanes;   // gradients of the logits of a block [rows per lane, block]
  Element* grad;          // [rows, block], in the same place for fp32
  uint32_t* hidden_rows;  // panels for sums over rows
  float* grad_hidden;     // [rows, D]
};

template <class Element>
size_t head_shared_bytes(int64_t D, int64_t V) {
  return HeadChunk<Element>(D, V, nullptr).carver.used_since(nullptr);
}

/// A packed panel, and the running maxima and sums of each row.
template <class Element>
size_t head_thread_bytes(int64_t D, int64_t) {
  return static_cast<size_t>((larger(D, kHeadBlock) * kPanel + 2 * kMaxHeadRows * kWidth) * 4);
}

/// Logits of a tile of rows and up to 32 columns from v on; columns beyond the vocabulary are kUnseen.
template <class Element>
inline void make_logits(const HeadTask<Element>& task, int64_t start, int64_t r, int64_t rows, int64_t v,
                        const uint32_t* panel, float* logits) {
  const uint32_t* base[kTileRows];
  set_row_bases([&](int64_t n) { return task.hidden_TD + task.token[start + n] * task.D; }, r, r + rows,
                base);
  multiply_tile<Element, Into::kStore>(base, 1, panel, task.D / kPerLane<Element>, logits, kPanel, kPanel);
  for (int64_t column = task.V - v; column < kPanel; ++column) {
    for (int64_t i = 0; i < kTileRows; ++i) logits[i * kPanel + column] = kUnseen;
  }
}

/// Logits of one block of the vocabulary for all rows of a chunk, their maximum and sum of exponentials. Each
/// lane of a vector keeps its own until the end of the block.
template <class Element>
inline void make_block(const HeadTask<Element>& task, int64_t start, int64_t rows, int64_t block,
                       const HeadChunk<Element>& chunk, uint32_t* panel, float* lane_maximum,
                       float* lane_sum) {
  for (int64_t i = 0; i < rows * kWidth; ++i) {
    lane_maximum[i] = kUnseen;
    lane_sum[i] = 0;
  }
  const int64_t end = smaller(task.V, (block + 1) * kHeadBlock);
  for (int64_t v = block * kHeadBlock; v < end; v += kPanel) {
    pack_rows_transposed(task.head_VD + v * task.D, task.D, smaller(kPanel, task.V - v), task.D, panel);
    for (int64_t r = 0; r < rows; r += kTileRows) {
      const int64_t tile_rows = smaller(kTileRows, rows - r);
      float* logits = chunk.logits_at(v, r);
      make_logits(task, start, r, tile_rows, v, panel, logits);
      for (int64_t i = 0; i < tile_rows; ++i) {
        const float* logit = logits + i * kPanel;
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
    chunk.maximum[block * chunk.max_rows + r] = best;
    chunk.sum[block * chunk.max_rows + r] = sum_of_lanes(load(lane_sum + r * kWidth) * exp(maximum - best));
  }
}

/// Loss of row r of a chunk, from what its blocks gave.
template <class Element>
inline void finish_loss(const HeadTask<Element>& task, int64_t start, int64_t r,
                        const HeadChunk<Element>& chunk) {
  const int64_t blocks = divide_up(task.V, kHeadBlock), token = task.token[start + r];
  const int64_t label = task.label[token];
  float best = kUnseen, sum = 0;
  for (int64_t block = 0; block < blocks; ++block) {
    best = larger(best, chunk.maximum[block * chunk.max_rows + r]);
  }
  for (int64_t block = 0; block < blocks; ++block) {
    const int64_t place = block * chunk.max_rows + r;
    sum += chunk.sum[place] * __builtin_expf(chunk.maximum[place] - best);
  }
  chunk.log_sum[r] = best + __builtin_logf(sum);
  const float target = chunk.logits_at(label / kPanel * kPanel, r)[label % kPanel];
  task.loss_T[token] = best - target + __builtin_logf(sum);
}

/// Logits of rows [r, r + rows), columns [v, v + 32), become the gradients of the sum of losses in them.
template <class Element>
inline void finish_head_tile(const HeadTask<Element>& task, int64_t start, int64_t r, int64_t rows, int64_t v,
                             const HeadChunk<Element>& chunk) {
  constexpr int64_t per_lane = kPerLane<Element>;
  const int64_t column = v % kHeadBlock;
  float* logits = chunk.logits_at(v, r);
  for (int64_t i = 0; i < rows; ++i) {
    const int64_t label = task.label[task.token[start + r + i]] - v;
    for (int64_t j = 0; j < kPanel; j += kWidth) {
      float* place = logits + i * kPanel + j;
      store(place, exp(load(place) - chunk.log_sum[r + i]));
    }
    if (label >= 0 && label < kPanel) logits[i * kPanel + label] -= 1;
  }
  for (int64_t i = 0; i < rows; i += per_lane) {
    for (int64_t j = 0; j < kPanel; j += kWidth) {
      using Stored = decltype(rounded(Element(), Vec()));
      Stored part[2] = {};
      for (int64_t k = 0; k < per_lane && i + k < rows; ++k) {
        part[k] = rounded(Element(), load(logits + (i + k) * kPanel + j));
        store_as(chunk.grad + (r + i + k) * kHeadStride + column + j, part[k]);
      }
      if constexpr (per_lane > 1) {
        store_as(chunk.grad_lanes + (r + i) / per_lane * kHeadStride + column + j,
                 lanes_of(part[0], part[1]));
      }
    }
  }
}

/// Gradients that one block of the vocabulary gives to the hidden rows of a chunk, and those of its own rows
/// of the head.
template <class Element>
inline void head_block_gradients(const HeadTask<Element>& task, const Team& team, int64_t start, int64_t rows,
                                 int64_t block, const HeadChunk<Element>& chunk, uint32_t* panel) {
  const int64_t D = task.D, d_panels = divide_up(D, kPanel);
  const int64_t words = smaller(kHeadBlock, task.V - block), v_panels = divide_up(words, kPanel);
  for (int64_t p = team.begin(v_panels); p < team.end(v_panels); ++p) {
    for (int64_t r = 0; r < rows; r += kTileRows) {
      finish_head_tile(task, start, r, smaller(kTileRows, rows - r), block + p * kPanel, chunk);
    }
  }
  team.barrier();
  // Even items: gradients of hidden rows; odd ones: of the head. Both for 32 columns.
  for (int64_t item = team.begin(2 * d_panels); item < team.end(2 * d_panels); ++item) {
    const int64_t d = item / 2 * kPanel, columns = smaller(kPanel, D - d);
    if (item % 2 == 0) {
      pack_rows<Element>([&](int64_t w) { return task.head_VD + (block + w) * D + d; }, words, columns, panel,
                         kPanel);
      add_rows<Element>([&](int64_t r) { return chunk.grad + r * kHeadStride; }, rows, panel,
                        divide_up(words, kPerLane<Element>), chunk.grad_hidden + d, D, columns);
    } else if (task.grad_head_VD != nullptr) {
      add_sum_over_rows<Element>(chunk.grad_lanes, kHeadStride,
                                 chunk.hidden_rows + d * (chunk.max_rows / kPerLane<Element>),
                                 divide_up(rows, kPerLane<Element>), task.grad_head_VD + block * D + d, D,
                                 words, columns);
    }
  }
  team.barrier();
}

/// Gradients of the chunk of rows from `start` on, whose logits and sums are there.
template <class Element>
inline void head_chunk_gradients(const HeadTask<Element>& task, const Team& team, int64_t start, int64_t rows,
                                 const HeadChunk<Element>& chunk, uint32_t* panel) {
  const int64_t D = task.D, d_panels = divide_up(D, kPanel);
  for (int64_t p = team.begin(d_panels); p < team.end(d_panels); ++p) {
    pack_rows<Element>(
        [&](int64_t r) { return task.hidden_TD + task.token[start + r] * D + p * kPanel; }, rows,
        smaller(kPanel, D - p * kPanel),
        chunk.hidden_rows + p * kPanel * (chunk.max_rows / kPerLane<Element>), kPanel);
  }
  for (int64_t r = team.begin(rows); r < team.end(rows); ++r) {
    std::memset(chunk.grad_hidden + r * D, 0, static_cast<size_t>(D) * sizeof(float));
  }
  for (int64_t block = 0; block < task.V; block += kHeadBlock) {
    head_block_gradients(task, team, start, rows, block, chunk, panel);
  }
  for (int64_t r = team.begin(rows); r < team.end(rows); ++r) {
    std::memcpy(task.grad_hidden_TD + task.token[start + r] * D, chunk.grad_hidden + r * D,
                static_cast<size_t>(D) * sizeof(float));
  }
  team.barrier();
}

template <class Element>
void head_losses(const HeadTask<Element>& task, const Team& team, std::byte* shared, std::byte* own) {
  const HeadChunk<Element> chunk(task.D, task.V, shared);
  Carver carver(own);
  auto* panel = carver.template take<uint32_t>(larger(task.D, kHeadBlock) * kPanel);
  auto* lane_maximum = carver.template take<float>(kMaxHeadRows * kWidth);
  auto* lane_sum = carver.template take<float>(kMaxHeadRows * kWidth);
  const int64_t blocks = divide_up(task.V, kHeadBlock);
  for (int64_t start = 0; start < task.rows; start += chunk.max_rows) {
    const int64_t rows = smaller(chunk.max_rows, task.rows - start);
    for (int64_t block = team.begin(blocks); block < team.end(blocks); ++block) {
      make_block(task, start, rows, block, chunk, panel, lane_maximum, lane_sum);
    }
    team.barrier();
    for (int64_t r = team.begin(rows); r < team.end(rows); ++r) finish_loss(task, start, r, chunk);
    team.barrier();
    if (task.grad_hidden_TD != nullptr) head_chunk_gradients(task, team, start, rows, chunk, panel);
  }
}

}  // namespace granule::GRANULE_ISA
