#include "train/run_directory.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "base/check.h"
#include "base/file.h"
#include "tests/support/temporary_directory.h"

namespace granule {
namespace {

TEST(RunDirectory, IsMadeAndHeldByOneOwnerAtATime) {
  const TemporaryDirectory temporary;
  const auto path = temporary.path("deep/run");
  {
    const RunDirectory first(path);
    EXPECT_THROW(RunDirectory second(path), InputError);
  }
  const RunDirectory again(path);
}

TEST(RunDirectory, KeepsTheTokenizerAndItsSettings) {
  const TemporaryDirectory temporary;
  const auto from = temporary.path("corpus"), to = temporary.path("run");
  std::filesystem::create_directories(from);
  std::filesystem::create_directories(to);
  keep_tokenizer(from + "/tokenizer.json", to);
  EXPECT_EQ(existing_tokenizer(to), "");
  write_text_file_durably(from + "/tokenizer.json", "{1}");
  write_text_file_durably(from + "/tokenizer_config.json", "{2}");
  write_text_file_durably(from + "/chat_template.jinja", "{3}");
  keep_tokenizer(from + "/tokenizer.json", to);
  EXPECT_EQ(read_text_file(existing_tokenizer(to), 100), "{1}");
  EXPECT_EQ(read_text_file(to + "/tokenizer_config.json", 100), "{2}");
  EXPECT_EQ(read_text_file(to + "/chat_template.jinja", 100), "{3}");
  EXPECT_FALSE(std::filesystem::exists(to + "/merges.txt"));
}

}  // namespace
}  // namespace granule
