#include "base/safetensors_header.h"

#include <gtest/gtest.h>

#include <cstring>

#include "base/check.h"

namespace granule {
namespace {

SafetensorsHeader parse(const std::string& json, uint64_t data_bytes) {
  return parse_safetensors_header(json, data_bytes, "file");
}

// The message with which `json` is refused; empty if it is accepted.
std::string refusal(const std::string& json, uint64_t data_bytes) {
  try {
    parse(json, data_bytes);
    return "";
  } catch (const InputError& error) {
    return error.what();
  }
}

#define EXPECT_REFUSED(json, data_bytes, words) \
  EXPECT_NE(refusal(json, data_bytes).find(words), std::string::npos) << "said: " << refusal(json, data_bytes)

std::string tensor(const std::string& name, const std::string& dtype, const std::string& shape,
                   const std::string& offsets) {
  return "\"" + name + "\":{\"dtype\":\"" + dtype + "\",\"shape\":" + shape + ",\"data_offsets\":" + offsets +
         "}";
}

TEST(SafetensorsHeader, ReadsEntriesInTheOrderOfTheirBytes) {
  const auto header = parse(
      "{\"__metadata__\":{\"format\":\"pt\",\"a\":\"b\"}," + tensor("late", "BF16", "[2,3]", "[8,20]") + "," +
          tensor("early", "F32", "[2]", "[0,8]") + "," + tensor("empty", "I64", "[0,5]", "[8,8]") + "," +
          tensor("scalar", "U8", "[]", "[20,21]") + "}   ",
      21);
  ASSERT_EQ(header.entries.size(), 4u);
  EXPECT_EQ(header.entries[0].name, "early");
  EXPECT_EQ(header.entries[1].name, "empty");
  EXPECT_EQ(header.entries[2].name, "late");
  EXPECT_EQ(header.entries[2].dtype, "BF16");
  EXPECT_EQ(header.entries[2].shape, (std::vector<uint64_t>{2, 3}));
  EXPECT_EQ(header.entries[2].begin, 8u);
  EXPECT_EQ(header.entries[2].end, 20u);
  EXPECT_TRUE(header.entries[3].shape.empty());
  EXPECT_EQ(header.metadata, (SafetensorsMetadata{{"format", "pt"}, {"a", "b"}}));
}

TEST(SafetensorsHeader, AcceptsWhatTheReferenceAccepts) {
  EXPECT_EQ(refusal("{}", 0), "");
  EXPECT_EQ(refusal("{\"__metadata__\":{}}", 0), "");
  EXPECT_EQ(refusal("{\"__metadata__\":null}", 0), "");
  EXPECT_EQ(refusal("{\"a\":{\"shape\":[1],\"more\":[1,{\"x\":null}],\"dtype\":\"U8\",\"data_offsets\":[0,1],"
                    "\"y\":true}}",
                    1),
            "");
  EXPECT_EQ(refusal("{" + tensor("\\u00fc\\\"", "F4", "[4]", "[0,2]") + "}", 2), "");
}

// The product of the shape is what may not overflow: nothing times much is nothing.
TEST(SafetensorsHeader, AcceptsHugeDimensionsOfAnEmptyTensor) {
  EXPECT_EQ(refusal("{" + tensor("a", "F32", "[9223372036854775808,0,4]", "[0,0]") + "}", 0), "");
}

TEST(SafetensorsHeader, RefusesWhatIsNoJsonObject) {
  EXPECT_REFUSED("", 0, "begin with {");
  EXPECT_REFUSED(" {}", 0, "begin with {");
  EXPECT_REFUSED("[]", 0, "begin with {");
  EXPECT_REFUSED("{", 0, "JSON");
  EXPECT_REFUSED("{}x", 0, "JSON");
  EXPECT_REFUSED("{}{}", 0, "JSON");
  EXPECT_REFUSED(std::string("{}\0\0", 4), 0, "zero byte");
  EXPECT_REFUSED("{\"\xff\xfe\":{}}", 0, "JSON");
  EXPECT_REFUSED("{\"a\":}", 0, "JSON");
  EXPECT_REFUSED("{'a':1}", 0, "JSON");
}

TEST(SafetensorsHeader, RefusesDuplicates) {
  const auto one = tensor("a", "U8", "[1]", "[0,1]");
  EXPECT_REFUSED("{" + one + "," + one + "}", 1, "twice");
  EXPECT_REFUSED("{" + one + "," + tensor("a", "U8", "[1]", "[1,2]") + "}", 2, "twice");
  EXPECT_REFUSED("{\"a\":{\"dtype\":\"U8\",\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1,
                 "twice");
  EXPECT_REFUSED("{\"__metadata__\":{},\"__metadata__\":{}}", 0, "twice");
  EXPECT_REFUSED("{\"__metadata__\":{\"x\":\"1\",\"x\":\"2\"}}", 0, "twice");
}

TEST(SafetensorsHeader, RefusesWrongKindsAndMissingFields) {
  EXPECT_REFUSED("{\"a\":1}", 0, "a cannot be");
  EXPECT_REFUSED("{\"a\":[]}", 0, "a cannot be");
  EXPECT_REFUSED("{\"a\":null}", 0, "a cannot be");
  EXPECT_REFUSED("{\"a\":{}}", 0, "no dtype");
  EXPECT_REFUSED("{\"__metadata__\":{\"x\":1}}", 0, "__metadata__.x");
  EXPECT_REFUSED("{\"__metadata__\":{\"x\":{}}}", 0, "__metadata__.x");
  EXPECT_REFUSED("{\"__metadata__\":[]}", 0, "__metadata__");
  EXPECT_REFUSED("{\"a\":{\"dtype\":\"U8\",\"shape\":[1]}}", 1, "no data_offsets");
  EXPECT_REFUSED("{\"a\":{\"dtype\":\"U8\",\"data_offsets\":[0,1]}}", 1, "no shape");
  EXPECT_REFUSED("{\"a\":{\"shape\":[1],\"data_offsets\":[0,1]}}", 1, "no dtype");
  EXPECT_REFUSED("{" + tensor("a", "U9", "[1]", "[0,1]") + "}", 1, "unknown dtype");
  EXPECT_REFUSED("{" + tensor("a", "u8", "[1]", "[0,1]") + "}", 1, "unknown dtype");
  EXPECT_REFUSED("{\"a\":{\"dtype\":8,\"shape\":[1],\"data_offsets\":[0,1]}}", 1, "a.dtype");
  for (const char* shape : {"[-1]", "[1.0]", "[1e0]", "[\"1\"]", "[[1]]", "{}", "1", "null", "[null]",
                            "[true]", "[18446744073709551616]", "[-0]"}) {
    EXPECT_REFUSED("{" + tensor("a", "U8", shape, "[0,1]") + "}", 1, "a.shape cannot be");
  }
  EXPECT_REFUSED("{" + tensor("a", "U8", "[1]", "[0]") + "}", 1, "two data_offsets");
  EXPECT_REFUSED("{" + tensor("a", "U8", "[1]", "[]") + "}", 1, "two data_offsets");
  EXPECT_REFUSED("{" + tensor("a", "U8", "[1]", "[0,1,1]") + "}", 1, "two data_offsets");
  EXPECT_REFUSED("{" + tensor("a", "U8", "[1]", "[-1,0]") + "}", 1, "a.data_offsets cannot be");
}

TEST(SafetensorsHeader, RefusesHolesOverlapsAndEnds) {
  const auto a = tensor("a", "U8", "[4]", "[0,4]");
  EXPECT_EQ(refusal("{" + a + "}", 4), "");
  EXPECT_REFUSED("{" + a + "}", 5, "has 5 bytes of tensors");
  EXPECT_REFUSED("{" + a + "}", 3, "has 3 bytes of tensors");
  EXPECT_REFUSED("{}", 1, "has 1 bytes of tensors");
  EXPECT_REFUSED("{" + tensor("a", "U8", "[4]", "[1,5]") + "}", 5, "expected to begin at 0");
  EXPECT_REFUSED("{" + a + "," + tensor("b", "U8", "[4]", "[5,9]") + "}", 9, "expected to begin at 4");
  EXPECT_REFUSED("{" + a + "," + tensor("b", "U8", "[4]", "[3,7]") + "}", 7, "expected to begin at 4");
  EXPECT_REFUSED("{" + a + "," + tensor("b", "U8", "[4]", "[0,4]") + "}", 4, "expected to begin at 4");
  EXPECT_REFUSED("{" + tensor("a", "U8", "[0]", "[4,0]") + "}", 4, "data_offsets");
  EXPECT_REFUSED("{" + a + "," + tensor("b", "U8", "[0]", "[2,2]") + "}", 4, "b has data_offsets");
}

TEST(SafetensorsHeader, RefusesSizesThatDisagreeOrOverflow) {
  EXPECT_REFUSED("{" + tensor("a", "F32", "[2]", "[0,4]") + "}", 4,
                 "has 4 bytes, its shape and dtype need 8");
  EXPECT_REFUSED("{" + tensor("a", "F32", "[]", "[0,0]") + "}", 0, "need 4");
  EXPECT_REFUSED("{" + tensor("a", "F32", "[0]", "[0,4]") + "}", 4, "need 0");
  EXPECT_REFUSED("{" + tensor("a", "U8", "[4294967296,4294967296]", "[0,0]") + "}", 0, "overflows");
  EXPECT_REFUSED("{" + tensor("a", "F64", "[2305843009213693952]", "[0,0]") + "}", 0, "overflows");
  EXPECT_REFUSED("{" + tensor("a", "F4", "[3]", "[0,1]") + "}", 1, "whole number of bytes");
  EXPECT_REFUSED("{" + tensor("a", "F6_E2M3", "[1]", "[0,1]") + "}", 1, "whole number of bytes");
}

TEST(SafetensorsHeader, RefusesWhatIsTooMuch) {
  EXPECT_EQ(refusal("{" + tensor("a", "U8", "[1,1,1,1,1,1,1,1]", "[0,1]") + "}", 1), "");
  EXPECT_REFUSED("{" + tensor("a", "U8", "[1,1,1,1,1,1,1,1,1]", "[0,1]") + "}", 1, "dimensions");
  EXPECT_EQ(refusal("{" + tensor(std::string(4096, 'n'), "U8", "[1]", "[0,1]") + "}", 1), "");
  EXPECT_REFUSED("{" + tensor(std::string(4097, 'n'), "U8", "[1]", "[0,1]") + "}", 1, "name of 4097 bytes");
  const std::string deep(100000, '[');
  EXPECT_REFUSED("{\"a\":{\"x\":" + deep, 1, "nested too deeply");
  EXPECT_REFUSED("{\"a\":" + deep, 1, "a cannot be");
}

TEST(SafetensorsLayout, IsWhatParsingGivesBack) {
  const SafetensorsLayout layout({{.name = "z", .dtype = "BF16", .shape = {3}},
                                  {.name = "b\"\n\xc3\xbc", .dtype = "F32", .shape = {2, 2}},
                                  {.name = "a", .dtype = "F32", .shape = {}},
                                  {.name = "flag", .dtype = "BOOL", .shape = {1}},
                                  {.name = "id", .dtype = "I64", .shape = {0}}},
                                 {{"format", "pt"}, {"k", "v\\"}});
  uint64_t length = 0;
  std::memcpy(&length, layout.prefix().data(), sizeof(length));
  EXPECT_EQ(length % 8, 0u);
  ASSERT_EQ(layout.prefix().size(), 8 + length);
  EXPECT_EQ(layout.file_size(), layout.prefix().size() + 4 + 16 + 6 + 1);

  const auto header = parse(layout.prefix().substr(8), layout.file_size() - layout.prefix().size());
  EXPECT_EQ(header.metadata, (SafetensorsMetadata{{"format", "pt"}, {"k", "v\\"}}));
  std::vector<std::string> names;
  for (const auto& entry : header.entries) names.push_back(entry.name);
  EXPECT_EQ(names, (std::vector<std::string>{"id", "a", "b\"\n\xc3\xbc", "z", "flag"}));
  for (size_t i = 0; i < names.size(); ++i) {
    EXPECT_EQ(header.entries[i].begin, layout.entries()[i].begin);
    EXPECT_EQ(header.entries[i].end, layout.entries()[i].end);
  }
}

TEST(SafetensorsLayout, IsTheReferenceWritersText) {
  const SafetensorsLayout layout({{.name = "x", .dtype = "F32", .shape = {2, 1}}}, {{"format", "pt"}});
  EXPECT_EQ(layout.prefix().substr(8),
            "{\"__metadata__\":{\"format\":\"pt\"},\"x\":{\"dtype\":\"F32\",\"shape\":[2,1],\"data_offsets\":"
            "[0,8]}} ");
}

TEST(SafetensorsLayout, RefusesOurMistakes) {
  using Entries = std::vector<SafetensorsEntry>;
  EXPECT_THROW(SafetensorsLayout(Entries{{.name = "a", .dtype = "F31", .shape = {}}}, {}), std::logic_error);
  EXPECT_THROW(SafetensorsLayout(Entries{{.name = "__metadata__", .dtype = "F32", .shape = {}}}, {}),
               std::logic_error);
  EXPECT_THROW(
      SafetensorsLayout(
          Entries{{.name = "a", .dtype = "F32", .shape = {}}, {.name = "a", .dtype = "U8", .shape = {}}}, {}),
      std::logic_error);
  EXPECT_THROW(
      SafetensorsLayout(Entries{{.name = "a", .dtype = "F32", .shape = {uint64_t{1} << 60, 64}}}, {}),
      std::logic_error);
}

}  // namespace
}  // namespace granule
