#pragma once
// Small data sets in a directory of their own, for tests.

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/check.h"
#include "data/sample_source.h"
#include "data/token_file.h"
#include "tests/support/temporary_directory.h"

namespace granule {

using Documents = std::vector<std::vector<int64_t>>;

class DataDirectory : public TemporaryDirectory {
 public:
  /// Writes NAME.bin and NAME.idx, one sequence a document; returns the prefix.
  std::string write_tokens(const std::string& name, const Documents& documents,
                           TokenType type = TokenType::kU16) const;
  /// Writes a file of these bytes; returns its path.
  std::string write_bytes(const std::string& name, const std::string& bytes) const;
};

/// `count` documents of 1 to `max_length` ids in [1, vocab_size), each ending in id 0. Depends on the
/// arguments alone.
Documents random_documents(int64_t count, int64_t max_length, int64_t vocab_size, uint64_t seed = 1);

/// Documents joined in order.
std::vector<int64_t> joined(const Documents& documents);

std::string read_bytes(const std::string& path);

/// One sample, owning what a SampleRow points to.
struct Sample {
  std::vector<int64_t> token;
  std::vector<int> loss_mask;
  std::vector<int64_t> segment;
};

/// Reads a sample into buffers first filled with values that no sample holds.
Sample read_sample(SampleSource& source, int64_t index);

/// What `call` throws as InputError; fails the test if it throws nothing or something else.
template <class Call>
std::string input_error_of(Call call) {
  try {
    call();
  } catch (const InputError& error) {
    return error.what();
  } catch (const std::exception& error) {
    ADD_FAILURE() << "not an InputError: " << error.what();
    return "";
  }
  ADD_FAILURE() << "no error";
  return "";
}

}  // namespace granule
