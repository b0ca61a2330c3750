#include "base/safetensors.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "base/check.h"
#include "tests/support/source_tree.h"
#include "tests/support/temporary_directory.h"

namespace granule {
namespace {

void write_bytes(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

std::string with_length(uint64_t length, const std::string& rest) {
  return std::string(reinterpret_cast<const char*>(&length), sizeof(length)) + rest;
}

std::string refusal(const std::string& path) {
  try {
    SafetensorsFile file(path);
    return "";
  } catch (const InputError& error) {
    return error.what();
  }
}

TEST(Safetensors, ReadsBackWhatWasWritten) {
  const TemporaryDirectory directory;
  const auto path = directory.path("x.safetensors");
  const SafetensorsLayout layout(
      {{.name = "small", .dtype = "U8", .shape = {3}}, {.name = "wide", .dtype = "F32", .shape = {2}}},
      {{"k", "v"}});
  const float wide[] = {1.5F, -2.5F};
  write_safetensors_file(path, layout, [&](const SafetensorsEntry& entry, WriteFile& out) {
    if (entry.name == "wide") {
      out.append(wide, 4);
      out.append(wide + 1, 4);
    } else {
      out.append("abc");
    }
  });

  const SafetensorsFile file(path);
  EXPECT_EQ(file.size(), layout.file_size());
  EXPECT_EQ(file.metadata(), (SafetensorsMetadata{{"k", "v"}}));
  float value = 0;
  file.read(*file.find("wide"), 4, &value, 4);
  EXPECT_EQ(value, -2.5F);
  char text[3];
  file.read(*file.find("small"), 0, text, 3);
  EXPECT_EQ(std::string(text, 3), "abc");
  EXPECT_EQ(file.find("Small"), nullptr);
  EXPECT_EQ(file.find(""), nullptr);
  EXPECT_THROW(file.read(*file.find("small"), 1, text, 3), InputError);
  EXPECT_THROW(file.read(*file.find("small"), UINT64_MAX, text, 2), InputError);
  // Nothing but the file is left.
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(directory.path()), {}), 1);
}

TEST(Safetensors, AnEntryThatIsNotWrittenWholeIsOurMistake) {
  const TemporaryDirectory directory;
  const SafetensorsLayout layout({{.name = "x", .dtype = "U8", .shape = {3}}}, {});
  const auto write_short = [](const SafetensorsEntry&, WriteFile& out) { out.append("ab"); };
  EXPECT_THROW(write_safetensors_file(directory.path("x"), layout, write_short), std::logic_error);
  EXPECT_FALSE(std::filesystem::exists(directory.path("x")));
}

TEST(Safetensors, EveryTruncationIsRefused) {
  const TemporaryDirectory directory;
  const SafetensorsLayout layout(
      {{.name = "x", .dtype = "U8", .shape = {3}}, {.name = "y", .dtype = "F32", .shape = {}}}, {});
  const auto whole = layout.prefix() + "1234abc";
  const auto path = directory.path("x");
  write_bytes(path, whole);
  EXPECT_EQ(refusal(path), "");
  for (size_t size = 0; size < whole.size(); ++size) {
    write_bytes(path, whole.substr(0, size));
    EXPECT_NE(refusal(path), "") << size;
  }
  write_bytes(path, whole + "z");
  EXPECT_NE(refusal(path), "");
}

std::string bytes_from_hex(const std::string& hex) {
  std::string bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2)
    bytes += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  return bytes;
}

// 500 files, sound, broken and odd; made with the reference by make_safetensors_verdicts.py.
TEST(Safetensors, TakesAndRefusesTheSameFilesAsTheReference) {
  const TemporaryDirectory directory;
  const auto path = directory.path("x");
  std::ifstream verdicts(source_path("tests/base/golden/safetensors_verdicts.txt"));
  int num_taken = 0, num_refused = 0;
  for (std::string line; std::getline(verdicts, line);) {
    const auto bytes = bytes_from_hex(line.substr(2));
    write_bytes(path, bytes);
    const auto said = refusal(path);
    EXPECT_EQ(said.empty(), line[0] == '+') << bytes.substr(8) << "\n" << said;
    ++(said.empty() ? num_taken : num_refused);
  }
  EXPECT_GT(num_taken, 100);
  EXPECT_GT(num_refused, 100);
}

TEST(Safetensors, RefusesHeaderLengthsThatLie) {
  const TemporaryDirectory directory;
  const auto path = directory.path("x");
  const auto expect_refused = [&](const std::string& bytes, const std::string& words) {
    write_bytes(path, bytes);
    EXPECT_NE(refusal(path).find(words), std::string::npos) << refusal(path);
  };
  expect_refused("", "too short");
  expect_refused("1234567", "too short");
  expect_refused(with_length(0, ""), "begin with {");
  expect_refused(with_length(3, "{}"), "claims a header of 3 bytes");
  expect_refused(with_length(100'000'000, "{}"), "but is 10 bytes long");
  expect_refused(with_length(100'000'001, "{}"), "at most");
  expect_refused(with_length(UINT64_MAX, "{}"), "at most");
  expect_refused(with_length(UINT64_MAX - 7, "{}"), "at most");
  expect_refused(with_length(1, "{}"), "JSON");
  EXPECT_THROW(SafetensorsFile(directory.path("none")), InputError);
  EXPECT_THROW(SafetensorsFile(directory.path()), InputError);
}

}  // namespace
}  // namespace granule
