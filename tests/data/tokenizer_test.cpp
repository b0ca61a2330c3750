#include "data/tokenizer.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "tests/support/byte_words.h"
#include "tests/support/source_tree.h"
#include "tests/support/token_files.h"

namespace granule {
namespace {

using nlohmann::json;

// Made by make_tokenizer_golden.py with Hugging Face's tokenizers.
std::vector<std::filesystem::path> golden_files() {
  std::vector<std::filesystem::path> files;
  const auto directory = source_path("tests/data/golden");
  for (const auto& entry : std::filesystem::directory_iterator(directory)) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

// A byte-level tokenizer of 256 bytes, the merges "a b", "ab c" and "b c", and an end of document.
json small_tokenizer() {
  json vocabulary;
  for (int byte = 0; byte < 256; ++byte)
    vocabulary[word_of_bytes(std::string(1, static_cast<char>(byte)))] = byte;
  vocabulary["ab"] = 256;
  vocabulary["abc"] = 257;
  vocabulary["bc"] = 258;
  return {
      {"version", "1.0"},
      {"added_tokens",
       json::array({{{"id", 259}, {"content", "<|endoftext|>"}, {"special", true}, {"normalized", false}}})},
      {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", true}}},
      {"decoder", {{"type", "ByteLevel"}}},
      {"model", {{"type", "BPE"}, {"vocab", vocabulary}, {"merges", json::array({"a b", "ab c", "b c"})}}}};
}

std::string text_of(const Tokenizer& tokenizer, const std::vector<int64_t>& ids, bool with_special = true) {
  std::string text;
  for (const auto id : ids) {
    if (with_special || !tokenizer.is_special(id)) text += tokenizer.token_text(id);
  }
  return text;
}

class TokenizerTest : public testing::Test {
 protected:
  Tokenizer open(const json& file) {
    return Tokenizer(directory_.write_bytes("tokenizer.json", file.dump()));
  }

  DataDirectory directory_;
};

TEST_F(TokenizerTest, GivesTheIdsOfHuggingFacesTokenizers) {
  const auto files = golden_files();
  ASSERT_GE(files.size(), 19u);
  for (const auto& path : files) {
    const auto golden = json::parse(read_bytes(path));
    auto tokenizer = open(golden["tokenizer"]);
    for (size_t i = 0; i < golden["texts"].size(); ++i) {
      const auto text = golden["texts"][i].get<std::string>();
      const auto where = path.stem().string() + " text " + std::to_string(i);
      EXPECT_EQ(tokenizer.encode(text), golden["ids"][i].get<std::vector<int64_t>>()) << where;
      EXPECT_EQ(tokenizer.encode(text, {.with_template = true}),
                golden["ids_with_template"][i].get<std::vector<int64_t>>())
          << where;
      EXPECT_EQ(tokenizer.encode(text, {.with_special = false}),
                golden["ids_without_special"][i].get<std::vector<int64_t>>())
          << where;
    }
  }
}

TEST_F(TokenizerTest, TextsOfTokensAreTheTextThatWasEncoded) {
  for (const auto& path : golden_files()) {
    if (path.stem().string().find("removed") != std::string::npos) continue;  // the split itself drops text
    const auto golden = json::parse(read_bytes(path));
    auto tokenizer = open(golden["tokenizer"]);
    if (golden.contains("decoded")) continue;
    for (const auto& text : golden["texts"]) {
      const auto ids = tokenizer.encode(text.get<std::string>());
      EXPECT_EQ(text_of(tokenizer, ids), text.get<std::string>()) << path.stem();
      int64_t num_bytes = 0;
      for (const auto id : ids) num_bytes += tokenizer.num_bytes(id);
      EXPECT_EQ(num_bytes, static_cast<int64_t>(text_of(tokenizer, ids, /*with_special=*/false).size()));
    }
  }
}

// Unknown characters are lost there too. The space before a text is not: Hugging Face's decoders take it away.
TEST_F(TokenizerTest, TextsOfCharactersAreThoseOfHuggingFacesDecoders) {
  int num_files = 0;
  for (const auto& path : golden_files()) {
    const auto golden = json::parse(read_bytes(path));
    if (!golden.contains("decoded")) continue;
    const auto tokenizer = open(golden["tokenizer"]);
    for (size_t i = 0; i < golden["texts"].size(); ++i) {
      const auto decoded = golden["decoded"][i].get<std::string>();
      auto text = text_of(tokenizer, golden["ids"][i].get<std::vector<int64_t>>(), /*with_special=*/false);
      if (text == " " + decoded) text.erase(0, 1);
      EXPECT_EQ(text, decoded) << path.stem() << " text " << i;
    }
    ++num_files;
  }
  EXPECT_EQ(num_files, 5);
}

TEST_F(TokenizerTest, TextThatContinuesOtherTextGetsNoMarkBeforeIt) {
  for (const char* name : {"llama2", "mistral", "marks"}) {
    const auto golden = json::parse(read_bytes(source_path(std::string("tests/data/golden/tokenizer_") + name + ".json")));
    auto tokenizer = open(golden["tokenizer"]);
    auto ids = tokenizer.encode("the router chooses");
    const auto rest = tokenizer.encode(" experts for every token", {.before = TextBefore::kText});
    ids.insert(ids.end(), rest.begin(), rest.end());
    EXPECT_EQ(ids, tokenizer.encode("the router chooses experts for every token")) << name;
    EXPECT_EQ(tokenizer.token_text(tokenizer.encode("the").front())[0], ' ') << name;
    EXPECT_EQ(tokenizer.token_text(tokenizer.encode("the", {.before = TextBefore::kText}).front())[0], 't') << name;
  }
}

TEST_F(TokenizerTest, MergesTheEarliestRuleFirst) {
  auto tokenizer = open(small_tokenizer());
  EXPECT_EQ(tokenizer.encode("abc"), (std::vector<int64_t>{257}));
  EXPECT_EQ(tokenizer.encode("bcab"), (std::vector<int64_t>{258, 256}));
  auto other = small_tokenizer();
  other["model"]["merges"] = json::array({"b c", "a b", "ab c"});
  EXPECT_EQ(open(other).encode("abc"), (std::vector<int64_t>{'a', 258}));
  other["model"]["ignore_merges"] = true;
  EXPECT_EQ(open(other).encode("abc"), (std::vector<int64_t>{257}));
}

TEST_F(TokenizerTest, ReadsBothNotationsOfMerges) {
  auto pairs = small_tokenizer();
  pairs["model"]["merges"] = json::array({{"a", "b"}, {"ab", "c"}, {"b", "c"}});
  EXPECT_EQ(open(pairs).encode("abc abbc"), open(small_tokenizer()).encode("abc abbc"));
}

TEST_F(TokenizerTest, ReadsBrokenUtf8AsReplacementCharacters) {
  auto tokenizer = open(small_tokenizer());
  EXPECT_EQ(text_of(tokenizer, tokenizer.encode("a\xff"
                                                "b\xe2\x82"
                                                "c\xed\xa0\x80")),
            "a\uFFFDb\uFFFDc\uFFFD\uFFFD\uFFFD");
}

TEST_F(TokenizerTest, KnowsItsSpecialTokens) {
  auto tokenizer = open(small_tokenizer());
  EXPECT_EQ(tokenizer.vocab_size(), 260);
  EXPECT_EQ(tokenizer.end_of_document(), 259);
  EXPECT_TRUE(tokenizer.is_special(259));
  EXPECT_EQ(tokenizer.num_bytes(259), 0);
  EXPECT_EQ(tokenizer.num_bytes(257), 3);
  EXPECT_EQ(text_of(tokenizer, {257, 259}), "abc<|endoftext|>");
  EXPECT_EQ(text_of(tokenizer, {257, 259, 'x'}, /*with_special=*/false), "abcx");
  EXPECT_EQ(tokenizer.find_added("<|endoftext|>"), 259);
  EXPECT_EQ(tokenizer.find_added("abc"), std::nullopt);
  // A model's vocabulary may be padded beyond the tokenizer's.
  EXPECT_EQ(text_of(tokenizer, {-1, 260, 1 << 30}), "");
  EXPECT_EQ(tokenizer.num_bytes(1 << 30), 0);
}

TEST_F(TokenizerTest, LeavesIdsWithoutTokenEmpty) {
  auto file = small_tokenizer();
  file["added_tokens"][0]["id"] = 300;
  file["model"]["vocab"]["x1"] = 280;
  const auto tokenizer = open(file);
  EXPECT_EQ(tokenizer.vocab_size(), 301);
  EXPECT_EQ(tokenizer.token_text(258), "bc");
  EXPECT_EQ(tokenizer.token_text(259), "");
  EXPECT_EQ(tokenizer.token_text(280), "x1");
  EXPECT_EQ(tokenizer.token_text(299), "");
  EXPECT_EQ(tokenizer.token_text(300), "<|endoftext|>");
}

TEST_F(TokenizerTest, TakesTheEndOfDocumentFromTheConfigBeside) {
  auto file = small_tokenizer();
  file["added_tokens"].push_back({{"id", 260}, {"content", "</s>"}, {"special", true}});
  directory_.write_bytes("tokenizer_config.json", R"({"eos_token": "</s>"})");
  EXPECT_EQ(open(file).end_of_document(), 260);
  directory_.write_bytes("tokenizer_config.json", R"({"eos_token": {"content": "</s>", "lstrip": false}})");
  EXPECT_EQ(open(file).end_of_document(), 260);
  directory_.write_bytes("tokenizer_config.json", R"({"eos_token": null})");
  EXPECT_EQ(open(file).end_of_document(), 259);
  directory_.write_bytes("tokenizer_config.json", R"({"eos_token": "<none>"})");
  EXPECT_NE(input_error_of([&] { open(file); }).find("has no added token \"<none>\""), std::string::npos);
}

TEST_F(TokenizerTest, BeginsATextAsTheConfigBesideSays) {
  auto file = small_tokenizer();
  file["added_tokens"].push_back({{"id", 260}, {"content", "<s>"}, {"special", true}});
  EXPECT_TRUE(open(file).text_prefix().empty());
  EXPECT_EQ(open(file).begin_of_document(), std::nullopt);
  directory_.write_bytes("tokenizer_config.json", R"({"bos_token": "<s>"})");
  EXPECT_TRUE(open(file).text_prefix().empty());
  EXPECT_EQ(open(file).begin_of_document(), 260);
  directory_.write_bytes("tokenizer_config.json", R"({"add_bos_token": true, "bos_token": "<s>"})");
  EXPECT_EQ(open(file).encode("y", {.with_template = true}), (std::vector<int64_t>{260, 'y'}));
  EXPECT_EQ(open(file).added_names(), (std::vector<std::string>{"<|endoftext|>", "<s>"}));
  directory_.write_bytes("tokenizer_config.json", R"({"add_bos_token": true, "bos_token": "<none>"})");
  EXPECT_NE(input_error_of([&] { open(file); }).find("the bos_token of tokenizer_config.json"),
            std::string::npos);
}

// A prompt's ids with a template of <s> before and </s> behind a text.
TEST_F(TokenizerTest, APromptHasWhatBeginsATextOnceAndNotWhatEndsIt) {
  auto file = small_tokenizer();
  file["added_tokens"].push_back({{"id", 260}, {"content", "<s>"}, {"special", true}});
  file["added_tokens"].push_back({{"id", 261}, {"content", "</s>"}, {"special", true}});
  const json text = {{"Sequence", {{"id", "A"}, {"type_id", 0}}}};
  const json begin = {{"SpecialToken", {{"id", "<s>"}, {"type_id", 0}}}};
  const json end = {{"SpecialToken", {{"id", "</s>"}, {"type_id", 0}}}};
  file["post_processor"] = {{"type", "TemplateProcessing"},
                            {"single", {begin, text, end}},
                            {"special_tokens", {{"<s>", {{"ids", {260}}}}, {"</s>", {{"ids", {261}}}}}}};
  auto tokenizer = open(file);
  ASSERT_EQ(tokenizer.encode("y", {.with_template = true}), (std::vector<int64_t>{260, 'y', 261}));
  EXPECT_EQ(tokenizer.encode_prompt("y"), (std::vector<int64_t>{260, 'y'}));
  EXPECT_EQ(tokenizer.encode_prompt("<s>y"), (std::vector<int64_t>{260, 'y'}));
  EXPECT_EQ(tokenizer.encode_prompt(""), (std::vector<int64_t>{260}));
}

TEST_F(TokenizerTest, AnEmptyPromptIsTheTokenThatBeginsATextElseTheOneThatEndsIt) {
  auto file = small_tokenizer();
  EXPECT_EQ(open(file).encode_prompt("y"), (std::vector<int64_t>{'y'}));
  EXPECT_EQ(open(file).encode_prompt(""), (std::vector<int64_t>{259}));
  file["added_tokens"].push_back({{"id", 260}, {"content", "<s>"}, {"special", true}});
  directory_.write_bytes("tokenizer_config.json", R"({"bos_token": "<s>"})");
  EXPECT_EQ(open(file).encode_prompt("y"), (std::vector<int64_t>{'y'}));
  EXPECT_EQ(open(file).encode_prompt(""), (std::vector<int64_t>{260}));
  file["added_tokens"] = json::array();
  directory_.write_bytes("tokenizer_config.json", "{}");
  EXPECT_TRUE(open(file).encode_prompt("").empty());
}

TEST_F(TokenizerTest, IdsThatAModelLacksAreRefused) {
  const auto tokenizer = open(small_tokenizer());
  EXPECT_NO_THROW(check_ids({}, 1, tokenizer));
  EXPECT_NO_THROW(check_ids({3, 257}, 258, tokenizer));
  try {
    check_ids({3, 257, 4}, 257, tokenizer);
    FAIL() << "no error";
  } catch (const ConfigError& error) {
    EXPECT_EQ(error.what(),
              "model.vocab_size = 257 is too small for the token id 257 of " + tokenizer.path());
  }
}

TEST_F(TokenizerTest, RefusesTextWithAByteThatTheVocabularyLacks) {
  auto file = small_tokenizer();
  file["model"]["vocab"].erase("z");
  auto tokenizer = open(file);
  EXPECT_EQ(tokenizer.encode("y"), (std::vector<int64_t>{'y'}));
  EXPECT_NE(input_error_of([&] { tokenizer.encode("xyz"); }).find("no token for the byte 0x7A"),
            std::string::npos);
}

}  // namespace
}  // namespace granule
