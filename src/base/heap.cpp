#include "base/heap.h"

#include <cstdlib>

#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace granule {

#ifdef __GLIBC__
void keep_freed_memory() {
  mallopt(M_MMAP_MAX, 0);
  mallopt(M_TRIM_THRESHOLD, -1);
  mallopt(M_TOP_PAD, 64 << 20);
}
void release_freed_memory() {
  malloc_trim(0);
}
#else
void keep_freed_memory() {}
void release_freed_memory() {}
#endif

}  // namespace granule
