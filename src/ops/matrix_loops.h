#pragma once
// Matrices as panels, products of many rows with one panel, and sums over rows: what the phases of all
// kernels are made of.

#include "ops/ahead.h"
#include "ops/tile.h"

namespace granule::GRANULE_ISA {

/// All rows of a [S, dim] matrix as panels of 32 rows, for sums along dim; rows beyond S are zero.
template <class Element>
inline void pack_rows_transposed(const Element* rows, int64_t stride, int64_t S, int64_t dim,
                                 uint32_t* panels) {
  const int64_t depth = dim / kPerLane<Element>, lane_stride = stride / kPerLane<Element>;
  for (int64_t s = 0; s < divide_up(S, kPanel) * kPanel; s += 16) {
    uint32_t* panel = panels + s / kPanel * kPanel * depth;
    for (int64_t i = s + 16; i < smaller(s + 32, S); ++i) ask_for(rows + i * stride, dim);
    if (s + 16 <= S) {
      pack_transposed(as_lanes(rows + s * stride), lane_stride, depth, panel, s % kPanel);
      continue;
    }
    for (int64_t i = 0; i < 16; ++i) {
      for (int64_t lane = 0; lane < depth; ++lane) {
        panel[lane * kPanel + s % kPanel + i] = s + i < S ? as_lanes(rows + (s + i) * stride)[lane] : 0;
      }
    }
  }
}

/// The same rows as panels of 32 columns, for sums over rows: panel after panel, each divide_up(S, per lane)
/// steps.
template <class Element>
inline void pack_all_rows(const Element* rows, int64_t stride, int64_t S, int64_t dim, uint32_t* panels) {
  for (int64_t d = 0; d < dim; d += kPanel) {
    pack_rows<Element>([&](int64_t s) { return rows + s * stride + d; }, S, smaller(kPanel, dim - d),
                       panels + d * divide_up(S, kPerLane<Element>));
  }
}

/// out[r][0 .. columns) = row_of(r) . panel for rows [begin, end).
template <class Element, class RowOf>
inline void multiply_rows(const RowOf& row_of, int64_t begin, int64_t end, const uint32_t* panel,
                          int64_t depth, Element* out, int64_t out_stride, int64_t columns, Ahead ahead) {
  const uint32_t* base[kTileRows];
  alignas(64) float c[kTileRows * kPanel];
  for (int64_t r = begin; r < end; r += kTileRows) {
    ahead.step();
    set_row_bases(row_of, r, end, base);
    for (int64_t i = r; i < smaller(r + kTileRows, end); ++i) ask_for(out + i * out_stride, columns);
    if constexpr (kPerLane<Element> == 1) {
      if (r + kTileRows <= end) {
        multiply_tile<Element, Into::kStore>(base, 1, panel, depth, out + r * out_stride, out_stride,
                                             columns);
        continue;
      }
    }
    multiply_tile<Element, Into::kStore>(base, 1, panel, depth / kPerLane<Element>, c, kPanel, columns);
    for (int64_t i = 0; i < smaller(kTileRows, end - r); ++i) {
      for (int64_t j = 0; j < columns; j += kWidth)
        store(out + (r + i) * out_stride + j, load(c + i * kPanel + j));
    }
  }
}

// A tile added to `rows` rows of `sum`, which may be fewer than a tile has; `columns` need not be a multiple
// of 16, as those of all else here.
template <class Element>
inline void add_tile(const uint32_t* const* base, int64_t step, const uint32_t* panel, int64_t steps,
                     float* sum, int64_t sum_stride, int64_t rows, int64_t columns) {
  for (int64_t i = 0; i < smaller(rows, kTileRows); ++i) ask_for(sum + i * sum_stride, columns);
  if (rows >= kTileRows && columns % 16 == 0) {
    multiply_tile<Element, Into::kAdd>(base, step, panel, steps, sum, sum_stride, columns);
    return;
  }
  alignas(64) float c[kTileRows * kPanel];
  multiply_tile<Element, Into::kStore>(base, step, panel, steps, c, kPanel, divide_up(columns, 16) * 16);
  for (int64_t i = 0; i < smaller(rows, kTileRows); ++i) {
    float* row = sum + i * sum_stride;
    int64_t j = 0;
    for (; j + kWidth <= columns; j += kWidth) store(row + j, load(row + j) + load(c + i * kPanel + j));
    for (; j < columns; ++j) row[j] += c[i * kPanel + j];
  }
}

/// sum[r][0 .. columns) += row_of(r) . panel, in fp32, for `count` rows.
template <class Element, class RowOf>
inline void add_rows(const RowOf& row_of, int64_t count, const uint32_t* panel, int64_t steps, float* sum,
                     int64_t sum_stride, int64_t columns) {
  const uint32_t* base[kTileRows];
  for (int64_t r = 0; r < count; r += kTileRows) {
    set_row_bases(row_of, r, count, base);
    add_tile<Element>(base, 1, panel, steps, sum + r * sum_stride, sum_stride, count - r, columns);
  }
}

/// The left factor of a sum over rows. Lane c of row s is
/// first[s * row_step + c / kPanel * panel_step + c % kPanel].
struct RowLanes {
  const uint32_t* first;
  int64_t row_step, panel_step;

  RowLanes from_column(int64_t c) const {
    return {first + c / kPanel * panel_step + c % kPanel, row_step, panel_step};
  }
};

/// Packed panels where a lane is of two rows, else the matrix of `width` columns itself.
template <class Element>
inline RowLanes row_lanes(const Element* matrix, int64_t width, const uint32_t* panels, int64_t panel_lanes) {
  if (kPerLane<Element> == 1) return {as_lanes(matrix), width, kPanel};
  return {panels, kPanel, panel_lanes};
}

/// grad[i][0 .. columns) += sum over rows of left[row][i] * right[row] for i in [0, count). `left` may be
/// read up to a whole tile beyond `count`.
template <class Element>
inline void add_sum_over_rows(const RowLanes& left, const uint32_t* right, int64_t lane_rows, float* grad,
                              int64_t grad_stride, int64_t count, int64_t columns) {
  const uint32_t* base[kTileRows];
  for (int64_t first = 0; first < count; first += kTileRows) {
    for (int64_t i = 0; i < kTileRows; ++i) base[i] = left.from_column(first).first + i;
    add_tile<Element>(base, left.row_step, right, lane_rows, grad + first * grad_stride, grad_stride,
                      count - first, columns);
  }
}

}  // namespace granule::GRANULE_ISA
