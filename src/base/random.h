#pragma once
// Random numbers without state: a value depends on (seed, name, index) alone, so any rank can make any
// element of any tensor, and nothing needs saving on checkpoint.

#include <cstdint>
#include <string_view>

namespace granule {

class RandomStream {
 public:
  /// `name` tells purposes apart: a parameter's global name, "epoch/3/documents" ...
  RandomStream(uint64_t seed, std::string_view name);

  /// 64 random bits of place `index`.
  uint64_t bits(uint64_t index) const;
  /// In [0, 1).
  double uniform(uint64_t index) const;
  /// Standard normal.
  double normal(uint64_t index) const;
  /// In [0, bound), bias below bound / 2^64; bound > 0.
  uint64_t below(uint64_t bound, uint64_t index) const;

 private:
  uint64_t key_;
};

}  // namespace granule
