#include "base/heap.h"

#include <cstdlib>

#ifdef __GLIBC__
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#endif

namespace granule {

#ifdef __GLIBC__
namespace {

// Half of the machine's memory as address space at the end of the heap, with huge pages wherever it will be
// used. What the system refuses to promise stays as it is.
void reserve_huge_pages() {
  constexpr uintptr_t kHugePage = uintptr_t{2} << 20;
  const auto pages = static_cast<size_t>(sysconf(_SC_PHYS_PAGES)),
             page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const size_t bytes = pages / 2 * page;
  void* memory = std::malloc(bytes);
  if (memory == nullptr) return;
  const auto begin = (reinterpret_cast<uintptr_t>(memory) + kHugePage - 1) / kHugePage * kHugePage;
  const auto end = (reinterpret_cast<uintptr_t>(memory) + bytes) / kHugePage * kHugePage;
  if (begin < end) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
  std::free(memory);
}

}  // namespace

void keep_freed_memory() {
  mallopt(M_MMAP_MAX, 0);
  mallopt(M_TRIM_THRESHOLD, -1);
  mallopt(M_TOP_PAD, 64 << 20);
  reserve_huge_pages();
}
#else
void keep_freed_memory() {}
#endif

}  // namespace granule
