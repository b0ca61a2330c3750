#include "base/random.h"

#include <cmath>
#include <numbers>

#include "base/check.h"

namespace granule {

namespace {

// SplitMix64's finaliser (Steele, Lea, Flood 2014): a bijection that passes BigCrush on a counter.
uint64_t mix(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

constexpr uint64_t kGolden = 0x9e3779b97f4a7c15ULL;

}  // namespace

RandomStream::RandomStream(uint64_t seed, std::string_view name) : key_(mix(seed + kGolden)) {
  for (const unsigned char c : name) key_ = mix(key_ ^ c) + kGolden;
}

uint64_t RandomStream::bits(uint64_t index) const {
  return mix(mix(key_ + index * kGolden) ^ key_);
}

double RandomStream::uniform(uint64_t index) const {
  return static_cast<double>(bits(index) >> 11) * 0x1p-53;
}

double RandomStream::normal(uint64_t index) const {
  const double u = 1.0 - uniform(2 * index);  // in (0, 1]
  const double v = uniform(2 * index + 1);
  return std::sqrt(-2.0 * std::log(u)) * std::cos(2.0 * std::numbers::pi * v);
}

uint64_t RandomStream::below(uint64_t bound, uint64_t index) const {
  CHECK(bound > 0);
  // Multiply-shift maps 64 bits to [0, bound); the bias is below bound / 2^64.
  return static_cast<uint64_t>((static_cast<unsigned __int128>(bits(index)) * bound) >> 64);
}

}  // namespace granule
