#pragma once
// Memory for the intermediate values of one operator, kept from call to call.

#include <cstddef>

namespace granule {

/// At least `bytes`, aligned to cache lines and owned by the calling thread; the next call on it ends the
/// last one's use.
std::byte* thread_scratch(size_t bytes);

constexpr size_t round_to_line(size_t bytes) {
  return (bytes + 63) / 64 * 64;
}

}  // namespace granule
