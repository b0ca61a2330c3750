#include "train/text_ends.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/support/chat_files.h"
#include "tests/support/token_files.h"

namespace granule {
namespace {

using Ids = std::vector<int64_t>;

class TextEndsTest : public testing::Test {
 protected:
  int64_t id(const std::string& name) { return tokenizer_.find_added(name).value(); }
  std::string path() { return directory_.path(); }

  DataDirectory directory_;
  Tokenizer tokenizer_{directory_.write_bytes(
      "tokenizer.json", byte_tokenizer({"<bos>", "<|endoftext|>", "<|im_start|>", "<|im_end|>"}, "<bos>"))};
};

TEST_F(TextEndsTest, WithoutAWordTheTokenizerSays) {
  const auto ends = text_ends_of(path(), tokenizer_, {});
  EXPECT_EQ(ends.begin, id("<bos>"));
  EXPECT_EQ(ends.end, Ids{id("<|endoftext|>")});
}

TEST_F(TextEndsTest, GenerationConfigGoesBeforeConfigJsonAndBothBeforeTheTokenizer) {
  directory_.write_bytes("config.json", R"({"bos_token_id": null, "eos_token_id": 7})");
  EXPECT_EQ(text_ends_of(path(), tokenizer_, {}).end, Ids{7});
  EXPECT_EQ(text_ends_of(path(), tokenizer_, {}).begin, std::nullopt);
  directory_.write_bytes("generation_config.json", R"({"temperature": 0.7})");
  EXPECT_EQ(recorded_text_ends(path()).end, Ids{7}) << "silence is no word";
  directory_.write_bytes("generation_config.json", R"({"bos_token_id": 4, "eos_token_id": [8, 9]})");
  EXPECT_EQ(text_ends_of(path(), tokenizer_, {}).end, (Ids{8, 9}));
  EXPECT_EQ(recorded_text_ends(path()).begin, 4);
  directory_.write_bytes("config.json", R"({"bos_token_id": 3})");
  directory_.write_bytes("generation_config.json", R"({"eos_token_id": 8})");
  EXPECT_EQ(recorded_text_ends(path()).begin, 3) << "each is looked for by itself";
}

TEST_F(TextEndsTest, WhatIsNoIdSaysNothing) {
  for (const char* text :
       {"", "[]", "{", R"({"eos_token_id": -1})", R"({"eos_token_id": "256"})", R"({"eos_token_id": null})",
        R"({"eos_token_id": 2.0})", R"({"eos_token_id": []})"}) {
    directory_.write_bytes("generation_config.json", text);
    EXPECT_EQ(text_ends_of(path(), tokenizer_, {}).end, Ids{id("<|endoftext|>")}) << text;
  }
  directory_.write_bytes("generation_config.json", R"({"eos_token_id": [5, null]})");
  EXPECT_EQ(text_ends_of(path(), tokenizer_, {}).end, Ids{5});
}

TEST_F(TextEndsTest, WhatEndsAnAnswerComesFirst) {
  ChatConfig config;
  config.chat_template = "chatml";
  const std::optional<ChatTemplate> chat(std::in_place, config, tokenizer_);
  EXPECT_EQ(text_ends_of(path(), tokenizer_, chat).end, (Ids{id("<|im_end|>"), id("<|endoftext|>")}));
  directory_.write_bytes("generation_config.json", R"({"eos_token_id": 8})");
  EXPECT_EQ(text_ends_of(path(), tokenizer_, chat).end, (Ids{id("<|im_end|>"), id("<|endoftext|>"), 8}));
}

TEST_F(TextEndsTest, WritingKeepsAllElse) {
  const std::string own = R"({"bos_token_id": 4, "eos_token_id": [8, 9], "top_k": 5})";
  directory_.write_bytes("generation_config.json", own);
  write_text_ends(path(), {4, {8, 9}});
  EXPECT_EQ(read_bytes(directory_.path("generation_config.json")), own);
  write_text_ends(path(), {4, {3, 8, 9}});
  EXPECT_EQ(nlohmann::json::parse(read_bytes(directory_.path("generation_config.json"))),
            nlohmann::json::parse(R"({"bos_token_id": 4, "eos_token_id": [3, 8, 9], "top_k": 5})"));
}

}  // namespace
}  // namespace granule
