#include "comm/software.h"

#include "base/check.h"
#include "base/text.h"

namespace granule {

std::string print_software(const Software& software) {
  std::vector<std::string> parts;
  for (const auto& [name, version] : software) parts.push_back(name + " " + version);
  return join(parts, ", ");
}

void agree_on_software(const Software& mine, Communicator& world) {
  const auto all = world.all_gather_bytes(print_software(mine));
  for (size_t rank = 1; rank < all.size(); ++rank) {
    if (all[rank] == all[0]) continue;
    throw UserError(ExitCode::kUsage, join_text("rank ", rank, " runs ", all[rank], ", but rank 0 runs ",
                                                all[0], "; all ranks must have the same versions"));
  }
}

}  // namespace granule
