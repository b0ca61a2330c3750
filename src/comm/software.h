#pragma once
// Versions of the libraries a job runs on. Ranks that differ compute differently or hang: they are refused.

#include <string>
#include <vector>

#include "comm/communicator.h"

namespace granule {

struct SoftwareVersion {
  std::string name;  ///< "NCCL"
  std::string version;
  bool operator==(const SoftwareVersion&) const = default;
};
using Software = std::vector<SoftwareVersion>;

/// "torch 2.11.0, CUDA 13.0"
std::string print_software(const Software& software);

/// Throws UserError on all ranks, naming a rank that differs, in what and how, unless all have rank 0's
/// versions. Collective.
void agree_on_software(const Software& mine, Communicator& world);

}  // namespace granule
