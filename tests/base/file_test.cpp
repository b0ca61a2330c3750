#include "base/file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/check.h"
#include "tests/support/temporary_directory.h"

namespace granule {
namespace {

namespace fs = std::filesystem;

template <class Error, class Call>
std::string message_of(Call call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  ADD_FAILURE() << "the expected error was not thrown";
  return "";
}

void put(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

size_t num_files(const TemporaryDirectory& directory) {
  return static_cast<size_t>(std::distance(fs::directory_iterator(directory.path()), {}));
}

TEST(ReadFile, GivesTheBytesAtAPlace) {
  const TemporaryDirectory directory;
  put(directory.path("a"), "0123456789");
  const ReadFile file(directory.path("a"));
  EXPECT_EQ(file.size(), 10u);
  char bytes[4] = {};
  file.read_at(3, bytes, 4);
  EXPECT_EQ(std::string(bytes, 4), "3456");
  file.read_at(6, bytes, 4);
  EXPECT_EQ(std::string(bytes, 4), "6789");
  file.read_at(10, bytes, 0);
}

TEST(ReadFile, RefusesWhatTheFileDoesNotHold) {
  const TemporaryDirectory directory;
  put(directory.path("a"), "0123456789");
  const ReadFile file(directory.path("a"));
  char bytes[16] = {};
  const auto message = message_of<InputError>([&] { file.read_at(8, bytes, 3); });
  EXPECT_EQ(message, directory.path("a") + ": holds 10 bytes, but 3 are needed from offset 8");
  EXPECT_THROW(file.read_at(11, bytes, 0), InputError);
  // Sums that overflow must not pass for small ones.
  EXPECT_THROW(file.read_at(UINT64_MAX, bytes, 4), InputError);
  EXPECT_THROW(file.read_at(4, bytes, SIZE_MAX), InputError);
}

TEST(ReadFile, NoticesThatTheFileBecameShorter) {
  const TemporaryDirectory directory;
  put(directory.path("a"), "0123456789");
  const ReadFile file(directory.path("a"));
  fs::resize_file(directory.path("a"), 4);
  char bytes[8] = {};
  const auto message = message_of<InputError>([&] { file.read_at(0, bytes, 8); });
  EXPECT_NE(message.find("became shorter while in use: nothing at offset 4"), std::string::npos) << message;
}

TEST(ReadFile, RefusesWhatIsNoRegularFile) {
  const TemporaryDirectory directory;
  const auto missing = message_of<InputError>([&] { ReadFile(directory.path("none")); });
  EXPECT_EQ(missing, directory.path("none") + ": cannot be opened: No such file or directory");
  EXPECT_EQ(message_of<InputError>([&] { ReadFile(directory.path()); }),
            directory.path() + ": is no regular file");
}

TEST(ReadFile, DoesNotWaitForThePipeThatNobodyWrites) {
  const TemporaryDirectory directory;
  const auto path = directory.path("pipe");
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  EXPECT_EQ(message_of<InputError>([&] { ReadFile{path}; }), path + ": is no regular file");
}

TEST(ReadFile, CanBeMoved) {
  const TemporaryDirectory directory;
  put(directory.path("a"), "0123");
  ReadFile first(directory.path("a"));
  const ReadFile second(std::move(first));
  char byte = 0;
  second.read_at(2, &byte, 1);
  EXPECT_EQ(byte, '2');
  EXPECT_EQ(second.path(), directory.path("a"));
}

TEST(WriteFile, ReplacesOrGoesOn) {
  const TemporaryDirectory directory;
  const auto path = directory.path("a");
  put(path, "old text");
  {
    WriteFile file(path);
    file.append("new");
    EXPECT_EQ(file.size(), 3u);
    EXPECT_EQ(read_text_file(path, 100), "new") << "appended text is visible before the end";
    file.sync();
  }
  {
    WriteFile file(path, WriteFile::Mode::kAppend);
    file.append(" and more");
    EXPECT_EQ(file.size(), 9u);
  }
  EXPECT_EQ(read_text_file(path, 100), "new and more");
  WriteFile(directory.path("b"), WriteFile::Mode::kAppend).append("first");
  EXPECT_EQ(read_text_file(directory.path("b"), 100), "first");
}

TEST(WriteFile, SaysPathActionAndReason) {
  const TemporaryDirectory directory;
  EXPECT_EQ(message_of<OutputError>([&] { WriteFile(directory.path("none/a")); }),
            directory.path("none/a") + ": cannot create: No such file or directory");
  WriteFile full("/dev/full");
  EXPECT_EQ(message_of<OutputError>([&] { full.append("x"); }),
            "/dev/full: cannot write: No space left on device");
}

TEST(WriteFile, TakesNothingAfterSync) {
  const TemporaryDirectory directory;
  WriteFile file(directory.path("a"));
  file.sync();
  EXPECT_THROW(file.append("late"), OutputError);
  EXPECT_THROW(file.sync(), OutputError);
}

TEST(ReadTextFile, GivesAllOrRefusesWhatIsTooLarge) {
  const TemporaryDirectory directory;
  const std::string text("with\0zero and\nlines", 19);
  put(directory.path("a"), text);
  EXPECT_EQ(read_text_file(directory.path("a"), 19), text);
  EXPECT_EQ(message_of<InputError>([&] { read_text_file(directory.path("a"), 18); }),
            directory.path("a") + ": is 19 bytes long, at most 18 are accepted");
  put(directory.path("empty"), "");
  EXPECT_EQ(read_text_file(directory.path("empty"), 0), "");
}

TEST(WriteTextFileDurably, ReplacesWholeAndLeavesNothingBeside) {
  const TemporaryDirectory directory;
  const auto path = directory.path("a");
  write_text_file_durably(path, "one");
  write_text_file_durably(path, "two");
  EXPECT_EQ(read_text_file(path, 100), "two");
  EXPECT_EQ(num_files(directory), 1u);
}

TEST(WriteTextFileDurably, NeverWritesIntoTheOldFile) {
  const TemporaryDirectory directory;
  const auto path = directory.path("a");
  write_text_file_durably(path, "old text");
  const ReadFile reader(path);
  write_text_file_durably(path, "new");
  std::string seen(8, '\0');
  reader.read_at(0, seen.data(), seen.size());
  EXPECT_EQ(seen, "old text");
}

TEST(WriteTextFileDurably, FailureKeepsTheOldAndLeavesNothingBeside) {
  const TemporaryDirectory directory;
  const auto path = directory.path("a");
  fs::create_directory(path);
  put(path + "/inside", "old");
  EXPECT_THROW(write_text_file_durably(path, "new"), OutputError);
  EXPECT_EQ(read_text_file(path + "/inside", 100), "old");
  EXPECT_EQ(num_files(directory), 1u);
}

TEST(RenameDurably, MovesAndReplaces) {
  const TemporaryDirectory directory;
  put(directory.path("a"), "new");
  put(directory.path("b"), "old");
  rename_durably(directory.path("a"), directory.path("b"));
  EXPECT_EQ(read_text_file(directory.path("b"), 100), "new");
  EXPECT_EQ(num_files(directory), 1u);
  EXPECT_THROW(rename_durably(directory.path("a"), directory.path("c")), OutputError);
}

TEST(RenameDurably, TakesNamesWithoutAFolder) {
  const TemporaryDirectory directory;
  const auto before = fs::current_path();
  fs::current_path(directory.path());
  put("a", "text");
  rename_durably("a", "b");
  fs::current_path(before);
  EXPECT_EQ(read_text_file(directory.path("b"), 100), "text");
}

TEST(SyncDirectory, RefusesWhatIsNone) {
  const TemporaryDirectory directory;
  put(directory.path("a"), "");
  sync_directory(directory.path());
  EXPECT_THROW(sync_directory(directory.path("a")), OutputError);
  EXPECT_THROW(sync_directory(directory.path("none")), OutputError);
}

}  // namespace
}  // namespace granule
