#pragma once
// The one product all kernels are made of: kTileRows rows times a panel of 32 columns.
//
// A panel holds a slice of the second factor for 32 columns, step by step along the summed dimension: 32
// lanes a step. The first factor is read lane by lane wherever it lies: lane s of row i is base[i][s * step].
// So the same tile multiplies rows (base = row pointers, step 1) and sums over rows (base = neighbouring
// columns, step = row).

#include "ops/elements.h"

namespace granule::GRANULE_ISA {

constexpr int64_t kPanel = 32;

enum class Into { kStore, kAdd };

/// multiply_tile for so many vectors of columns. Not inlined: among the variables of a caller the sums would
/// no longer all find a register.
template <class Element, Into into, int64_t vectors>
[[gnu::noinline]] void multiply_vectors(const uint32_t* const* base, int64_t step, const uint32_t* panel,
                                        int64_t steps, float* c, int64_t c_stride) {
  const uint32_t* row[kTileRows];
  for (int64_t i = 0; i < kTileRows; ++i) row[i] = base[i];
  Vec acc[kTileRows][vectors] = {};
  int64_t offset = 0;
  for (int64_t s = 0; s < steps; ++s, offset += step, panel += kPanel) {
    IntVec b[vectors];
#pragma GCC unroll 2
    for (int64_t j = 0; j < vectors; ++j) b[j] = load_as<IntVec>(panel + j * kWidth);
#pragma GCC unroll 8
    for (int64_t i = 0; i < kTileRows; ++i) {
      const IntVec a = splat(static_cast<int32_t>(row[i][offset]));
#pragma GCC unroll 2
      for (int64_t j = 0; j < vectors; ++j) acc[i][j] = add_products(Element(), acc[i][j], a, b[j]);
    }
  }
#pragma GCC unroll 8
  for (int64_t i = 0; i < kTileRows; ++i, c += c_stride) {
#pragma GCC unroll 2
    for (int64_t j = 0; j < vectors; ++j) {
      store(c + j * kWidth, into == Into::kAdd ? load(c + j * kWidth) + acc[i][j] : acc[i][j]);
    }
  }
}

/// c[i][0 .. columns) = or += sum over s < steps of base[i][s * step] . panel[s]; `columns` is 16 or 32.
template <class Element, Into into>
inline void multiply_tile(const uint32_t* const* base, int64_t step, const uint32_t* panel, int64_t steps,
                          float* c, int64_t c_stride, int64_t columns) {
  int64_t first = 0;
  for (; first + 2 * kWidth <= columns; first += 2 * kWidth) {
    multiply_vectors<Element, into, 2>(base, step, panel + first, steps, c + first, c_stride);
  }
  if (first < columns)
    multiply_vectors<Element, into, 1>(base, step, panel + first, steps, c + first, c_stride);
}

/// a0 b0 a1 b1 ... of the first halves of two vectors, and of the second halves.
template <class V>
inline V interleave_first(V a, V b) {
  using Index = decltype(a > b);
  constexpr int64_t n = sizeof(V) / sizeof(a[0]);
  Index order;
  for (int64_t i = 0; i < n; ++i) order[i] = static_cast<decltype(+order[0])>(i / 2 + i % 2 * n);
  return __builtin_shuffle(a, b, order);
}
template <class V>
inline V interleave_second(V a, V b) {
  using Index = decltype(a > b);
  constexpr int64_t n = sizeof(V) / sizeof(a[0]);
  Index order;
  for (int64_t i = 0; i < n; ++i) order[i] = static_cast<decltype(+order[0])>(n / 2 + i / 2 + i % 2 * n);
  return __builtin_shuffle(a, b, order);
}

// W x W lanes transposed by log2(W) perfect shuffles.
inline void transpose_square(IntVec* square) {
#pragma GCC unroll 4
  for (int64_t stage = 1; stage < kWidth; stage *= 2) {
    IntVec next[kWidth];
#pragma GCC unroll 8
    for (int64_t i = 0; i < kWidth / 2; ++i) {
      next[2 * i] = interleave_first(square[i], square[i + kWidth / 2]);
      next[2 * i + 1] = interleave_second(square[i], square[i + kWidth / 2]);
    }
#pragma GCC unroll 16
    for (int64_t i = 0; i < kWidth; ++i) square[i] = next[i];
  }
}

/// Columns [first, first + 16) of a panel from 16 rows of a weight in [out, in] layout: the sum runs along
/// its rows. `steps` lanes a row, rows `stride` lanes apart. Only `rows` of the 16 exist, the others count as
/// zero.
inline void pack_transposed(const uint32_t* weight, int64_t stride, int64_t steps, uint32_t* panel,
                            int64_t first, int64_t rows = 16) {
  for (int64_t column = 0; column < 16; column += kWidth) {
    int64_t s = 0;
    for (; s + kWidth <= steps; s += kWidth) {
      IntVec square[kWidth];
#pragma GCC unroll 16
      for (int64_t i = 0; i < kWidth; ++i) {
        square[i] = column + i < rows ? load_as<IntVec>(weight + (column + i) * stride + s) : IntVec{};
      }
      transpose_square(square);
#pragma GCC unroll 16
      for (int64_t i = 0; i < kWidth; ++i) store_as(panel + (s + i) * kPanel + first + column, square[i]);
    }
    for (; s < steps; ++s) {
      for (int64_t i = 0; i < kWidth; ++i) {
        panel[s * kPanel + first + column + i] = column + i < rows ? weight[(column + i) * stride + s] : 0;
      }
    }
  }
}

/// Rows lie anywhere, so the hardware does not foresee them: packing asks for those that come so many later.
constexpr int64_t kRowsAhead = 16;

/// Also of what will be stored: a store to a line that is not in the cache holds up those after it.
template <class Element>
inline void ask_for(const Element* elements, int64_t count) {
  for (int64_t i = 0; i < count; i += 64 / static_cast<int64_t>(sizeof(Element)))
    __builtin_prefetch(elements + i);
}

/// The first `count` elements, the others zero.
template <class V, class Element>
inline V load_first(const Element* source, int64_t count) {
  V value = {};
  std::memcpy(&value, source, static_cast<size_t>(count) * sizeof(Element));
  return value;
}

/// `columns` columns of `count` rows, row r being row_of(r), and zeros up to the next multiple of 16: the sum
/// runs over the rows. A missing partner of the last row counts as zero.
template <class Element, class RowOf>
inline void pack_rows(const RowOf& row_of, int64_t count, int64_t columns, uint32_t* panel) {
  for (int64_t r = 0; r < count; r += kPerLane<Element>) {
    for (int64_t i = 0; i < kPerLane<Element>; ++i)
      ask_for(row_of(smaller(r + kRowsAhead + i, count - 1)), columns);
    const Element* row = row_of(r);
    uint32_t* target = panel + r / kPerLane<Element> * kPanel;
    if constexpr (kPerLane<Element> == 1) {
      int64_t c = 0;
      for (; c + kWidth <= columns; c += kWidth) store_as(target + c, load_as<IntVec>(row + c));
      for (; c < divide_up(columns, 16) * 16; c += kWidth) {
        store_as(target + c, load_first<IntVec>(row + c, larger<int64_t>(columns - c, 0)));
      }
    } else {
      const Element* next = r + 1 < count ? row_of(r + 1) : nullptr;
      int64_t c = 0;
      for (; c + 2 * kWidth <= columns; c += 2 * kWidth) {
        const WordVec low = load_as<WordVec>(row + c);
        const WordVec high = next == nullptr ? WordVec{} : load_as<WordVec>(next + c);
        store_as(target + c, interleave_first(low, high));
        store_as(target + c + kWidth, interleave_second(low, high));
      }
      for (; c + kWidth <= columns; c += kWidth) {
        const HalfVec low = load_as<HalfVec>(row + c);
        store_as(target + c, lanes_of(low, next == nullptr ? HalfVec{} : load_as<HalfVec>(next + c)));
      }
      for (; c < divide_up(columns, 16) * 16; c += kWidth) {
        const int64_t present = larger<int64_t>(columns - c, 0);
        const HalfVec low = load_first<HalfVec>(row + c, present);
        store_as(target + c,
                 lanes_of(low, next == nullptr ? HalfVec{} : load_first<HalfVec>(next + c, present)));
      }
    }
  }
}

template <class Element>
inline const uint32_t* as_lanes(const Element* elements) {
  return reinterpret_cast<const uint32_t*>(elements);
}

/// Rows [begin, end) as the base of a tile; a missing row is the last one again and its result
/// ignored.
template <class RowOf>
inline void set_row_bases(const RowOf& row_of, int64_t begin, int64_t end, const uint32_t** base) {
  for (int64_t i = 0; i < kTileRows; ++i) base[i] = as_lanes(row_of(smaller(begin + i, end - 1)));
}

/// Takes consecutive pieces of a buffer, each beginning at a cache line.
class Carver {
 public:
  explicit Carver(std::byte* buffer) : next_(buffer) {}

  template <class T>
  T* take(int64_t count) {
    T* piece = reinterpret_cast<T*>(next_);
    next_ += divide_up(count * static_cast<int64_t>(sizeof(T)), 64) * 64;
    return piece;
  }
  size_t used_since(const std::byte* start) const { return static_cast<size_t>(next_ - start); }

 private:
  std::byte* next_;
};

}  // namespace granule::GRANULE_ISA
