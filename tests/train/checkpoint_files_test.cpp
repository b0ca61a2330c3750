#include "train/checkpoint_files.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <filesystem>
#include <fstream>

#include "tests/support/temporary_directory.h"

namespace granule {
namespace {

TEST(CheckpointFiles, EveryOperationIsAnnouncedBeforeItIsDone) {
  const TemporaryDirectory directory;
  std::vector<std::string> operations;
  const CheckpointFiles files([&](std::string_view operation, const std::string& path) {
    const auto name = std::filesystem::path(path).filename().string();
    if (operation == "make directory" || operation == "create" || operation == "rename") {
      EXPECT_FALSE(std::filesystem::exists(path)) << operation;
    }
    operations.push_back(std::string(operation) + " " + name);
  });
  files.make_directory(directory.path("a"));
  {
    CheckpointFile file(files, directory.path("a/x"));
    file.append("hello ");
    file.append("world");
    file.sync();
    EXPECT_EQ(file.size(), 11u);
    EXPECT_EQ(file.hash(), hash_bytes("hello world"));
  }
  files.rename(directory.path("a"), directory.path("b"));
  files.remove(directory.path("b"));
  const auto parent = std::filesystem::path(directory.path()).filename().string();
  EXPECT_EQ(operations,
            (std::vector<std::string>{"make directory a", "create x", "write x", "write x", "sync x",
                                      "rename b", "sync directory " + parent, "remove b"}));
  EXPECT_FALSE(std::filesystem::exists(directory.path("b")));
}

TEST(CheckpointFiles, RenameNeverReplaces) {
  const TemporaryDirectory directory;
  const CheckpointFiles files;
  files.make_directory(directory.path("a"));
  files.make_directory(directory.path("b"));
  EXPECT_THROW(files.rename(directory.path("a"), directory.path("b")), OutputError);
  EXPECT_TRUE(std::filesystem::exists(directory.path("a")));
}

TEST(CheckpointFiles, AnObserverThatThrowsStandsForAFailure) {
  const TemporaryDirectory directory;
  const CheckpointFiles files([](std::string_view operation, const std::string& path) {
    if (operation == "write") throw OutputError(path, "write", ENOSPC);
  });
  CheckpointFile file(files, directory.path("x"));
  EXPECT_THROW(file.append("x"), OutputError);
  EXPECT_EQ(std::filesystem::file_size(directory.path("x")), 0u);
}

}  // namespace
}  // namespace granule
