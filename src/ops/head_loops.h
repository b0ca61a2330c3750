#pragma once
// Cross-entropy of the vocabulary head, value and gradients in one pass over chunks of tokens: the logits of
// a chunk are made once, and turn into their gradients block by block of the vocabulary.

#include "ops/matrix_loops.h"

namespace granule::GRANULE_ISA {

constexpr int64_t kHeadBlock = 512;  // of the vocabulary
constexpr int64_t kMaxHeadRows = 512;
constexpr int64_t kMinHeadRows = 64;
/// Logits of a chunk, while it has more rows than the least.
constexpr int64_t kHeadLogits = int64_t{1} << 22;

/// Elements from one row of gradients to the next: a power of two would send a column to few places of the
/// cache.
constexpr int64_t kHeadStride = kHeadBlock + 16;
/// In place of a logit that is not there, and of a reference that no logit has given yet.
constexpr float kNoLogit = -1e30f;
/// A logit so far above its row's reference makes the row take another.
constexpr float kHeadRange = 40.0f;

/// Rows of a chunk.
inline int64_t head_rows(int64_t V) {
  return larger(kMinHeadRows, smaller(kMaxHeadRows, kHeadLogits / V / kPanel * kPanel));
}

template <class Element>
struct HeadChunk {
  HeadChunk(int64_t D, int64_t V, std::byte* buffer) : carver(buffer), max_rows(head_rows(V)) {
    const int64_t panels = divide_up(V, kPanel);
    panel_lanes = max_rows / kPerLane<Element> * kPanel;
    exponentials = carver.template take<float>(panels * kPanel * max_rows);
    reference = carver.template take<float>(panels * max_rows);
    sum = carver.template take<float>(divide_up(V, kHeadBlock) * max_rows);
    target = carver.template take<float>(max_rows);
    log_sum = carver.template take<float>(max_rows);
    grad = carver.template take<Element>(max_rows * kHeadStride);
    if constexpr (kPerLane < Element >> 1) {
      grad_panels = carver.template take<uint32_t>(kHeadBlock / kPanel * panel_lanes);
    }
    hidden_panels = carver.template take<uint32_t>(divide_up(D, kPanel) * panel_lanes);
    grad_hidden = carver.template take<float>(max_rows * D);
  }

  /// Of rows from r on and the 32 columns from v on, a row's columns together.
  float* exponentials_at(int64_t v, int64_t r) const { return exponentials + v * max_rows + r * kPanel; }
  float& reference_at(int64_t v, int64_t r) const { return reference[v / kPanel * max_rows + r]; }
  float& sum_at(int64_t v, int64_t r) const { return sum[v / kHeadBlock * max_rows + r]; }

  Carver carver;
  int64_t max_rows, panel_lanes;
  float* exponentials;  // e^(logit - reference)
  float* reference;     // [panels, rows]
  float* sum;           // [blocks, rows]: of the exponentials of a block, under its last panel's reference
  float *target, *log_sum;          // [rows]: the label's logit, and the logarithm of the sum of e^logit
  Element* grad;                    // gradients of the logits of a block, [rows, block]
  uint32_t* grad_panels = nullptr;  // see row_lanes
  uint32_t* hidden_panels;          // the chunk's rows for sums over them
  float* grad_hidden;               // [rows, D]
};

template <class Element>
size_t head_shared_bytes(int64_t D, int64_t V) {
  return HeadChunk<Element>(D, V, nullptr).carver.used_since(nullptr);
}

/// A packed panel, and what each row has of a block so far.
template <class Element>
size_t head_thread_bytes(int64_t D, int64_t) {
  return static_cast<size_t>((larger(D, kHeadBlock) * kPanel + kMaxHeadRows * kWidth + kMaxHeadRows) * 4);
}

/// Logits of a tile of rows and up to 32 columns from v on; columns beyond the vocabulary are kNoLogit.
template <class Element>
inline void make_logits(const HeadTask<Element>& task, int64_t start, int64_t r, int64_t rows, int64_t v,
                        const uint32_t* panel, float* logits) {
  const uint32_t* base[kTileRows];
  set_row_bases([&](int64_t n) { return task.hidden_TD + task.token[start + n] * task.D; }, r, r + rows,
                base);
  ask_for(logits, kTileRows * kPanel);
  multiply_tile<Element, Into::kStore>(base, 1, panel, task.D / kPerLane<Element>, logits, kPanel, kPanel);
  for (int64_t column = task.V - v; column < kPanel; ++column) {
    for (int64_t i = 0; i < kTileRows; ++i) logits[i * kPanel + column] = kNoLogit;
  }
}

/// 32 logits of a row become their exponentials. The row's reference, below which they are taken, follows
/// them up only when it must; its sum, kept lane by lane, goes with it.
inline void exponentiate(float* logits, float& reference, float* lane_sum) {
  Vec best = load(logits);
  for (int64_t j = kWidth; j < kPanel; j += kWidth) best = max_of(best, load(logits + j));
  const float highest = max_of_lanes(best);
  Vec sum = load(lane_sum);
  if (highest > reference + kHeadRange) {
    sum = sum * exp(splat(reference - highest));
    reference = highest;
  }
  for (int64_t j = 0; j < kPanel; j += kWidth) {
    const Vec value = exp(load(logits + j) - reference);
    sum += value;
    store(logits + j, value);
  }
  store(lane_sum, sum);
}

/// One block of the vocabulary for all rows of a chunk.
template <class Element>
inline void make_block(const HeadTask<Element>& task, int64_t start, int64_t rows, int64_t block,
                       const HeadChunk<Element>& chunk, std::byte* own) {
  Carver carver(own);
  auto* panel = carver.template take<uint32_t>(larger(task.D, kHeadBlock) * kPanel);
  auto* lane_sum = carver.template take<float>(kMaxHeadRows * kWidth);
  auto* reference = carver.template take<float>(kMaxHeadRows);
  for (int64_t r = 0; r < rows; ++r) {
    store(lane_sum + r * kWidth, Vec{});
    reference[r] = kNoLogit;
  }
  for (int64_t v = block; v < smaller(task.V, block + kHeadBlock); v += kPanel) {
    pack_rows_transposed(task.head_VD + v * task.D, task.D, smaller(kPanel, task.V - v), task.D, panel);
    for (int64_t r = 0; r < rows; r += kTileRows) {
      const int64_t tile_end = smaller(r + kTileRows, rows);
      make_logits(task, start, r, tile_end - r, v, panel, chunk.exponentials_at(v, r));
      for (int64_t i = r; i < tile_end; ++i) {
        float* logits = chunk.exponentials_at(v, i);
        const int64_t label = task.label[task.token[start + i]] - v;
        if (label >= 0 && label < kPanel) chunk.target[i] = logits[label];
        exponentiate(logits, reference[i], lane_sum + i * kWidth);
        chunk.reference_at(v, i) = reference[i];
      }
    }
  }
  for (int64_t r = 0; r < rows; ++r) chunk.sum_at(block, r) = sum_of_lanes(load(lane_sum + r * kWidth));
}

/// Loss of row r of a chunk, from what its blocks gave.
template <class Element>
inline void finish_loss(const HeadTask<Element>& task, int64_t start, int64_t r,
                        const HeadChunk<Element>& chunk) {
  const auto last_reference = [&](int64_t block) {
    return chunk.reference_at(smaller(task.V, block + kHeadBlock) - 1, r);
  };
  float highest = kNoLogit, sum = 0;
  for (int64_t block = 0; block < task.V; block += kHeadBlock)
    highest = larger(highest, last_reference(block));
  for (int64_t block = 0; block < task.V; block += kHeadBlock) {
    sum += chunk.sum_at(block, r) * __builtin_expf(last_reference(block) - highest);
  }
  const float log = __builtin_logf(sum);
  chunk.log_sum[r] = highest + log;
  task.loss_T[task.token[start + r]] = highest - chunk.target[r] + log;
}

/// What turns the exponentials of 32 columns into probabilities, in place of their references.
template <class Element>
inline void make_factors(int64_t v, int64_t rows, const HeadChunk<Element>& chunk) {
  for (int64_t r = 0; r < rows; r += kWidth) {
    float* place = &chunk.reference_at(v, r);
    store(place, exp(load(place) - load(chunk.log_sum + r)));
  }
}

/// The gradients of the sum of losses in the logits of rows [r, r + rows), columns [v, v + 32).
template <class Element>
inline void finish_head_tile(const HeadTask<Element>& task, int64_t start, int64_t r, int64_t rows, int64_t v,
                             const HeadChunk<Element>& chunk) {
  constexpr int64_t per_lane = kPerLane<Element>;
  const int64_t column = v % kHeadBlock;
  const float* exponentials = chunk.exponentials_at(v, r);
  uint32_t* lanes = chunk.grad_panels + column / kPanel * chunk.panel_lanes;
  for (int64_t i = 0; i < rows; i += per_lane) {
    float factor[2] = {};
    int32_t label[2] = {};
    for (int64_t part = 0; part < smaller(per_lane, rows - i); ++part) {
      factor[part] = chunk.reference_at(v, r + i + part);
      label[part] = static_cast<int32_t>(task.label[task.token[start + r + i + part]] - v);
    }
    for (int64_t j = 0; j < kPanel; j += kWidth) {
      Vec grad[2] = {};
#pragma GCC unroll 2
      for (int64_t part = 0; part < per_lane; ++part) {
        if (i + part == rows) break;
        const Vec probability = load(exponentials + (i + part) * kPanel + j) * factor[part];
        const IntVec is_label = lane_numbers() + static_cast<int32_t>(j) == splat(label[part]);
        grad[part] = is_label ? probability - 1.0f : probability;
      }
      const auto stored = as_stored(Element(), grad[0], grad[1]);
      Element* place = chunk.grad + (r + i) * kHeadStride + column + j;
      store_row(place, stored, 0);
      if (per_lane > 1 && i + 1 < rows) store_row(place + kHeadStride, stored, 1);
      if constexpr (per_lane > 1) store_as(lanes + (r + i) / per_lane * kPanel + j, lanes_of(stored));
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
    make_factors(block + p * kPanel, rows, chunk);
    for (int64_t r = 0; r < rows; r += kTileRows) {
      finish_head_tile(task, start, r, smaller(kTileRows, rows - r), block + p * kPanel, chunk);
    }
  }
  team.barrier();
  // Even items: gradients of hidden rows; odd ones: of the head. Both for 32 columns.
  for (int64_t item = team.begin(2 * d_panels); item < team.end(2 * d_panels); ++item) {
    const int64_t d = item / 2 * kPanel, columns = smaller(kPanel, D - d);
    if (item % 2 == 0) {
      pack_rows<Element>([&](int64_t w) { return task.head_VD + (block + w) * D + d; }, words, columns,
                         panel);
      add_rows<Element>([&](int64_t r) { return chunk.grad + r * kHeadStride; }, rows, panel,
                        divide_up(words, kPerLane<Element>), chunk.grad_hidden + d, D, columns);
    } else if (task.grad_head_VD != nullptr) {
      add_sum_over_rows<Element>(row_lanes(chunk.grad, kHeadStride, chunk.grad_panels, chunk.panel_lanes),
                                 chunk.hidden_panels + d / kPanel * chunk.panel_lanes,
                                 divide_up(rows, kPerLane<Element>), task.grad_head_VD + block * D + d, D,
                                 words, columns);
    }
  }
  team.barrier();
}

/// Gradients of the chunk of rows from `start` on, whose exponentials and sums are there.
template <class Element>
inline void head_chunk_gradients(const HeadTask<Element>& task, const Team& team, int64_t start, int64_t rows,
                                 const HeadChunk<Element>& chunk, uint32_t* panel) {
  const int64_t D = task.D, d_panels = divide_up(D, kPanel);
  for (int64_t p = team.begin(d_panels); p < team.end(d_panels); ++p) {
    pack_rows<Element>([&](int64_t r) { return task.hidden_TD + task.token[start + r] * D + p * kPanel; },
                       rows, smaller(kPanel, D - p * kPanel), chunk.hidden_panels + p * chunk.panel_lanes);
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
  const int64_t blocks = divide_up(task.V, kHeadBlock);
  for (int64_t start = 0; start < task.rows; start += chunk.max_rows) {
    const int64_t rows = smaller(chunk.max_rows, task.rows - start);
    for (int64_t block = team.begin(blocks); block < team.end(blocks); ++block) {
      make_block(task, start, rows, block * kHeadBlock, chunk, own);
    }
    team.barrier();
    for (int64_t r = team.begin(rows); r < team.end(rows); ++r) finish_loss(task, start, r, chunk);
    team.barrier();
    if (task.grad_hidden_TD == nullptr) continue;
    head_chunk_gradients(task, team, start, rows, chunk, reinterpret_cast<uint32_t*>(own));
  }
}

}  // namespace granule::GRANULE_ISA
