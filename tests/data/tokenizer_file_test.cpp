#include "data/tokenizer_file.h"

#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>

#include "tests/support/token_files.h"

namespace granule {
namespace {

using nlohmann::json;

json valid_file() {
  return {{"version", "1.0"},
          {"truncation", nullptr},
          {"added_tokens", json::array({{{"id", 4}, {"content", "<s>"}, {"special", true}}})},
          {"normalizer", nullptr},
          {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}}},
          {"post_processor", nullptr},
          {"decoder", {{"type", "ByteLevel"}}},
          {"model",
           {{"type", "BPE"},
            {"vocab", {{"a", 0}, {"b", 1}, {"c", 2}, {"ab", 3}}},
            {"merges", json::array({"a b"})}}}};
}

class TokenizerFileTest : public testing::Test {
 protected:
  TokenizerFile read(const std::string& text) {
    return read_tokenizer_file(directory_.write_bytes("t.json", text));
  }
  std::string error_after(const std::function<void(json&)>& change) {
    auto file = valid_file();
    change(file);
    return input_error_of([&] { read(file.dump()); });
  }

  DataDirectory directory_;
};

TEST_F(TokenizerFileTest, ReadsEveryPartOfAValidFile) {
  auto file = valid_file();
  file["normalizer"] = {{"type", "Sequence"}, {"normalizers", json::array()}};
  file["post_processor"] = json::parse(R"({"type": "TemplateProcessing",
      "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
      "special_tokens": {"<s>": {"id": "<s>", "ids": [4], "tokens": ["<s>"]}}})");
  const auto read_file = read(file.dump());
  EXPECT_EQ(read_file.vocabulary.size(), 4u);
  ASSERT_EQ(read_file.merges.size(), 1u);
  EXPECT_EQ(read_file.merges[0].merged, 3);
  EXPECT_EQ(read_file.steps.size(), 1u);
  EXPECT_EQ(read_file.prefix, (std::vector<int64_t>{4}));
  ASSERT_EQ(read_file.added.size(), 1u);
  EXPECT_TRUE(read_file.added[0].special);
}

TEST_F(TokenizerFileTest, NamesTheFieldThatIsWrongOrUnknown) {
  struct Case {
    std::function<void(json&)> change;
    const char* text;
  };
  const std::vector<Case> cases{
      {[](json& f) { f = json::array(); }, "field (top) is an array, expected an object"},
      {[](json& f) { f.erase("model"); }, "has no \"model\""},
      {[](json& f) { f["version"] = "2.0"; }, "field version is unknown"},
      {[](json& f) { f["model"].erase("merges"); }, "field model has no \"merges\""},
      {[](json& f) { f["model"]["merges"] = 3; }, "field model.merges is no array"},
      {[](json& f) { f["model"]["merges"] = {"ab"}; }, "field model.merges [0] is neither"},
      {[](json& f) { f["model"]["merges"] = {"a b c"}; }, "field model.merges [0] is neither"},
      {[](json& f) {
         f["model"]["merges"] = json::array({{"a", "b", "c"}});
       },
       "field model.merges [0] is neither"},
      {[](json& f) {
         f["model"]["merges"] = {"a b", "a c"};
       },
       "[1] needs the token \"ac\""},
      {[](json& f) {
         f["model"]["merges"] = {"a b", "a b"};
       },
       "[1] repeats the merge"},
      {[](json& f) { f["model"]["type"] = "Unigram"; },
       "has type \"Unigram\", which is not supported; known: BPE"},
      {[](json& f) { f["model"]["dropout"] = 0.1; }, "field model.dropout makes ids random"},
      {[](json& f) { f["model"]["byte_fallback"] = true; }, "field model.byte_fallback is true"},
      {[](json& f) { f["model"]["end_of_word_suffix"] = "</w>"; },
       "field model.end_of_word_suffix is \"</w>\""},
      {[](json& f) { f["model"]["vocab"]["c"] = -1; },
       "field model.vocab.c is -1, expected a whole number from 0"},
      {[](json& f) { f["model"]["vocab"]["c"] = 1.5; }, "field model.vocab.c is 1.5"},
      {[](json& f) { f["model"]["vocab"]["c"] = "x"; }, "field model.vocab.c is \"x\""},
      {[](json& f) { f["model"]["vocab"]["c"] = 1 << 24; }, "field model.vocab.c is 16777216"},
      {[](json& f) { f["model"]["vocab"]["c"] = UINT64_MAX; }, "field model.vocab.c is 18446744073709551615"},
      {[](json& f) { f["model"]["vocab"]["c"] = 1; }, "gives the id 1 to two tokens"},
      {[](json& f) { f["model"]["vocab"][""] = 9; }, "field model.vocab has an empty token"},
      {[](json& f) { f["added_tokens"][0]["id"] = 1; }, "the vocabulary has another token of this id"},
      {[](json& f) { f["added_tokens"][0]["content"] = "a"; },
       "the vocabulary has another id for this token"},
      {[](json& f) { f["added_tokens"][0]["content"] = ""; }, "field added_tokens[0].content is empty"},
      {[](json& f) { f["added_tokens"][0]["lstrip"] = true; }, "field added_tokens[0].lstrip is true"},
      {[](json& f) { f["added_tokens"][0]["id"] = 1ull << 40; }, "field added_tokens[0].id is 1099511627776"},
      {[](json& f) { f["added_tokens"].push_back(f["added_tokens"][0]); },
       "field added_tokens[1].id is 4, which is taken"},
      {[](json& f) {
         f["normalizer"] = {{"type", "NFC"}};
       },
       "field normalizer has type \"NFC\""},
      {[](json& f) { f["pre_tokenizer"]["type"] = "Whitespace"; },
       "field pre_tokenizer has type \"Whitespace\""},
      {[](json& f) { f["pre_tokenizer"]["add_prefix_space"] = true; },
       "pre_tokenizer.add_prefix_space is true"},
      {[](json& f) {
         f["pre_tokenizer"] = json::parse(R"({"type": "Sequence", "pretokenizers": [{"type": "ByteLevel"},
             {"type": "Digits"}]})");
       },
       "field pre_tokenizer.pretokenizers[1] stands behind ByteLevel"},
      {[](json& f) { f["pre_tokenizer"] = nullptr; }, "field decoder has type \"ByteLevel\", which is not supported"},
      {[](json& f) {
         f["pre_tokenizer"] = {{"type", "Digits"}};
       },
       "known: Metaspace, Sequence"},
      {[](json& f) {
         f["pre_tokenizer"] =
             json::parse(R"({"type": "Split", "pattern": {"Regex": "(a"}, "behavior": "Isolated"})");
       },
       "field pre_tokenizer.pattern.Regex is no valid pattern: end pattern with unmatched parenthesis"},
      {[](json& f) {
         f["pre_tokenizer"] =
             json::parse(R"({"type": "Split", "pattern": {"Regex": "a"}, "behavior": "Odd"})");
       },
       "field pre_tokenizer.behavior is \"Odd\""},
      {[](json& f) {
         f["pre_tokenizer"] = {{"type", "Split"}, {"behavior", "Isolated"}};
         f["pre_tokenizer"]["pattern"]["Regex"] = std::string(70'000, 'a');
       },
       "is a pattern of 70000 bytes"},
      {[](json& f) { f["decoder"]["type"] = "Metaspace"; }, "field decoder has type \"Metaspace\""},
      {[](json& f) {
         f["post_processor"] = {{"type", "RobertaProcessing"}};
       },
       "field post_processor has type \"RobertaProcessing\""},
      {[](json& f) {
         f["post_processor"] =
             json::parse(R"({"type": "TemplateProcessing", "single": [], "special_tokens": {}})");
       },
       "field post_processor.single leaves out the text"},
      {[](json& f) {
         f["post_processor"] = json::parse(R"({"type": "TemplateProcessing",
             "single": [{"SpecialToken": {"id": "<x>"}}, {"Sequence": {}}], "special_tokens": {}})");
       },
       "field post_processor.special_tokens has no \"<x>\""},
      {[](json& f) {
         f["post_processor"] = json::parse(R"({"type": "TemplateProcessing",
             "single": [{"SpecialToken": {"id": "<x>"}}, {"Sequence": {}}], "special_tokens": {"<x>": {"ids": [5]}}})");
       },
       "field post_processor.special_tokens.<x>.ids[0] is 5, an id that no token has"},
  };
  for (size_t i = 0; i < cases.size(); ++i) {
    const auto text = error_after(cases[i].change);
    EXPECT_NE(text.find(cases[i].text), std::string::npos) << i << ": " << text;
    EXPECT_NE(text.find("t.json: "), std::string::npos) << text;
  }
}

json valid_file_of_characters() {
  auto file = valid_file();
  file["normalizer"] = json::parse(R"({"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "_"},
      {"type": "Replace", "pattern": {"String": " "}, "content": "_"}]})");
  file["pre_tokenizer"] = nullptr;
  file["decoder"] = json::parse(R"({"type": "Sequence", "decoders": [
      {"type": "Replace", "pattern": {"String": "_"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"},
      {"type": "Strip", "content": " ", "start": 1, "stop": 0}]})");
  file["model"]["byte_fallback"] = true;
  file["model"]["unk_token"] = "b";
  file["model"]["vocab"]["<0x41>"] = 9;
  return file;
}

TEST_F(TokenizerFileTest, ReadsAVocabularyOfCharacters) {
  const auto file = read(valid_file_of_characters().dump());
  ASSERT_TRUE(file.unknown && file.spelling);
  EXPECT_EQ(file.unknown->bytes[0x41], 9);
  EXPECT_EQ(file.unknown->bytes[0x42], -1);
  EXPECT_EQ(file.unknown->token, 1);
  EXPECT_FALSE(file.unknown->fused);
  EXPECT_EQ(change_text(file.normalizer, "a b"), "_a_b");
  EXPECT_EQ(change_text(file.spelling->changes, "_a"), " a");
  EXPECT_TRUE(file.spelling->byte_tokens);
}

TEST_F(TokenizerFileTest, NamesWhatItDoesNotKnowOfAVocabularyOfCharacters) {
  struct Case {
    std::function<void(json&)> change;
    const char* text;
  };
  const auto metaspace = [](const char* scheme) {
    return json{{"type", "Metaspace"}, {"replacement", "_"}, {"prepend_scheme", scheme}};
  };
  const std::vector<Case> cases{
      {[](json& f) { f["decoder"] = nullptr; }, "has no \"decoder\""},
      {[](json& f) { f["decoder"]["decoders"][1]["type"] = "CTC"; },
       "field decoder.decoders[1] has type \"CTC\", which is not supported; known: Replace, ByteFallback, Fuse, Strip"},
      {[](json& f) { f["decoder"]["decoders"].erase(2); }, "field decoder.decoders[2] is Strip out of place"},
      {[](json& f) { f["decoder"]["decoders"][3]["stop"] = 1; }, "field decoder.decoders[3].stop is 1"},
      {[](json& f) { f["decoder"]["decoders"][3]["content"] = "_"; }, "content is no space"},
      {[](json& f) { f["normalizer"]["normalizers"][1]["pattern"] = {{"Regex", " +"}}; }, "is a regular expression"},
      {[](json& f) { f["normalizer"]["normalizers"][1]["pattern"]["String"] = ""; }, "pattern is empty"},
      {[](json& f) { f["model"]["unk_token"] = "<unk>"; }, "\"<unk>\", which is not in the vocabulary"},
      {[&](json& f) { f["pre_tokenizer"] = metaspace("often"); }, "is \"often\", expected always, first or never"},
      {[&](json& f) {
         f["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", {metaspace("first"), metaspace("first")}}};
       },
       "field pre_tokenizer.pretokenizers[1] is a Metaspace behind other steps"},
  };
  for (size_t i = 0; i < cases.size(); ++i) {
    auto file = valid_file_of_characters();
    cases[i].change(file);
    const auto text = input_error_of([&] { read(file.dump()); });
    EXPECT_NE(text.find(cases[i].text), std::string::npos) << i << ": " << text;
  }
}

TEST_F(TokenizerFileTest, RefusesSequencesThatNestWithoutEnd) {
  std::string nested;
  for (int i = 0; i < 100'000; ++i) nested += R"({"type": "Sequence", "pretokenizers": [)";
  nested += R"({"type": "ByteLevel"})";
  for (int i = 0; i < 100'000; ++i) nested += "]}";
  auto text = valid_file().dump();
  text.insert(1, "\"x\": " + nested + ",");
  EXPECT_NE(input_error_of([&] { read(text); }).find("nests deeper than 32 levels"), std::string::npos);
}

// Whatever a cut or a changed byte makes of the file, it is read or refused.
TEST_F(TokenizerFileTest, SurvivesCutsAndChangedBytes) {
  const auto text = valid_file().dump();
  for (size_t size = 0; size < text.size(); size += 3) input_error_of([&] { read(text.substr(0, size)); });
  for (size_t i = 0; i < text.size(); i += 2) {
    for (const char value : {'"', '{', '9'}) {
      auto changed = text;
      changed[i] = value;
      try {
        read(changed);
      } catch (const InputError&) {
      }
    }
  }
}

TEST_F(TokenizerFileTest, ReadsTheTokensConfiguredBesideIt) {
  const auto path = directory_.path("tokenizer.json");
  EXPECT_EQ(read_configured_tokens(path).eos, std::nullopt);
  directory_.write_bytes("tokenizer_config.json",
                         R"({"eos_token": "</s>", "bos_token": {"content": "<s>"}})");
  EXPECT_EQ(read_configured_tokens(path).eos, "</s>");
  EXPECT_EQ(read_configured_tokens(path).bos, "<s>");
  EXPECT_FALSE(read_configured_tokens(path).bos_prefix);
  directory_.write_bytes("tokenizer_config.json",
                         R"({"add_bos_token": true, "bos_token": {"content": "<s>"}})");
  EXPECT_EQ(read_configured_tokens(path).eos, std::nullopt);
  EXPECT_TRUE(read_configured_tokens(path).bos_prefix);
  directory_.write_bytes("tokenizer_config.json", R"({"eos_token": 3})");
  EXPECT_NE(input_error_of([&] { read_configured_tokens(path); }).find("field eos_token is 3, expected text"),
            std::string::npos);
}

}  // namespace
}  // namespace granule
