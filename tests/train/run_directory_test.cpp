#include "train/run_directory.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "base/check.h"
#include "base/file.h"
#include "base/text.h"
#include "tests/support/temporary_directory.h"

namespace granule {
namespace {

TEST(RunDirectory, IsMadeAndHeldByOneOwnerAtATime) {
  const TemporaryDirectory temporary;
  const auto path = temporary.path("deep/run");
  {
    const RunDirectory first(path);
    EXPECT_THROW(RunDirectory second(path), InputError);
  }
  const RunDirectory again(path);
}

TEST(RunDirectory, KeepsTheTokenizerAndItsSettings) {
  const TemporaryDirectory temporary;
  const auto from = temporary.path("corpus"), to = temporary.path("run");
  std::filesystem::create_directories(from);
  std::filesystem::create_directories(to);
  keep_tokenizer(from + "/tokenizer.json", to);
  EXPECT_EQ(existing_tokenizer(to), "");
  write_text_file_durably(from + "/tokenizer.json", "{1}");
  write_text_file_durably(from + "/tokenizer_config.json", "{2}");
  write_text_file_durably(from + "/chat_template.jinja", "{3}");
  keep_tokenizer(from + "/tokenizer.json", to);
  EXPECT_EQ(read_text_file(existing_tokenizer(to), 100), "{1}");
  EXPECT_EQ(read_text_file(to + "/tokenizer_config.json", 100), "{2}");
  EXPECT_EQ(read_text_file(to + "/chat_template.jinja", 100), "{3}");
  EXPECT_FALSE(std::filesystem::exists(to + "/merges.txt"));
}

TEST(RunDirectory, IsNoModelOfHuggingFace) {
  const TemporaryDirectory temporary;
  write_text_file_durably(temporary.path("config.json"), "{}");
  EXPECT_THROW(RunDirectory run(temporary.path()), InputError);
}

TEST(RunDirectory, KeepsNothingOfAnEarlierTokenizerUnlessTheRunHasBegun) {
  const TemporaryDirectory temporary;
  const auto first = temporary.path("first"), second = temporary.path("second"), to = temporary.path("run");
  for (const auto& path : {first, second, to}) std::filesystem::create_directories(path);
  for (const auto* name : {"tokenizer.json", "tokenizer_config.json", "chat_template.jinja"}) {
    write_text_file_durably(first + "/" + name, "{1}");
  }
  write_text_file_durably(to + "/config.yaml", "stays");
  write_text_file_durably(second + "/tokenizer.json", "{2}");
  keep_tokenizer(first + "/tokenizer.json", to);
  keep_tokenizer(second + "/tokenizer.json", to);
  EXPECT_EQ(read_text_file(to + "/tokenizer.json", 100), "{2}");
  EXPECT_FALSE(std::filesystem::exists(to + "/tokenizer_config.json"));
  EXPECT_FALSE(std::filesystem::exists(to + "/chat_template.jinja"));
  EXPECT_TRUE(std::filesystem::exists(to + "/config.yaml"));
}

TEST(RunDirectory, TokenFilesOfAnotherVocabularyAreRefused) {
  const TemporaryDirectory temporary;
  for (const auto* name : {"a", "b", "same", "none"})
    std::filesystem::create_directories(temporary.path(name));
  const auto vocabulary = [](const char* merges, int id) {
    return join_text(R"({"added_tokens": [{"id": 2, "content": "<e>"}], "model": {"vocab": {"a": 0, "b": )",
                     id, R"(}, "merges": )", merges, "}}");
  };
  write_text_file_durably(temporary.path("a/tokenizer.json"), vocabulary(R"(["a b"])", 1));
  write_text_file_durably(temporary.path("same/tokenizer.json"), vocabulary(R"([["a", "b"]])", 1));
  write_text_file_durably(temporary.path("b/tokenizer.json"), vocabulary(R"(["a b"])", 3));
  const auto own = temporary.path("a/tokenizer.json");
  const auto in = [&](const char* name) { return temporary.path(name); };
  EXPECT_NO_THROW(
      check_vocabularies({in("a/train"), in("same/train"), in("none/train"), in("b/chats.jsonl")}, own));
  EXPECT_NO_THROW(check_vocabularies({in("b/train")}, ""));
  EXPECT_NO_THROW(check_vocabularies({in("b/train")}, in("none/tokenizer.json")));
  EXPECT_THROW(check_vocabularies({in("a/train"), in("b/train")}, own), InputError);
}

TEST(RunDirectory, KeepsWhatLiesBesideATokenizerThatIsNotThere) {
  const TemporaryDirectory temporary;
  const auto from = temporary.path("model"), to = temporary.path("run");
  std::filesystem::create_directories(from);
  std::filesystem::create_directories(to);
  write_text_file_durably(from + "/tokenizer.model", "pieces");
  keep_tokenizer(from + "/tokenizer.json", to);
  EXPECT_EQ(existing_tokenizer(to), "");
  EXPECT_EQ(read_text_file(to + "/tokenizer.model", 100), "pieces");
  keep_tokenizer("", to);
}

TEST(RunDirectory, ARunThatHasBegunKeepsItsTokenizer) {
  const TemporaryDirectory temporary;
  const auto from = temporary.path("corpus"), to = temporary.path("run");
  std::filesystem::create_directories(from);
  std::filesystem::create_directories(to);
  write_text_file_durably(to + "/tokenizer.json", "{1}");
  write_text_file_durably(from + "/tokenizer.json", "{2}");
  keep_tokenizer(from + "/tokenizer.json", to);
  EXPECT_EQ(read_text_file(to + "/tokenizer.json", 100), "{2}");

  EXPECT_FALSE(has_begun(to));
  std::filesystem::create_directories(checkpoints_path(to) + "/step-0000000");
  EXPECT_TRUE(has_begun(to));
  EXPECT_NO_THROW(check_same_tokenizer("", to));
  EXPECT_NO_THROW(check_same_tokenizer(from + "/none.json", to));
  EXPECT_NO_THROW(check_same_tokenizer(from + "/tokenizer.json", to));
  write_text_file_durably(from + "/tokenizer.json", "{3}");
  keep_tokenizer(from + "/tokenizer.json", to);
  EXPECT_EQ(read_text_file(to + "/tokenizer.json", 100), "{2}");
  try {
    check_same_tokenizer(from + "/tokenizer.json", to);
    FAIL() << "no error";
  } catch (const ConfigError& error) {
    EXPECT_NE(std::string(error.what()).find("is another than " + to + "/tokenizer.json"), std::string::npos)
        << error.what();
  }
}

}  // namespace
}  // namespace granule
