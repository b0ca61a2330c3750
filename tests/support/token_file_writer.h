#pragma once
// Token files for tests; the product reads them only.

#include <cstdint>
#include <string>
#include <vector>

#include "base/file.h"
#include "data/token_file.h"

namespace granule {

/// Writes a pair of files, byte for byte as Megatron does.
class TokenFileWriter {
 public:
  TokenFileWriter(const std::string& prefix, TokenType type);

  /// Ids that fit the type.
  void add_sequence(const std::vector<int64_t>& ids);
  /// The sequences since the last call are one document; none makes an empty one.
  void end_document();
  /// Writes the index.
  void finish();

 private:
  std::string prefix_;
  TokenType type_;
  WriteFile bin_;
  std::vector<int32_t> lengths_;
  std::vector<int64_t> document_ends_{0};
};

}  // namespace granule
