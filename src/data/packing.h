#pragma once
// Which examples share a row: best fit, longest first, so that rows are as full as they get and no example is
// cut. A function of the lengths alone.

#include <cstdint>
#include <vector>

namespace granule {

/// Rows of example numbers, each with lengths that sum to at most `capacity`; every example is in one row.
/// Lengths are from 1 to `capacity`. Each goes where it leaves the least room, the earliest such row on ties.
std::vector<std::vector<int64_t>> pack_best_fit(const std::vector<int64_t>& lengths, int64_t capacity);

/// One row an example, in order.
std::vector<std::vector<int64_t>> pack_none(int64_t num_examples);

}  // namespace granule
