#include "comm/core_set.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <vector>

#include "base/check.h"

namespace granule {

namespace {
constexpr size_t kMaxCores = 8192;
}

CoreSet::CoreSet() : bits_(kMaxCores / 8, '\0') {}

CoreSet CoreSet::of_process(pid_t process) {
  CoreSet cores;
  // The mask is written as machine words.
  std::vector<unsigned long> mask(cores.bits_.size() / sizeof(unsigned long));
  if (sched_getaffinity(process, cores.bits_.size(), reinterpret_cast<cpu_set_t*>(mask.data())) == 0) {
    std::memcpy(cores.bits_.data(), mask.data(), cores.bits_.size());
  }
  return cores;
}

CoreSet CoreSet::from_bytes(std::string bytes) {
  CoreSet cores;
  CHECK(bytes.size() == cores.bits_.size(), bytes.size(), " bytes of cores");
  cores.bits_ = std::move(bytes);
  return cores;
}

CoreSet CoreSet::of_cores(int first, int count) {
  CoreSet cores;
  for (int core = first; core < first + count; ++core) {
    cores.bits_[static_cast<size_t>(core / 8)] |= static_cast<char>(1 << (core % 8));
  }
  return cores;
}

int CoreSet::count() const {
  int count = 0;
  for (const char byte : bits_) count += std::popcount(static_cast<unsigned char>(byte));
  return count;
}

void CoreSet::add(const CoreSet& other) {
  for (size_t i = 0; i < bits_.size(); ++i) bits_[i] |= other.bits_[i];
}

ThreadChoice choose_threads(int requested, const CoreSet& own, const CoreSet& machine, int local_size) {
  const int wanted = requested > 0 ? requested : std::max(1, machine.count() / local_size);
  const bool is_bound = own.count() < machine.count();
  if (wanted <= own.count() || !is_bound) return {wanted, ""};
  const int used = requested > 0 ? requested : std::max(1, own.count());
  return {used, join_text("the launcher binds each rank to ", own.count(), " of ", machine.count(),
                          " cores, too few for ", wanted, " threads; start with `mpirun --bind-to none`")};
}

}  // namespace granule
