#include "base/strict_json.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/support/token_files.h"

namespace granule {
namespace {

class StrictJson : public testing::Test {
 protected:
  nlohmann::json read(const std::string& text, uint64_t max_bytes = 1000) {
    return read_strict_json(directory_.write_bytes("x.json", text), max_bytes);
  }
  std::string error_of(const std::string& text) {
    return input_error_of([&] { read(text); });
  }

  DataDirectory directory_;
};

TEST_F(StrictJson, ReadsWhatIsValid) {
  EXPECT_EQ(read(R"({"a": [1, {"b": "x"}], "c": {"b": null}})").dump(),
            R"({"a":[1,{"b":"x"}],"c":{"b":null}})");
}

TEST_F(StrictJson, RefusesDuplicateKeysDeepNestingAndLargeFiles) {
  EXPECT_NE(error_of(R"({"a": {"b": 1, "c": 2, "b": 3}})").find("has the key \"b\" twice in one object"),
            std::string::npos);
  EXPECT_NE(error_of(std::string(50, '[') + std::string(50, ']')).find("nests deeper than 32 levels"),
            std::string::npos);
  EXPECT_NE(error_of(std::string(900, '[')).find("nests deeper than 32 levels"), std::string::npos);
  EXPECT_NE(input_error_of([&] { read("[1, 2, 3]", 5); }).find("at most 5 are accepted"), std::string::npos);
}

TEST_F(StrictJson, RefusesWhatIsNoJson) {
  for (const char* text : {"", "{", "[1,]", "{\"a\": 1} x", "nan", "\"\xff\"", "\"\\ud800\"", "{'a': 1}"}) {
    EXPECT_NE(error_of(text).find("is no valid JSON"), std::string::npos) << text;
  }
  EXPECT_NE(error_of(std::string("{\"a\": 1}\0, \"b\": 2}", 18)).find("it contains a zero byte"),
            std::string::npos);
}

TEST_F(StrictJson, NamesFieldsInErrors) {
  const std::string path = "x.json";
  const auto document =
      read(R"({"a": {"list": [1, "two", true], "none": null, "big": 18446744073709551615}})");
  const JsonField top(path, document);
  const auto list = top["a"]["list"].items();
  EXPECT_EQ(list[0].integer(0, 1), 1);
  EXPECT_EQ(list[1].text(), "two");
  EXPECT_TRUE(list[2].boolean());
  EXPECT_FALSE(top["a"].find("none"));
  EXPECT_EQ(top["a"].text_or("none", "default"), "default");
  EXPECT_TRUE(top["a"].boolean_or("missing", true));
  EXPECT_EQ(input_error_of([&] { list[1].integer(0, 9); }),
            "x.json: field a.list[1] is \"two\", expected a whole number from 0 to 9");
  EXPECT_EQ(input_error_of([&] { list[0].integer(2, 9); }),
            "x.json: field a.list[0] is 1, expected a whole number from 2 to 9");
  EXPECT_EQ(input_error_of([&] { top["a"]["big"].integer(-5, 5); }),
            "x.json: field a.big is 18446744073709551615, expected a whole number from -5 to 5");
  EXPECT_EQ(input_error_of([&] { list[0].text(); }), "x.json: field a.list[0] is 1, expected text");
  EXPECT_EQ(input_error_of([&] { top["a"]["list"]["x"]; }),
            "x.json: field a.list is an array, expected an object");
  EXPECT_EQ(input_error_of([&] { top["b"]; }), "x.json: field (top) has no \"b\"");
}

}  // namespace
}  // namespace granule
