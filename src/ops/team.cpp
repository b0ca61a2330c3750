#include "ops/team.h"

namespace granule {

void Team::barrier() const {
  if (size_ == 1) return;
#pragma omp barrier
}

}  // namespace granule
