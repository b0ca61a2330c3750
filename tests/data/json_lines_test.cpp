#include "data/json_lines.h"

#include <gtest/gtest.h>

#include "tests/support/token_files.h"

namespace granule {
namespace {

class JsonLines : public testing::Test {
 protected:
  std::vector<int64_t> read(const std::string& text, uint64_t max_line_bytes = uint64_t{1} << 20) {
    std::vector<int64_t> numbers;
    read_json_lines(
        directory_.write_bytes("x.jsonl", text),
        [&](const JsonField& record) { numbers.push_back(record["n"].integer(0, 100)); }, max_line_bytes);
    return numbers;
  }
  std::string error_of(const std::string& text, uint64_t max_line_bytes = uint64_t{1} << 20) {
    return input_error_of([&] { read(text, max_line_bytes); });
  }

  DataDirectory directory_;
};

TEST_F(JsonLines, ReadsALineAtATimeWithAndWithoutTheLastNewline) {
  EXPECT_EQ(read("{\"n\": 1}\n{\"n\": 2}\n"), (std::vector<int64_t>{1, 2}));
  EXPECT_EQ(read("{\"n\": 1}\r\n \n\n{\"n\": 2}"), (std::vector<int64_t>{1, 2}));
  EXPECT_TRUE(read("").empty());
  EXPECT_EQ(read("\uFEFF{\"n\": 1}\n"), (std::vector<int64_t>{1}));
  EXPECT_EQ(read("\uFEFF\n{\"n\": 2}"), (std::vector<int64_t>{2}));
}

TEST_F(JsonLines, PutsLinesTogetherThatAreLongerThanABlock) {
  const std::string filler(1'500'000, 'x');
  const std::string line = "{\"n\": 7, \"t\": \"" + filler + "\"}\n";
  EXPECT_EQ(read(line + "{\"n\": 8}\n" + line, 10'000'000), (std::vector<int64_t>{7, 8, 7}));
  EXPECT_NE(error_of("{\"n\": 1}\n" + line).find("x.jsonl:2: is longer than 1048576 bytes"),
            std::string::npos);
}

TEST_F(JsonLines, NamesTheLineOfAFault) {
  EXPECT_NE(error_of("{\"n\": 1}\n\n{\"n\": }").find("x.jsonl:3: is no valid JSON"), std::string::npos);
  EXPECT_NE(error_of("{\"n\": 1}\n[1]").find("x.jsonl:2: field (line) is no JSON object"), std::string::npos);
  EXPECT_NE(error_of("{\"n\": 1, \"n\": 2}").find("x.jsonl:1: has the key \"n\" twice"), std::string::npos);
  EXPECT_NE(error_of("{\"n\": 101}").find("x.jsonl:1: field n is 101"), std::string::npos);
}

}  // namespace
}  // namespace granule
