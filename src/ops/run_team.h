#pragma once
// One task of the kernels, worked on by all threads together.

#include <ATen/Parallel.h>
#include <omp.h>

#include "ops/scratch.h"
#include "ops/team.h"

namespace granule {

/// run(task, team, shared scratch, own scratch) on every thread.
template <class Task, class Run>
void run_team(const Task& task, size_t shared_bytes, size_t own_bytes, const Run& run) {
  const int threads = at::get_num_threads();
  shared_bytes = round_to_line(shared_bytes);
  own_bytes = round_to_line(own_bytes);
  std::byte* scratch = thread_scratch(shared_bytes + own_bytes * static_cast<size_t>(threads));
#pragma omp parallel num_threads(threads)
  {
    // Fewer threads than asked for come where this is called by one of many already.
    const int thread = omp_get_thread_num();
    run(task, Team(thread, omp_get_num_threads()), scratch,
        scratch + shared_bytes + own_bytes * static_cast<size_t>(thread));
  }
}

}  // namespace granule
