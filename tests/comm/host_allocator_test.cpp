#include "comm/host_allocator.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <vector>

namespace granule {
namespace {

constexpr int64_t kBytes = 8 << 20;

class HostAllocatorTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { use_host_allocator(); }
};

TEST_F(HostAllocatorTest, TensorsBeginAtACacheLineAndKeepTheirValues) {
  std::vector<at::Tensor> tensors;
  for (int64_t bytes = 1; bytes < 200; ++bytes) tensors.push_back(at::full({bytes}, bytes, at::kByte));
  for (const auto& tensor : tensors) {
    EXPECT_EQ(reinterpret_cast<uintptr_t>(tensor.const_data_ptr()) % 64, 0u);
    EXPECT_TRUE(tensor.eq(tensor.numel()).all().item<bool>());
  }
}

TEST_F(HostAllocatorTest, EmptyTensorsNeedNoMemory) {
  EXPECT_EQ(at::empty({0}).const_data_ptr(), nullptr);
  EXPECT_EQ(at::empty({0}).clone().numel(), 0);
}

TEST_F(HostAllocatorTest, MemoryThatIsNotThereIsAnError) {
  EXPECT_THROW(at::empty({int64_t{1} << 60}, at::kByte), c10::Error);
}

// Small pieces take what is left beside a freed block; it must not be missing when the block is wanted again.
TEST_F(HostAllocatorTest, AFreedBlockServesTheNextTensorOfItsSize) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "the address sanitizer has a heap of its own";
#endif
  std::vector<at::Tensor> kept;
  std::vector<void*> small;
  for (int i = 0; i < 8; ++i) {
    auto freed = at::empty({kBytes}, at::kByte);
    kept.push_back(at::empty({kBytes}, at::kByte));
    for (size_t bytes = 16; bytes <= 128; bytes += 16) small.push_back(std::malloc(bytes));
    const void* place = freed.const_data_ptr();
    freed = at::Tensor();
    for (size_t bytes = 16; bytes <= 128; bytes += 16) small.push_back(std::malloc(bytes));
    const auto again = at::empty({kBytes}, at::kByte);
    EXPECT_EQ(again.const_data_ptr(), place);
    kept.push_back(again);
  }
  for (void* piece : small) std::free(piece);
}

}  // namespace
}  // namespace granule
