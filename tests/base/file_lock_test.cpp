#include "base/file_lock.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "base/file.h"
#include "tests/support/temporary_directory.h"

namespace granule {
namespace {

TEST(FileLock, IsHeldByOneAtATimeAndThrowsWhatItIsTold) {
  const TemporaryDirectory temporary;
  const auto path = temporary.path("lock");
  const InputError taken("here", "is another");
  {
    const FileLock first(path, taken);
    try {
      const FileLock second(path, taken);
      FAIL() << "two hold the lock";
    } catch (const InputError& error) {
      EXPECT_STREQ(error.what(), taken.what());
    }
  }
  const FileLock again(path, taken);
}

TEST(FileLock, SaysWhatCannotBeMade) {
  const TemporaryDirectory temporary;
  EXPECT_THROW(FileLock(temporary.path("nowhere/lock"), InputError("here", "is another")), OutputError);
  const FileLock file(temporary.path("file"), InputError("here", "is another"));
  EXPECT_THROW(make_directories(temporary.path("file/below")), OutputError);
  make_directories(temporary.path("deep/down"));
  EXPECT_TRUE(std::filesystem::is_directory(temporary.path("deep/down")));
}

}  // namespace
}  // namespace granule
