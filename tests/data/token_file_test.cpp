#include "data/token_file.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>

#include "tests/support/token_file_writer.h"
#include "tests/support/token_files.h"

namespace granule {
namespace {

// Written by Megatron's own index writer: u16, sequences of 3, 2 and 4 ids, documents ending at 1 and 3.
const std::string kGoldenHex =
    "4d4d494449445800000100000000000000080300000000000000"
    "0300000000000000"
    "030000000200000004000000"
    "000000000000000006000000000000000a00000000000000"
    "000000000000000001000000000000000300000000000000";

std::string from_hex(const std::string& hex) {
  std::string bytes;
  for (size_t i = 0; i < hex.size(); i += 2)
    bytes += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  return bytes;
}

std::vector<int64_t> read_all(const TokenFile& file) {
  std::vector<int64_t> ids(static_cast<size_t>(file.num_tokens()));
  file.read(0, file.num_tokens(), ids.data());
  return ids;
}

template <class Value>
std::string bytes_of(Value value) {
  return {reinterpret_cast<const char*>(&value), sizeof(value)};
}

TEST(TokenFileWriter, WritesMegatronsBytes) {
  const DataDirectory directory;
  TokenFileWriter writer(directory.path("golden"), TokenType::kU16);
  writer.add_sequence({1, 2, 3});
  writer.end_document();
  writer.add_sequence({4, 5});
  writer.add_sequence({6, 7, 8, 65535});
  writer.end_document();
  writer.finish();
  EXPECT_EQ(read_bytes(directory.path("golden.idx")), from_hex(kGoldenHex));
  EXPECT_EQ(read_bytes(directory.path("golden.bin")), from_hex("01000200030004000500060007000800ffff"));
}

TEST(TokenFile, ReadsMegatronsBytes) {
  const DataDirectory directory;
  directory.write_bytes("golden.idx", from_hex(kGoldenHex));
  directory.write_bytes("golden.bin", from_hex("010002000300040005000600070008000900"));
  const TokenFile file(directory.path("golden"));
  EXPECT_EQ(file.type(), TokenType::kU16);
  EXPECT_EQ(file.num_sequences(), 3);
  EXPECT_EQ(file.num_documents(), 2);
  EXPECT_EQ(file.document_begin(1), 3);
  EXPECT_EQ(file.document_length(1), 6);
  EXPECT_EQ(read_all(file), (std::vector<int64_t>{1, 2, 3, 4, 5, 6, 7, 8, 9}));
}

TEST(TokenFile, ReadsBackWhatWasWrittenInEveryType) {
  const DataDirectory directory;
  for (const auto type :
       {TokenType::kU8, TokenType::kI8, TokenType::kI16, TokenType::kI32, TokenType::kI64, TokenType::kU16}) {
    auto documents = random_documents(20, 30, 128);
    documents.insert(documents.begin() + 3, std::vector<int64_t>{});
    const TokenFile file(directory.write_tokens(token_type_name(type), documents, type), 128);
    EXPECT_EQ(file.num_documents(), 21);
    EXPECT_EQ(file.num_sequences(), 20);
    EXPECT_EQ(file.document_length(3), 0);
    EXPECT_EQ(read_all(file), joined(documents)) << token_type_name(type);
  }
}

TEST(TokenFile, AcceptsNoDocumentsAndTheModesOfMultimodalFiles) {
  const DataDirectory directory;
  const TokenFile empty(directory.write_tokens("empty", {}));
  EXPECT_EQ(empty.num_tokens(), 0);
  EXPECT_EQ(empty.num_documents(), 0);

  directory.write_bytes("modes.idx", from_hex(kGoldenHex + "000000"));
  directory.write_bytes("modes.bin", std::string(18, '\0'));
  EXPECT_EQ(TokenFile(directory.path("modes")).num_sequences(), 3);
}

TEST(TokenFile, RefusesIdsOutsideTheVocabularyWithTheirPlace) {
  const DataDirectory directory;
  const auto above = directory.write_tokens("above", {{1, 2}, {3, 500}});
  const auto text = input_error_of([&] { read_all(TokenFile(above, 400)); });
  EXPECT_EQ(text,
            above + ".bin: token 3 (offset 6) is 500, expected 0 to 399: written for another vocabulary?");
  EXPECT_EQ(read_all(TokenFile(above, 501)).back(), 500);

  const auto below = directory.write_tokens("below", {{1, -2}}, TokenType::kI32);
  EXPECT_NE(input_error_of([&] { read_all(TokenFile(below)); }).find("token 1 (offset 4) is -2"),
            std::string::npos);
}

// Each case changes the golden index at one place and names what the error must say.
TEST(TokenFile, RefusesEveryLieOfAnIndexByName) {
  const DataDirectory directory;
  directory.write_bytes("bad.bin", std::string(18, '\0'));
  const auto golden = from_hex(kGoldenHex);
  struct Case {
    size_t offset;
    std::string bytes;
    const char* text;
  };
  const uint64_t huge = std::numeric_limits<uint64_t>::max();
  const std::vector<Case> cases{
      {0, "X", "does not begin with MMIDIDX"},
      {9, bytes_of(uint64_t{2}), "version (offset 9) is 2, expected 1"},
      {17, bytes_of(uint8_t{6}), "dtype (offset 17) is 6, expected an integer type"},
      {17, bytes_of(uint8_t{0}), "dtype (offset 17) is 0"},
      {17, bytes_of(uint8_t{4}), "bad.bin holds only 4 ids of type i32"},
      {18, bytes_of(uint64_t{4}), "but 4 sequences and 3 document entries take 106"},
      {18, bytes_of(huge), "claims 18446744073709551615 sequences"},
      {26, bytes_of(huge), "18446744073709551615 document entries, more than fit"},
      {18, bytes_of(huge / 12 + 2), "more than fit in its 94 bytes"},
      {34, bytes_of(int32_t{-1}), "length of sequence 0 is -1, expected at least 0"},
      {34, bytes_of(std::numeric_limits<int32_t>::max()), "sequence 0 ends at token 2147483647"},
      {38, bytes_of(int32_t{1}), "offset of sequence 2 is 10, expected 8"},
      {42, bytes_of(int32_t{3}), "bad.bin: is 18 bytes long, but"},
      {54, bytes_of(int64_t{7}), "offset of sequence 1 is 7, expected 6"},
      {62, bytes_of(int64_t{-10}), "offset of sequence 2 is -10, expected 10"},
      {70, bytes_of(int64_t{1}), "document entry 0 is 1, expected 0"},
      {78, bytes_of(int64_t{-1}), "document entry 1 is -1, expected 0 to 3"},
      {78, bytes_of(int64_t{4}), "document entry 1 is 4, expected 0 to 3"},
      {86, bytes_of(int64_t{2}), "the last document entry is 2, expected 3"},
      {86, bytes_of(int64_t{0}), "document entry 2 is 0, expected 1 to 3"},
  };
  for (const auto& [offset, bytes, expected] : cases) {
    auto changed = golden;
    changed.replace(offset, bytes.size(), bytes);
    directory.write_bytes("bad.idx", changed);
    const auto text = input_error_of([&] { TokenFile file(directory.path("bad")); });
    EXPECT_NE(text.find(expected), std::string::npos) << "offset " << offset << ": " << text;
  }
}

TEST(TokenFile, RefusesAnIndexCutAtAnyByte) {
  const DataDirectory directory;
  directory.write_bytes("cut.bin", std::string(18, '\0'));
  const auto golden = from_hex(kGoldenHex);
  for (size_t size = 0; size < golden.size(); ++size) {
    directory.write_bytes("cut.idx", golden.substr(0, size));
    const auto text = input_error_of([&] { TokenFile file(directory.path("cut")); });
    EXPECT_NE(text.find("cut.idx"), std::string::npos) << size;
  }
}

// Whatever one changed byte says, the file is refused or every id it describes can be read.
TEST(TokenFile, SurvivesEveryChangedByte) {
  const DataDirectory directory;
  directory.write_bytes("flip.bin", std::string(18, '\0'));
  const auto golden = from_hex(kGoldenHex);
  for (size_t i = 0; i < golden.size(); ++i) {
    for (const int value : {0x00, 0x01, 0xff}) {
      auto changed = golden;
      changed[i] = static_cast<char>(value);
      directory.write_bytes("flip.idx", changed);
      try {
        read_all(TokenFile(directory.path("flip")));
      } catch (const InputError&) {
      }
    }
  }
}

TEST(TokenFile, RefusesATokenFileThatIsMissingOrShrankInUse) {
  const DataDirectory directory;
  EXPECT_NE(
      input_error_of([&] { TokenFile file(directory.path("none")); }).find("none.bin: cannot be opened"),
      std::string::npos);
  const auto prefix = directory.write_tokens("some", {{1, 2, 3}});
  EXPECT_NE(input_error_of([&] { TokenFile file(prefix + ".bin"); }).find("without .bin or .idx"),
            std::string::npos);

  const TokenFile file(prefix);
  std::filesystem::resize_file(prefix + ".bin", 2);
  EXPECT_NE(input_error_of([&] { read_all(file); }).find("became shorter while in use"), std::string::npos);
}

}  // namespace
}  // namespace granule
