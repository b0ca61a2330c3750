#pragma once
// Long rows of numbers a few megabytes at a time, so that memory does not grow with them.

#include <algorithm>
#include <cstdint>

namespace granule {

/// work(begin, size) for consecutive stretches of `count` elements, in order.
template <class Work>
void for_each_stretch(int64_t count, const Work& work) {
  constexpr int64_t kStretch = int64_t{1} << 20;
  for (int64_t begin = 0; begin < count; begin += kStretch) work(begin, std::min(kStretch, count - begin));
}

}  // namespace granule
