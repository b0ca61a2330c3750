#include "ops/scratch.h"

#include <cstdlib>
#include <memory>
#include <new>

namespace granule {

namespace {

struct Free {
  void operator()(std::byte* memory) const { std::free(memory); }
};

}  // namespace

std::byte* thread_scratch(size_t bytes) {
  thread_local std::unique_ptr<std::byte, Free> memory;
  thread_local size_t size = 0;
  if (bytes > size) {
    memory.reset();
    size = round_to_line(bytes);
    memory.reset(static_cast<std::byte*>(std::aligned_alloc(64, size)));
    if (memory == nullptr) {
      size = 0;
      throw std::bad_alloc();
    }
  }
  return memory.get();
}

}  // namespace granule
