#include "comm/host_allocator.h"

#include <c10/core/CPUAllocator.h>
#include <c10/util/Exception.h>

#include <cstdint>
#include <cstdlib>

namespace granule {

namespace {

constexpr size_t kAlignment = 64;

// The word before an aligned block is where malloc's begins.
void** start_of(void* block) {
  return static_cast<void**>(block) - 1;
}

void free_block(void* block) {
  if (block != nullptr) std::free(*start_of(block));
}

class HostAllocator : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t bytes) override {
    if (bytes == 0) return {nullptr, nullptr, &free_block, c10::Device(c10::kCPU)};
    void* start = bytes > SIZE_MAX - kAlignment ? nullptr : std::malloc(bytes + kAlignment);
    TORCH_CHECK_WITH(OutOfMemoryError, start != nullptr, "no memory for a tensor of ", bytes, " bytes");
    // malloc's own alignment leaves at least 16 bytes for the word.
    void* block = reinterpret_cast<void*>((reinterpret_cast<uintptr_t>(start) / kAlignment + 1) * kAlignment);
    *start_of(block) = start;
    return {block, block, &free_block, c10::Device(c10::kCPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &free_block; }
  void copy_data(void* target, const void* source, size_t bytes) const override {
    default_copy_data(target, source, bytes);
  }
};

}  // namespace

void use_host_allocator() {
  static HostAllocator allocator;
  c10::SetCPUAllocator(&allocator);
}

}  // namespace granule
