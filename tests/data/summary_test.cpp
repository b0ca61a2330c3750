#include "data/summary.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "data/loader.h"
#include "data/open_sources.h"
#include "tests/support/source_tree.h"
#include "tests/support/token_files.h"

namespace granule {
namespace {

using nlohmann::json;

TEST(Summary, CountsWhatATokenFileHolds) {
  const DataDirectory directory;
  const auto prefix = directory.write_tokens("x", {{1, 2, 3}, {}, {400}, {5, 6}});
  EXPECT_EQ(summarize_token_file(prefix), prefix +
                                              "\n  tokens: 6 (6), stored as u16\n  documents: 4\n"
                                              "  sequences: 3\n  document length: 0 to 3 tokens, mean 1\n"
                                              "  empty documents: 1\n  largest id: 400\n");
  const auto empty = directory.write_tokens("empty", {});
  EXPECT_EQ(summarize_token_file(empty),
            empty + "\n  tokens: 0 (0), stored as u16\n  documents: 0\n  sequences: 0\n");
}

TEST(Summary, PrintsTheGlobalBatchOfAStep) {
  const DataDirectory directory;
  DataConfig config;
  config.train = {directory.write_tokens("x", random_documents(20, 12, 90))};
  config.reset_attention_mask = config.eod_mask_loss = true;
  Loader loader(open_training_source(config, 8, 90, 1), 3);
  const auto printed = json::parse(batch_as_json(5, loader.load(5, 0, 3)));
  EXPECT_EQ(printed["step"], 5);
  const auto source = open_training_source(config, 8, 90, 1);
  for (size_t row = 0; row < 3; ++row) {
    const auto sample = read_sample(*source, 15 + static_cast<int64_t>(row));
    EXPECT_EQ(printed["tokens"][row], json(sample.token));
    EXPECT_EQ(printed["loss_mask"][row], json(sample.loss_mask));
    EXPECT_EQ(printed["segments"][row], json(sample.segment));
  }
  EXPECT_EQ(printed["tokens"].size(), 3u);
}

TEST(Summary, PrintsHowATokenizerSeesAText) {
  const DataDirectory directory;
  const auto path = source_path("tests/data/golden/tokenizer_gpt2.json");
  const auto golden = json::parse(read_bytes(path));
  Tokenizer tokenizer(directory.write_bytes("tokenizer.json", golden["tokenizer"].dump()));
  const auto printed = json::parse(tokens_as_json(tokenizer, "the caf\u00e9<|endoftext|>"));
  EXPECT_EQ(printed["ids"], json(tokenizer.encode("the caf\u00e9<|endoftext|>")));
  EXPECT_EQ(printed["tokens"].back(), "<|endoftext|>");
  EXPECT_EQ(printed["bytes"], 9);
}

}  // namespace
}  // namespace granule
