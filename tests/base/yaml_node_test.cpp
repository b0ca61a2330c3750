#include "base/yaml_node.h"

#include <gtest/gtest.h>

#include <fstream>

#include "base/check.h"
#include "tests/support/temporary_directory.h"

namespace granule {
namespace {

using Kind = YamlNode::Kind;

std::string refusal_of(const std::string& text) {
  try {
    parse_yaml(text, "c.yaml");
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "accepted";
}

std::string repeated(const std::string& text, int times) {
  std::string all;
  for (int i = 0; i < times; ++i) all += text;
  return all;
}

TEST(YamlNode, IsATreeInFileOrder) {
  const auto root = parse_yaml("b: 1\na:\n  - x\n  - \"y\"\nc: {}\nd: []\ne:\nf: ~\n", "c.yaml");
  ASSERT_EQ(root.kind, Kind::kMap);
  ASSERT_EQ(root.entries.size(), 6u);
  EXPECT_EQ(root.entries[0].key, "b");
  EXPECT_EQ(root.find("b")->scalar, "1");
  EXPECT_FALSE(root.find("b")->quoted);
  const auto* list = root.find("a");
  ASSERT_EQ(list->kind, Kind::kSequence);
  ASSERT_EQ(list->items.size(), 2u);
  EXPECT_FALSE(list->items[0].quoted);
  EXPECT_TRUE(list->items[1].quoted);
  EXPECT_EQ(list->items[1].scalar, "y");
  EXPECT_EQ(root.find("c")->kind, Kind::kMap);
  EXPECT_EQ(root.find("d")->kind, Kind::kSequence);
  EXPECT_EQ(root.find("e")->kind, Kind::kNull);
  EXPECT_EQ(root.find("f")->kind, Kind::kNull);
  EXPECT_EQ(root.find("g"), nullptr);
}

TEST(YamlNode, StandsWhereItsKeyStands) {
  const auto root = parse_yaml(
      "# first\na:\n  b: 1\n  c:\n    d: x\ne:\nf: [1, 2]\ng:\n  - h: 1\n    i: 2\n  - j\n", "c.yaml");
  EXPECT_EQ(root.find("a")->place, "c.yaml:2:1");
  EXPECT_EQ(root.find("a")->find("b")->place, "c.yaml:3:3");
  EXPECT_EQ(root.find("a")->find("c")->place, "c.yaml:4:3");
  EXPECT_EQ(root.find("a")->find("c")->find("d")->place, "c.yaml:5:5");
  EXPECT_EQ(root.find("e")->place, "c.yaml:6:1");
  EXPECT_EQ(root.find("f")->place, "c.yaml:7:1");
  EXPECT_EQ(root.find("f")->items[1].place, "c.yaml:7:8");
  EXPECT_EQ(root.find("g")->items[0].place, "c.yaml:9:5");
  EXPECT_EQ(root.find("g")->items[0].find("i")->place, "c.yaml:10:5");
  EXPECT_EQ(root.find("g")->items[1].place, "c.yaml:11:5");
}

TEST(YamlNode, OfNothingIsNull) {
  for (const char* text : {"", "\n\n", "# only\n  # comments\n", "---\n", "~"}) {
    EXPECT_EQ(parse_yaml(text, "c.yaml").kind, Kind::kNull) << text;
  }
}

TEST(YamlNode, TakesWindowsLineEndsAndAByteOrderMark) {
  const auto root = parse_yaml(
      "\xEF\xBB\xBF"
      "a: 1\r\nb:\r\n  c: x y\r\nd: \"q\"\r\n",
      "c.yaml");
  EXPECT_EQ(root.find("a")->scalar, "1");
  EXPECT_EQ(root.find("b")->find("c")->scalar, "x y");
  EXPECT_EQ(root.find("b")->find("c")->place, "c.yaml:3:3");
  EXPECT_EQ(root.find("d")->scalar, "q");
}

TEST(YamlNode, TakesOneDocumentWithMarkers) {
  EXPECT_EQ(parse_yaml("---\na: 1\n...\n", "c.yaml").find("a")->scalar, "1");
  EXPECT_EQ(refusal_of("a: 1\n---\nb: 2\n"), "c.yaml: holds more than one YAML document");
}

TEST(YamlNode, BlockTextIsQuoted) {
  const auto root = parse_yaml("a: |\n  x\n  y\nb: 1\n", "c.yaml");
  EXPECT_EQ(root.find("a")->scalar, "x\ny\n");
  EXPECT_TRUE(root.find("a")->quoted);
}

TEST(YamlNode, BlockTextAtTheEndIsWhole) {
  EXPECT_EQ(parse_yaml("a: |\n  x\n  y\n", "c.yaml").find("a")->scalar, "x\ny\n");
  EXPECT_EQ(parse_yaml("a: |-\n  x\n  y", "c.yaml").find("a")->scalar, "x\ny");
}

TEST(YamlNode, RefusesDuplicateKeysAtTheSecond) {
  EXPECT_EQ(refusal_of("a: 1\nb: 2\na: 3\n"), "c.yaml:3:1: duplicate key \"a\"");
  EXPECT_EQ(refusal_of("a:\n  b: 1\n  'b': 2\n"), "c.yaml:3:3: duplicate key \"b\"");
  EXPECT_EQ(refusal_of("a: {b: 1, b: 2}\n"), "c.yaml:1:11: duplicate key \"b\"");
  EXPECT_EQ(refusal_of("a: {b: 1}\nc: {b: 2}\n"), "accepted");
}

TEST(YamlNode, RefusesAnchorsAliasesAndTags) {
  const auto of_config = [](const std::string& what) { return what + " are not accepted in a config"; };
  EXPECT_EQ(refusal_of("a: &x 1\n"), of_config("c.yaml:1:4: anchors (&name)"));
  EXPECT_EQ(refusal_of("a: &x\n  b: 1\n"), of_config("c.yaml:1:4: anchors (&name)"));
  EXPECT_EQ(refusal_of("a: &x\n"), of_config("c.yaml:1:4: anchors (&name)"));
  EXPECT_EQ(refusal_of("&x a: 1\n"), of_config("c.yaml:1:1: anchors (&name)"));
  EXPECT_EQ(refusal_of("a: &x [1]\nb: *x\n"), of_config("c.yaml:1:4: anchors (&name)"));
  EXPECT_NE(refusal_of("a: *x\n"), "accepted");
  EXPECT_EQ(refusal_of("a: !!int 1\n"), of_config("c.yaml:1:4: tags (tag:yaml.org,2002:int)"));
  EXPECT_EQ(refusal_of("a: !mine {b: 1}\n"), of_config("c.yaml:1:4: tags (!mine)"));
  EXPECT_NE(refusal_of("a: !!null\n"), "accepted");
}

TEST(YamlNode, RefusesKeysThatAreNoWords) {
  EXPECT_EQ(refusal_of("? [1, 2]\n: 3\n"),
            "c.yaml:1:3: keys that are no plain words are not accepted in a config");
  EXPECT_EQ(refusal_of("~: 3\n"), "c.yaml:1:1: empty keys are not accepted in a config");
  EXPECT_EQ(refusal_of(": 3\n"), "c.yaml:1:1: empty keys are not accepted in a config");
}

TEST(YamlNode, RefusesWhatIsNeverClosed) {
  const std::string refusal = "c.yaml: a quote, [ or { is never closed";
  EXPECT_EQ(refusal_of("a: \"text\nb: 3\n"), refusal);
  EXPECT_EQ(refusal_of("a: 'text\nb: 3\n"), refusal);
  EXPECT_EQ(refusal_of("a: 'text"), refusal);
  EXPECT_EQ(refusal_of("a: {b: 1\n"), refusal);
  EXPECT_NE(refusal_of("a: [1, 2\nb: 3\n"), "accepted");
}

TEST(YamlNode, SaysWhereBrokenTextBreaks) {
  EXPECT_EQ(refusal_of("a: 1\nb: c: d\n").substr(0, 11), "c.yaml:2:5:");
  EXPECT_EQ(refusal_of("a:\n\tb: 1\n").substr(0, 9), "c.yaml:2:");
  EXPECT_EQ(refusal_of("a: 1\n  b: 2\n").substr(0, 9), "c.yaml:2:");
  EXPECT_NE(refusal_of(std::string("a: 1\0b: 2\n", 10)), "accepted");
}

TEST(YamlNode, RefusesDeepNestingInEveryForm) {
  EXPECT_EQ(refusal_of(repeated("[", 32) + repeated("]", 32)), "accepted");
  EXPECT_EQ(refusal_of(repeated("[", 33) + repeated("]", 33)), "c.yaml:1:33: nested deeper than 32 levels");
  EXPECT_NE(refusal_of(repeated("{a: ", 33) + repeated("}", 33)).find("nested deeper"), std::string::npos);
  EXPECT_NE(refusal_of(repeated("- ", 100000)).find("nested deeper"), std::string::npos);
  // Far too deep, and no stack overflow.
  EXPECT_NE(refusal_of(repeated("[", 300000)), "accepted");
  EXPECT_NE(refusal_of(repeated("{a: ", 100000)), "accepted");
}

TEST(YamlNode, RefusesMoreThanAMebibyte) {
  const auto text = "a: 1\n" + repeated("# comment", 150000);
  EXPECT_EQ(refusal_of(text), "c.yaml: larger than 1 MiB, no config");
  EXPECT_EQ(refusal_of(text.substr(0, 1 << 20)), "accepted");
}

TEST(YamlNode, ReadsFilesAndNamesTheOnesItCannot) {
  const TemporaryDirectory directory;
  const auto path = directory.path("c.yaml");
  std::ofstream(path) << "a: 1\n";
  EXPECT_EQ(parse_yaml_file(path).find("a")->place, path + ":1:1");
  std::ofstream(path) << repeated("# comment", 150000);
  EXPECT_THROW(parse_yaml_file(path), InputError);
  EXPECT_THROW(parse_yaml_file(directory.path("none.yaml")), InputError);
  EXPECT_THROW(parse_yaml_file(directory.path()), InputError);
}

}  // namespace
}  // namespace granule
