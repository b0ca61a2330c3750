#include "comm/reduction.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <array>

#include "base/check.h"

namespace granule {

namespace {

constexpr int64_t kTile = 1024;                  // elements; the sums stay in the first-level cache
constexpr int64_t kElementsPerThread = 1 << 16;  // below this a thread costs more than it brings

template <class T>
T combine(Reduction reduction, T a, T b) {
  if (reduction == Reduction::kSum) return a + b;
  return b > a || b != b ? b : a;
}

// The sums of a tile are collected apart, because `result` may be a part that is still to be read.
template <Reduction kReduction, class T>
void reduce_tile(std::span<const std::byte* const> parts, int64_t begin, int64_t count, T* result) {
  std::array<T, kTile> sum;
  const auto part = [&](size_t r) { return reinterpret_cast<const T*>(parts[r]) + begin; };
  std::copy_n(part(0), count, sum.data());
  for (size_t r = 1; r < parts.size(); ++r) {
    const T* term = part(r);
    for (int64_t i = 0; i < count; ++i) sum[i] = combine(kReduction, sum[i], term[i]);
  }
  std::copy_n(sum.data(), count, result + begin);
}

template <Reduction kReduction, class T>
void reduce(std::span<const std::byte* const> parts, int64_t count, std::byte* result) {
  at::parallel_for(0, count, kElementsPerThread, [&](int64_t begin, int64_t end) {
    for (int64_t tile = begin; tile < end; tile += kTile) {
      reduce_tile<kReduction>(parts, tile, std::min(kTile, end - tile), reinterpret_cast<T*>(result));
    }
  });
}

template <class T>
void reduce(Reduction reduction, std::span<const std::byte* const> parts, int64_t count, std::byte* result) {
  if (reduction == Reduction::kSum) return reduce<Reduction::kSum, T>(parts, count, result);
  reduce<Reduction::kMax, T>(parts, count, result);
}

}  // namespace

bool is_reducible(at::ScalarType dtype) {
  return dtype == at::kFloat || dtype == at::kDouble || dtype == at::kLong;
}

void reduce_in_order(Reduction reduction, at::ScalarType dtype, std::span<const std::byte* const> parts,
                     int64_t count, std::byte* result) {
  CHECK(is_reducible(dtype), "no reduction for ", dtype);
  if (dtype == at::kFloat) return reduce<float>(reduction, parts, count, result);
  if (dtype == at::kDouble) return reduce<double>(reduction, parts, count, result);
  reduce<int64_t>(reduction, parts, count, result);
}

}  // namespace granule
