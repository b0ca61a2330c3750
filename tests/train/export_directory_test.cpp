#include "train/export_directory.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "comm/loopback_communicator.h"
#include "interchange/hugging_face_directory.h"
#include "interchange/hugging_face_tensors.h"
#include "tests/support/chat_files.h"
#include "tests/support/interchange_models.h"
#include "tests/support/token_files.h"
#include "train/export_model.h"
#include "train/run_directory.h"
#include "train/run_tokenizer.h"

namespace granule {
namespace {

using Names = std::set<std::string>;

Names names_in(const std::string& directory) {
  Names names;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) names.insert(entry.path().filename());
  return names;
}

TEST(ExportDirectory, ListsWhatIsToComeUntilAllIsThere) {
  const DataDirectory parent;
  const auto path = parent.path("a/b");
  ExportDirectory directory(path, {"x", "y"});
  EXPECT_EQ(read_bytes(path + "/" + kUnfinishedExport), "x\ny\n");
  directory.finish();
  EXPECT_EQ(names_in(path), Names{});
}

TEST(ExportDirectory, RemovesWhatAnUnfinishedExportLeftAndNothingElse) {
  const DataDirectory directory;
  directory.write_bytes(kUnfinishedExport, "x\ny\n");
  directory.write_bytes("x", "1");
  directory.write_bytes("y.tmp-77", "2");
  { const ExportDirectory again(directory.path(), {"z"}); }
  EXPECT_EQ(names_in(directory.path()), Names{kUnfinishedExport});
  EXPECT_EQ(read_bytes(directory.path(kUnfinishedExport)), "z\n");

  directory.write_bytes("z", "3");
  for (const char* foreign : {"note", "x", "zz", ".hidden"}) {
    directory.write_bytes(foreign, "mine");
    const auto error = input_error_of([&] { ExportDirectory(directory.path(), {"z"}); });
    EXPECT_NE(error.find(std::string("but also ") + foreign), std::string::npos) << error;
    EXPECT_EQ(names_in(directory.path()), (Names{kUnfinishedExport, "z", foreign}));
    std::filesystem::remove(directory.path(foreign));
  }
}

TEST(ExportDirectory, TakesAwayNoDirectoryAndNoLinkWhateverTheListSays) {
  const DataDirectory directory;
  directory.write_bytes(kUnfinishedExport, "model\nlink\n../outside\n");
  for (const char* name : {"model", "link"}) {
    if (name == std::string("model")) {
      std::filesystem::create_directory(directory.path(name));
    } else {
      std::filesystem::create_symlink("/etc/hostname", directory.path(name));
    }
    EXPECT_NE(input_error_of([&] { ExportDirectory(directory.path(), {"z"}); }).find(name), std::string::npos);
    EXPECT_TRUE(std::filesystem::is_symlink(directory.path(name)) || std::filesystem::is_directory(directory.path(name)));
    std::filesystem::remove(directory.path(name));
  }
}

TEST(ExportDirectory, RefusesADirectoryThatIsInUse) {
  const DataDirectory directory;
  directory.write_bytes("note", "mine");
  EXPECT_NE(input_error_of([&] { ExportDirectory(directory.path(), {}); }).find("is not empty"), std::string::npos);
  EXPECT_EQ(names_in(directory.path()), Names{"note"});

  const ExportDirectory first(directory.path("out"), {"x"});
  directory.write_bytes("out/x", "1");
  EXPECT_NE(input_error_of([&] { ExportDirectory(directory.path("out"), {"x"}); }).find("another export is writing"),
            std::string::npos);
  EXPECT_EQ(read_bytes(directory.path("out/x")), "1");
}

// Parameters that can be read so many times: then the disk is full.
class FailingParameters : public CodedParameters {
 public:
  FailingParameters(const ModelConfig& config, int reads) : CodedParameters(config), reads_(reads) {}

  void read_values(const std::string& name, int64_t begin, std::span<float> values) const override {
    if (reads_-- == 0) throw OutputError("shard", "write", ENOSPC);
    CodedParameters::read_values(name, begin, values);
  }

 private:
  mutable int reads_;
};

class ExportTest : public testing::Test {
 protected:
  ExportTest() { source_.write_bytes("tokenizer.json", "{}"); }

  // With so many reads of parameters allowed.
  void export_with(int reads, uint64_t max_shard_bytes) {
    TrainedRun run;
    run.config.model = interchange_config("llama");
    run.config.data = data_;
    run.checkpoint = source_.path();
    run.tokenizer = existing_tokenizer(run.checkpoint);
    run.parameters = std::make_unique<FailingParameters>(run.config.model, reads);
    run_loopback(1, [&](Communicator& world) {
      export_model(run, {.directory = out_.path(), .model_type = "llama", .max_shard_bytes = max_shard_bytes}, world);
    });
  }

  DataConfig data_;
  DataDirectory source_;
  DataDirectory out_;
};

TEST_F(ExportTest, AFailureAnywhereLeavesAnUnfinishedDirectoryThatTheNextOneReplaces) {
  constexpr uint64_t kSmall = 5000;
  const Names finished{kConfigJson, kSingleShard, "tokenizer.json", "generation_config.json"};
  for (const int reads : {0, 1, 7, 12}) {
    EXPECT_THROW(export_with(reads, kSmall), OutputError) << reads;
    const auto left = names_in(out_.path());
    EXPECT_TRUE(left.contains(kUnfinishedExport)) << reads;
    EXPECT_FALSE(left.contains(kConfigJson)) << reads;
    for (const auto& name : left) EXPECT_EQ(name.find(".tmp"), std::string::npos) << name;
  }
  EXPECT_TRUE(names_in(out_.path()).contains(shard_name(0, 12)) || names_in(out_.path()).size() > 4u);

  export_with(1 << 20, 1 << 30);
  EXPECT_EQ(names_in(out_.path()), finished);
  EXPECT_NE(input_error_of([&] { export_with(1 << 20, 1 << 30); }).find("is not empty"), std::string::npos);
  EXPECT_EQ(names_in(out_.path()), finished);
}

TEST_F(ExportTest, WhatLiesBesideATokenizerNeedsNone) {
  std::filesystem::remove(source_.path("tokenizer.json"));
  const std::string ends = R"({"bos_token_id": 1, "eos_token_id": [2, 3]})";
  source_.write_bytes("generation_config.json", ends);
  source_.write_bytes("tokenizer.model", "pieces");
  export_with(1 << 20, 1 << 30);
  EXPECT_EQ(names_in(out_.path()),
            (Names{kConfigJson, kSingleShard, "generation_config.json", "tokenizer.model"}));
  EXPECT_EQ(read_bytes(out_.path("generation_config.json")), ends);
  EXPECT_NE(read_bytes(out_.path(kConfigJson)).find("\"eos_token_id\": 2"), std::string::npos);
}

TEST_F(ExportTest, OfWhatLearnedFromConversationsAlsoTheEndOfAnAnswerEndsATextAndTheTemplateIsWritten) {
  source_.write_bytes("tokenizer.json", byte_tokenizer({"<|endoftext|>", "<|im_start|>", "<|im_end|>"}, ""));
  source_.write_bytes("generation_config.json", R"({"eos_token_id": 0, "top_p": 0.5})");
  data_.train = {"chats.jsonl"};
  data_.chat.chat_template = "chatml";
  export_with(1 << 20, 1 << 30);
  const auto ids = byte_ids("<|im_end|>", {"<|endoftext|>", "<|im_start|>", "<|im_end|>"});
  const auto generation = nlohmann::json::parse(read_bytes(out_.path("generation_config.json")));
  EXPECT_EQ(generation["top_p"], 0.5);
  EXPECT_EQ(generation["eos_token_id"].at(0), ids.at(0));
  EXPECT_EQ(generation["eos_token_id"].back(), 0);
  EXPECT_NE(read_bytes(out_.path("chat_template.jinja")).find("<|im_start|>user"), std::string::npos);
}

TEST_F(ExportTest, AMissingTokenizerIsNoticedBeforeAnyShardIsWritten) {
  std::filesystem::remove(source_.path("tokenizer.json"));
  std::filesystem::create_directory(source_.path("tokenizer.json"));
  EXPECT_FALSE(input_error_of([&] { export_with(0, 1 << 30); }).empty());
  std::filesystem::remove(source_.path("tokenizer.json"));
  source_.write_bytes("tokenizer.json", "{}");
  export_with(1 << 20, 1 << 30);
  EXPECT_TRUE(names_in(out_.path()).contains(kConfigJson));
}

}  // namespace
}  // namespace granule
