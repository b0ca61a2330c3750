#pragma once
// Elementwise reduction of the parts that ranks contributed, always in rank order: ((p0 + p1) + p2) + ...
// An element's result depends on nothing else, so neither threads nor the way a buffer is cut change a bit.

#include <c10/core/ScalarType.h>

#include <cstddef>
#include <cstdint>
#include <span>

namespace granule {

enum class Reduction { kSum, kMax };

/// True for fp32, fp64 and int64.
bool is_reducible(at::ScalarType dtype);

/// result[i] = reduction over r, in order, of parts[r][i], for `count` elements. `result` may be one of the
/// parts. Of a maximum with NaN among its terms the result is NaN.
void reduce_in_order(Reduction reduction, at::ScalarType dtype, std::span<const std::byte* const> parts,
                     int64_t count, std::byte* result);

}  // namespace granule
