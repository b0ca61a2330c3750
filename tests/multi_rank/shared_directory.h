#pragma once
// A temporary directory that all ranks see.

#include <optional>
#include <string>

#include "comm/communicator.h"
#include "tests/support/temporary_directory.h"

namespace granule {

/// One directory for all ranks, removed by rank 0.
class SharedDirectory {
 public:
  explicit SharedDirectory(Communicator& ranks) : ranks_(ranks) {
    if (ranks.rank() == 0) own_.emplace();
    path_ = ranks.broadcast_bytes(own_ ? own_->path() : "", 0);
  }
  ~SharedDirectory() { ranks_.barrier(); }
  std::string path(const std::string& name) const { return path_ + "/" + name; }

 private:
  Communicator& ranks_;
  std::optional<TemporaryDirectory> own_;
  std::string path_;
};

}  // namespace granule
