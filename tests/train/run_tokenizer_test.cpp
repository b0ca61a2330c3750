#include "train/run_tokenizer.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "base/check.h"
#include "base/file.h"
#include "base/text.h"
#include "tests/support/temporary_directory.h"
#include "tests/support/token_files.h"
#include "train/run_directory.h"

namespace granule {
namespace {

RunConfig config_of(const std::string& train, const std::string& load) {
  RunConfig config;
  config.data.train = {train};
  config.checkpoint.load = load;
  return config;
}

// A new directory.
std::string made(const TemporaryDirectory& temporary, const char* name) {
  std::filesystem::create_directories(temporary.path(name));
  return temporary.path(name);
}

TEST(RunTokenizer, IsThatOfTheModelThatIsLoadedUnlessOneIsNamed) {
  const DataDirectory directory;
  directory.write_bytes("tokenizer.json", "{}");
  const auto load = directory.path(".");
  for (const auto* train : {"a.jsonl", "corpus/tokens"}) {
    auto config = config_of(train, load);
    EXPECT_EQ(tokenizer_of_run(config), load + "/tokenizer.json");
    config.data.tokenizer = "mine.json";
    EXPECT_EQ(tokenizer_of_run(config), "mine.json");
  }
  EXPECT_EQ(tokenizer_of_run(config_of("corpus/tokens", "")), "corpus/tokenizer.json");
  EXPECT_EQ(tokenizer_of_run(config_of("corpus/a.jsonl", directory.path("none"))), "corpus/tokenizer.json");
}

TEST(RunTokenizer, OfALoadedModelIsFoundWhereItsCheckpointsAre) {
  const DataDirectory run;
  const auto newest = run.path("checkpoints/step-0000002");
  std::filesystem::create_directories(newest);
  std::filesystem::create_directories(run.path("checkpoints/step-0000001"));
  run.write_bytes("checkpoints/step-0000002/tokenizer.json", "{}");
  for (const auto& load : {run.path(), run.path("checkpoints"), run.path("checkpoints") + "/", newest}) {
    EXPECT_EQ(tokenizer_of_run(config_of("a.jsonl", load)), newest + "/tokenizer.json") << load;
  }
}

TEST(RunTokenizer, OfARunThatHasBegunIsItsOwn) {
  const DataDirectory load, run;
  load.write_bytes("tokenizer.json", "{}");
  run.write_bytes("tokenizer.json", "{}");
  auto config = config_of("tokens", load.path());
  config.run_dir = run.path();
  EXPECT_EQ(tokenizer_of_run(config), load.path("tokenizer.json"));
  std::filesystem::create_directories(run.path("checkpoints/step-0000000"));
  EXPECT_EQ(tokenizer_of_run(config), run.path("tokenizer.json"));
}

TEST(RunTokenizer, KeepsTheTokenizerAndItsSettings) {
  const TemporaryDirectory temporary;
  const auto from = made(temporary, "corpus"), to = made(temporary, "run");
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

TEST(RunTokenizer, KeepsNothingOfAnEarlierTokenizerUnlessTheRunHasBegun) {
  const TemporaryDirectory temporary;
  const auto first = made(temporary, "first"), second = made(temporary, "second"),
             to = made(temporary, "run");
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

TEST(RunTokenizer, TokenFilesOfAnotherVocabularyAreRefused) {
  const TemporaryDirectory temporary;
  for (const auto* name : {"a", "b", "same", "none"}) made(temporary, name);
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

TEST(RunTokenizer, VocabulariesAreComparedByWhatIdsMean) {
  const DataDirectory directory;
  const auto tokens_of = [&](const char* name, const char* json) {
    write_text_file_durably(made(directory, name) + "/tokenizer.json", json);
    return directory.path(name) + "/tokens";
  };
  tokens_of(
      "model",
      R"({"model": {"vocab": {"a": 0, "b": 1, "<e>": 2}}, "added_tokens": [{"id": 2, "content": "<e>"}]})");
  const auto model = directory.path("model/tokenizer.json");
  const auto added_alone = tokens_of(
      "added", R"({"model": {"vocab": {"a": 0, "b": 1}}, "added_tokens": [{"id": 2, "content": "<e>"}]})");
  const auto fewer =
      tokens_of("fewer", R"({"model": {"vocab": {"a": 0}}, "added_tokens": [{"id": "x"}, 7]})");
  const auto more = tokens_of("more", R"({"model": {"vocab": {"a": 0, "b": 1, "c": 3}}})");
  const auto other = tokens_of("other", R"({"model": {"vocab": {"a": 1, "b": 0}}})");
  EXPECT_NO_THROW(check_vocabularies({added_alone, fewer}, model));
  EXPECT_THROW(check_vocabularies({more}, model), InputError);
  EXPECT_THROW(check_vocabularies({other}, model), InputError);
}

TEST(RunTokenizer, TokenFilesBesideConversationsAreChecked) {
  const DataDirectory model, corpus;
  model.write_bytes("tokenizer.json", R"({"model": {"vocab": {"a": 0}}})");
  corpus.write_bytes("tokenizer.json", R"({"model": {"vocab": {"b": 0}}})");
  auto config = config_of("a.jsonl", model.path());
  EXPECT_NO_THROW(check_tokenizer_of_run(config));
  config.data.valid = {corpus.path("tokens")};
  EXPECT_THROW(check_tokenizer_of_run(config), InputError);
  config.data.tokenizer = model.path("tokenizer.json");
  EXPECT_NO_THROW(check_tokenizer_of_run(config));
}

TEST(RunTokenizer, KeepsWhatLiesBesideATokenizerThatIsNotThere) {
  const TemporaryDirectory temporary;
  const auto from = made(temporary, "model"), to = made(temporary, "run");
  write_text_file_durably(from + "/tokenizer.model", "pieces");
  keep_tokenizer(from + "/tokenizer.json", to);
  EXPECT_EQ(existing_tokenizer(to), "");
  EXPECT_EQ(read_text_file(to + "/tokenizer.model", 100), "pieces");
  keep_tokenizer("", to);
}

TEST(RunTokenizer, ARunThatHasBegunKeepsItsTokenizer) {
  const TemporaryDirectory temporary;
  const auto from = made(temporary, "corpus"), to = made(temporary, "run");
  write_text_file_durably(to + "/tokenizer.json", "{1}");
  write_text_file_durably(from + "/tokenizer.json", "{2}");
  keep_tokenizer(from + "/tokenizer.json", to);
  EXPECT_EQ(read_text_file(to + "/tokenizer.json", 100), "{2}");

  EXPECT_FALSE(has_begun(to));
  std::filesystem::create_directories(checkpoints_path(to) + "/step-0000000");
  EXPECT_TRUE(has_begun(to));
  const auto check_named = [&](const std::string& tokenizer) {
    auto config = config_of("tokens", "");
    config.run_dir = to;
    config.data.tokenizer = tokenizer;
    check_tokenizer_of_run(config);
  };
  EXPECT_NO_THROW(check_named(""));
  EXPECT_NO_THROW(check_named(from + "/none.json"));
  EXPECT_NO_THROW(check_named(from + "/tokenizer.json"));
  write_text_file_durably(from + "/tokenizer.json", "{3}");
  keep_tokenizer(from + "/tokenizer.json", to);
  EXPECT_EQ(read_text_file(to + "/tokenizer.json", 100), "{2}");
  try {
    check_named(from + "/tokenizer.json");
    FAIL() << "no error";
  } catch (const ConfigError& error) {
    EXPECT_NE(std::string(error.what()).find("is another than " + to + "/tokenizer.json"), std::string::npos)
        << error.what();
  }
}

}  // namespace
}  // namespace granule
