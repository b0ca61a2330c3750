#include "data/loader.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "data/open_sources.h"
#include "tests/support/token_files.h"

namespace granule {
namespace {

DataConfig config_for(const DataDirectory& directory) {
  DataConfig config;
  config.train = {directory.write_tokens("a", random_documents(30, 40, 500, 1)),
                  directory.write_tokens("b", random_documents(30, 40, 500, 2))};
  config.valid = {directory.write_tokens("v", random_documents(10, 20, 500, 3))};
  config.reset_attention_mask = true;
  config.eod_mask_loss = true;
  return config;
}

Loader training_loader(const DataConfig& config, int64_t global_batch_size) {
  return Loader(open_training_source(config, 16, 500, 9), global_batch_size);
}

TEST(Loader, GoesOnFromASampleWithAnotherBatchSize) {
  const DataDirectory directory;
  const auto config = config_for(directory);
  auto whole = training_loader(config, 4), larger = training_loader(config, 6),
       smaller = training_loader(config, 3);
  larger.go_on_from(3, 12);  // after 3 steps of 4
  smaller.go_on_from(3, 12);
  EXPECT_TRUE(larger.load(3, 0, 4).token_BS.equal(whole.load(3, 0, 4).token_BS));
  EXPECT_TRUE(larger.load(4, 2, 4).token_BS.equal(whole.load(5, 0, 4).token_BS));
  EXPECT_TRUE(smaller.load(5, 2, 1).token_BS.equal(whole.load(5, 0, 1).token_BS));
}

TEST(Loader, PutsSampleStepTimesBatchPlusRowIntoEachRow) {
  const DataDirectory directory;
  const auto config = config_for(directory);
  auto loader = training_loader(config, 6);
  const auto source = open_training_source(config, 16, 500, 9);
  const auto batch = loader.load(3, 0, 6);
  for (int64_t row = 0; row < 6; ++row) {
    const auto sample = read_sample(*source, 18 + row);
    const auto token = at::tensor(sample.token);
    EXPECT_TRUE(batch.token_BS[row].equal(token.narrow(0, 0, 16)));
    EXPECT_TRUE(batch.label_BS[row].equal(token.narrow(0, 1, 16)));
    EXPECT_TRUE(batch.loss_mask_BS[row].equal(at::tensor(sample.loss_mask).to(at::kBool)));
    EXPECT_TRUE(batch.segment_BS[row].equal(at::tensor(sample.segment)));
  }
}

TEST(Loader, GivesTheSameGlobalBatchHoweverRowsAreSplit) {
  const DataDirectory directory;
  const auto config = config_for(directory);
  auto whole = training_loader(config, 12);
  for (const int64_t parts : {1, 2, 3, 4, 6, 12}) {
    auto loader = training_loader(config, 12);
    for (const int64_t step : {0, 1, 40}) {
      const auto expected = whole.load(step, 0, 12);
      for (int64_t part = 0; part < parts; ++part) {
        const int64_t rows = 12 / parts;
        const auto batch = loader.load(step, part * rows, rows);
        EXPECT_TRUE(batch.token_BS.equal(expected.token_BS.narrow(0, part * rows, rows)));
        EXPECT_TRUE(batch.loss_mask_BS.equal(expected.loss_mask_BS.narrow(0, part * rows, rows)));
        EXPECT_TRUE(batch.segment_BS.equal(expected.segment_BS.narrow(0, part * rows, rows)));
      }
    }
  }
}

TEST(Loader, PadsRowsBehindTheLastValidationSample) {
  const DataDirectory directory;
  auto source = open_validation_source(config_for(directory), 16, 500);
  const int64_t num_samples = source->num_samples();
  Loader loader(std::move(source), num_samples - 1);
  ASSERT_EQ(loader.num_steps(), 2);
  const auto last = loader.load(1, 0, num_samples - 1);
  EXPECT_GT(last.loss_mask_BS[0].sum().item<int64_t>(), 0);
  EXPECT_FALSE(last.loss_mask_BS.slice(0, 1).any().item<bool>());
  EXPECT_TRUE(last.segment_BS.slice(0, 1).eq(-1).all().item<bool>());
  EXPECT_TRUE(last.token_BS.slice(0, 1).eq(0).all().item<bool>());
}

TEST(Loader, HandsOutContiguousRowsAndNoneIfAsked) {
  const DataDirectory directory;
  auto loader = training_loader(config_for(directory), 4);
  const auto batch = loader.load(0, 1, 3);
  EXPECT_TRUE(batch.token_BS.is_contiguous() && batch.label_BS.is_contiguous());
  EXPECT_EQ(loader.load(0, 4, 0).token_BS.size(0), 0);
}

}  // namespace
}  // namespace granule
