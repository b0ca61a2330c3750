#include "base/heap.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cstddef>
#include <cstdint>
#include <memory>

namespace granule {
namespace {

constexpr size_t kBytes = 64 << 20;
constexpr size_t kPage = 4096;

// Pages that the system had to provide while a large buffer was allocated, written and freed.
int64_t faults_of_a_large_buffer() {
  rusage before{}, after{};
  getrusage(RUSAGE_SELF, &before);
  {
    const auto buffer = std::make_unique_for_overwrite<volatile std::byte[]>(kBytes);
    for (size_t i = 0; i < kBytes; i += kPage) buffer[i] = std::byte{1};
  }
  getrusage(RUSAGE_SELF, &after);
  return after.ru_minflt - before.ru_minflt;
}

TEST(Heap, AFreedBufferIsUsedAgainWithoutNewPages) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "the address sanitizer has a heap of its own";
#endif
  keep_freed_memory();
  faults_of_a_large_buffer();
  EXPECT_LT(faults_of_a_large_buffer(), static_cast<int64_t>(kBytes / kPage / 100));
}

}  // namespace
}  // namespace granule
