#pragma once
// Which cores of this machine a process may run on, and how many threads follow from it.

#include <sched.h>

#include <string>

namespace granule {

class CoreSet {
 public:
  /// Of a process by its id, 0 for this one; empty if the system does not tell.
  static CoreSet of_process(pid_t process);
  /// From `bytes()` of another process on this machine.
  static CoreSet from_bytes(std::string bytes);
  /// Of the given cores.
  static CoreSet of_cores(int first, int count);

  int count() const;
  void add(const CoreSet& other);
  const std::string& bytes() const { return bits_; }

 private:
  CoreSet();

  std::string bits_;  // one bit a core
};

struct ThreadChoice {
  int num_threads = 1;
  std::string warning;  ///< empty, or why the cores do not suffice and what helps
};

/// Threads of one of `local_size` ranks on a machine: `requested` if positive, else an even share of the
/// `machine`'s cores, as far as the rank may use them. A launcher that binds the rank to fewer cores (`own`)
/// than it has threads is worth a warning.
ThreadChoice choose_threads(int requested, const CoreSet& own, const CoreSet& machine, int local_size);

}  // namespace granule
