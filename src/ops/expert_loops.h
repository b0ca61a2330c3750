#pragma once
// SwiGLU experts. Weights are packed panel by panel into the cache, each panel then used for a whole chunk of
// rows: no packed copy of the weights exists, and the gather of rows costs nothing, as tiles read them
// through pointers.

#include "ops/matrix_loops.h"

namespace granule::GRANULE_ISA {

// Rows that go through the phases together; what they leave in between should stay in the cache.
constexpr int64_t kChunkRows = 512;

/// Columns of h, gate and up as they lie in between: zeros fill the last 16.
inline int64_t padded(int64_t F) {
  return divide_up(F, 16) * 16;
}

/// Elements from one row of gradients of gate and up to the next: an odd number of cache lines in fp32, as a
/// power of two would send a column to few places of the cache.
inline int64_t gradient_stride(int64_t F) {
  return 2 * padded(F) + 16;
}

/// What the phases of a chunk hand on to each other; F is padded.
template <class Element>
struct ExpertChunk {
  ExpertChunk(int64_t D, int64_t F, std::byte* buffer) : carver(buffer) {
    h_RF = carver.template take<Element>(kChunkRows * gradient_stride(F));
    grad_gate_up_R2F = h_RF;
    const auto take_panels = [&](int64_t columns) {
      return carver.template take<uint32_t>(divide_up(columns, kPanel) * kPanelLanes);
    };
    x_panels = take_panels(D);
    h_panels = take_panels(F);
    grad_y_panels = take_panels(D);
    if constexpr (kPerLane < Element >> 1) {
      grad_gate_panels = take_panels(F);
      grad_up_panels = take_panels(F);
    }
    grad_scale_parts = carver.template take<float>(divide_up(F, kPanel) * kChunkRows);
  }

  static constexpr int64_t kPanelLanes = kChunkRows / kPerLane<Element> * kPanel;

  Carver carver;
  Element* h_RF;                                                    // forward
  Element* grad_gate_up_R2F;                                        // backward, in the same place
  uint32_t *x_panels, *h_panels, *grad_y_panels;                    // for sums over rows
  uint32_t *grad_gate_panels = nullptr, *grad_up_panels = nullptr;  // see row_lanes
  float* grad_scale_parts;                                          // kChunkRows for each panel of F
};

template <class Element>
size_t expert_shared_bytes(int64_t D, int64_t F) {
  return ExpertChunk<Element>(D, F, nullptr).carver.used_since(nullptr);
}

/// One packed panel.
template <class Element>
size_t expert_thread_bytes(int64_t D, int64_t F) {
  return static_cast<size_t>(larger(D, 2 * padded(F)) * kPanel * 4);
}

/// Rows of gate and up in `c` (16 columns each): kept in `gate_up`, and h = silu(gate) * up * scale.
template <class Element>
inline void finish_forward_tile(const float* c, int64_t rows, const float* scale, Element* gate_up,
                                Element* h, int64_t h_stride) {
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < 16; j += kWidth) {
      const Vec gate = load(c + i * kPanel + j), up = load(c + i * kPanel + 16 + j);
      store(gate_up + i * kPanel + j, gate);
      store(gate_up + i * kPanel + 16 + j, up);
      store(h + i * h_stride + j, gate * sigmoid(Element(), gate) * up * scale[i]);
    }
  }
}

/// The next panel's source where it lies in one piece.
template <class Element>
inline Ahead whole_rows(const Element* first, int64_t count, int64_t steps) {
  return Ahead(first, 128, divide_up(count * static_cast<int64_t>(sizeof(Element)), 128), steps);
}

/// The same where it is 32 columns of `rows` rows.
template <class Element>
inline Ahead columns_of_rows(const Element* first, int64_t stride, int64_t rows, int64_t steps) {
  return Ahead(first, stride * static_cast<int64_t>(sizeof(Element)), rows, steps);
}

template <class Element>
void expert_forward(const ExpertTask<Element>& task, const Team& team, std::byte* shared, std::byte* own) {
  const int64_t D = task.D, F = task.F, blocks = divide_up(F, 16), h_stride = padded(F);
  const ExpertChunk<Element> chunk(D, F, shared);
  auto* panel = reinterpret_cast<uint32_t*>(own);
  const uint32_t* base[kTileRows];
  alignas(64) float c[kTileRows * kPanel];
  for (int64_t start = 0; start < task.rows; start += kChunkRows) {
    const int64_t rows = smaller(kChunkRows, task.rows - start);
    const auto x_row = [&](int64_t r) { return task.x_TD + task.source[start + r] * D; };
    const auto h_row = [&](int64_t r) { return chunk.h_RF + r * h_stride; };

    const int64_t depth = D / kPerLane<Element>, tiles = divide_up(rows, kTileRows);
    for (int64_t p = team.begin(blocks); p < team.end(blocks); ++p) {
      const int64_t width = smaller<int64_t>(16, F - p * 16);
      pack_transposed(as_lanes(task.gate_FD + p * 16 * D), depth, depth, panel, 0, width);
      pack_transposed(as_lanes(task.up_FD + p * 16 * D), depth, depth, panel, 16, width);
      Element* gate_up = task.gate_up + p * task.gate_up_stride + start * kPanel;
      const bool last = p + 1 == team.end(blocks);
      const int64_t next_width = smaller<int64_t>(16, F - (p + 1) * 16);
      Ahead next_gate = last ? Ahead() : whole_rows(task.gate_FD + (p + 1) * 16 * D, next_width * D, tiles);
      Ahead next_up = last ? whole_rows(task.down_DF, smaller(kPanel, D) * F, tiles)
                           : whole_rows(task.up_FD + (p + 1) * 16 * D, next_width * D, tiles);
      const bool first = p == team.begin(blocks);
      for (int64_t r = 0; r < rows; r += kTileRows) {
        next_gate.step();
        next_up.step();
        set_row_bases(x_row, r, rows, base);
        if (first) {
          for (int64_t i = r + kTileRows; i < smaller(r + 2 * kTileRows, rows); ++i) ask_for(x_row(i), D);
        }
        ask_for(gate_up + r * kPanel, smaller(kTileRows, rows - r) * kPanel);
        multiply_tile<Element, Into::kStore>(base, 1, panel, depth, c, kPanel, kPanel);
        finish_forward_tile(c, smaller(kTileRows, rows - r), task.scale + start + r, gate_up + r * kPanel,
                            chunk.h_RF + r * h_stride + p * 16, h_stride);
      }
    }
    team.barrier();
    const int64_t inner_depth = F / kPerLane<Element>;
    for (int64_t p = team.begin(divide_up(D, kPanel)); p < team.end(divide_up(D, kPanel)); ++p) {
      const int64_t columns = smaller(kPanel, D - p * kPanel);
      for (int64_t first = 0; first < columns; first += 16) {
        pack_transposed(as_lanes(task.down_DF + (p * kPanel + first) * F), inner_depth, inner_depth, panel,
                        first);
      }
      const int64_t left = smaller(kPanel, D - p * kPanel - columns);
      multiply_rows(h_row, 0, rows, panel, F, task.y_RD + start * D + p * kPanel, D, columns,
                    whole_rows(task.down_DF + (p + 1) * kPanel * F, left * F, tiles));
    }
    team.barrier();
  }
}

/// From the gradient of h in `c` (16 or 32 columns from f on) and the kept gate and up: h again and the
/// gradients of gate and up in panels, those as rows too, of the padded width F for each (in fp32 as rows
/// alone), and what these columns add to the gradient of the scale, which may be null.
template <class Element>
inline void finish_backward_tile(const float* c, int64_t rows, int64_t columns, const float* scale,
                                 const Element* gate_up, int64_t gate_up_stride, int64_t F,
                                 Element* grad_gate, uint32_t* h_panel, uint32_t* grad_gate_panel,
                                 uint32_t* grad_up_panel, float* grad_scale) {
  constexpr int64_t per_lane = kPerLane<Element>;
  for (int64_t i = 0; i < rows; i += per_lane) {
    Vec scale_lanes[2] = {};
    for (int64_t j = 0; j < columns; j += kWidth) {
      const Element* kept = gate_up + j / 16 * gate_up_stride + j % 16;
      Vec h[2] = {}, grad_gates[2] = {}, grad_ups[2] = {};
#pragma GCC unroll 2
      for (int64_t part = 0; part < per_lane; ++part) {
        if (i + part == rows) break;
        const Vec gate = load(kept + (i + part) * kPanel), up = load(kept + (i + part) * kPanel + 16);
        const Vec grad_scaled = load(c + (i + part) * kPanel + j), grad_h = grad_scaled * scale[i + part];
        const Vec open = sigmoid(Element(), gate), silu = gate * open, unscaled = silu * up;
        h[part] = unscaled * scale[i + part];
        scale_lanes[part] += grad_scaled * unscaled;
        grad_ups[part] = grad_h * silu;
        grad_gates[part] = grad_h * up * (open + silu * (1.0f - open));
      }
      const auto grad_gate_stored = as_stored(Element(), grad_gates[0], grad_gates[1]);
      const auto grad_up_stored = as_stored(Element(), grad_ups[0], grad_ups[1]);
#pragma GCC unroll 2
      for (int64_t part = 0; part < per_lane; ++part) {
        if (i + part == rows) break;
        Element* row = grad_gate + (i + part) * gradient_stride(F) + j;
        store_row(row, grad_gate_stored, part);
        store_row(row + F, grad_up_stored, part);
      }
      const int64_t lane = i / per_lane * kPanel + j;
      store_as(h_panel + lane, lanes_of(as_stored(Element(), h[0], h[1])));
      if constexpr (per_lane > 1) {
        store_as(grad_gate_panel + lane, lanes_of(grad_gate_stored));
        store_as(grad_up_panel + lane, lanes_of(grad_up_stored));
      }
    }
    if (grad_scale == nullptr) continue;
#pragma GCC unroll 2
    for (int64_t part = 0; part < per_lane; ++part) {
      if (i + part < rows) grad_scale[i + part] = sum_of_lanes(scale_lanes[part]);
    }
  }
}

/// First phase of backward: gradients of gate and up, and the panels that weight gradients are made of.
template <class Element>
inline void expert_backward_inner(const ExpertTask<Element>& task, const Team& team,
                                  const ExpertChunk<Element>& chunk, int64_t start, int64_t rows,
                                  uint32_t* panel) {
  const int64_t D = task.D, F = task.F, row_width = padded(F);
  constexpr int64_t panel_lanes = ExpertChunk<Element>::kPanelLanes;
  const auto x_row = [&](int64_t r) { return task.x_TD + task.source[start + r] * D; };
  const auto grad_y_row = [&](int64_t r) { return task.grad_y_TD + task.source[start + r] * D; };
  const auto down_row = [&](int64_t d) { return task.down_DF + d * F; };

  const int64_t x_panels = divide_up(D, kPanel), f_panels = divide_up(F, kPanel),
                tiles = divide_up(rows, kTileRows);
  for (int64_t p = team.begin(x_panels); p < team.end(x_panels); ++p) {
    const int64_t columns = smaller(kPanel, D - p * kPanel);
    pack_rows<Element>([&](int64_t r) { return x_row(r) + p * kPanel; }, rows, columns,
                       chunk.x_panels + p * panel_lanes);
    pack_rows<Element>([&](int64_t r) { return grad_y_row(r) + p * kPanel; }, rows, columns,
                       chunk.grad_y_panels + p * panel_lanes);
  }
  const uint32_t* base[kTileRows];
  alignas(64) float c[kTileRows * kPanel];
  for (int64_t p = team.begin(f_panels); p < team.end(f_panels); ++p) {
    const int64_t f = p * kPanel, columns = smaller(kPanel, row_width - f);
    pack_rows<Element>([&](int64_t d) { return down_row(d) + f; }, D, smaller(kPanel, F - f), panel);
    const Element* gate_up = task.gate_up + f / 16 * task.gate_up_stride + start * kPanel;
    Ahead ahead = columns_of_rows(task.down_DF + f + columns, F, f + columns < F ? D : 0, tiles);
    for (int64_t r = 0; r < rows; r += kTileRows) {
      ahead.step();
      set_row_bases(grad_y_row, r, rows, base);
      for (int64_t j = 0; j < columns; j += 16) {
        ask_for(gate_up + j / 16 * task.gate_up_stride + r * kPanel, kTileRows * kPanel);
      }
      multiply_tile<Element, Into::kStore>(base, 1, panel, D / kPerLane<Element>, c, kPanel, columns);
      const int64_t lane = p * panel_lanes + r / kPerLane<Element> * kPanel;
      finish_backward_tile(
          c, smaller(kTileRows, rows - r), columns, task.scale + start + r, gate_up + r * kPanel,
          task.gate_up_stride, row_width, chunk.grad_gate_up_R2F + r * gradient_stride(F) + f,
          chunk.h_panels + lane, chunk.grad_gate_panels + lane, chunk.grad_up_panels + lane,
          task.grad_scale == nullptr ? nullptr : chunk.grad_scale_parts + p * kChunkRows + r);
    }
  }
}

/// What the panels of columns have each added to the gradient of the scale, in their order.
template <class Element>
inline void sum_scale_gradient(const ExpertTask<Element>& task, const Team& team,
                               const ExpertChunk<Element>& chunk, int64_t start, int64_t rows) {
  if (task.grad_scale == nullptr) return;
  for (int64_t r = team.begin(rows); r < team.end(rows); ++r) {
    float sum = 0;
    for (int64_t p = 0; p < divide_up(task.F, kPanel); ++p) sum += chunk.grad_scale_parts[p * kChunkRows + r];
    task.grad_scale[start + r] = sum;
  }
}

/// Second phase: the gradient of x, and those of the weights, one after the other for each panel of columns.
template <class Element>
inline void expert_backward_outer(const ExpertTask<Element>& task, const Team& team,
                                  const ExpertChunk<Element>& chunk, int64_t start, int64_t rows,
                                  uint32_t* panel) {
  const int64_t D = task.D, F = task.F, row_width = padded(F);
  constexpr int64_t panel_lanes = ExpertChunk<Element>::kPanelLanes;
  const int64_t lane_rows = divide_up(rows, kPerLane<Element>);
  const auto grad_row = [&](int64_t r) { return chunk.grad_gate_up_R2F + r * gradient_stride(F); };

  const int64_t d_panels = divide_up(D, kPanel), f_panels = divide_up(F, kPanel),
                tiles = divide_up(rows, kTileRows);
  for (int64_t p = team.begin(d_panels); p < team.end(d_panels); ++p) {
    const int64_t d = p * kPanel, columns = smaller(kPanel, D - d);
    if (task.grad_x_RD != nullptr) {
      const int64_t weight_lanes = F / kPerLane<Element> * kPanel;
      const int64_t padded_lanes = row_width / kPerLane<Element> * kPanel;
      const auto pack = [&](const Element* weight_FD, uint32_t* target) {
        pack_rows<Element>([&](int64_t f) { return weight_FD + f * D + d; }, F, columns, target);
        std::memset(target + weight_lanes, 0, static_cast<size_t>(padded_lanes - weight_lanes) * 4);
      };
      pack(task.gate_FD, panel);
      pack(task.up_FD, panel + padded_lanes);
      Ahead ahead = columns_of_rows(task.gate_FD + d + columns, D, d + columns < D ? F : 0, tiles);
      multiply_rows(grad_row, 0, rows, panel, 2 * row_width, task.grad_x_RD + start * D + d, D, columns,
                    ahead);
    }
    const auto add_gradient = [&](const Element* grad_rows, const uint32_t* grad_panels, float* grad_FD) {
      if (grad_FD == nullptr) return;
      add_sum_over_rows<Element>(row_lanes(grad_rows, gradient_stride(F), grad_panels, panel_lanes),
                                 chunk.x_panels + p * panel_lanes, lane_rows, grad_FD + d, D, F, columns);
    };
    add_gradient(chunk.grad_gate_up_R2F, chunk.grad_gate_panels, task.grad_gate_FD);
    add_gradient(chunk.grad_gate_up_R2F + row_width, chunk.grad_up_panels, task.grad_up_FD);
  }
  if (task.grad_down_DF == nullptr) return;
  for (int64_t p = team.begin(f_panels); p < team.end(f_panels); ++p) {
    const int64_t f = p * kPanel, columns = smaller(kPanel, F - f);
    add_sum_over_rows<Element>({chunk.grad_y_panels, kPanel, panel_lanes}, chunk.h_panels + p * panel_lanes,
                               lane_rows, task.grad_down_DF + f, F, D, columns);
  }
}

template <class Element>
void expert_backward(const ExpertTask<Element>& task, const Team& team, std::byte* shared, std::byte* own) {
  const ExpertChunk<Element> chunk(task.D, task.F, shared);
  auto* panel = reinterpret_cast<uint32_t*>(own);
  for (int64_t start = 0; start < task.rows; start += kChunkRows) {
    const int64_t rows = smaller(kChunkRows, task.rows - start);
    expert_backward_inner(task, team, chunk, start, rows, panel);
    team.barrier();
    sum_scale_gradient(task, team, chunk, start, rows);
    expert_backward_outer(task, team, chunk, start, rows, panel);
    team.barrier();
  }
}

}  // namespace granule::GRANULE_ISA
